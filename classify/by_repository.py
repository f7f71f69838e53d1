"""The rules over a whole corpus: each repository is read by itself, by whatever worker is free.

The rules read one repository at a time, so that no snippet waits for an answer about another
repository. A worker places all snippets of one, by the same loop and the same store as any judge,
and leaves what came of it as a part. This process takes the parts in the order of the corpus: it
alone writes to the run's store, all votes on a repository in one transaction.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa

from classify.ask import Budget, Progress, Spent, budget_spent, check_answered, place_all
from classify.costs import COLUMNS as COST_COLUMNS
from classify.costs import PrintedAsks, costs_of
from classify.judges import Completion, JudgeSettings
from classify.judging import open_ballots, open_rules
from classify.metrics import UNPLACED
from classify.questions import Question
from classify.store import Cost, Store, StoredVote, Vote, stored_votes
from classify.subjects import (
    ARROW,
    PLACED_COLUMNS,
    Placed,
    Plan,
    Rows,
    plan_of,
    subjects_in,
)
from mining.artifacts import Run
from mining.engines import open_engine
from mining.extracted import Corpus, publish
from mining.loss_names import known_loss_names
from mining.parts import Parts, open_parts, part_key
from mining.progress import duration, track
from mining.records import Snippet
from mining.storage import Storage
from mining.study import Study

Table = tuple[str, pa.Table]
"""With its name in a part."""

_STAGE = "classify"
_PLACED, _VOTES, _COSTS, _PASSING = "placed", "votes", "costs", "passing"
"""What placing adds to the snippets, in their order; the votes as they are stored; what they
cost (see classify.costs); and which snippets pass the rules gate."""

_SNIPPET_S = 0.002
"""About so long one core takes for a snippet."""
_FEW = 250
"""So many tables are joined to one: a small table is mostly what Arrow notes about it."""
_NUMBERS = ("draw", "first_draw", "prompt_tokens", "output_tokens", "seed")
_COLUMNS = {
    _PLACED: PLACED_COLUMNS,
    _VOTES: {name: "int64" if name in _NUMBERS else "str" for name in StoredVote._fields},
    _COSTS: COST_COLUMNS,
    _PASSING: {"snippet_id": "str"},
}
_SCHEMAS = {
    table: pa.schema([(name, ARROW[kind]) for name, kind in columns.items()])
    for table, columns in _COLUMNS.items()
}


def place_by_repository(
    study: Study,
    run: Run,
    store: Store,
    judge: JudgeSettings,
    inputs: Mapping[str, str],
    progress: Progress,
    budget: Budget | None = None,
) -> Placed:
    """Have the rules place every snippet of a run, and keep their votes in its store.

    ``inputs`` are the hashes of what the corpus is read from. A repository on which every worker
    dies leaves its snippets unplaced. Raises BudgetSpentError, and JudgeError where nothing could
    be placed; what was answered until then is kept.
    """
    sizes = Corpus(run).sizes
    work = _work(study, run, _place, judge, inputs)
    taken = _Taken(store, judge, progress)
    limit = None if budget is None or budget.max_hours is None else budget.max_hours * 3600
    started = time.monotonic()
    with closing(_done(work, sizes)) as done:
        for repository, part, why_not in done:
            if part is not None:
                taken.take(part)
            else:
                taken.give_up(sizes[repository], why_not)
            over = limit is not None and time.monotonic() - started >= limit
            if over and taken.snippets < sum(sizes.values()):
                raise budget_spent(duration(limit or 0), taken.snippets, taken.spent)
    check_answered(judge.name, taken.spent)
    return Placed(taken.placed, taken.costs, taken.spent)


def passing_the_gate(
    study: Study, run: Run, judge: JudgeSettings, inputs: Mapping[str, str]
) -> Callable[[Snippet], bool]:
    """Have the rules read every repository, and return what tells which snippets pass their gate.

    ``judge`` is that of the rules. Where a worker died the snippets pass: no loss is lost so.
    """
    work = _work(study, run, _gate, judge, inputs)
    passing: set[str | None] = set()
    unread: set[str] = set()
    sizes = Corpus(run).sizes
    with closing(_done(work, sizes)) as done:
        for repository, part, _ in track(done, "rules gate", len(sizes)):
            if part is not None:
                passing.update(part[_PASSING]["snippet_id"].to_pylist())
            else:
                unread.add(repository)
    return lambda snippet: snippet.snippet_id in passing or snippet.repository in unread


def clear_parts(study: Study, run: Run) -> None:
    """Remove what workers left, once it is in the run's artifacts."""
    open_parts(run, study.scale, _STAGE).clear()


