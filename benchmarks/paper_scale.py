"""How long the tables and figures, and a ranking, take for a large study: a synthetic run.

    python benchmarks/paper_scale.py [--repositories N] [--placements M]

Makes a run of N repositories, found by twenty queries, and M placements, heavy-tailed over the
repositories; runs `lossplace rank` and `lossplace paper` on it, each in a process of its own;
prints wall time, processor time and peak memory, and writes benchmarks/results/paper_scale.json.
The run has no code, so that the tables of the manual analysis, which are read from it, are not
among its tables.
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

from benchmarks.measuring import lossplace, write_result
from classify.classification import PLACEMENTS
from classify.metrics import CATEGORIES
from classify.subjects import COLUMNS
from mining.artifacts import STUDY, Artifact, Run
from mining.pages import REPOSITORIES, SEARCH, SearchRecord
from mining.pipeline import COLUMNS as CORPUS_COLUMNS
from mining.pipeline import CORPUS
from mining.study import Study, write_study

QUERIES = 20
AS_OF = datetime(2024, 1, 1, tzinfo=UTC)
SHARES = {
    "no_loss": 0.94,
    "loss_unknown": 0.02,
    "loss_in_model": 0.02,
    "loss_in_runner": 0.01,
    "loss_in_model_runner": 0.01,
}
"""Of the placements, about as the rules place real repositories."""
LABELS = 500


def write_run(run: Run, repositories: int, placements: int) -> Path:
    """Write what `rank` and `paper` read; return the gold file."""
    rng = np.random.default_rng(0)
    names = np.array([f"owner{i}/repository{i}" for i in range(repositories)])
    queries = [f"Framework Query{i % QUERIES}" for i in range(repositories)]
    write_study(Study(name="synthetic"), run.path(STUDY))

    found = pd.DataFrame(
        {
            "query": queries,
            "search_position": np.arange(repositories) // QUERIES + 1,
            "repository": names,
            "stars": rng.pareto(1.0, repositories).astype(int),
            "forks": rng.pareto(1.2, repositories).astype(int),
            "pushed_at": pd.Timestamp(AS_OF)
            - pd.to_timedelta(rng.integers(0, 2000, repositories), "D"),
            "created_at": pd.Timestamp("2018-01-01", tz="UTC"),
            "fork": rng.random(repositories) < 0.1,
        }
    )
    run.write(REPOSITORIES, found.sort_values("query", kind="stable"), Artifact("search", {}, {}))
    record = SearchRecord(as_of=AS_OF, base_url="https://api.github.com")
    run.write_bytes(SEARCH, record.model_dump_json().encode(), Artifact("search", {}, {}))

    corpus = pd.DataFrame(
        {
            "repository": names,
            "query": queries,
            "position": np.arange(repositories) // QUERIES + 1,
            "score": 1.0,
            "commit": "c" * 40,
            "committed_at": "2024-01-01T00:00:00Z",
            "tree_sha256": "0" * 64,
            "python_files": 10,
            "reason": None,
        }
    )
    run.write(
        CORPUS, corpus[list(CORPUS_COLUMNS)].astype(CORPUS_COLUMNS), Artifact("fetch", {}, {})
    )

    sizes = rng.pareto(1.2, repositories) + 1
    holder = np.sort(rng.choice(repositories, placements, p=sizes / sizes.sum()))
    line = np.arange(placements) % 1000
    texts = rng.integers(0, max(1, placements * 4 // 5), placements)
    placed = pd.DataFrame(
        {
            "snippet_id": [f"{i:016x}" for i in range(placements)],
            "repository": names[holder],
            "commit": "c" * 40,
            "path": [f"package/module_{i // 1000}.py" for i in range(placements)],
            "start_line": line + 1,
            "end_line": line + 1,
            "kind": rng.choice(["function", "method", "loop"], placements),
            "qualname": "f",
            "code_sha256": [f"{i:064x}" for i in texts],
            "placement": rng.choice(list(SHARES), placements, p=list(SHARES.values())),
            "loss_related": None,
            "loss_definition": "no",
            "training_loop": None,
            "model_definition": None,
            "judge": "rules",
            "reason": None,
            "flip_risk": 0.0,
        }
    )
    run.write(PLACEMENTS, placed[list(COLUMNS)].astype(COLUMNS), Artifact("classify", {}, {}))

    drawn = placed.groupby("placement").sample(
        max(1, LABELS // len(SHARES)), replace=True, random_state=0
    )
    gold = drawn.drop_duplicates("snippet_id")[["repository", "path", "start_line", "placement"]]
    gold = gold.rename(columns={"placement": "label"})
    wrong = rng.random(len(gold)) < 0.1
    gold.loc[wrong, "label"] = rng.choice(CATEGORIES, wrong.sum())
    path = run.path("gold.csv")
    gold.to_csv(path, index=False)
    return path


def main() -> None:
    """Print the measurements, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Time and memory of `lossplace paper` and `rank`.")
    parser.add_argument("--repositories", type=int, default=20_000)
    parser.add_argument("--placements", type=int, default=500_000)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        gold = write_run(run, options.repositories, options.placements)
        for name, arguments in (
            ("rank", ["rank", folder]),
            ("paper", ["paper", folder]),
            ("paper with hand labels", ["paper", folder, "--gold", str(gold)]),
        ):
            taken = lossplace(*arguments, memory=True)
            row = {
                "seconds": round(taken.seconds, 1),
                "processor_seconds": round(taken.processor_s, 1),
                "peak_mib": round(taken.peak_mib or 0),
            }
            print(
                f"{name:<24}{row['seconds']:>7.1f} s{row['processor_seconds']:>7.1f} s of processor"
                f"{row['peak_mib']:>7.0f} MiB",
                flush=True,
            )
            rows.append({"command": name, **row})
    packages = ("pandas", "pyarrow", "matplotlib")
    write_result("paper_scale", {**vars(options), "rows": rows}, packages)


if __name__ == "__main__":
    main()
