// Figures 4.1 and 4.2, drawn from the very numbers that the paper's are drawn from.
"use strict";

(() => {
  const { html, address, useState, useWidth, percent, number, count, rowsOf, Place, Table } = lossplace;

  const EMPTY = "empty"; // a repository without a loss; see figures.py

  // ---- 4.1: the share of repositories that hold a category, as more are taken of each query

  function Shares({ columns, losses, searched }) {
    const rows = rowsOf(columns);
    const panels = [...losses, EMPTY].map((category) => [category, rows.filter((r) => r.category === category)]);
    const tops = panels[0][1];
    const [at, set] = useState(tops.length - 1);
    if (!tops.length) return html`<p class="note">No repository was taken.</p>`;
    const here = Math.min(at, tops.length - 1);
    const confidence = percent(tops[0].confidence, 0);
    return html`<div class="figure" role="group" aria-label="Figure 4.1">
      <p class="readout" aria-live="polite">${!searched ? `With the first ${count(tops[here].top, "repository", "repositories")} by name:` : `With ${count(tops[here].top, "repository", "repositories")} of each query, ${number(tops[here].repositories)} in all:`}</p>
      <div class="panels">${panels.map(([category, line]) => html`<${Panel} ...${{ category, line, panels, here, set }} />`)}</div>
      <p class="note">Bands: Wilson intervals at ${confidence} confidence, as of an independent random sample. Grey: the other panels. Point at a panel, or use the arrow keys in it, to read values; a click opens the repositories.</p>
      <details><summary>The numbers</summary>
        <${Table} caption="Figure 4.1" rows=${rows} columns=${[
          { head: !searched ? "Taken" : "Taken of each query", num: true, cell: (r) => r.top },
          { head: "Repositories", num: true, cell: (r) => r.repositories },
          { head: "Category", cell: (r) => html`<${Place} name=${r.category} />` },
          { head: "Hold it", num: true, cell: (r) => html`<a href=${linkOf(r)}>${r.holding}</a>` },
          { head: "Share", num: true, cell: (r) => percent(r.share) },
          { head: confidence, num: true, cell: (r) => `${percent(r.low)} to ${percent(r.high)}` },
        ]} />
      </details>
    </div>`;
  }

  const linkOf = (row) => address("/repositories", { holds: row.category, top: row.top });

  const HEIGHT = 120;
  const LEFT = 34;
  const BOTTOM = 18;

  function Panel({ category, line, panels, here, set }) {
    const [ref, width] = useWidth();
    const inner = Math.max(1, width - LEFT - 6);
    const last = line.length - 1;
    const x = (i) => LEFT + (last ? (i / last) * inner : inner / 2);
    const y = (share) => 6 + (1 - share) * (HEIGHT - BOTTOM - 6);
    const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
    const curve = (of) => path(of.map((row, i) => [x(i), y(row.share)]));
    const band = path([...line.map((r, i) => [x(i), y(r.high)]), ...line.map((r, i) => [x(i), y(r.low)]).reverse()]) + "Z";
    const now = line[here];
    const nearest = (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const share = (event.clientX - box.left - LEFT) / inner;
      return Math.max(0, Math.min(last, Math.round(share * last)));
    };
    const keys = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) {
        event.preventDefault();
        set(Math.max(0, Math.min(last, here + step)));
      }
    };
    return html`<a class="panel" ref=${ref} href=${linkOf(now)} onPointerMove=${(e) => set(nearest(e))} onKeyDown=${keys}
        aria-label=${`${category}: ${percent(now.share)}, ${now.holding} of ${now.repositories} repositories`}>
      <span class="panel-head"><${Place} name=${category} /></span>
      <span class="panel-value">${percent(now.share)} <small>${percent(now.low, 0)} to ${percent(now.high, 0)}, ${now.holding} of ${now.repositories}</small></span>
      <svg width=${width} height=${HEIGHT} aria-hidden="true">
        ${[0, 0.5, 1].map((s) => html`<g><line class="grid" x1=${LEFT} x2=${LEFT + inner} y1=${y(s)} y2=${y(s)} /><text x=${LEFT - 5} y=${y(s) + 4} text-anchor="end">${100 * s}%</text></g>`)}
        ${panels.map(([other, of]) => other !== category && html`<path class="others" d=${curve(of)} />`)}
        <path class=${`band f-${category}`} d=${band} />
        <path class=${`curve s-${category}`} d=${curve(line)} />
        <line class="here" x1=${x(here)} x2=${x(here)} y1=${y(0)} y2=${y(1)} />
        <circle class=${`f-${category}`} cx=${x(here)} cy=${y(now.share)} r="4" />
        ${[0, last].filter((i, n, all) => all.indexOf(i) === n).map((i) => html`<text x=${x(i)} y=${HEIGHT - 4} text-anchor=${i ? "end" : last ? "start" : "middle"}>${line[i].top}</text>`)}
      </svg>
    </a>`;
  }

  // ---- 4.2: which losses occur together in a repository (an UpSet plot of the Venn diagram's sets)

  function Overlaps({ columns, losses }) {
    const sets = rowsOf(columns).filter((row) => row.repositories > 0);
    sets.sort((a, b) => b.repositories - a.repositories);
    const most = Math.max(1, ...sets.map((row) => row.repositories));
    const totals = losses.map((loss) => sets.reduce((sum, row) => sum + (row[loss] ? row.repositories : 0), 0));
    const widest = Math.max(1, ...totals);
    const named = (row) => losses.filter((loss) => row[loss]).join(" and ") || "no loss at all";
    const combination = (row) => losses.map((loss) => (row[loss] ? "1" : "0")).join("");
    return html`<div class="figure" role="group" aria-label="Figure 4.2">
      <div class="upset" style=${{ "--sets": sets.length }}>
        <div class="upset-corner">Repositories that hold just the losses dotted below</div>
        ${sets.map((row) => html`<a class="upset-bar" href=${address("/repositories", { sets: combination(row) })}
            aria-label=${`${count(row.repositories, "repository", "repositories")} with ${named(row)}`} title=${named(row)}>
          <span>${row.repositories}</span><i style=${{ height: `${(100 * row.repositories) / most}px` }}></i></a>`)}
        ${losses.map((loss, i) => html`
          <a class="upset-total" href=${address("/repositories", { holds: loss })} aria-label=${`${count(totals[i], "repository", "repositories")} with ${loss}`}>
            <${Place} name=${loss} /><span class="upset-size"><i class=${`b-${loss}`} style=${{ width: `${(100 * totals[i]) / widest}%` }}></i></span><b>${totals[i]}</b></a>
          ${sets.map((row) => html`<span class="upset-dot"><i class=${row[loss] ? `b-${loss}` : "off"}></i></span>`)}`)}
      </div>
      <p class="note">Left: how many repositories hold a loss, alone or with others. A bar or a name opens them.</p>
    </div>`;
  }

  Object.assign(lossplace, { Shares, Overlaps, EMPTY });
})();
