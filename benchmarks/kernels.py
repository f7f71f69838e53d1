"""The pure kernels that all else repeats, with a history, to see what a change made slower.

    pytest benchmarks/kernels.py --benchmark-autosave
    pytest-benchmark --storage benchmarks/history compare

The first command measures each kernel and keeps the figures in ``benchmarks/history`` under the
commit; the second shows all that are kept, side by side. ``--benchmark-compare`` on the first
compares with the last. Only figures of one machine can be compared. Nothing is asserted of time.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from classify.judges.rules import rule
from classify.placement import Placement, Verdict, place
from classify.questions import Ask, Question
from classify.stopping import VotingRule
from classify.subjects import names_known_loss
from classify.votes import decision
from mining.code import RepositoryCode
from mining.decode import decode
from mining.extract import extract, parse
from mining.ranking import score
from mining.records import Kind, Snippet
from mining.shipped import shipped
from mining.study import PlacementSettings, Weights

AS_OF = datetime(2024, 1, 1, tzinfo=UTC)
REPOSITORY = "harbourwick__tinyseq"
"""Of the sample corpus: a model, its trainer and a script."""


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """The Python files of a repository of the sample corpus, by path."""
    home = Path(shipped("data/sample")) / REPOSITORY
    return {p.relative_to(home).as_posix(): p.read_bytes() for p in sorted(home.rglob("*.py"))}


@pytest.fixture(scope="module")
def texts(contents: dict[str, bytes]) -> dict[str, str]:
    """Their texts."""
    return {path: found.text for path, each in contents.items() if (found := decode(each))}


@pytest.fixture(scope="module")
def snippets(texts: dict[str, str]) -> list[Snippet]:
    """Their snippets."""
    return [s for p, text in texts.items() for s in extract("o/n", None, p, text).snippets]


def test_decode(benchmark: Any, contents: dict[str, bytes]) -> None:
    assert all(benchmark(lambda: [decode(content) for content in contents.values()]))


def test_parse(benchmark: Any, texts: dict[str, str]) -> None:
    sources = [text.encode() for text in texts.values()]
    assert len(benchmark(lambda: [parse(source) for source in sources])) == len(texts)


def test_parse_and_extract(benchmark: Any, texts: dict[str, str]) -> None:
    path, text = max(texts.items(), key=lambda item: len(item[1]))
    assert benchmark(extract, "o/n", None, path, text).snippets


def test_resolved_classes(benchmark: Any, texts: dict[str, str]) -> None:
    assert benchmark(lambda: RepositoryCode("o/n", None, texts).classes)


def test_loss_names(benchmark: Any, snippets: list[Snippet]) -> None:
    names_loss = names_known_loss(PlacementSettings())
    assert any(benchmark(lambda: [names_loss(snippet) for snippet in snippets]))


def test_rules(benchmark: Any, texts: dict[str, str], snippets: list[Snippet]) -> None:
    def judge() -> list[bool]:
        code = RepositoryCode("o/n", None, texts)  # a new one, which has derived nothing yet
        return [rule(Question.LOSS_DEFINITION, each, code).decision for each in snippets]

    assert any(benchmark(judge))


def test_place(benchmark: Any) -> None:
    methods = [
        Snippet("o/n", None, "p.py", line, line, Kind.METHOD, f"A.f{line}", "A", f"x = {line}")
        for line in range(1, 31)
    ]

    def verdict_of(ask: Ask) -> Verdict:
        return Verdict.NO if ask.question is Question.TRAINING_LOOP else Verdict.YES

    placed = benchmark(
        lambda: [place(each, methods, verdict_of, lambda _: True) for each in methods]
    )
    assert all(isinstance(each, Placement) for each in placed)


def test_tally(benchmark: Any) -> None:
    draw = random.Random(0)
    ballots = [draw.choices([True, False, None], [5, 4, 1], k=7) for _ in range(1000)]
    rule_of_five = VotingRule(5, spare=2)
    assert benchmark(lambda: [rule_of_five.tally(each) for each in ballots])


def test_decisions(benchmark: Any) -> None:
    reason = "The function adds two weighted terms, which is arithmetic between losses. " * 12
    answers = [
        f"{reason}\nDecision: True",
        f"{reason}\n**Decision:** False.",
        f'{{"reason": "{reason}", "decision": true}}',
        f"<think>{reason} Decision: True</think>\nDecision: False",
        reason,
    ]
    assert benchmark(lambda: [decision(a) for a in answers]) == [True, False, True, False, None]


def test_ranking(benchmark: Any) -> None:
    count = 20_000
    rng = np.random.default_rng(0)
    results = pd.DataFrame(
        {
            "query": [f"Query {i % 20}" for i in range(count)],
            "repository": [f"owner/{i}" for i in range(count)],
            "stars": rng.pareto(1.0, count).astype(int),
            "forks": rng.pareto(1.2, count).astype(int),
            "pushed_at": pd.Timestamp(AS_OF) - pd.to_timedelta(rng.integers(0, 2000, count), "D"),
            "created_at": pd.Timestamp("2018-01-01", tz="UTC"),
        }
    )
    assert len(benchmark(score, results, Weights(), AS_OF)) == count
