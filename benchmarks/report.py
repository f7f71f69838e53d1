"""How fast a report of many snippets is: to build, to open, to filter and to search.

    python benchmarks/report.py --snippets 200000

A finished run (``--run``; default: the sample study's, made anew) is copied under other names
until there are so many snippets; its report is built by the command, and opened from its file
in headless Chromium. Prints the figures, and writes benchmarks/results/report.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import ROOT, lossplace, write_result
from classify import pipeline
from classify.classification import PLACEMENTS, STORE
from classify.evidence import placed_by
from classify.judges import prompt_sha256
from mining.artifacts import STUDY, Artifact, Run
from mining.extraction import CLASSES, FILES, SNIPPETS
from mining.frameworks import FRAMEWORKS
from mining.opening import open_run, writing
from mining.pipeline import CORPUS

RARE, COMMON = "weight_decay=", "self."


def main() -> None:
    """Measure, and print what was measured."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--snippets", type=int, default=200_000)
    arguments.add_argument("--run", type=Path, help="a finished run; default: the sample study's")
    arguments.add_argument("--keep", type=Path, help="a folder for the large run, which is kept")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = Run(given.run) if given.run else _sample(Path(temporary, "sample"))
        large = Run(given.keep or Path(temporary, "large"))
        copies = -(-given.snippets // len(base.read(PLACEMENTS, ["snippet_id"])))
        _multiply(base, large, copies)
        figures = {**_build(large), **_open(large)}
    print(json.dumps(figures, indent=1))
    write_result("report", figures, ("pandas", "pyarrow", "playwright"))


def _sample(folder: Path) -> Run:
    with writing(*open_run(ROOT / "data" / "studies" / "sample.toml", folder)) as (study, run):
        for _ in pipeline.run_all(study, run):
            pass
    return run


def _multiply(base: Run, large: Run, copies: int) -> None:
    """Write a run in which each repository is there so many times, each under its own name."""
    large.folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(base.path(STUDY), large.path(STUDY))
    placements = base.read(PLACEMENTS)
    text = base.read(SNIPPETS, ["snippet_id", "text"]).set_index("snippet_id")["text"]
    for name in (SNIPPETS, FILES, CLASSES):
        file = pq.ParquetFile(base.path(name))
        with (
            large.replacing(name, _artifact(base, name)) as (temporary, facts),
            pq.ParquetWriter(temporary, file.schema_arrow, compression="zstd") as writer,
        ):
            for copy in range(copies):
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    if table.num_rows:
                        frame = _renamed(table.to_pandas(), copy)
                        if name == SNIPPETS:
                            frame["snippet_id"] = _ids(frame, frame["text"])
                        writer.write_table(pa.Table.from_pandas(frame, file.schema_arrow))
                        facts["rows"] = (facts["rows"] or 0) + len(frame)
    frames = []
    texts = placements["snippet_id"].map(text)
    for copy in range(copies):
        frame = _renamed(placements, copy)
        frames.append(frame.assign(snippet_id=_ids(frame, texts)))
    large.write(PLACEMENTS, pd.concat(frames, ignore_index=True), _artifact(base, PLACEMENTS))
    for name in (CORPUS, FRAMEWORKS):
        rows = [_renamed(base.read(name), copy) for copy in range(copies)]
        large.write(name, pd.concat(rows, ignore_index=True), _artifact(base, name))
    _copy_votes(base, large, copies)


def _artifact(base: Run, name: str) -> Artifact:
    found = base.sidecar(name)
    assert found is not None
    settings = {key: value for key, value in found.settings.items() if key != "lossplace"}
    return replace(found, settings=settings, rows=None)


def _renamed(frame: pd.DataFrame, copy: int) -> pd.DataFrame:
    return frame.assign(repository=frame["repository"] + f"-{copy}")


def _ids(frame: pd.DataFrame, texts: pd.Series) -> list[str]:
    """Return the snippets' ids under their new names; as Snippet.snippet_id."""
    columns = (frame[name] for name in ("repository", "path", "start_line", "qualname"))
    return [
        hashlib.sha256("\0".join(map(str, row)).encode()).hexdigest()[:16]
        for row in zip(*columns, texts, strict=True)
    ]


def _copy_votes(base: Run, large: Run, copies: int) -> None:
    """Copy the store. The rules' prompts name the repository, so each copy has its own."""
    shutil.copy(base.path(STORE), large.path(STORE))
    judge, _ = placed_by(large)  # which also brings an old store up to date
    if judge.kind != "rules":
        return

    def renamed(messages: str, copy: int) -> str:
        ((role, content),) = json.loads(messages)
        lines = [x + f"-{copy}" if x.startswith("repository: ") else x for x in content.split("\n")]
        return json.dumps([[role, "\n".join(lines)]], ensure_ascii=False)

    def hashed(messages: str) -> str:
        return prompt_sha256(tuple((role, content) for role, content in json.loads(messages)))

    with sqlite3.connect(large.path(STORE)) as store:
        store.create_function("renamed", 2, renamed, deterministic=True)
        store.create_function("hashed", 1, hashed, deterministic=True)
        columns = {
            table: [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
            for table in ("prompts", "votes")
        }
        others = [name for name in columns["votes"] if name != "prompt_sha256"]
        store.execute("CREATE TEMP TABLE old AS SELECT * FROM prompts")
        store.execute("CREATE TEMP TABLE known AS SELECT * FROM votes")
        store.execute("CREATE INDEX temp.by_prompt ON known (prompt_sha256)")
        for copy in range(copies):
            store.execute("DROP TABLE IF EXISTS temp.new")
            store.execute(
                "CREATE TEMP TABLE new AS SELECT prompt_sha256 AS was, "
                "renamed(messages, ?) AS now FROM old",
                (copy,),
            )
            values = {"prompt_sha256": "hashed(now)", "messages": "now"}
            chosen = ", ".join(values.get(name, f"old.{name}") for name in columns["prompts"])
            store.execute(
                f"INSERT INTO prompts SELECT {chosen} FROM new JOIN old ON prompt_sha256 = was"
            )
            store.execute(
                f"INSERT INTO votes (prompt_sha256, {', '.join(others)}) "
                f"SELECT hashed(now), {', '.join(others)} FROM new "
                "JOIN known ON known.prompt_sha256 = was"
            )


def _build(run: Run) -> dict[str, object]:
    taken = lossplace("report", run.folder, memory=True)
    files = [path for path in run.path("report").rglob("*") if path.is_file()]
    return {
        "snippets": len(run.read(PLACEMENTS, ["snippet_id"])),
        "repositories": len(run.read(CORPUS, ["repository"])),
        "code_mb": round(sum(map(len, run.read(SNIPPETS, ["text"])["text"])) / 1e6, 1),
        "build_s": round(taken.seconds, 1),
        "build_peak_mib": round(taken.peak_mib or 0),
        "folder_mb": round(sum(path.stat().st_size for path in files) / 1e6, 1),
        "files": len(files),
    }


FILTER = """(value) => new Promise((resolve) => {
    const field = document.querySelector('select[name=placement]');
    const result = document.querySelector('p.result');
    const started = performance.now();
    new MutationObserver((_, observer) => {
        observer.disconnect();
        requestAnimationFrame(() => resolve(performance.now() - started));
    }).observe(result, { childList: true, subtree: true, characterData: true });
    field.value = value;
    field.dispatchEvent(new Event('change', { bubbles: true }));
})"""
SEARCH = """(text) => new Promise((resolve) => {
    const field = document.querySelector('#search');
    const result = document.querySelector('p.result');
    const started = performance.now();
    let first = null;
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    const look = () => {
        const now = performance.now() - started;
        if (first === null && document.querySelector('.hit')) first = now;
        const progress = document.querySelector('progress');
        if (now > 100 && !progress) return resolve([first, now, result.innerText]);
        requestAnimationFrame(look);
    };
    look();
})"""


def _open(run: Run) -> dict[str, object]:
    address = f"file://{run.path('report').resolve()}/index.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )

        def first_view(view: str, seen: str) -> tuple[float, Page]:
            page = browser.new_context().new_page()
            started = time.perf_counter()
            page.goto(address + view)
            page.wait_for_selector(seen)
            return time.perf_counter() - started, page

        overview = [first_view("#/", ".upset")[0] for _ in range(3)]
        snippets = [first_view("#/snippets", ".row:not(.head)") for _ in range(3)]
        page = snippets[-1][1]
        filters = [
            page.evaluate(FILTER, value)
            for value in ("loss_in_model", "no_loss", "loss", "", "loss_unknown", "") * 2
        ]
        searches = {}
        for name, text in (("rare", RARE), ("common", COMMON)):
            page.fill("#search", "")
            page.wait_for_function("() => !document.querySelector('.hit')")
            first, whole, told = page.evaluate(SEARCH, text)
            searches[f"search_{name}"] = {
                "text": text,
                "first_ms": first and round(first),
                "whole_ms": round(whole),
                "found": told,
            }
        browser.close()
    return {
        "overview_first_view_s": [round(each, 2) for each in overview],
        "snippets_first_view_s": [round(each, 2) for each, _ in snippets],
        "filter_ms_median": round(statistics.median(filters)),
        "filter_ms_max": round(max(filters)),
        **searches,
    }


if __name__ == "__main__":
    main()
