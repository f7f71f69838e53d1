// The table of all snippets, and which of them a filter lets through.
"use strict";

(() => {
  const { load } = lossplace;

  let opened;

  // Columns as typed arrays: the place in each is the snippet's number. See snippets.py.
  function openTable() {
    opened ??= Promise.all([load("study"), load("snippets"), load("repositories")]).then(async ([study, raw, repositories]) => {
      const table = {
        about: study.about,
        finding: study.finding,
        count: study.finding.count,
        id: raw.id,
        file: Uint32Array.from(raw.file),
        line: Uint32Array.from(raw.line),
        end: Uint32Array.from(raw.end),
        kind: Uint8Array.from(raw.kind),
        name: raw.name,
        placed: Uint8Array.from(raw.placed),
        margin: Uint8Array.from(raw.margin),
        text: Uint32Array.from(raw.text),
        files: raw.files,
        repositories,
        gold: new Map(), // number -> { label, details }
        other: null, // code of the other run's placement; NOT_THERE where it has none
      };
      table.repository = Uint32Array.from(table.file, (file) => raw.files[file][0]);
      if (study.evaluation) {
        const gold = await load("gold");
        gold.rows.forEach((row, i) => table.gold.set(row, { label: gold.labels[i], details: gold.details[i] }));
      }
      if (study.comparison) {
        const other = await load("other");
        table.other = Uint8Array.from(other.placed, (code) => code ?? NOT_THERE);
        table.otherVerdicts = other.verdicts;
      }
      return table;
    });
    return opened;
  }

  const NOT_THERE = 255;

  const idOf = (table, row) => table.id.slice(16 * row, 16 * row + 16);

  // the number of the first snippet with an id, -1 where there is none
  function rowOf(table, id) {
    if (!/^[0-9a-f]{16}$/.test(id)) return -1;
    for (let at = table.id.indexOf(id); at !== -1; at = table.id.indexOf(id, at + 1)) {
      if (at % 16 === 0) return at / 16;
    }
    return -1;
  }

  const repositoryOf = (table, row) => table.repositories.repository[table.repository[row]];
  const pathOf = (table, row) => table.files[table.file[row]][1];
  // a loop has no name of its own
  const titleOf = (table, row) => (table.about.kinds[table.kind[row]] === "loop" ? `loop at line ${table.line[row]}` : table.name[row]);

  // The filters of the snippets page, by their names in the address. Each turns its value into
  // a test of a snippet's number, or null where the value says nothing.
  const FILTERS = {
    placement: (table, value) => {
      const { places, losses } = table.about;
      const wanted = new Uint8Array(256);
      (value === "loss" ? losses : value.split(",")).forEach((each) => { wanted[places.indexOf(each)] = 1; });
      return (row) => wanted[table.placed[row]];
    },
    kind: (table, value) => {
      const code = table.about.kinds.indexOf(value);
      return (row) => table.kind[row] === code;
    },
    repository: (table, value) => ofRepositories(table, (i) => table.repositories.repository[i] === value),
    framework: (table, value) => ofRepositories(table, (i) => table.repositories.framework[i] === value),
    architecture: (table, value) => ofRepositories(table, (i) => table.repositories.architecture[i] === value),
    margin: (table, value) => {
      const most = Number(value);
      return (row) => table.margin[row] <= most;
    },
    gold: (table, value) => {
      const code = table.about.places.indexOf(value);
      const tests = {
        any: () => true,
        right: (row, label) => label === table.placed[row],
        wrong: (row, label) => label !== table.placed[row],
      };
      const test = tests[value] ?? ((row, label) => label === code);
      return (row) => {
        const gold = table.gold.get(row);
        return gold !== undefined && test(row, gold.label);
      };
    },
    other: (table, value) => {
      if (!table.other) return null;
      const code = table.about.places.indexOf(value);
      const tests = {
        same: (row) => table.other[row] === table.placed[row],
        different: (row) => table.other[row] !== table.placed[row] && table.other[row] !== NOT_THERE,
        missing: (row) => table.other[row] === NOT_THERE,
      };
      return tests[value] ?? ((row) => table.other[row] === code);
    },
    path: (table, value) => {
      const wanted = new Uint8Array(table.files.length);
      const text = value.toLowerCase();
      table.files.forEach(([, path], i) => { wanted[i] = path.toLowerCase().includes(text) ? 1 : 0; });
      return (row) => wanted[table.file[row]] || table.name[row].toLowerCase().includes(text);
    },
    file: (table, value) => {
      const wanted = Uint8Array.from(table.files, ([, path]) => (path === value ? 1 : 0));
      return (row) => wanted[table.file[row]];
    },
    copies: (table, value) => {
      const row = rowOf(table, value);
      return row < 0 ? () => false : (each) => table.text[each] === table.text[row];
    },
  };

  function ofRepositories(table, test) {
    const wanted = Uint8Array.from(table.repositories.repository, (_, i) => (test(i) ? 1 : 0));
    return (row) => wanted[table.repository[row]];
  }

  // the numbers of the snippets that pass every filter of a query, in the order it asks for
  function select(table, query) {
    const tests = Object.keys(FILTERS)
      .filter((name) => query[name])
      .map((name) => FILTERS[name](table, query[name]))
      .filter(Boolean);
    const found = new Uint32Array(table.count);
    const seen = query.once ? new Uint8Array(table.count) : null;
    let n = 0;
    rows: for (let row = 0; row < table.count; row++) {
      for (const test of tests) if (!test(row)) continue rows;
      if (seen && seen[table.text[row]]++) continue;
      found[n++] = row;
    }
    return sorted(table, found.subarray(0, n), query.sort);
  }

  const ORDERS = {
    margin: (table) => (a, b) => table.margin[a] - table.margin[b] || a - b,
    length: (table) => (a, b) => table.end[b] - table.line[b] - (table.end[a] - table.line[a]) || a - b,
    name: (table) => (a, b) => (table.name[a] < table.name[b] ? -1 : table.name[a] > table.name[b] ? 1 : a - b),
  };

  function sorted(table, rows, order) {
    return ORDERS[order] ? rows.slice().sort(ORDERS[order](table)) : rows;
  }

  // the piece of a many-sharded kind that holds a snippet, and the snippet's place in it
  function placeIn(starts, row) {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= row) low = middle;
      else high = middle - 1;
    }
    return [low, row - starts[low]];
  }

  async function itemOf(kind, table, row) {
    const [shard, place] = placeIn(table.finding[kind], row);
    return (await load(`${kind}-${shard}`))[place];
  }

  Object.assign(lossplace, { openTable, idOf, rowOf, repositoryOf, pathOf, titleOf, select, placeIn, itemOf, NOT_THERE });
})();
