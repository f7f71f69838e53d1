"""What a run's placements would be by another rule: from its stored votes alone, changing nothing.

Rules are applied one after the other, so that each move of a snippet has the one that moved it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from classify.classification import PLACEMENTS, STORE
from classify.evidence import placed_by
from classify.judging import open_ballots, open_replay
from classify.metrics import UNPLACED
from classify.placement import Verdict
from classify.stopping import VotingRule
from classify.store import Store
from classify.subjects import placements, plan_of
from classify.tables import table_4_1
from classify.watching import watch
from mining.artifacts import Run
from mining.extracted import Corpus
from mining.study import Study, override

COUNTS = ("instances", "repositories", "distinct_texts")
"""The cells of Table 4.1."""
THIS_VERSION = "this version's parser and placing"
"""What is applied before all other rules: it moves what another version placed otherwise."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What shall be other than in the run; None stays as it was."""

    votes: int | None = None
    ties: Verdict | None = None
    gate: Literal["as_text", "as_printed"] | None = None
    bases: Literal["follow", "ignore"] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """How Table 4.1 moves, by which rules.

    ``table`` has the table's rows: category, and each count before and after the replay, such as
    ``instances_before`` and ``instances_after``. ``moves`` has the columns rule,
    from, to, snippets and repositories. ``missing`` counts the snippets that the stored votes do
    not suffice for: under such a rule they would have been asked other questions.
    """

    rules: tuple[str, ...]
    table: pd.DataFrame
    moves: pd.DataFrame
    missing: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it in plain values."""
        return {
            "rules": list(self.rules),
            "table_4_1": self.table.to_dict("records"),
            "moves": self.moves.to_dict("records"),
            "missing": self.missing,
        }

    def lines(self) -> Iterator[str]:
        """Give the table with what changed, then the moves."""
        yield f"Table 4.1 replayed by {', '.join(self.rules)}"
        yield f"{'':<22}" + "".join(f"{name:>24}" for name in COUNTS)
        for row in self.table.to_dict("records"):
            cells = (_cell(row[f"{name}_before"], row[f"{name}_after"]) for name in COUNTS)
            yield f"{row['category']:<22}" + "".join(f"{cell:>24}" for cell in cells)
        yield ""
        if self.moves.empty:
            yield "no snippet moves"
        for row in self.moves.to_dict("records"):
            yield (
                f"{row['rule']}: {row['from']} -> {row['to']}: {row['snippets']} snippets in "
                f"{row['repositories']} repositories"
            )
        if self.missing:
            yield (
                f"{self.missing} snippets are unplaced because votes which that needs were never "
                "asked for; classify with the same settings to have them"
            )


def replay(study: Study, run: Run, rules: Rules) -> Replay:
    """Place a run's snippets anew by other rules, from its stored votes.

    Raises ArtifactError if the run is not placed or its judge's votes are not there, PromptError.
    """
    judge, rule = placed_by(run)
    placed = run.read(PLACEMENTS)
    corpus = Corpus(run)
    before, moves, named = placed, [], []
    with Store(run.path(STORE)) as store:
        for name, study_then, rule_then in _steps(study, rule, rules):
            opened = replace(open_replay(study_then, corpus, judge), rule=rule_then)
            ballots = open_ballots(study_then, opened, store, store.reasons(judge))
            plan = plan_of(study_then, corpus)
            with watch(len(placed), f"replaying by {name}") as progress:
                after = placements(run, corpus, plan, ballots, progress, stored_only=True)
            moves.append(moves_between(before, after, name))
            named.append(name)
            before = after
    missing = int(before["reason"].str.contains("votes are stored, too few", na=False).sum())
    return Replay(tuple(named), _table(placed, before), pd.concat(moves), missing)


def moves_between(before: pd.DataFrame, after: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Count the snippets that changed their place between two tables of the same snippets.

    Columns are rule, from, to, snippets, repositories; the most frequent move comes first.
    """
    moved = pd.DataFrame(
        {
            "from": before["placement"].fillna(UNPLACED),
            "to": after["placement"].fillna(UNPLACED),
            "repository": after["repository"],
        }
    )
    moved = moved[moved["from"] != moved["to"]]
    counted = moved.groupby(["from", "to"], as_index=False).agg(
        snippets=("repository", "size"), repositories=("repository", "nunique")
    )
    counted = counted.sort_values(["snippets", "from", "to"], ascending=[False, True, True])
    counted.insert(0, "rule", rule)
    return counted


def _steps(study: Study, rule: VotingRule, rules: Rules) -> Iterator[tuple[str, Study, VotingRule]]:
    """Give the name of each rule in turn, with the study and the voting rule that hold with it."""
    yield THIS_VERSION, study, rule
    if rules.votes is not None:
        rule = replace(rule, votes=rules.votes)
        yield f"votes = {rules.votes}", study, rule
    if rules.ties is not None:
        rule = replace(rule, ties=rules.ties)
        yield f"ties = {rules.ties}", study, rule
    settings: Mapping[str, str | None] = {"gate": rules.gate, "bases": rules.bases}
    for key, value in settings.items():
        if value is not None:
            study = override(study, placement={key: value})
            yield f"{key} = {value}", study, rule


def _table(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    counts, others = (table_4_1(frame).frame for frame in (before, after))
    return counts.merge(others, on="category", suffixes=("_before", "_after"), sort=False)


def _cell(before: int, after: int) -> str:
    return f"{before:,}" if before == after else f"{before:,} -> {after:,} ({after - before:+,})"
