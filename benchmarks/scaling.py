"""How each stage grows with the corpus: time, peak memory and disk of 1 to 10,000 repositories.

    python benchmarks/scaling.py REPOSITORIES... [--largest 10000] [--largest-real 100] [--resume]

Each of REPOSITORIES is a folder of real repositories, ``owner__name`` each. Two corpora grow:

* ``real``: those repositories in an order drawn at random, and again under other names as often as
  it takes;
* ``single files``: repositories of one real file of at most 10 kB each, since 10,000 whole ones
  are a day of two cores.

In both, no two repositories hold equal code (a comment is added to every line that opens a
function, class or loop), which would make a text's votes free. At each size `lossplace fetch`
(which reads the folder), `extract`, `classify` (by the rules), `paper` and `report` run one after
the other, each a process as users start it, on all cores. Peak memory is that of all its processes
together; disk is what the stage adds to the run's folder.

The growth of a stage is the exponent b of x^b, x being the megabytes of Python, between the last
two sizes; of time, what it takes at the smallest size, mostly the start of Python, is taken off
before. After each size benchmarks/results/scaling.json is written; ``--resume`` measures only the
sizes that it lacks.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.corpora import (  # noqa: E402
    python_files,
    repositories_of,
    write_renamed,
    write_single_files,
)
from benchmarks.measuring import (  # noqa: E402
    RESULTS,
    bytes_below,
    lossplace,
    say,
    write_result,
)

STAGES = ("fetch", "extract", "classify", "paper", "report")
MOST_BYTES = 10_000
"""Of a file that is a repository by itself."""
RESULT = "scaling"


def main() -> None:
    """Measure size by size, write the figures after each, and print the growth at the end."""
    parser = argparse.ArgumentParser(description="Growth of each stage with the corpus.")
    parser.add_argument("repositories", nargs="+", type=Path, help="folders of repositories")
    parser.add_argument("--largest", type=int, default=10_000, help="of single files")
    parser.add_argument("--largest-real", type=int, default=100, help="of real repositories")
    parser.add_argument("--resume", action="store_true", help="keep the sizes that are measured")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sources = list(repositories_of(options.repositories).values())
    random.Random(options.seed).shuffle(sources)
    series: dict[str, tuple[int, Callable[[Path, int], None]]] = {
        "real": (options.largest_real, lambda at, count: write_renamed(sources, at, count)),
        "single files": (
            options.largest,
            lambda at, count: write_single_files(sources, at, count, MOST_BYTES, options.seed),
        ),
    }
    rows = earlier() if options.resume else []
    for name, (largest, write) in series.items():
        for count in (10**power for power in range(math.floor(math.log10(max(1, largest))) + 1)):
            if largest >= count and not any(is_of(row, name, count) for row in rows):
                rows.append({"series": name, "repositories": count, **measured(write, count)})
                show(rows[-1])
                store(rows)
    for line in growth_lines(growth(rows)):
        say(line)
    say(f"written to {store(rows)}")


def measured(write: Callable[[Path, int], None], count: int) -> dict[str, Any]:
    """Return what each stage takes for a corpus of so many repositories."""
    with tempfile.TemporaryDirectory() as scratch:
        corpus, run = Path(scratch, "corpus"), Path(scratch, "run")
        corpus.mkdir()
        write(corpus, count)
        size = sum(path.stat().st_size for path in python_files(corpus))
        stages = {}
        before = 0
        for stage in STAGES:
            arguments = ["--local", corpus, "--run-dir", run] if stage == "fetch" else [run]
            taken = lossplace(stage, *arguments, memory=True)
            after = bytes_below(run)
            stages[stage] = {
                "seconds": round(taken.seconds, 2),
                "processor_s": round(taken.processor_s, 2),
                "peak_mib": round(taken.peak_mib or 0, 1),
                "disk_bytes": after - before,
            }
            before = after
        snippets = pq.read_metadata(run / "snippets.parquet").num_rows
    return {"megabytes": round(size / 1e6, 4), "snippets": snippets, "stages": stages}


def growth(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the exponents of each series and stage, between its last two sizes.

    Null where a series has fewer than three sizes, or a stage takes no more at the end than at
    the start.
    """
    found = []
    for series in dict.fromkeys(row["series"] for row in rows):
        sizes = [row for row in rows if row["series"] == series]
        sizes.sort(key=lambda row: row["repositories"])
        if len(sizes) < 3:
            continue
        first, before, last = sizes[0], sizes[-2], sizes[-1]
        for stage in STAGES:
            exponents = {}
            for key in ("seconds", "processor_s", "peak_mib", "disk_bytes"):
                start = first["stages"][stage][key] if key in ("seconds", "processor_s") else 0
                exponents[key] = exponent(
                    (before["megabytes"], before["stages"][stage][key] - start),
                    (last["megabytes"], last["stages"][stage][key] - start),
                )
            ends = {"from": before["repositories"], "to": last["repositories"]}
            found.append({"series": series, "stage": stage, **ends, **exponents})
    return found


def exponent(before: tuple[float, float], last: tuple[float, float]) -> float | None:
    """Return b where y = a x^b goes through two points (x, y); None where a y is not positive."""
    (x, y), (x_last, y_last) = before, last
    return round(math.log(y_last / y) / math.log(x_last / x), 2) if min(y, y_last) > 0 else None


def show(row: dict[str, Any]) -> None:
    """Print the figures of one size."""
    say(
        f"\n{row['series']}: {row['repositories']} repositories, {row['megabytes']:.2f} MB, "
        f"{row['snippets']} snippets"
    )
    for stage, taken in row["stages"].items():
        say(
            f"  {stage:<10}{taken['seconds']:>8.1f} s{taken['processor_s']:>8.1f} s of processor"
            f"{taken['peak_mib']:>8.0f} MiB{taken['disk_bytes'] / 1e6:>9.2f} MB on disk"
        )


def growth_lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the exponents as lines; what is worse than linear, or grows in memory, is marked."""
    lines = ["", "growth: exponent of time (of processor time), of memory, of disk"]
    for row in found:
        marks = [
            mark
            for mark, key, most in (
                ("TIME WORSE THAN LINEAR", "processor_s", 1.1),
                ("MEMORY GROWS", "peak_mib", 0.15),
                ("DISK WORSE THAN LINEAR", "disk_bytes", 1.1),
            )
            if (row[key] or 0) > most
        ]
        lines.append(
            f"  {row['series']:<14}{row['stage']:<10}{row['from']:>6} to {row['to']:<6}"
            f"{_shown(row['seconds'])} ({_shown(row['processor_s'])})   "
            f"{_shown(row['peak_mib'])}   {_shown(row['disk_bytes'])}   {', '.join(marks)}"
        )
    return lines


def earlier() -> list[dict[str, Any]]:
    """Return the sizes that were measured before."""
    path = RESULTS / f"{RESULT}.json"
    return list(json.loads(path.read_text("utf-8"))["rows"]) if path.exists() else []


def store(rows: list[dict[str, Any]]) -> Path:
    """Write what is measured so far."""
    packages = ("pandas", "pyarrow", "matplotlib", "tree-sitter")
    return write_result(RESULT, {"rows": rows, "growth": growth(rows)}, packages)


def is_of(row: dict[str, Any], series: str, count: int) -> bool:
    """Tell whether a row is of a series and a size."""
    return (row["series"], row["repositories"]) == (series, count)


def _shown(exponent: float | None) -> str:
    return "  - " if exponent is None else f"{exponent:4.2f}"


if __name__ == "__main__":
    main()
