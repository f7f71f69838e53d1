// The first page: the study in five numbers, Table 4.1, the figures, and what was lost on the way.
"use strict";

(() => {
  const { html, MEANINGS, Place, Count, Table, Shares, Overlaps, Link, number, fixed, percent, count, rowsOf, Name } = lossplace;

  function Overview({ study }) {
    const { overview, about } = study;
    const { numbers } = overview;
    return html`<h1><${Name} text=${about.name} /></h1>
      <p class="lead">Where ${count(numbers.repositories, "repository", "repositories")} define their loss, as placed by the judge <b><${Name} text=${about.judge} /></b>${about.votes > 1 && html`, the majority of ${about.votes} votes on each question`}.</p>
      <${Five} numbers=${numbers} />
      <div class="columns">
        <section>${overview.tables.map((table) => (table.name === "table_4_1" ? html`<${Counts} table=${table} about=${about} />` : html`<${Corrected} table=${table} />`))}</section>
        <section><h2>Figure 4.2 · Which losses occur together</h2><${Overlaps} columns=${overview.figure_4_2} losses=${about.losses} /></section>
      </div>
      <section><h2>Figure 4.1 · Share of repositories that hold each, as more are taken</h2><${Shares} columns=${overview.figure_4_1} losses=${about.losses} searched=${overview.searched} /></section>
      <div class="columns">
        <section><${Flow} flow=${overview.flow} /></section>
        <section>${overview.searched ? html`<${Funnel} overview=${overview} /><${Ledger} overview=${overview} />` : html`<h2>Search</h2><p class="note">The repositories were given, and nothing was searched for: there is no funnel of repositories and no ledger of queries.</p>`}<${Costs} overview=${overview} /></section>
      </div>`;
  }

  function Five({ numbers }) {
    const { f1 } = numbers;
    const tiles = [
      [number(numbers.repositories), "repositories", numbers.selected === numbers.repositories ? "all that were chosen" : `of ${number(numbers.selected)} chosen`, "/repositories"],
      [number(numbers.files), "Python files", "read"],
      [number(numbers.snippets), "snippets", `${number(numbers.texts)} distinct texts`, "/snippets"],
      [number(numbers.losses), "define a loss", `${percent(numbers.losses / Math.max(1, numbers.snippets))} of the snippets, in ${count(numbers.holding, "repository", "repositories")}`, "/snippets", { placement: "loss" }],
      f1
        ? [fixed(f1.estimate), "weighted F1", `${fixed(f1.interval.low)} to ${fixed(f1.interval.high)} at ${percent(f1.interval.confidence, 0)}; ${number(f1.n)} ${f1.sample}`, "/evaluation"]
        : [number(numbers.unplaced), "unplaced", numbers.unplaced ? "their votes decide nothing" : "every snippet has a placement", "/snippets", { placement: "unplaced" }],
    ];
    return html`<ul class="five">${tiles.map(([value, what, more, to, query]) => html`<li>
      ${to ? html`<${Link} to=${to} query=${query}><b>${value}</b> <span>${what}</span><//>` : html`<span class="tile"><b>${value}</b> <span>${what}</span></span>`}
      <small>${more}</small></li>`)}</ul>`;
  }

  const ANY = { "any loss": "loss", "all snippets": "" };

  function Counts({ table, about }) {
    const known = (category) => about.places.includes(category);
    return html`<h2>Table ${table.number} · ${table.title}</h2>
      <${Table} caption=${`Table ${table.number}`} told=${false} note=${table.note} rows=${rowsOf(table.columns)} rowClass=${(r) => (known(r.category) ? "" : "sum")} columns=${[
        { head: "Category", cell: (r) => (known(r.category) ? html`<${Place} name=${r.category} />` : r.category) },
        { head: "Instances", num: true, cell: (r) => html`<${Count} value=${r.instances} query=${{ placement: ANY[r.category] ?? r.category }} />` },
        { head: "Repositories", num: true, cell: (r) => html`<${Count} value=${r.repositories} to="/repositories" query=${{ holds: ANY[r.category] ?? r.category }} />` },
        { head: "Distinct texts", num: true, cell: (r) => html`<${Count} value=${r.distinct_texts} query=${{ placement: ANY[r.category] ?? r.category, once: 1 }} />` },
      ]} />
      <details class="meanings"><summary>What the categories mean</summary>
        <dl>${about.places.map((place) => html`<div><dt><${Place} name=${place} /></dt><dd>${MEANINGS[place]}</dd></div>`)}</dl>
        <p class="note">A snippet is a function, a method, or a loop at the level of a module. Any number that is a link opens what it counts.</p></details>`;
  }

  function Corrected({ table }) {
    return html`<h2>Corrected for the judge’s errors</h2>
      <${Table} caption=${table.title} told=${false} note=${table.note} rows=${rowsOf(table.columns)} columns=${[
        { head: "Category", cell: (r) => (r.category === "any loss" ? r.category : html`<${Place} name=${r.category} />`) },
        { head: "As placed", num: true, cell: (r) => html`<${Count} value=${r.instances} query=${{ placement: ANY[r.category] ?? r.category }} />` },
        { head: "Corrected", num: true, cell: (r) => whole(r.corrected) },
        { head: "Interval", num: true, cell: (r) => (r.low == null ? "–" : `${whole(r.low)} to ${whole(r.high)}`) },
      ]} />`;
  }

  const whole = (value) => (value == null ? "–" : number(Math.round(value)));

  function Flow({ flow }) {
    return html`<h2>From what was found to what was placed</h2>
      <ol class="flow">${flow.map(({ stage, of, count: n, left }) => html`<li>
        <b>${number(n)}</b> <span>${of} <em>${stage}</em></span>
        ${left.length > 0 && html`<details><summary>${number(left.reduce((s, [, c]) => s + c, 0))} left out</summary>
          <ul>${left.map(([reason, c]) => html`<li>${number(c)} <${Name} text=${reason} /></li>`)}</ul></details>`}
      </li>`)}</ol>`;
  }

  const tokens = (value) => (value == null ? "–" : new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(value));

  // what another stage counted, or why there is nothing
  function Funnel({ overview }) {
    const { funnel } = overview.blocks;
    if (!funnel) return html`<h2>Funnel</h2><p class="note">This run holds no funnel: <code>lossplace rank</code> counts it.</p>`;
    const rows = rowsOf(funnel);
    return html`<h2>Where the results of the search ended</h2><${Table} caption="Funnel" told=${false} rows=${rows} rowClass=${(r) => (r === rows[rows.length - 1] ? "sum" : "")} columns=${[
      { head: "Ended as", cell: (r) => html`<${Name} text=${r.reason} />` },
      { head: "Results", num: true, cell: (r) => number(r.results) },
      { head: "Repositories", num: true, cell: (r) => number(r.repositories) },
    ]} />`;
  }

  function Ledger({ overview }) {
    const { ledger } = overview.blocks;
    if (!ledger) return html`<h2>Completeness</h2><p class="note">This run holds no ledger of its queries: <code>lossplace search</code> writes it.</p>`;
    const rows = rowsOf(ledger);
    const sum = (name) => rows.reduce((s, r) => s + (r[name] ?? 0), 0);
    const widest = Math.max(...rows.map((r) => r.gap_percent ?? 0));
    return html`<h2>How complete the search was</h2>
      <p>${count(rows.length, "query", "queries")}: ${number(sum("unique"))} of ${number(sum("expected"))} expected results were seen${widest > 0 ? `, the widest gap ${fixed(widest, 1)} % of a query` : ", without a gap"}${sum("windows_unfinished") ? `; ${count(sum("windows_unfinished"), "window")} unfinished` : ""}.</p>
      <details><summary>Each query</summary><${Table} caption="Ledger" told=${false} rows=${rows} columns=${[
        { head: "Query", cell: (r) => html`<${Name} text=${r.query} />` },
        { head: "GitHub counted", num: true, cell: (r) => number(r.total_count_last) },
        { head: "Expected", num: true, cell: (r) => number(r.expected) },
        { head: "Seen", num: true, cell: (r) => number(r.unique) },
        { head: "Gap, %", num: true, cell: (r) => fixed(r.gap_percent, 1) },
        { head: "Windows", num: true, cell: (r) => number(r.windows) },
        { head: "Unfinished", num: true, cell: (r) => number(r.windows_unfinished) },
        { head: "Pages", num: true, cell: (r) => number(r.pages) },
        { head: "Incomplete", num: true, cell: (r) => number(r.pages_incomplete) },
        { head: "Duplicates", num: true, cell: (r) => number(r.duplicates) },
      ]} /></details>`;
  }

  function Costs({ overview }) {
    const { costs } = overview.blocks;
    if (!costs) return html`<h2>What the judge cost</h2><p class="note">This run counted no costs.</p>`;
    const rows = rowsOf(costs);
    const names = Object.keys(costs).filter((n) => n !== "question");
    const all = { question: "all", ...Object.fromEntries(names.map((n) => [n, rows.reduce((s, r) => s + (r[n] ?? 0), 0)])) };
    const tokensOf = (r, of = "") => r[`${of}prompt_tokens`] + r[`${of}output_tokens`];
    const paid = tokensOf(all) > 0; // the rules read no tokens
    const estimated = paid && all.printed_estimated > 0;
    return html`<h2>What the judge cost</h2><${Table} caption="Costs" told=${false} rows=${[...rows, all]} rowClass=${(r) => (r === all ? "sum" : "")} columns=${[
      { head: "Question", cell: (r) => r.question },
      { head: "Asks", num: true, cell: (r) => number(r.asks) },
      { head: "Votes", num: true, cell: (r) => number(r.votes) },
      ...(paid ? [{ head: "Tokens", num: true, cell: (r) => tokens(tokensOf(r)), hint: "of prompts and answers" }] : []),
      { head: "As printed: asks", num: true, cell: (r) => number(r.printed_asks) },
      { head: "Votes", num: true, cell: (r) => number(r.printed_votes) },
      ...(paid ? [{ head: "Tokens", num: true, cell: (r) => tokens(tokensOf(r, "printed_")) }] : []),
    ]} note=${`On the right, what the algorithm as printed would have asked${estimated ? "; its tokens are partly estimated" : ""}.`} />`;
  }

  lossplace.pages["/"] = { title: "Overview", Page: Overview };
})();