@dataclass(frozen=True)
class _Work:
    """What a worker does: leave the part of a repository, if it is not there.

    ``corpus`` is where its tables are published, if workers do not see the run's folder.
    ``depends_on`` is a hash of all that decides what ``read`` finds there, but for the repository.
    """

    run: Run
    corpus: Storage | None
    parts: Parts
    depends_on: str
    read: Callable[[Study, Corpus, Plan, str], Iterator[Table]]
    study: Study = field(compare=False)
    loss_names: tuple[str, ...] = field(compare=False)

    def key(self, repository: str) -> str:
        """Return the name of a repository's part."""
        return part_key(self.depends_on, repository)

    def __call__(self, repository: str) -> str:
        key = self.key(repository)
        if key not in self.parts:
            self.parts.put(key, self._tables(repository))
        return ""

    def _tables(self, repository: str) -> Iterator[Table]:
        corpus, plan = _opened(self)
        yield from self.read(self.study, corpus, plan, repository)


def _work(
    study: Study,
    run: Run,
    read: Callable[[Study, Corpus, Plan, str], Iterator[Table]],
    judge: JudgeSettings,
    inputs: Mapping[str, str],
) -> _Work:
    names = known_loss_names(study.placement.loss_functions)
    placement, savings = study.placement.model_dump(), study.savings.model_dump()
    depends_on = part_key(read.__name__, judge.sha256, inputs, names, placement, savings)
    parts = open_parts(run, study.scale, _STAGE)
    elsewhere = study.scale.engine == "ray" and study.scale.storage is not None
    corpus = publish(run, Storage(parts.address)) if elsewhere else None
    return _Work(Run(run.folder.resolve()), corpus, parts, depends_on, read, study, names)


@lru_cache(maxsize=1)
def _opened(work: _Work) -> tuple[Corpus, Plan]:
    """Return what a worker needs for each repository alike."""
    corpus = Corpus(work.run, published=work.corpus)
    return corpus, plan_of(work.study, corpus, work.loss_names)


def _done(
    work: _Work, sizes: Mapping[str, int]
) -> Generator[tuple[str, dict[str, pa.Table] | None, str]]:
    """Give each repository with the tables of its part, or else None and why not, in order.

    ``sizes``: how many snippets each has.
    """
    there = work.parts.keys()
    missing = [each for each in sizes if work.key(each) not in there]
    lost = open_engine(work.study.scale).map(
        work, missing, lambda _, reason: reason, lambda each: sizes[each] * _SNIPPET_S
    )
    try:
        with closing(lost):
            for repository in sizes:
                key = work.key(repository)
                why_not = "" if key in there else next(lost)
                yield repository, None if why_not else dict(work.parts.get(key)), why_not
    finally:
        _opened.cache_clear()  # what this process opened, where it did work itself


def _place(study: Study, corpus: Corpus, plan: Plan, repository: str) -> Iterator[Table]:
    """Have the rules place a repository's snippets."""
    printed = PrintedAsks()
    subjects = list(subjects_in(corpus, repository, plan, printed))
    votes = _Votes()
    ballots = open_ballots(study, open_rules(study, corpus), votes, {})
    rows = Rows(len(subjects), ballots)
    place_all(subjects, ballots, rows.put)
    yield _PLACED, rows.table().cast(_SCHEMAS[_PLACED])
    yield _VOTES, _table(_VOTES, sorted(votes.stored))
    costs = costs_of(printed, ballots.paid(), ballots.rule.votes)
    yield _COSTS, pa.Table.from_pandas(costs, _SCHEMAS[_COSTS], preserve_index=False)


