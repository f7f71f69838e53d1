// What pages are put together from.
"use strict";

(() => {
  const { html, address, number, Name } = lossplace;

  const MEANINGS = {
    loss_in_runner: "a loss is defined in what trains: a loop over the data that updates parameters",
    loss_in_model: "a loss is defined in a class that is a network",
    loss_in_model_runner: "a loss is defined in a class that both is a network and trains it",
    loss_unknown: "a loss is defined outside of models and training loops: standalone",
    no_loss: "no loss is defined; at most one is called",
    unplaced: "the votes decide nothing",
    empty: "no snippet of the repository defines a loss",
  };

  // what stands for a placement: a mark in its colour, and its name
  const Place = ({ name, short }) => html`<span class=${`place p-${name}`} title=${`${name}: ${MEANINGS[name]}`}>${name === "empty" ? "no loss at all" : short ? name.replace(/^loss_(in_)?/, "") : name}</span>`;

  const Verdict = ({ verdict }) =>
    html`<span class=${`verdict v-${verdict ?? "open"}`}>${verdict ?? "not asked"}</span>`;

  const Link = ({ to, query, children, title }) =>
    html`<a href=${address(to, query)} title=${title}>${children}</a>`;

  // a count that opens the snippets behind it; nothing is behind a zero
  const Count = ({ value, to = "/snippets", query }) =>
    value ? html`<a href=${address(to, query)}>${number(value)}</a>` : html`<span class="zero">0</span>`;

  // columns: [{ head, cell(row), num, hint }]
  function Table({ caption, columns, rows, note, rowClass, told = true }) {
    return html`<div class="scrolls" tabindex="0" role="region" aria-label=${caption}>
      <table>
        <caption class=${told ? "" : "unseen"}>${caption}</caption>
        <thead><tr>${columns.map((c) => html`<th scope="col" class=${c.num ? "num" : ""} title=${c.hint}>${c.head}</th>`)}</tr></thead>
        <tbody>${rows.map((row) => html`<tr class=${rowClass ? rowClass(row) : ""}>${columns.map((c, i) =>
          i ? html`<td class=${c.num ? "num" : ""}>${c.cell(row)}</td>`
            : html`<th scope="row" class=${c.num ? "num" : ""}>${c.cell(row)}</th>`)}</tr>`)}</tbody>
      </table>
      ${note && html`<p class="note">${note}</p>`}
    </div>`;
  }

  // the rows of lists by column
  function rowsOf(columns) {
    const names = Object.keys(columns);
    return (columns[names[0]] ?? []).map((_, i) => Object.fromEntries(names.map((n) => [n, columns[n][i]])));
  }

  // a matrix of placements by placements; shade: how much of its row a cell holds
  function Matrix({ caption, cells, corner, query, note }) {
    const heads = Object.keys(cells);
    const columns = Object.keys(cells[heads[0]]);
    return html`<div class="scrolls" tabindex="0" role="region" aria-label=${caption}>
      <table class="matrix">
        <caption>${caption}</caption>
        <thead><tr><th scope="col">${corner}</th>${columns.map((c) => html`<th scope="col" class="num"><${Place} name=${c} /></th>`)}</tr></thead>
        <tbody>${heads.map((row) => {
          const sum = columns.reduce((s, c) => s + cells[row][c], 0);
          return html`<tr><th scope="row"><${Place} name=${row} /></th>${columns.map((column) => {
            const value = cells[row][column];
            const share = sum ? value / sum : 0;
            return html`<td class=${`num ${row === column ? "same" : value ? "other" : ""}`} style=${{ "--share": share.toFixed(3) }}>
              <${Count} value=${value} query=${query(row, column)} /></td>`;
          })}</tr>`;
        })}</tbody>
      </table>
      ${note && html`<p class="note">${note}</p>`}
    </div>`;
  }

  const Repository = ({ name }) => html`<a href=${address("/repository", { name })}><${Name} text=${name} /></a>`;

  const Loading = ({ what }) => html`<p class="loading" role="status">Loading ${what} …</p>`;

  Object.assign(lossplace, { MEANINGS, Place, Verdict, Link, Count, Table, Matrix, Repository, Loading, rowsOf });
})();
