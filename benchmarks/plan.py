"""How often the interval of ``lossplace plan`` holds what the run then costs.

    python benchmarks/plan.py REPOSITORIES [--pilot 300] [--seeds 100]

REPOSITORIES is a folder with one folder ``owner__name`` for each repository. The judge is the
stand-in of votes.py: it says what the rules say, but in a tenth of its votes. Each seed draws
another pilot, whose estimates are compared with what the whole classification costs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import write_result
from benchmarks.votes import SETTINGS, StandIn, extracted, rules_by_text
from classify import classification, pilot
from classify.costs import COSTS
from classify.forecast import CONFIDENCE
from classify.judging import OpenedJudge, open_replay
from classify.plan import Terms
from classify.store import Store
from mining.extracted import Corpus
from mining.study import Study

METRICS = ("asks", "votes", "prompt_tokens", "output_tokens")


def main() -> None:
    """Draw pilots, and count how often each figure lies in its interval."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("repositories", type=Path)
    parser.add_argument("--pilot", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=100)
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        study, run = extracted(arguments.repositories, Path(temporary), 1000)
        judge = StandIn(rules_by_text(Corpus(run)), 0.1)

        def open_stand_in(study: Study, corpus: Corpus, _: Store) -> OpenedJudge:
            return replace(open_replay(study, corpus, SETTINGS), judge=judge)

        classification.open_judge = pilot.open_judge = open_stand_in
        classification.classify(study, run)
        true = run.read(COSTS).sum(numeric_only=True)
        held: Counter[str] = Counter()
        off: list[list[float]] = []
        half: list[list[float]] = []
        for seed in range(arguments.seeds):
            run.path(classification.STORE).unlink()
            planned = pilot.plan(study, run, Terms(), pilot=arguments.pilot, seed=seed)
            found = [planned.forecast.of({name: 1.0}) for name in METRICS]
            held.update(
                name
                for name, each in zip(METRICS, found, strict=True)
                if each.low <= true[name] <= each.high
            )
            off.append([e.value / true[n] - 1 for n, e in zip(METRICS, found, strict=True)])
            half.append(
                [(e.high - e.low) / 2 / true[n] for n, e in zip(METRICS, found, strict=True)]
            )
            print(f"{seed + 1} of {arguments.seeds}", flush=True)
        figures: dict[str, Any] = {
            "snippets": len(run.read("snippets.parquet", ["path"])),
            "pilot": arguments.pilot,
            "seeds": arguments.seeds,
            "confidence": CONFIDENCE,
            "metrics": {
                name: {
                    "true": int(true[name]),
                    "held": held[name] / arguments.seeds,
                    "mean_error": round(float(np.mean(off, axis=0)[i]), 4),
                    "mean_half_width": round(float(np.mean(half, axis=0)[i]), 4),
                }
                for i, name in enumerate(METRICS)
            },
        }
    print(json.dumps(figures, indent=1))
    write_result("plan", figures, ("numpy", "pandas", "scipy"))


if __name__ == "__main__":
    main()
