// One snippet: its code, how it came to its placement, and every vote on the way.
"use strict";

(() => {
  const { html, address, useState, useLayoutEffect, useMemo, useLoaded, openTable, itemOf, rowOf, idOf, repositoryOf, pathOf, titleOf, number, count,
    Place, Verdict, Name, Code, Loading, Link, visible, NOT_THERE } = lossplace;

  const QUESTIONS = {
    loss_related: "Does it speak of a training loss?",
    loss_definition: "Does it calculate a loss itself, rather than only call something that does?",
    training_loop: "Does it iterate over data and update parameters?",
    model_definition: "Does it build layers, or is it a forward pass?",
  };
  const OF_CLASS = {
    training_loop: "Does a function of its class iterate over data and update parameters?",
    model_definition: "Does a function of its class build layers, or is one a forward pass?",
  };

  function Snippet({ path }) {
    const table = useLoaded(openTable, []);
    if (!table) return html`<${Loading} what="the snippets" />`;
    const id = path.replace("/snippet/", "");
    const row = rowOf(table, id);
    if (row < 0) return html`<h1>Snippet</h1><p class="empty">This report holds no snippet <${Name} text=${id} />. Its code may have changed since; <${Link} to="/snippets">look for it<//>.</p>`;
    return html`<${One} key=${row} table=${table} row=${row} />`;
  }

  function One({ table, row }) {
    const { about } = table;
    const loaded = useLoaded(() => Promise.all([itemOf("code", table, row), itemOf("cases", table, row)]), [row]);
    const method = about.kinds[table.kind[row]] === "method";
    const gold = table.gold.get(row);
    const place = about.places[table.placed[row]];
    const [code, found] = loaded ?? [];
    const marked = useMemo(() => (found && about.rules ? marksOf(found, table, row) : new Map()), [found]);
    const copies = useMemo(() => countCopies(table, row), [row]);
    return html`<${Around} table=${table} row=${row} />
      <h1><${Name} text=${titleOf(table, row)} /> <${Place} name=${place} /></h1>
      <p class="where"><a href=${address("/repository", { name: repositoryOf(table, row) })}><${Name} text=${repositoryOf(table, row)} /></a> ${" "}<${Name} text=${pathOf(table, row)} /> lines ${table.line[row]}–${table.end[row]} · ${about.kinds[table.kind[row]]}
        ${found?.link && html` · <a href=${found.link} rel="noreferrer">on GitHub, at its commit</a>`}
        ${copies > 1 && html` · <a href=${address("/snippets", { copies: idOf(table, row) })}>the same text ${copies} times</a>`}</p>
      ${!loaded && html`<${Loading} what="its code and votes" />`}
      ${loaded && html`<div class="snippet">
        <div class="left">
          <${Outline} table=${table} row=${row} classes=${found.classes} />
          ${code === null
            ? html`<p class="note">The code is left out, since the licence of its repository does not let it be passed on, or is not known. ${found.link ? html`<a href=${found.link} rel="noreferrer">Read it on GitHub</a>.` : ""}</p>`
            : html`<${Code} text=${code} start=${table.line[row]} marked=${marked} label="Code of the snippet" />`}
        </div>
        <div class="right">
          <h2>How it came to ${place === "unplaced" ? "have no placement" : "its placement"}</h2>
          <${Path} table=${table} row=${row} found=${found} method=${method} place=${place} />
          ${gold && html`<h2>Gold label</h2><${Gold} about=${about} gold=${gold} placed=${table.placed[row]} />`}
          ${table.other && html`<h2>The other run</h2><${Other} table=${table} row=${row} />`}
        </div>
      </div>`}`;
  }

  // before and after it in the list that one comes from
  function Around({ table, row }) {
    const listed = lossplace.listed?.rows.length ? lossplace.listed : null;
    const at = listed ? listed.rows.indexOf(row) : -1;
    const [before, after, of] = at >= 0
      ? [listed.rows[at - 1], listed.rows[at + 1], `${number(at + 1)} of ${number(listed.rows.length)}`]
      : [row > 0 ? row - 1 : undefined, row + 1 < table.count ? row + 1 : undefined, `${number(row + 1)} of ${number(table.count)}`];
    const back = address("/snippets", listed?.query ?? {});
    // as soon as the page is drawn: a key means what its reader sees
    useLayoutEffect(() => {
      const keys = (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
        const to = { j: after, k: before }[event.key];
        if (to !== undefined) location.hash = address(`/snippet/${idOf(table, to)}`);
        else if (event.key === "u") location.hash = back;
      };
      window.addEventListener("keydown", keys);
      return () => window.removeEventListener("keydown", keys);
    });
    const link = (to, text, key) => (to === undefined ? html`<span class="off">${text}</span>` : html`<a href=${address(`/snippet/${idOf(table, to)}`)} title=${`key ${key}`}>${text}</a>`);
    return html`<p class="crumbs"><a href=${back} title="key u">${at >= 0 ? "Back to the list" : "Snippets"}</a> <span>${of}</span> ${link(before, "← previous", "k")} ${link(after, "next →", "j")} <small>keys <kbd>j</kbd> <kbd>k</kbd> <kbd>u</kbd></small></p>`;
  }

  function countCopies(table, row) {
    let n = 0;
    for (let i = 0; i < table.count; i++) if (table.text[i] === table.text[row]) n += 1;
    return n;
  }

  // the lines that the rules' reasons rest on, where they say yes
  function marksOf(found, table, row) {
    const marks = new Map();
    for (const [question, [verdict, votes]] of Object.entries(found.asks)) {
      if (verdict !== "yes") continue;
      for (const [, text] of votes) {
        for (const [, line] of text.matchAll(/\bline (\d+)/gi)) {
          const n = Number(line);
          if (n >= table.line[row] && n <= table.end[row]) marks.set(n, [...new Set([...(marks.get(n) ?? []), question])]);
        }
      }
    }
    return marks;
  }

  function Outline({ table, row, classes }) {
    if (!classes.length) return null;
    return html`<details class="outline" open=${classes.length && classes[0].methods.length < 12}><summary>${classes.length > 1 ? `Its class, and ${count(classes.length - 1, "base")} in the repository` : "Its class"}</summary>
      ${classes.map((each) => html`<div>
        <p><code>class <${Name} text=${each.name} />(${each.bases.map(([base, meant], i) => html`${i > 0 && ", "}<${Name} text=${base} />${base !== meant && html` <small>[<${Name} text=${meant} />]</small>`}`)})</code>
          ${each.path !== pathOf(table, row) && html` <small><${Name} text=${each.path} /></small>`} <small>line ${each.line}</small></p>
        <ol>${each.methods.map((m) => html`<li class=${m === row ? "this" : ""}><span class="no">${table.line[m]}</span> ${m === row ? html`<b><${Name} text=${short(table.name[m], each.name)} /></b>` : html`<a href=${address(`/snippet/${idOf(table, m)}`)}><${Name} text=${short(table.name[m], each.name)} /></a>`} <${Place} name=${table.about.places[table.placed[m]]} /></li>`)}</ol>
      </div>`)}
    </details>`;
  }

  const short = (name, of) => (name.startsWith(`${of}.`) ? name.slice(of.length + 1) : name);

  // ---- Algorithm 2, as it went for this snippet

  function Path({ table, row, found, method, place }) {
    const { about } = table;
    const asked = found.steps.some(([question]) => question === "loss_related");
    const kind = about.kinds[table.kind[row]];
    return html`<ol class="path">
      <li><p class="asked">Does it name a known loss function? <${Verdict} verdict=${found.names ? "yes" : "no"} /></p>
        <p class="note">A pattern over a curated list. ${asked ? "So the judge is asked first whether it speaks of a loss at all." : "So the first question to the judge is left out."}</p></li>
      ${found.steps.map(([question, verdict, rows]) => html`<li>
        <p class="asked">${(method && OF_CLASS[question]) || QUESTIONS[question]} <${Verdict} verdict=${verdict} /> <small>${question}</small></p>
        ${rows.length === 1 && rows[0][0] === row
          ? html`<${Ask} ask=${found.asks[question]} about=${about} row=${row} table=${table} />`
          : html`<${OfClass} table=${table} question=${question} rows=${rows} verdict=${verdict} row=${row} found=${found} />`}
      </li>`)}
      ${kind === "loop" && place === "loss_in_runner" && html`<li><p class="asked">It is a loop outside any function, which runs.</p></li>`}
      <li class="end"><p class="asked">${place === "unplaced" ? "The votes decide nothing: it counts for no category." : "So it is placed as"} <${Place} name=${place} /></p></li>
    </ol>`;
  }

  const FEW = 8;

  // the functions of a class, those that say yes first
  function OfClass({ table, question, rows, verdict, row, found }) {
    const first = (v) => ({ yes: 0, none: 1, no: 2 })[v] ?? 3;
    const ordered = [...rows].sort((a, b) => first(a[1]) - first(b[1]));
    const [all, showAll] = useState(false);
    const counted = rows.filter(([, v]) => v === "yes").length;
    if (!rows.length) return html`<p class="note">It was settled without asking.</p>`;
    const silent = rows.filter(([, v]) => v === null).length;
    return html`<p class="note">${number(counted)} of ${count(rows.length - silent, "function")} asked ${counted === 1 ? "says" : "say"} yes${verdict === "yes" ? "; one is enough" : ""}${silent ? `, so ${number(silent)} more ${silent === 1 ? "was" : "were"} not asked` : ""}.</p>
      <ul class="of-class">${ordered.slice(0, all ? undefined : FEW).map(([each, v], i) => html`<li key=${each}><${OneOfClass} ...${{ table, question, row, each, verdict: v, found, open: i === 0 && v === "yes" }} /></li>`)}</ul>
      ${!all && ordered.length > FEW && html`<p><button onClick=${() => showAll(true)}>Show the other ${number(ordered.length - FEW)}</button></p>`}`;
  }

  function OneOfClass({ table, question, row, each, verdict, found, open }) {
    const [shown, show] = useState(open);
    return html`<details open=${shown} onToggle=${(e) => show(e.target.open)}><summary><${Name} text=${table.name[each]} /> <${Verdict} verdict=${verdict} /></summary>
      ${each !== row && html`<p class="note"><a href=${address(`/snippet/${idOf(table, each)}`)}>Open its code</a></p>`}
      ${shown && (each === row ? html`<${Ask} ask=${found.asks[question]} about=${table.about} row=${each} table=${table} />` : html`<${Elsewhere} table=${table} row=${each} question=${question} />`)}
    </details>`;
  }

  function Elsewhere({ table, row, question }) {
    const found = useLoaded(() => itemOf("cases", table, row), [row]);
    if (!found) return html`<${Loading} what="its votes" />`;
    return html`<${Ask} ask=${found.asks[question]} about=${table.about} row=${row} table=${table} elsewhere />`;
  }

  const DECISIONS = new Map([[true, "yes"], [false, "no"], [null, "abstains"]]);

  function Ask({ ask, about, row, table, elsewhere }) {
    if (!ask) return html`<p class="note">It was not asked: another function had decided.</p>`;
    const [verdict, votes, refused] = ask;
    if (refused) return html`<p class="bad">The judge refused: <${Name} text=${refused} /></p>`;
    if (about.rules) return html`${votes.map(([, text]) => html`<p class="reason"><${Reason} text=${text.replace(/\nDecision: \w+\s*$/, "")} ...${{ table, row, elsewhere }} /></p>`)}`;
    const tally = [...DECISIONS].map(([d, told]) => [votes.filter(([v]) => v === d).length, told]).filter(([n]) => n);
    return html`<p class="tally">${votes.length > 1 && html`<span class="stack" aria-hidden="true">${votes.map(([d]) => html`<i class=${`d-${DECISIONS.get(d)}`}></i>`)}</span>`} ${tally.map(([n, told]) => `${n} ${told}`).join(", ")}</p>
      <div class="votes">${votes.map(([d, text, finish], i) => {
        const told = DECISIONS.get(d);
        const lost = told !== verdict;
        return html`<article class=${lost ? "vote lost" : "vote"}><h3>Vote ${i + 1} <${Verdict} verdict=${told} />${lost && verdict !== "none" && html` <small>${d === null ? "no readable decision" : "outvoted"}</small>`}${finish !== "stop" && html` <small>ended by <${Name} text=${finish} /></small>`}</h3>
          <div class="answer" dir="auto">${visible(text)}</div></article>`;
      })}</div>`;
  }

  // a reason of the rules, whose line numbers lead into the code
  function Reason({ text, table, row, elsewhere }) {
    return text.split(/(\blines? \d+(?: to \d+)?)/gi).map((part) => {
      const n = Number(/\d+/.exec(part)?.[0]);
      const here = !elsewhere && /^lines? \d/i.test(part) && n >= table.line[row] && n <= table.end[row];
      return here ? html`<button class="to-line" onClick=${() => show(n)}>${part}</button>` : visible(part);
    });
  }

  function show(line) {
    const at = document.getElementById(`L${line}`);
    at?.scrollIntoView({ block: "center", behavior: "smooth" });
    at?.animate?.([{ outline: "2px solid var(--accent)" }, { outline: "2px solid transparent" }], 1600);
  }

  function Gold({ about, gold, placed }) {
    return html`<dl class="facts"><div><dt>Label</dt><dd><${Place} name=${about.places[gold.label]} /> ${gold.label === placed ? "as placed" : html`<b class="bad">not as placed</b>`}</dd></div>
      ${Object.entries(gold.details).map(([name, value]) => html`<div><dt><${Name} text=${name.replaceAll("_", " ")} /></dt><dd><${Name} text=${value} /></dd></div>`)}</dl>`;
  }

  function Other({ table, row }) {
    const { about } = table;
    if (table.other[row] === NOT_THERE) return html`<p class="note">It does not hold this snippet.</p>`;
    const verdicts = Object.entries(table.otherVerdicts).filter(([, codes]) => codes[row] !== null);
    return html`<p><${Place} name=${about.places[table.other[row]]} /> ${table.other[row] === table.placed[row] ? "as here" : html`<b class="bad">not as here</b>`}</p>
      <ul class="of-class">${verdicts.map(([question, codes]) => html`<li>${question} <${Verdict} verdict=${about.verdicts[codes[row]]} /></li>`)}</ul>`;
  }

  lossplace.pages["/snippet"] = { title: "Snippet", Page: Snippet };
})();