def _gate(_: Study, corpus: Corpus, plan: Plan, repository: str) -> Iterator[Table]:
    """Have the rules say which of a repository's snippets may hold a loss."""
    snippets = corpus.snippets(repository)
    passing = [(each.snippet_id,) for each in snippets if plan.passes_gate(each)]
    yield _PASSING, _table(_PASSING, passing)


class _Votes:
    """The votes on one repository, held until they are handed over; see classify.store.Store."""

    def __init__(self) -> None:
        self.stored: list[StoredVote] = []
        self._by_prompt: defaultdict[str, list[Vote]] = defaultdict(list)

    def votes(self, prompt_sha256: str, *_: object) -> list[Vote]:
        return self._by_prompt[prompt_sha256]

    def add(self, completion: Completion, *_: object) -> None:
        for vote in stored_votes(completion):
            self.stored.append(vote)
            self._by_prompt[vote.prompt_sha256].append(
                Vote(vote.draw, vote.text, vote.finish_reason)
            )

    def fail(self, completion: Completion, *_: object) -> None:
        raise AssertionError(f"the rules answer everything: {completion.error}")

    def costs(self, *_: object) -> Iterator[Cost]:
        return map(_cost, self.stored)


class _Taken:
    """What has come of the repositories so far."""

    def __init__(self, store: Store, judge: JudgeSettings, progress: Progress) -> None:
        self.spent = Spent()
        self._placed: list[pa.Table] = []
        self._few: list[pa.Table] = []
        self.snippets = 0
        self._costs: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._store = store
        self._judge = judge
        self._progress = progress

    @property
    def placed(self) -> pa.Table:
        """What placing adds to the snippets, in their order."""
        empty = _SCHEMAS[_PLACED].empty_table()
        return pa.concat_tables([empty, *self._placed, *self._few])

    @property
    def costs(self) -> pd.DataFrame:
        """What was paid for all repositories; the printed algorithm's asks by the repository."""
        rows = [{"question": q.value, **self._costs[q]} for q in Question if q in self._costs]
        return pd.DataFrame(rows, columns=list(COST_COLUMNS)).astype(COST_COLUMNS)

    def take(self, part: Mapping[str, pa.Table]) -> None:
        """Keep the votes of a part, and note its placements."""
        votes = list(map(StoredVote._make, _rows(part[_VOTES])))
        new = self._store.add_all(votes, self._judge) if votes else 0
        self.spent.asks += new
        self.spent.votes += new
        self.spent.stored += len(votes) - new
        for row in part[_COSTS].to_pylist():
            self._costs[row.pop("question")].update(row)
        self._end(part[_PLACED], new)

    def give_up(self, snippets: int, why: str) -> None:
        """Note that nobody could place the snippets of a repository."""
        self.spent.failed += snippets
        self.spent.reason = self.spent.reason or why
        row = {"judge": self._judge.name, "reason": f"no verdict: {why}", "flip_risk": 0.0}
        self._end(pa.Table.from_pylist([row] * snippets, _SCHEMAS[_PLACED]), 0)

    def _end(self, placed: pa.Table, votes: int) -> None:
        self._few.append(placed)
        if len(self._few) == _FEW:
            self._placed.append(pa.concat_tables(self._few).combine_chunks())
            self._few = []
        self.snippets += len(placed)
        ends = Counter(placed["placement"].to_pylist())
        self._progress.added(votes, {end or UNPLACED: count for end, count in ends.items()})


def _cost(vote: StoredVote) -> Cost:
    return Cost(
        vote.prompt_sha256,
        Question(vote.question),
        vote.code_sha256,
        len(vote.messages),
        votes=1,
        requests=1,
        prompt_tokens=vote.prompt_tokens,
        output_tokens=vote.output_tokens,
    )


def _table(name: str, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    schema = _SCHEMAS[name]
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.table(arrays, schema=schema)


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)
