// Which page an address is, what stands around it, and the keys that work everywhere.
"use strict";

(() => {
  const { html, render, useEffect, useRef, useRoute, useLoaded, load, pages, Loading } = lossplace;

  const NAVIGATION = [["/", "Overview"], ["/repositories", "Repositories"], ["/snippets?placement=loss", "Snippets"], ["/evaluation", "Evaluation"], ["/compare", "Compare"]];

  // /snippet/<id> is the page /snippet
  const pageOf = (path) => pages[path] ?? pages[path.replace(/\/[^/]*$/, "")];

  function App() {
    const { path, query } = useRoute();
    const study = useLoaded(() => load("study"), []);
    const main = useRef(null);
    const page = pageOf(path);
    useEffect(() => {
      if (study) document.title = `${page?.title ?? "?"} · ${study.about.name} · lossplace`;
    }, [study, path]);
    useEffect(() => { window.scrollTo(0, 0); }, [path, query.name]);
    if (!study) return html`<${Loading} what="the report" />`;
    const here = path.startsWith("/snippet") ? "/snippets" : path.startsWith("/repositor") ? "/repositories" : path;
    return html`<a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); main.current.focus(); }}>Skip to the page</a>
      <header class="top"><a class="brand" href="#/">lossplace</a>
        <nav aria-label="Pages">${NAVIGATION.filter(([to]) => to !== "/compare" || study.comparison).map(([to, title]) => html`<a href=${`#${to}`} aria-current=${here === to.split("?")[0] ? "page" : undefined}>${title}</a>`)}</nav></header>
      <main id="main" tabindex="-1" ref=${main}>${page ? html`<${page.Page} key=${page.title} study=${study} path=${path} query=${query} />` : html`<h1>Nothing here</h1><p class="empty">This report has no page ${path}. <a href="#/">Begin at the overview</a>.</p>`}</main>
      <footer>lossplace ${study.about.lossplace}${study.about.public && " · code that may not be passed on is left out"}</footer>`;
  }

  // what cannot go on says so
  function Whole() {
    const [error] = htmPreact.useErrorBoundary?.() ?? [];
    return error ? html`<main class="broken"><h1>This report cannot be shown</h1><p>${error.message}</p></main>` : html`<${App} />`;
  }

  window.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const field = document.getElementById("search");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  });

  const app = document.getElementById("app");
  app.replaceChildren();
  render(html`<${Whole} />`, app);
})();
