// The ground of every page: shards of data, the address of a view, and numbers as text.
"use strict";

const lossplace = (() => {
  const { html, render, useState, useEffect, useMemo, useRef, useLayoutEffect } = htmPreact;

  // ---- shards: scripts in data/ that call receive(name, packed); see shards.py

  const SHARD = /^[a-z]+(-\d+)?$/;
  const KEPT = 24; // many small shards come and go while one searches; these stay
  const waiting = new Map();
  const loaded = new Map();

  // no other script can be loaded by this page, whatever it is given
  const scripts = window.trustedTypes
    ? trustedTypes.createPolicy("lossplace", {
        createScriptURL: (url) => {
          const [, name] = /^data\/(.*)\.js$/.exec(url) ?? [];
          if (!SHARD.test(name ?? "")) throw new TypeError(`no shard: ${url}`);
          return url;
        },
      })
    : { createScriptURL: (url) => url };

  function load(name) {
    if (loaded.has(name)) {
      const found = loaded.get(name);
      if (name.includes("-")) { // the latest used come last
        loaded.delete(name);
        loaded.set(name, found);
      }
      return found;
    }
    const found = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      waiting.set(name, { resolve, reject, script });
      script.onerror = () => {
        loaded.delete(name);
        reject(new Error(`Expected the file data/${name}.js of this report, found none; copy the whole folder.`));
      };
      script.src = scripts.createScriptURL(`data/${name}.js`);
      document.head.append(script);
    });
    loaded.set(name, found);
    const many = [...loaded.keys()].filter((each) => each.includes("-"));
    many.slice(0, Math.max(0, many.length - KEPT)).forEach((each) => loaded.delete(each));
    return found;
  }

  function receive(name, packed) {
    const { resolve, reject, script } = waiting.get(name);
    waiting.delete(name);
    script.remove();
    unpack(packed).then(resolve, reject);
  }

  async function unpack(packed) {
    const stream = new Blob([bytesOf(packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  // ---- addresses: everything that one looks at stands behind the #, to be sent to somebody

  function route() {
    const [path, query] = location.hash.replace(/^#/, "").split("?");
    return { path: path || "/", query: Object.fromEntries(new URLSearchParams(query ?? "")) };
  }

  function address(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
    const text = new URLSearchParams(given).toString();
    return `#${path}${text && "?"}${text}`;
  }

  // typing must not fill the history with every letter
  function replace(path, query) {
    history.replaceState(null, "", address(path, query));
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  }

  function useRoute() {
    const [found, set] = useState(route);
    useEffect(() => {
      const changed = () => set(route());
      window.addEventListener("hashchange", changed);
      return () => window.removeEventListener("hashchange", changed);
    }, []);
    return found;
  }

  // a promise's value, undefined until it is there; its error is thrown where it is used
  function useLoaded(begin, on) {
    const [state, set] = useState({});
    useEffect(() => {
      let wanted = true;
      begin().then(
        (value) => wanted && set({ value, on }),
        (error) => wanted && set({ error, on }),
      );
      return () => { wanted = false; };
    }, on);
    if (state.error) throw state.error;
    const same = state.on && state.on.every((each, i) => each === on[i]);
    return same ? state.value : undefined;
  }

  function useWidth() {
    const at = useRef(null);
    const [width, set] = useState(0);
    useLayoutEffect(() => {
      const measure = () => set(at.current ? at.current.clientWidth : 0);
      measure();
      const observer = new ResizeObserver(measure);
      observer.observe(at.current);
      return () => observer.disconnect();
    }, []);
    return [at, width];
  }

  // ---- numbers

  const grouped = new Intl.NumberFormat("en-US");
  const number = (value) => (value == null ? "–" : grouped.format(value));
  const fixed = (value, digits = 2) => (value == null ? "–" : value.toFixed(digits));
  const percent = (value, digits = 1) => (value == null ? "–" : `${(100 * value).toFixed(digits)} %`);
  const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

  return {
    html, render, useState, useEffect, useMemo, useRef, useLayoutEffect,
    load, receive, bytesOf, route, address, replace, useRoute, useLoaded, useWidth,
    number, fixed, percent, count, pages: {},
  };
})();
