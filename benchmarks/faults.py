"""Every fault tried, and how it ended: damaged files under every command, and huge repositories.

    python benchmarks/faults.py [--share N] [--files N] [--lines N] [--line-mb N]

Makes a run from a search to a report, then damages each of its files in each way (gone, cut,
longer, single bits, sidecars of all kinds) and runs each command on it, one damage and one command
at a time: ``--share 10`` tries every tenth. It must end with the right result or with one sentence
that says what to do. Then extracts a repository of many tiny files, one of a file of many lines,
and one of a file with a single long line, whose limit is raised so that it is read; each file must
have one outcome. Prints counts, and what ended otherwise; writes benchmarks/results/faults.json.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import lossplace, write_result  # noqa: E402
from mining.artifacts import Run  # noqa: E402
from mining.extraction import FILES  # noqa: E402
from tests import faults  # noqa: E402

CODE = "def loss_{0}(a, b):\n    return (a - b) ** {0}\n"


def kind_of(name: str) -> str:
    """Return what kind of file an artifact is."""
    if name.endswith(".meta.json"):
        return "sidecar"
    kinds = {
        ".parquet": "table",
        ".sqlite": "store",
        ".zst": "page",
        ".js": "report",
        ".csv": "csv",
    }
    return "clone" if name.startswith("clones/") else kinds.get(Path(name).suffix, "other")


def damaged(share: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Try damages under commands; return counts by kind of file and damage, and what was wrong."""
    counts: Counter[tuple[str, str, str]] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary, "made")
        base.mkdir()
        faults.make_run(base)
        names = faults.artifacts(base / "run")
        tried = [
            (name, damage, command)
            for name in names
            # of the paper's tables, which are all written alike, one
            if not name.startswith("paper/") or "table_4_1." in name
            for damage in faults.damages_of(base / "run" / name)
            for command in faults.COMMANDS
        ]
        for number, (name, damage, command) in enumerate(tried):
            if number % share:
                continue
            ended = faults.attempt(base, Path(temporary, "copy"), name, damage, command)
            counts[kind_of(name), damage, ended.split()[0]] += 1
            if ended not in ("right", "refused", "without"):
                wrong.append(f"{name}, {damage}, {command}: {ended}")
                print(f"  {wrong[-1]}", flush=True)
    rows = [
        {"file": kind, "damage": damage, "ended": ended, "times": times}
        for (kind, damage, ended), times in sorted(counts.items())
    ]
    return rows, wrong


def huge(name: str, files: dict[str, int], max_file_bytes: int) -> dict[str, Any]:
    """Extract one repository in a process of its own; ``files`` gives what of each kind it has."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "corpus", "o__n")
        folder.mkdir(parents=True)
        for number in range(files.get("tiny", 0)):
            place = folder / f"{number // 1000}"
            if number % 1000 == 0:
                place.mkdir()
            (place / f"f{number}.py").write_text(CODE.format(number))
        if "lines" in files:
            with (folder / "lines.py").open("w") as file:
                file.write("x = [\n" + "1,\n" * files["lines"] + "]\n")
        if "line_mb" in files:
            (folder / "line.py").write_text(f"x = '{'y' * (files['line_mb'] * 1_000_000)}'\n")
        study = Path(temporary, "s.toml")
        study.write_text(f'[corpus]\nlocal = "corpus"\nmax_file_bytes = {max_file_bytes}\n')
        run = Run(Path(temporary, "run"))
        taken = [
            lossplace(command, study, "--run-dir", run.folder, memory=True)
            for command in ("fetch", "extract")
        ]
        outcomes = run.read(FILES, ["outcome"])["outcome"].value_counts().to_dict()
    seen = files.get("tiny", 0) + ("lines" in files) + ("line_mb" in files)
    return {
        "repository": name,
        "files": seen,
        "outcomes": outcomes,
        "conserved": sum(outcomes.values()) == seen,
        "seconds": round(sum(each.seconds for each in taken), 1),
        "processor_seconds": round(sum(each.processor_s for each in taken), 1),
        "peak_mib": round(max(each.peak_mib or 0 for each in taken)),
    }


def main() -> None:
    """Print the outcomes, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Every fault, and how it ended.")
    parser.add_argument("--share", type=int, default=1, help="Try every so many-th damage.")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--line-mb", type=int, default=100)
    options = parser.parse_args()
    os.environ.setdefault("GITHUB_TOKEN", "unused")  # all pages of the search are stored
    rows, wrong = damaged(options.share)
    by_end: Counter[tuple[str, str]] = Counter()
    for row in rows:
        by_end[row["file"], row["ended"]] += row["times"]
    for (kind, ended), times in sorted(by_end.items()):
        print(f"{kind:<10}{ended:<14}{times:>7}")
    large = [
        huge("many files", {"tiny": options.files}, 2_000_000),
        huge("many lines", {"lines": options.lines}, 10**9),
        huge("one long line", {"line_mb": options.line_mb}, 10**9),
        huge("both, at the default limit", {"lines": options.lines, "line_mb": 3}, 2_000_000),
    ]
    for row in large:
        print(
            f"{row['repository']:<28}{row['files']:>9} files{row['processor_seconds']:>8.1f} s of "
            f"processor{row['peak_mib']:>7} MiB  {row['outcomes']}",
            flush=True,
        )
    result = {**vars(options), "rows": rows, "wrong": wrong, "huge": large}
    write_result("faults", result, ("pyarrow", "pandas", "tree-sitter"))
    if wrong or not all(row["conserved"] for row in large):
        sys.exit(1)


if __name__ == "__main__":
    main()
