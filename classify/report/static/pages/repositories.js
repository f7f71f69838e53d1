// The repositories: all in one sortable table, and each with its score and where its losses are.
"use strict";

(() => {
  const { html, address, replace, useState, useMemo, useLoaded, load, openTable, rowsOf, number, fixed, percent, count,
    Name, Repository, Count, Loading, Place, Table, Link } = lossplace;

  const losses = (about, row) => about.losses.reduce((sum, each) => sum + row[each], 0);
  const snippets = (about, row) => about.places.reduce((sum, each) => sum + row[each], 0);
  const PARTS = ["stars", "forks", "recency"];
  const part = (about, row, name) => (row[`f_${name}`] == null ? null : about.weights[name] * row[`f_${name}`]);

  function filtered(about, rows, query) {
    const tests = [];
    if (query.holds === "empty") tests.push((r) => !losses(about, r) && !r.reason);
    else if (query.holds === "loss") tests.push((r) => losses(about, r));
    else if (query.holds) tests.push((r) => r[query.holds]);
    if (query.sets) tests.push((r) => !r.reason && about.losses.every((each, i) => Boolean(r[each]) === (query.sets[i] === "1")));
    if (query.top) tests.push((r) => r.position <= Number(query.top));
    if (query.framework) tests.push((r) => r.framework === query.framework);
    if (query.architecture) tests.push((r) => r.architecture === query.architecture);
    if (query.name) tests.push((r) => r.repository.toLowerCase().includes(query.name.toLowerCase()));
    return rows.filter((row) => tests.every((test) => test(row)));
  }

  function columnsOf(about, all) {
    const has = (name) => all.some((row) => row[name] != null);
    const most = Math.max(1, ...all.map((row) => losses(about, row)));
    return [
      { name: "repository", head: "Repository", value: (r) => r.repository.toLowerCase(), cell: (r) => html`<${Repository} name=${r.repository} />` },
      { name: "query", head: "Query", when: all.some((r) => r.query !== "local"), value: (r) => r.query, cell: (r) => html`<${Name} text=${r.query} />` },
      { name: "framework", head: "Framework", when: has("framework") && !has("architecture"), value: (r) => r.framework ?? "", cell: (r) => r.framework ?? "–" },
      { name: "position", head: "Position", num: true, when: has("score"), value: (r) => r.position, cell: (r) => r.position, hint: "among those taken from its query" },
      { name: "score", head: "Score", num: true, down: true, when: has("score"), value: (r) => r.score ?? -1, cell: (r) => html`<${Score} about=${about} row=${r} />`, hint: "stars, forks and recency, each weighted" },
      { name: "sensitivity", head: "Sensitivity", hint: "in what share of draws of other weights it is selected", num: true, down: true, when: has("sensitivity"), value: (r) => r.sensitivity ?? -1, cell: (r) => percent(r.sensitivity) },
      { name: "files", head: "Files", num: true, down: true, when: true, value: (r) => r.files, cell: (r) => number(r.files) },
      { name: "snippets", head: "Snippets", num: true, down: true, when: true, value: (r) => snippets(about, r), cell: (r) => html`<${Count} value=${snippets(about, r)} query=${{ repository: r.repository }} />` },
      ...about.losses.map((each) => ({
        name: each, head: html`<${Place} name=${each} short />`, num: true, down: true, when: true, value: (r) => r[each],
        cell: (r) => html`<${Count} value=${r[each]} query=${{ repository: r.repository, placement: each }} />`,
      })),
      { name: "unplaced", head: "Unplaced", num: true, down: true, when: all.some((r) => r.unplaced), value: (r) => r.unplaced, cell: (r) => html`<${Count} value=${r.unplaced} query=${{ repository: r.repository, placement: "unplaced" }} />` },
      { name: "losses", head: "Losses", down: true, when: true, value: (r) => losses(about, r), cell: (r) => (r.reason ? html`<span class="bad"><${Name} text=${r.reason} /></span>` : html`<${Bar} about=${about} row=${r} most=${most} />`) },
    ].filter((column) => column.when !== false);
  }

  function Score({ about, row }) {
    if (row.score == null) return "–";
    const whole = PARTS.reduce((sum, name) => sum + about.weights[name], 0);
    const told = PARTS.map((name) => `${name} ${fixed(part(about, row, name))}`).join(", ");
    return html`<span class="score" title=${told}><span>${fixed(row.score)}</span><span class="stack" aria-hidden="true">${PARTS.map((name) => html`<i class=${`w-${name}`} style=${{ width: `${(100 * (part(about, row, name) ?? 0)) / whole}%` }}></i>`)}</span></span>`;
  }

  function Bar({ about, row, most }) {
    const sum = losses(about, row);
    return html`<span class="bar"><b>${sum}</b><span class="stack" style=${{ width: `${(100 * sum) / most}%` }} aria-hidden="true">${about.losses.map((each) => row[each] > 0 && html`<i class=${`b-${each}`} style=${{ flexGrow: row[each] }}></i>`)}</span></span>`;
  }

  const SHOWN = 300;

  function Repositories({ study, query }) {
    const { about } = study;
    const columns = useLoaded(() => load("repositories"), []);
    const all = useMemo(() => columns && rowsOf(columns), [columns]);
    const [shown, more] = useState(SHOWN);
    if (!all) return html`<${Loading} what="the repositories" />`;
    const heads = columnsOf(about, all);
    const by = heads.find((c) => c.name === (query.sort ?? "").replace(/^-/, ""));
    const down = (query.sort ?? "").startsWith("-");
    const rows = filtered(about, all, query);
    if (by) {
      rows.sort((a, b) => {
        const [x, y] = [by.value(a), by.value(b)];
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
      });
    }
    const sort = (column) => {
      const first = column.down ? `-${column.name}` : column.name;
      const second = column.down ? column.name : `-${column.name}`;
      replace("/repositories", { ...query, sort: query.sort === first ? second : first });
    };
    const options = (name) => [...new Set(all.map((r) => r[name]).filter(Boolean))].sort();
    return html`<h1>Repositories</h1>
      <div class="filters">
        <label>Name <input type="search" value=${query.name ?? ""} onInput=${(e) => replace("/repositories", { ...query, name: e.target.value })} /></label>
        <label>Holds <select value=${query.holds ?? ""} onChange=${(e) => replace("/repositories", { ...query, holds: e.target.value })}>
          <option value="">anything</option><option value="loss">a loss</option>${about.places.map((p) => html`<option value=${p}>${p}</option>`)}<option value="empty">no loss at all</option></select></label>
        ${["framework", "architecture"].map((name) => options(name).length > 1 && html`<label>${name[0].toUpperCase() + name.slice(1)} <select value=${query[name] ?? ""} onChange=${(e) => replace("/repositories", { ...query, [name]: e.target.value })}>
          <option value="">any</option>${options(name).map((o) => html`<option value=${o}>${o}</option>`)}</select></label>`)}
        <${Chips} about=${about} query=${query} />
        <span class="result" role="status"><b>${count(rows.length, "repository", "repositories")}</b>${rows.length < all.length && ` of ${number(all.length)}`}</span>
      </div>
      <div class="scrolls" tabindex="0" role="region" aria-label="Repositories">
        <table class="wide">
          <thead><tr>${heads.map((c) => html`<th scope="col" class=${c.num ? "num" : ""} title=${c.hint} aria-sort=${by === c ? (down ? "descending" : "ascending") : "none"}>
            <button class="sort" onClick=${() => sort(c)}>${c.head}<span aria-hidden="true">${by === c ? (down ? " ↓" : " ↑") : ""}</span></button></th>`)}</tr></thead>
          <tbody>${rows.slice(0, shown).map((row) => html`<tr>${heads.map((c, i) => (i ? html`<td class=${c.num ? "num" : ""}>${c.cell(row)}</td>` : html`<th scope="row">${c.cell(row)}</th>`))}</tr>`)}</tbody>
        </table>
      </div>
      ${shown < rows.length && html`<p><button onClick=${() => more(shown + SHOWN)}>Show ${number(Math.min(SHOWN, rows.length - shown))} more</button></p>`}
      ${!rows.length && html`<p class="empty">No repository is like that. <${Link} to="/repositories">Show all<//></p>`}`;
  }

  // filters that have no field of their own, and can be taken away
  function Chips({ about, query }) {
    const told = [];
    if (query.sets) told.push(["sets", `just ${about.losses.filter((_, i) => query.sets[i] === "1").join(" + ") || "no loss"}`]);
    if (query.top) told.push(["top", `first ${query.top} of each query`]);
    return told.map(([name, text]) => html`<button class="chip" onClick=${() => replace("/repositories", { ...query, [name]: "" })}>${text} <span aria-hidden="true">×</span><span class="unseen">: take this filter away</span></button>`);
  }

  // ---- one repository

  function OneRepository({ study, query }) {
    const { about } = study;
    const table = useLoaded(openTable, []);
    if (!table) return html`<${Loading} what="the snippets" />`;
    const row = rowsOf(table.repositories).find((r) => r.repository === query.name);
    if (!row) return html`<h1>Repository</h1><p class="empty">This report holds no repository of the name <${Name} text=${query.name ?? ""} />.</p>`;
    return html`<p class="crumbs"><${Link} to="/repositories">Repositories<//></p>
      <h1><${Name} text=${row.repository} /></h1>
      ${row.reason && html`<p class="bad">It could not be had: <${Name} text=${row.reason} /></p>`}
      <dl class="facts">
        ${row.query !== "local" && html`<div><dt>Query</dt><dd><${Name} text=${row.query} />, position ${row.position}${row.rank ? ` (rank ${row.rank})` : ""}</dd></div>`}
        ${row.framework && html`<div><dt>Framework</dt><dd>${row.framework}${row.architecture ? `, ${row.architecture}` : ""}</dd></div>`}
        ${row.commit && html`<div><dt>Commit</dt><dd><a href=${`https://github.com/${row.repository.split("/").map(encodeURIComponent).join("/")}/tree/${encodeURIComponent(row.commit)}`} rel="noreferrer"><code>${row.commit.slice(0, 12)}</code></a></dd></div>`}
        ${row.license !== undefined && html`<div><dt>Licence</dt><dd>${row.license ?? "not known"}</dd></div>`}
        ${row.stars != null && html`<div><dt>Stars, forks</dt><dd>${number(row.stars)}, ${number(row.forks)}</dd></div>`}
        ${row.pushed_at && html`<div><dt>Last push</dt><dd>${row.pushed_at.slice(0, 10)}</dd></div>`}
        ${row.sensitivity != null && html`<div><dt>Selected under other weights</dt><dd>${percent(row.sensitivity)} of the draws</dd></div>`}
        <div><dt>Files read</dt><dd>${number(row.files)}</dd></div>
        <div><dt>Snippets</dt><dd><${Count} value=${snippets(about, row)} query=${{ repository: row.repository }} /></dd></div>
        <div><dt>Losses</dt><dd><${Count} value=${losses(about, row)} query=${{ repository: row.repository, placement: "loss" }} /></dd></div>
      </dl>
      ${row.score != null && row.f_stars != null && html`<h2>Score ${fixed(row.score)}</h2>
        <${Table} caption="The score and its three parts" rows=${PARTS} columns=${[
          { head: "Part", cell: (n) => n },
          { head: "Among its query’s results", num: true, cell: (n) => fixed(row[`f_${n}`]), hint: "the normal CDF of the attribute; 1 is best" },
          { head: "Weight", num: true, cell: (n) => fixed(about.weights[n], 1) },
          { head: "Counts for", num: true, cell: (n) => fixed(part(about, row, n)) },
        ]} />`}
      <h2>Where its losses are</h2>
      <${Files} table=${table} row=${row} />`;
  }

  function Files({ table, row }) {
    const { about } = table;
    const files = useMemo(() => {
      const at = table.repositories.repository.indexOf(row.repository);
      const found = new Map();
      for (let i = 0; i < table.count; i++) {
        if (table.repository[i] !== at) continue;
        const path = table.files[table.file[i]][1];
        const of = found.get(path) ?? { path, snippets: 0, ...Object.fromEntries(about.places.map((p) => [p, 0])) };
        of.snippets += 1;
        of[about.places[table.placed[i]]] += 1;
        found.set(path, of);
      }
      return [...found.values()].sort((a, b) => losses(about, b) - losses(about, a));
    }, [table, row]);
    const holding = files.filter((f) => losses(about, f));
    if (!holding.length) return html`<p class="note">None of its ${count(files.length, "file")} with snippets defines a loss.</p>`;
    return html`<${Table} caption=${`${holding.length} of ${count(files.length, "file")} with snippets`} rows=${holding} columns=${[
      { head: "File", cell: (f) => html`<a href=${address("/snippets", { repository: row.repository, file: f.path })}><${Name} text=${f.path} /></a>` },
      { head: "Snippets", num: true, cell: (f) => number(f.snippets) },
      ...about.losses.map((each) => ({ head: html`<${Place} name=${each} short />`, num: true, cell: (f) => html`<${Count} value=${f[each]} query=${{ repository: row.repository, file: f.path, placement: each }} />` })),
    ]} />`;
  }

  lossplace.pages["/repositories"] = { title: "Repositories", Page: Repositories };
  lossplace.pages["/repository"] = { title: "Repository", Page: OneRepository };
})();
