// The snippets: filters, full-text search, and a list of which only what is seen is drawn.
"use strict";

(() => {
  const { html, address, replace, useState, useEffect, useLayoutEffect, useMemo, useRef, useLoaded, openTable, select, search,
    idOf, repositoryOf, pathOf, titleOf, number, count, Place, Name, visible, Loading, Link, NOT_THERE, plain } = lossplace;

  const LEAST = 3; // characters of a search
  const PAUSE = 180; // ms without a key, before a search begins

  function Snippets({ query }) {
    const table = useLoaded(openTable, []);
    const [last, report] = useState(null);
    const text = query.q ?? "";
    const key = JSON.stringify({ ...query, q: "" });
    const rows = useMemo(() => table && select(table, query), [table, key]);
    useEffect(() => {
      if (!table || text.length < LEAST) return undefined;
      let stop = () => {};
      const timer = setTimeout(() => { stop = search(table, rows, text, (found) => report({ ...found, text, among: rows })); }, PAUSE);
      return () => { clearTimeout(timer); stop(); };
    }, [rows, text]);
    if (!table) return html`<h1>Snippets</h1><${Loading} what="the snippets" />`;
    const searching = text.length >= LEAST;
    const found = last?.text === text && last.among === rows ? last : null; // not of another search
    const shown = searching ? found?.rows ?? new Uint32Array(0) : rows;
    lossplace.listed = { rows: shown, query }; // what a snippet's page goes through
    return html`<h1>Snippets</h1>
      <${Filters} table=${table} query=${query} />
      <p class="result" role="status">
        <b>${count(shown.length, "snippet")}</b>${!searching && rows.length < table.count && ` of ${number(table.count)}`}
        ${searching && ` of ${number(rows.length)} with “${plain(text)}”`}
        ${searching && found?.error && html` <span class="bad">${found.error.message}</span>`}
        ${searching && !found?.error && (!found || found.done < found.of) && html` <progress max=${found?.of ?? 1} value=${found?.done ?? 0} aria-label="search"></progress>`}
      </p>
      ${shown.length > 0 && html`<${Rows} table=${table} rows=${shown} hits=${found?.hits ?? null} />`}
      ${!shown.length && !(searching && !(found && found.done === found.of)) && html`<p class="empty">No snippet is like that. <${Link} to="/snippets">Show all<//></p>`}`;
  }

  function Filters({ table, query }) {
    const { about, repositories } = table;
    const set = (name) => (event) => replace("/snippets", { ...query, [name]: event.target.type === "checkbox" ? (event.target.checked ? "1" : "") : event.target.value });
    const counts = useMemo(() => countsOf(table), [table]);
    const values = (name) => [...new Set(repositories[name].filter(Boolean))].sort();
    const field = (name, label, options, hint) => html`<label title=${hint}>${label}
      <select name=${name} value=${query[name] ?? ""} onChange=${set(name)}>${options.map(([value, told]) => html`<option value=${value}>${told}</option>`)}</select></label>`;
    const many = about.votes > 1 && [...new Set(table.margin)].sort((a, b) => a - b);
    return html`<div class="filters">
      <label class="search">Search in code <input id="search" type="search" name="q" value=${query.q ?? ""} onInput=${set("q")} placeholder="three letters or more" spellcheck=${false} /></label>
      ${field("placement", "Placement", [["", "any"], ["loss", `any loss (${number(counts.loss)})`], ...about.places.map((p, i) => [p, `${p} (${number(counts.placed[i])})`])])}
      ${field("kind", "Kind", [["", "any"], ...about.kinds.map((k, i) => [k, `${k} (${number(counts.kind[i])})`])])}
      ${["framework", "architecture"].map((name) => values(name).length > 1 && field(name, name[0].toUpperCase() + name.slice(1), [["", "any"], ...values(name).map((v) => [v, v])]))}
      ${many && field("margin", "Margin of the vote", [["", "any"], ...many.map((m) => [String(m), m === 0 ? "none" : `at most ${m} of ${about.votes}`])], "of the narrowest question on the way, votes for less votes against")}
      ${table.gold.size > 0 && field("gold", "Gold label", [["", "any or none"], ["any", `labelled (${number(table.gold.size)})`], ["right", "placed rightly"], ["wrong", "placed wrongly"], ...about.categories.map((c) => [c, c])])}
      ${table.other && field("other", "Other run", [["", "any"], ["same", "agrees"], ["different", "differs"], ["missing", "lacks it"], ...about.places.map((p) => [p, p])])}
      <label>Name or path <input type="search" name="path" value=${query.path ?? ""} onInput=${set("path")} spellcheck=${false} /></label>
      ${field("sort", "Order", [["", "as in the corpus"], ...(many ? [["margin", "narrowest vote first"]] : []), ["length", "longest first"], ["name", "by name"]])}
      <label class="check"><input type="checkbox" checked=${Boolean(query.once)} onChange=${set("once")} /> each text once</label>
      ${[["repository", query.repository], ["file", query.file], ["copies", query.copies && "copies of one text"]].map(([name, told]) => told && html`
        <button class="chip" onClick=${() => replace("/snippets", { ...query, [name]: "" })}><${Name} text=${told} /> <span aria-hidden="true">×</span><span class="unseen">: take this filter away</span></button>`)}
      ${Object.values(query).some(Boolean) && html`<a class="clear" href="#/snippets">clear all</a>`}
    </div>`;
  }

  function countsOf({ about, placed, kind, count: n }) {
    const found = { placed: about.places.map(() => 0), kind: about.kinds.map(() => 0), loss: 0 };
    for (let row = 0; row < n; row++) {
      found.placed[placed[row]] += 1;
      found.kind[kind[row]] += 1;
    }
    found.loss = about.losses.reduce((sum, each) => sum + found.placed[about.places.indexOf(each)], 0);
    return found;
  }

  // ---- the list: rows of one height, of which those in sight are drawn

  const OVER = 6; // rows drawn beyond what is seen
  const PRINTED = 300;
  const NARROW = "(max-width: 720px)";

  function Rows({ table, rows, hits }) {
    const at = useRef(null);
    const [top, scrolled] = useState(0);
    const [height, measured] = useState(600);
    const [narrow, set] = useState(() => matchMedia(NARROW).matches);
    const [printed, print] = useState(false);
    const tall = (narrow ? 52 : 30) + (hits ? 20 : 0);
    useLayoutEffect(() => {
      const media = matchMedia(NARROW);
      const changed = () => { set(media.matches); measured(at.current.clientHeight); };
      const before = () => print(true);
      const after = () => print(false);
      changed();
      const observer = new ResizeObserver(changed);
      observer.observe(at.current);
      window.addEventListener("beforeprint", before);
      window.addEventListener("afterprint", after);
      return () => {
        observer.disconnect();
        window.removeEventListener("beforeprint", before);
        window.removeEventListener("afterprint", after);
      };
    }, []);
    useEffect(() => { // other rows begin at the top
      at.current.scrollTop = 0;
      scrolled(0);
    }, [rows.length && rows[0], hits === null]);
    const first = printed ? 0 : Math.max(0, Math.floor(top / tall) - OVER);
    const last = printed ? Math.min(rows.length, PRINTED) : Math.min(rows.length, Math.ceil((top + height) / tall) + OVER);
    const drawn = [];
    for (let i = first; i < last; i++) drawn.push(html`<${Row} key=${rows[i]} table=${table} row=${rows[i]} index=${i} tall=${tall} hit=${hits?.get(rows[i])} />`);
    const keys = (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
      if (!step) return;
      event.preventDefault();
      const now = document.activeElement?.closest?.("[data-index]")?.dataset.index;
      const next = Math.max(0, Math.min(rows.length - 1, now === undefined ? first + OVER * (first > 0) : Number(now) + step));
      const box = at.current;
      if (next * tall < box.scrollTop) box.scrollTop = next * tall;
      else if ((next + 1) * tall > box.scrollTop + box.clientHeight) box.scrollTop = (next + 1) * tall - box.clientHeight;
      requestAnimationFrame(() => requestAnimationFrame(() => box.querySelector(`[data-index="${next}"] a`)?.focus()));
    };
    return html`<div class=${`rows${printed ? " printed" : ""}${table.gold.size ? " with-gold" : ""}${table.other ? " with-other" : ""}`} ref=${at} tabindex="0" role="table" aria-rowcount=${rows.length + 1} aria-label="Snippets" onScroll=${(e) => scrolled(e.target.scrollTop)} onKeyDown=${keys}>
        <div class="row head" role="row" aria-rowindex="1">
          <span role="columnheader">Placement</span><span role="columnheader">Snippet</span><span role="columnheader">Where</span><span role="columnheader" class="num">Lines</span><span role="columnheader">Kind</span>
          <span role="columnheader" class="num">${table.about.votes > 1 ? "Margin" : ""}</span>${table.gold.size > 0 && html`<span role="columnheader">Gold label</span>`}${table.other && html`<span role="columnheader">Other run</span>`}
        </div>
        <div role="rowgroup" class="rows-all" style=${{ height: printed ? "auto" : `${rows.length * tall}px` }}>${drawn}</div>
      </div>
      ${printed && rows.length > PRINTED && html`<p class="note">The first ${PRINTED} of ${number(rows.length)} are printed.</p>`}`;
  }

  const Same = ({ same, name }) => (same ? html`<span class="right" title=${name}>✓<span class="unseen"> the same</span></span>` : html`<${Place} name=${name} />`);

  function Row({ table, row, index, tall, hit }) {
    const { about } = table;
    const gold = table.gold.get(row);
    const lines = table.end[row] - table.line[row] + 1;
    const other = table.other?.[row];
    return html`<div class="row" role="row" data-index=${index} aria-rowindex=${index + 2} style=${{ top: `${index * tall}px`, height: `${tall}px` }}>
      <span role="cell"><${Place} name=${about.places[table.placed[row]]} /></span>
      <span role="cell" class="what"><a href=${address(`/snippet/${idOf(table, row)}`)}><${Name} text=${titleOf(table, row)} /></a></span>
      <span role="cell" class="where"><${Name} text=${repositoryOf(table, row)} /> <${Name} text=${pathOf(table, row)} />:${table.line[row]}</span>
      <span role="cell" class="num">${number(lines)}</span>
      <span role="cell">${about.kinds[table.kind[row]]}</span>
      <span role="cell" class="num">${about.votes > 1 ? table.margin[row] : ""}</span>
      ${table.gold.size > 0 && html`<span role="cell" class="labels">${gold && html`<${Same} same=${gold.label === table.placed[row]} name=${about.places[gold.label]} />`}</span>`}
      ${table.other && html`<span role="cell" class="others">${other !== NOT_THERE && html`<${Same} same=${other === table.placed[row]} name=${about.places[other]} />`}</span>`}
      ${hit && html`<span role="cell" class="hit"><span class="no">${hit[0]}</span><code>${visible(hit[1])}</code></span>`}
    </div>`;
  }

  lossplace.pages["/snippets"] = { title: "Snippets", Page: Snippets };
})();
