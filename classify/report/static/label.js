// Labelling: one snippet after the other, by one key each. Nothing of a judge is on this page.
"use strict";

(() => {
  const { html, render, useState, useEffect, useLayoutEffect, useRef, Name, Code, visible, number, plain } = lossplace;

  const AGAIN = 2000; // ms until a snippet that could not be loaded is asked for again

  async function ask(path, body) {
    const answer = await fetch(`/label/${path}`, body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
      .catch(() => { throw new Error("the server does not answer; start it again by the same command."); });
    const found = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
    if (found.error) throw new Error(found.error);
    return found;
  }

  const told = (label) => [label.category ?? "no label", label.unknown_type, label.special_cases?.join(", ")].filter(Boolean).join(" / ");

  function Desk() {
    const [queue, setQueue] = useState(null);
    const [at, setAt] = useState(null); // the number of the snippet, null at the end
    const [shown, show] = useState(null); // { at, snippet }: what the reader sees
    const [saving, setSaving] = useState(false);
    const [stage, setStage] = useState({ of: "category" });
    const [said, say] = useState("");
    const [trouble, fail] = useState("");
    const done = useRef([]); // what undo takes back: [number, label before]
    const skipped = useRef([]); // come again at the end
    const busy = useRef(false);
    const now = useRef(null); // as `at`, without waiting for the page to be drawn again
    const note = useRef(null);

    function go(to) {
      now.current = to;
      setAt(to);
    }

    const snippet = shown && shown.at === at ? shown.snippet : null;

    useEffect(() => {
      ask("queue").then((found) => { setQueue(found); go(next(found.labels, -1, [])); }, (error) => fail(error.message));
    }, []);
    useEffect(() => {
      setStage({ of: "category" });
      if (at === null) return undefined;
      let wanted = true;
      const get = () => ask(`snippet/${at}`).then(
        (found) => { if (wanted) show({ at, snippet: found }); },
        (error) => { if (wanted) { fail(`Not loaded: ${error.message}`); setTimeout(get, AGAIN); } },
      );
      get();
      window.scrollTo(0, 0);
      return () => { wanted = false; };
    }, [at]);

    // the next snippet without a category: first what was not skipped, then the skipped
    function next(labels, from, later) {
      const open = labels.map((label, i) => [label, i]).filter(([label]) => !label.category).map(([, i]) => i);
      const fresh = open.filter((i) => !later.includes(i));
      return fresh.find((i) => i > from) ?? fresh[0] ?? later.find((i) => open.includes(i)) ?? null;
    }

    // writes a label; true if it is on disk
    async function save(place, label) {
      if (busy.current) return false;
      busy.current = true;
      setSaving(true);
      try {
        const { label: written, replaced } = await ask(`snippet/${place}`, { label, before: queue.labels[place] });
        queue.labels[place] = written;
        setQueue({ ...queue });
        fail(replaced ? `Another page had labelled this snippet ${told(replaced)} meanwhile. What you said last counts: ${told(written)}.` : "");
        return true;
      } catch (error) {
        fail(`Not saved: ${error.message}`);
        return false;
      } finally {
        busy.current = false;
        setSaving(false);
      }
    }

    async function decide(category, unknown_type = null, special_cases = null) {
      const before = queue.labels[at];
      if (!(await save(at, { category, unknown_type, special_cases, note: note.current?.value ?? before.note }))) return;
      done.current.push([at, before]);
      say(`saved: ${told(queue.labels[at])}`);
      skipped.current = skipped.current.filter((each) => each !== at);
      go(next(queue.labels, at, skipped.current));
    }

    function skip() {
      skipped.current = [...skipped.current.filter((each) => each !== at), at];
      say("skipped, comes again at the end");
      const to = next(queue.labels, at, skipped.current);
      go(to);
    }

    async function undo() {
      const last = done.current[done.current.length - 1];
      if (!last) return say("nothing to undo");
      const [place, before] = last;
      if (await save(place, { ...before, note: queue.labels[place].note })) {
        done.current.pop();
        say("undone");
        go(place);
      }
      return undefined;
    }

    async function annotate() {
      const text = note.current.value;
      if (text !== queue.labels[at].note && (await save(at, { ...queue.labels[at], note: text }))) say("noted");
    }

    function press(key) {
      // what is not shown yet is not labelled, nor twice what was just labelled
      if (at !== now.current || (at !== null && !snippet)) return undefined;
      const { keys, standalone } = queue;
      if (key === "z" && stage.of !== "category") return setStage({ of: stage.of === "case" ? "type" : "category" });
      if (stage.of === "case") {
        if (key === ".") return decide("loss_unknown", stage.type, [...stage.cases]);
        if (keys.case[key]) {
          const cases = new Set(stage.cases);
          if (!cases.delete(keys.case[key])) cases.add(keys.case[key]);
          return setStage({ ...stage, cases });
        }
        return undefined;
      }
      if (stage.of === "type") {
        const type = keys.type[key];
        if (type && standalone.includes(type)) return setStage({ of: "case", type, cases: new Set() });
        return type ? decide("loss_unknown", type) : undefined;
      }
      if (keys.category[key] === "loss_unknown") return setStage({ of: "type" });
      if (keys.category[key]) return decide(keys.category[key]);
      if (key === "s") return skip();
      if (key === "z") return undo();
      if (key === "t") return note.current.focus();
      return undefined;
    }

    // as soon as the page is drawn: a key means what its reader sees
    useLayoutEffect(() => {
      const keys = (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !queue) return;
        if (event.target === note.current) {
          if (event.key === "Enter" || event.key === "Escape") {
            event.preventDefault();
            if (event.key === "Escape") note.current.value = queue.labels[at].note;
            note.current.blur();
          }
          return;
        }
        if (at === null && event.key !== "z") return;
        if (event.key.length === 1) {
          if (event.key === "t") event.preventDefault();
          press(event.key);
        }
      };
      window.addEventListener("keydown", keys);
      return () => window.removeEventListener("keydown", keys);
    });

    if (!queue) return html`<main><h1>Label</h1>${trouble ? html`<p class="bad" role="alert">${trouble}</p>` : html`<p class="loading">Loading the queue …</p>`}</main>`;
    const labelled = queue.labels.filter((label) => label.category).length;
    document.title = `${labelled} of ${queue.labels.length} labelled · lossplace`;
    return html`<header class="top"><span class="brand">lossplace</span> <span class="progress"><b>${number(labelled)}</b> of ${number(queue.labels.length)} labelled by ${plain(queue.reader)}, in ${plain(queue.file)}</span><progress max=${queue.labels.length} value=${labelled} aria-label="labelled"></progress></header>
      <main aria-busy=${String(saving || (at !== null && !snippet))}>
        ${trouble && html`<p class="trouble" role="alert">${trouble}</p>`}
        ${at === null ? html`<h1>All ${number(queue.labels.length)} snippets are labelled</h1><p>They are in <code>${plain(queue.file)}</code>. <kbd>z</kbd> takes the last label back.</p>`
          : snippet ? html`<${Shown} snippet=${snippet} />` : html`<p class="loading" role="status">Loading the snippet …</p>`}
        ${at !== null && html`<div class="note-field"><label>Note <kbd>t</kbd> <input key=${at} type="text" ref=${note} defaultValue=${queue.labels[at].note} maxlength="2000" onBlur=${annotate} /></label></div>`}
      </main>
      <div class="desk" role="group" aria-label="Labels">
        ${at !== null && stage.of === "category" && html`<${Keys} keys=${queue.keys.category} press=${press} chosen=${(v) => queue.labels[at].category === v} />`}
        ${stage.of === "type" && html`<p>What kind of standalone loss?</p><${Keys} keys=${queue.keys.type} press=${press} /><${Key} name="z" press=${press}>back<//>`}
        ${stage.of === "case" && html`<p>${stage.type}: which special cases hold?</p><${Keys} keys=${queue.keys.case} press=${press} chosen=${(v) => stage.cases.has(v)} /><${Key} name="." press=${press}>done<//><${Key} name="z" press=${press}>back<//>`}
        ${stage.of === "category" && html`<span class="rest">${at !== null && html`<${Key} name="s" press=${press}>skip<//>`}<${Key} name="z" press=${press}>undo<//></span>`}
        <span class="said" role="status">${said}</span>
      </div>`;
  }

  const Key = ({ name, press, chosen, children }) => html`<button aria-pressed=${chosen === undefined ? undefined : String(chosen)} onClick=${(e) => { e.currentTarget.blur(); press(name); }}><kbd>${name}</kbd> ${children}</button>`;
  const Keys = ({ keys, press, chosen }) => Object.entries(keys).map(([name, value]) => html`<${Key} key=${value} name=${name} press=${press} chosen=${chosen?.(value)}>${value}<//>`);

  function Shown({ snippet }) {
    return html`<h1><${Name} text=${snippet.kind === "loop" ? `loop at line ${snippet.start}` : snippet.name} /></h1>
      <p class="where"><${Name} text=${snippet.repository} /> ${" "}<${Name} text=${snippet.path} /> lines ${snippet.start}–${snippet.end} · ${snippet.kind}${snippet.link && html` · <a href=${snippet.link} target="_blank" rel="noreferrer noopener">on GitHub, at its commit</a>`}</p>
      ${snippet.outline.length > 0 && html`<pre class="outline-text" tabindex="0" aria-label="Its class">${snippet.outline.map((line) => html`${visible(line)}${"\n"}`)}</pre>`}
      <${Code} text=${snippet.text} start=${snippet.start} label="Code of the snippet" />`;
  }

  const app = document.getElementById("app");
  app.replaceChildren();
  render(html`<${Desk} />`, app);
})();
