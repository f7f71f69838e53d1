"""How long `lossplace rank` takes to score repositories anew, and with --sensitivity: synthetic.

    python benchmarks/rescore.py [--repositories N] [--sensitivity]

Makes a run of N repositories found by twenty queries, of two kinds: each repository is found by
one query, as in a search that ends at 1,000 results; and each is found by every query. Scores
it, then times `lossplace rank --weights` with other weights, selection and artifacts included,
each in a process of its own; prints wall time, processor time, how much of the wall time a process
takes that only imports what the command does, and peak memory, and writes
benchmarks/results/rescore.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import ROOT, lossplace, take, write_result
from mining.artifacts import STUDY, Artifact, Run
from mining.pages import REPOSITORIES, SEARCH, SearchRecord
from mining.study import Study, write_study

QUERIES = 20
AS_OF = datetime(2024, 1, 1, tzinfo=UTC)
IMPORTS = [sys.executable, "-P", "-c", "import classify.cli, mining.pipeline"]


def write_run(run: Run, repositories: int, queries_each: int) -> int:
    """Write what `rank` reads, with heavy tails as stars and forks have; return the results."""
    rng = np.random.default_rng(0)
    write_study(Study(name="synthetic"), run.path(STUDY))
    of = np.tile(np.arange(repositories), queries_each)
    query = (of + np.repeat(np.arange(queries_each), repositories)) % QUERIES
    known = pd.DataFrame(
        {
            "repository": [f"owner{i}/repository{i}" for i in range(repositories)],
            "stars": rng.pareto(1.0, repositories).astype("int64"),
            "forks": rng.pareto(1.2, repositories).astype("int64"),
            "pushed_at": pd.Timestamp(AS_OF)
            - pd.to_timedelta(rng.integers(0, 2000 * 86400, repositories), "s"),
            "created_at": pd.Timestamp("2018-01-01", tz="UTC"),
            "fork": rng.random(repositories) < 0.1,
            "archived": rng.random(repositories) < 0.1,
            "size_kb": rng.pareto(0.8, repositories).astype("int64"),
            "license": "MIT",
        }
    )
    order = np.lexsort((of, query))
    found = known.iloc[of[order]].reset_index(drop=True)
    found.insert(0, "query", [f"Framework Query{i:02}" for i in query[order]])
    found.insert(1, "search_position", found.groupby("query").cumcount() + 1)
    run.write(REPOSITORIES, found, Artifact("search", {}, {}))
    record = SearchRecord(as_of=AS_OF, base_url="https://api.github.com")
    run.write_bytes(SEARCH, record.model_dump_json().encode(), Artifact("search", {}, {}))
    return len(found)


def measure(*arguments: str) -> dict[str, float]:
    """Run a command of lossplace, and what only imports; return what they took."""
    taken = lossplace(*arguments, memory=True)
    return {
        "seconds": round(taken.seconds, 2),
        "processor_seconds": round(taken.processor_s, 2),
        "import_seconds": round(take(IMPORTS, {"PYTHONPATH": str(ROOT)}).seconds, 2),
        "peak_mib": round(taken.peak_mib or 0),
    }


def main() -> None:
    """Print the measurements, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Time and memory of `lossplace rank`.")
    parser.add_argument("--repositories", type=int, default=20_000)
    parser.add_argument("--sensitivity", action="store_true", help="Also time --sensitivity.")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for queries_each in (1, QUERIES):
        with tempfile.TemporaryDirectory() as folder:
            results = write_run(Run(Path(folder)), options.repositories, queries_each)
            lossplace("rank", folder)
            weights = ["--weights", "stars=1,forks=1,recency=1"]
            commands = [["rank", folder, *weights]]
            if options.sensitivity:
                commands.append(["rank", folder, *weights, "--sensitivity"])
            for command in commands:
                name = " ".join(["rank", *command[2:]])
                row = {"results": results, "command": name, **measure(*command)}
                rows.append(row)
                print(
                    f"{results:>8} results  {name:<58}{row['seconds']:>7.2f} s"
                    f"{row['processor_seconds']:>7.2f} s of processor"
                    f"{row['import_seconds']:>6.2f} s to import{row['peak_mib']:>6.0f} MiB",
                    flush=True,
                )
    packages = ("numpy", "pandas", "pyarrow", "scipy")
    write_result("rescore", {**vars(options), "rows": rows}, packages)


if __name__ == "__main__":
    main()
