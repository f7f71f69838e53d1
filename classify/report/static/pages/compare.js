// Two runs over the same snippets: what moved, whether one way, and which is right.
"use strict";

(() => {
  const { html, Matrix, number, fixed, percent, count, Link, Name, Table } = lossplace;

  const sure = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

  function Compare({ study }) {
    const { comparison: c } = study;
    if (!c) return html`<h1>Compare</h1><p class="empty">This report is of one run. <code>lossplace report STUDY --against RUN</code> makes one that compares it with another.</p>`;
    const moved = c.placed_in_both - Math.round(c.agreement * c.placed_in_both);
    return html`<h1>Compare</h1>
      <dl class="facts"><div><dt>A, this run</dt><dd><${Name} text=${c.a} />; ${count(c.only_a, "snippet")} of its own</dd></div><div><dt>B, the other</dt><dd><${Name} text=${c.b} />; ${count(c.only_b, "snippet")} of its own</dd></div></dl>
      <p><b class="big">${percent(c.agreement)}</b> of ${count(c.placed_in_both, "snippet")} that both place are placed alike; <${Link} to="/snippets" query=${{ other: "different" }}>${count(moved, "other moves", "others move")}<//>.</p>
      <${Matrix} caption="Moves between categories" corner="in A ↓ in B →" cells=${c.moves} query=${(row, column) => ({ placement: row, other: column })} note=${`${number(c.common)} snippets of ${count(c.repositories, "repository", "repositories")} are in both. A cell opens its snippets.`} />
      <ul class="facts">
        ${c.kappa && html`<li>Cohen’s kappa <b>${fixed(c.kappa.estimate, 3)}</b>, ${fixed(c.kappa.low, 3)} to ${fixed(c.kappa.high, 3)} at ${percent(c.kappa.confidence, 0)} confidence, clustered by repository. <small>Assumes that ${c.kappa.assumption}.</small></li>`}
        ${c.bowker && html`<li>Bowker’s test that as many move one way as the other: chi² ${fixed(c.bowker.statistic)}, ${c.bowker.degrees_of_freedom} degrees of freedom, p ${sure(c.bowker.p_value)}. <small>Assumes that ${c.bowker.assumption}.</small></li>`}
      </ul>
      ${c.gold && html`<h2>Which is right</h2><${AgainstGold} gold=${c.gold} />`}`;
  }

  function AgainstGold({ gold }) {
    const rows = [["in both", gold.right.both], ["only in A", gold.right.a], ["only in B", gold.right.b], ["in neither", gold.right.neither]];
    const told = (i, what) => i && html`<li>${what} <b>${i.estimate >= 0 ? "+" : ""}${fixed(i.estimate, 3)}</b>, ${fixed(i.low, 3)} to ${fixed(i.high, 3)}. <small>Assumes that ${i.assumption}.</small></li>`;
    return html`<${Table} caption=${`${gold.n} labelled snippets of ${count(gold.repositories, "repository", "repositories")}`} rows=${rows} columns=${[{ head: "Placed rightly", cell: (r) => r[0] }, { head: "Snippets", num: true, cell: (r) => number(r[1]) }]} />
      <ul class="facts"><li>Weighted F1 <b>${fixed(gold.weighted_f1.a, 3)}</b> in A, <b>${fixed(gold.weighted_f1.b, 3)}</b> in B.</li>
        ${told(gold.difference, "B less A")}${told(gold.population_difference, "B less A over the population, weighted by stratum")}
        ${gold.mcnemar && html`<li>McNemar’s exact test: p ${sure(gold.mcnemar.p_value)}.</li>`}</ul>`;
  }

  lossplace.pages["/compare"] = { title: "Compare", Page: Compare };
})();
