// How right the placements are, against hand labels; every interval with what it assumes.
"use strict";

(() => {
  const { html, Matrix, Table, Place, Count, fixed, percent, number, count, Name, Link } = lossplace;

  const METHODS = {
    wilson: "Wilson, as published",
    wilson_delta: "its own variance (delta method)",
    wilson_clustered: "clustered by repository",
    wilson_stratified: "weighted by stratum, these repositories",
    wilson_stratified_clustered: "weighted by stratum, others too",
  };

  function Evaluation({ study }) {
    const { evaluation } = study;
    if (!evaluation) return html`<h1>Evaluation</h1><p class="empty">No hand labels were given. Name them in the study as <code>[evaluation] gold</code>, or make the report with <code>--gold FILE.csv</code>. <code>lossplace sample</code> draws what to label.</p>`;
    const { gold, samples, notes } = evaluation;
    return html`<h1>Evaluation</h1>
      <p class="lead">${number(gold.matched)} of ${count(gold.labelled, "labelled snippet")} are in this run${gold.contested ? `; ${number(gold.contested)} contested rows are left out` : ""}${gold.other_commit ? `; ${number(gold.other_commit)} were labelled in another commit` : ""}. ${" "}<${Link} to="/snippets" query=${{ gold: "wrong" }}>Those placed wrongly<//></p>
      ${notes.map((note) => html`<p class="note">${note}</p>`)}
      ${Object.entries(samples).map(([name, sample]) => html`<${Sample} name=${name} sample=${sample} confidence=${evaluation.confidence} />`)}`;
  }

  function Sample({ name, sample, confidence }) {
    const intervals = [...Object.values(sample.intervals).map((i) => [sample.weighted_f1, i]), ...(sample.population ? Object.values(sample.population.intervals).map((i) => [sample.population.weighted_f1, i]) : [])];
    const categories = Object.entries(sample.categories).map(([category, each]) => ({ category, ...each }));
    const sums = [["macro F1", sample.macro_f1], ["accuracy", sample.accuracy], ["balanced accuracy", sample.balanced_accuracy], ["MCC", sample.matthews], ["placed at all", sample.coverage]];
    return html`<section class="sample">
      <h2>${name === "all" ? "All labelled snippets" : "Labelled snippets that define a loss"}</h2>
      <p><b class="big">${fixed(sample.weighted_f1)}</b> weighted F1 of ${count(sample.n, "snippet")} in ${count(sample.repositories, "repository", "repositories")}; ${sums.map(([told, value]) => `${told} ${fixed(value)}`).join(", ")}.</p>
      <${Matrix} caption="Confusion matrix" corner="labelled ↓ placed →" cells=${sample.confusion} query=${(row, column) => ({ gold: row, placement: column })} note="A cell opens its snippets. Darker: more of its row." />
      <h3>Intervals of the weighted F1</h3>
      <ul class="intervals">${intervals.map(([estimate, i]) => html`<li>
        <span class="method">${METHODS[i.method] ?? i.method}</span>
        <${Range} estimate=${estimate} low=${i.low} high=${i.high} />
        <span class="bounds">${fixed(estimate)} <small>${fixed(i.low)} to ${fixed(i.high)}; ${fixed(i.centre)} ± ${fixed(i.half_width)}, n = ${i.n === null ? "–" : fixed(i.n, Number.isInteger(i.n) ? 0 : 1)}</small></span>
        <span class="assumes">Assumes that ${i.assumption}.</span></li>`)}</ul>
      <${Table} caption=${`Each category, with intervals at ${percent(confidence, 0)} confidence`} rows=${categories} columns=${[
        { head: "Category", cell: (r) => html`<${Place} name=${r.category} />` },
        { head: "Snippets", num: true, cell: (r) => html`<${Count} value=${r.support} query=${{ gold: r.category }} />` },
        { head: "Precision", num: true, cell: (r) => fixed(r.precision) },
        { head: "Recall", num: true, cell: (r) => fixed(r.recall) },
        { head: "F1", num: true, cell: (r) => fixed(r.f1) },
        { head: "Interval of F1", cell: (r) => r.interval && html`<${Range} estimate=${r.f1} low=${r.interval.low} high=${r.interval.high} />` },
        { head: "", num: true, cell: (r) => r.interval && `${fixed(r.interval.low)} to ${fixed(r.interval.high)}` },
        { head: "tp", num: true, cell: (r) => number(r.tp) },
        { head: "fp", num: true, cell: (r) => number(r.fp) },
        { head: "fn", num: true, cell: (r) => number(r.fn) },
        { head: "tn", num: true, cell: (r) => number(r.tn) },
      ]} />
    </section>`;
  }

  const Range = ({ estimate, low, high }) => html`<span class="range" aria-hidden="true"><i style=${{ left: `${100 * low}%`, width: `${100 * (high - low)}%` }}></i><b style=${{ left: `${100 * estimate}%` }}></b></span>`;

  Object.assign(lossplace, { Range });
  lossplace.pages["/evaluation"] = { title: "Evaluation", Page: Evaluation };
})();
