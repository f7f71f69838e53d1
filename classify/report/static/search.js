// Full-text search in the code of many snippets: shard by shard, of those that can hold the text.
"use strict";

(() => {
  const { load, bytesOf, placeIn } = lossplace;

  const AT_ONCE = 6; // shards under way
  const BATCH = 40; // ms between two reports

  // the buckets of a text's trigrams, as trigrams() in shards.py numbers them; there only A to Z
  // are brought to lower case, so that nothing can be told by a trigram with another letter
  function buckets(text, size) {
    const bytes = new TextEncoder().encode(text.toLowerCase());
    const found = new Set();
    for (let i = 0; i + 2 < bytes.length; i++) {
      if ((bytes[i] | bytes[i + 1] | bytes[i + 2]) < 128) found.add((bytes[i] * 961 + bytes[i + 1] * 31 + bytes[i + 2]) % size);
    }
    return [...found];
  }

  let signatures;

  // the shards whose texts may hold a text, of those given
  async function shardsWith(text, shards) {
    signatures ??= load("trigrams").then((all) => all.map(bytesOf));
    const known = await signatures;
    const size = 8 * (known[0]?.length ?? 1);
    const wanted = buckets(text, size);
    return shards.filter((shard) => wanted.every((b) => known[shard][b >> 3] & (1 << (b & 7))));
  }

  // Looks for a text in the code of these snippets, without regard to case, and
  // reports what was found so far: { rows, lines, done, of }. Returns what stops it.
  function search(table, rows, text, report) {
    let stopped = false;
    const wanted = text.toLowerCase();
    const starts = table.finding.code;
    const inShard = new Map();
    for (const row of rows) {
      const [shard] = placeIn(starts, row);
      if (!inShard.has(shard)) inShard.set(shard, []);
      inShard.get(shard).push(row);
    }
    const hits = new Map(); // number -> [line, its text]
    let reported = 0;
    let done = 0;

    async function look(shard) {
      const code = await load(`code-${shard}`);
      if (stopped) return;
      for (const row of inShard.get(shard)) {
        const of = code[row - starts[shard]];
        if (of === null) continue;
        const at = of.toLowerCase().indexOf(wanted);
        if (at !== -1) hits.set(row, excerpt(of, at, table.line[row]));
      }
      done += 1;
    }

    (async () => {
      const shards = await shardsWith(text, [...inShard.keys()]);
      const tell = () => {
        reported = performance.now();
        // in the order of the rows given, whatever shard came first
        report({ rows: rows.filter((row) => hits.has(row)), hits, done, of: shards.length });
      };
      const queue = shards.values();
      const worker = async () => {
        for (const shard of queue) {
          await look(shard);
          if (stopped) return;
          if (performance.now() - reported > BATCH) tell();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      if (!stopped) tell();
    })().catch((error) => report({ rows: [], hits, done, of: 0, error }));
    return () => { stopped = true; };
  }

  function excerpt(code, at, start) {
    const from = code.lastIndexOf("\n", at - 1) + 1;
    const to = code.indexOf("\n", at);
    const line = start + (code.slice(0, from).match(/\n/g)?.length ?? 0);
    return [line, code.slice(from, to === -1 ? undefined : to).trim().slice(0, 300)];
  }

  Object.assign(lossplace, { search });
})();
