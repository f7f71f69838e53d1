// Text of others: code, answers, names. It is only ever set as text, and what it hides is shown.
"use strict";

(() => {
  const { html } = lossplace;

  // what does not print, steers the direction of text, or has no width; and half characters
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu;
  const LINES = /[\n\t]/;

  function mark(character) {
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    return html`<span class="hidden-character" title="a character that does not show, or steers the text">U+${code}</span>`;
  }

  // text with its hidden characters written out: a list of strings and elements
  function visible(text) {
    const parts = [];
    let from = 0;
    for (const { 0: character, index } of text.matchAll(HIDDEN)) {
      if (index > from) parts.push(text.slice(from, index));
      parts.push(mark(character));
      from = index + character.length;
    }
    if (from < text.length) parts.push(text.slice(from));
    return parts;
  }

  // a name or a path: line ends and tabs in it are hidden characters too
  function Name({ text }) {
    const parts = LINES.test(text)
      ? text.split(/([\n\t])/).flatMap((each) => (LINES.test(each) ? [mark(each)] : visible(each)))
      : visible(text);
    return html`<bdi>${parts}</bdi>`;
  }

  const plain = (text) => text.replace(HIDDEN, "\ufffd").replace(/[\n\t]/g, " "); // for titles

  // ---- code, in the colours of its tokens

  const MOST = 200000; // characters; longer code is shown without colours

  // [type, text] of each token, in order; nested ones are of the inner type
  function tokens(code) {
    const found = [];
    const walk = (token, type) => {
      if (typeof token === "string") found.push([type, token]);
      else if (Array.isArray(token)) token.forEach((each) => walk(each, type));
      else walk(token.content, token.type);
    };
    if (code.length > MOST) found.push(["", code]);
    else walk(Prism.tokenize(code, Prism.languages.python), "");
    return found;
  }

  // the tokens of each line
  function lines(code) {
    const found = [[]];
    for (const [type, text] of tokens(code)) {
      text.split("\n").forEach((part, i) => {
        if (i) found.push([]);
        if (part) found[found.length - 1].push([type, part]);
      });
    }
    return found;
  }

  // marked: line -> what is said of it
  function Code({ text, start, marked = new Map(), label = "Code" }) {
    const all = lines(text.replace(/\n$/, ""));
    const digits = String(start + all.length).length;
    return html`<div class="code" role="region" aria-label=${label} tabindex="0" style=${{ "--digits": digits }}>
      ${all.map((line, i) => {
        const number = start + i;
        const notes = marked.get(number);
        return html`<div class=${notes ? "line marked" : "line"} id=${`L${number}`}>
          <span class="no">${number}</span>
          <code>${line.map(([type, part]) => (type ? html`<span class=${`t-${type}`}>${visible(part)}</span>` : visible(part)))}${"\n"}</code>
          ${notes && html`<span class="why">${notes.join(", ")}</span>`}
        </div>`;
      })}
    </div>`;
  }

  Object.assign(lossplace, { visible, Name, plain, Code });
})();
