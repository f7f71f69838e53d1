"""How the snippets of a corpus are placed: what a study says of it, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from classify.ask import Ballots, Budget, Progress, Spent, Subject, place_all, place_stored
from classify.costs import PrintedAsks
from classify.gate import RULES_GATE, repeats, rules_gate
from classify.placement import Category, Placement, Verdict, VerdictOf, first_question, place
from classify.questions import Ask, Question
from classify.remembering import remembered
from mining.artifacts import Run
from mining.extracted import Corpus
from mining.extraction import SNIPPETS
from mining.hierarchy import with_class_functions
from mining.loss_names import known_loss_names, loss_name_finder
from mining.records import Snippet
from mining.study import PlacementSettings, SavingsSettings, Study

NamesLoss = Callable[[Snippet], bool]
"""Tells whether a snippet names a known loss function."""

SNIPPET_COLUMNS = {
    "snippet_id": "str",
    "repository": "str",
    "commit": "str",
    "path": "str",
    "start_line": "int64",
    "end_line": "int64",
    "kind": "str",
    "qualname": "str",
    "code_sha256": "str",
}
"""What names a snippet, in every table with one row for each."""

PLACED_COLUMNS = {
    "placement": "str",
    **{question.value: "str" for question in Question},
    "judge": "str",
    "reason": "str",
    "flip_risk": "float64",
}
"""What placing adds to them."""

ARROW: Mapping[str, pa.DataType] = {
    "str": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
}

COLUMNS = {**SNIPPET_COLUMNS, **PLACED_COLUMNS}
SCHEMA = pa.schema([(name, ARROW[kind]) for name, kind in COLUMNS.items()])
"""Of ``placements.parquet``, one row for each snippet. ``placement`` is null where there is none,
and ``reason`` says why; it also says where a placement was made without asking. Each question's
column holds yes, no or none (no verdict), or null where it was not asked; for a method,
training_loop and model_definition speak of its class. ``flip_risk`` is the greatest one taken on a
verdict that the placement looked at, 0 unless the study takes any (savings.max_flip_risk)."""

_VALUES: Mapping[str, Sequence[str | None]] = {
    "placement": [None, *Category],
    **{question.value: [None, *Verdict] for question in Question},
}
_ROWS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How snippets are placed: the study's settings, and what they are told apart by.

    ``passes_gate`` tells of a snippet whether it is asked about at all, ``may_train`` whether it
    is asked about training_loop; see classify.gate.
    """

    placement: PlacementSettings
    savings: SavingsSettings
    names_loss: NamesLoss
    passes_gate: Callable[[Snippet], bool] = lambda _: True
    may_train: Callable[[Snippet], bool] = lambda _: True

    def place(
        self, snippet: Snippet, class_functions: Sequence[Snippet], verdict_of: VerdictOf
    ) -> Placement | frozenset[Ask]:
        """Place a snippet, or return the asks that this still needs; see placement.place."""
        if not self.passes_gate(snippet):
            return Placement(snippet, Category.NO_LOSS, {}, unasked=RULES_GATE)

        def verdict(ask: Ask) -> Verdict | None:
            if ask.question is Question.TRAINING_LOOP and not self.may_train(ask.snippet):
                return Verdict.NO
            return verdict_of(ask)

        names_loss = self.names_loss
        if self.savings.rules_gate:  # it has answered loss_related, so that nobody else is asked
            passed = self.placement.gate == "as_text"
            names_loss = lambda _: passed  # noqa: E731
        return place(
            snippet,
            class_functions,
            verdict,
            names_loss,
            self.placement.gate,
            stop_at_yes=self.savings.stop_at_yes,
            class_once=self.savings.class_once,
        )

    def first_question(self, snippet: Snippet) -> Question:
        """Return what is asked about a snippet before all else, if anything is."""
        return first_question(snippet, self.names_loss, self.placement.gate)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """What placing a corpus gives: ``costs.parquet``, what was spent, and ``added``.

    That is what placing adds to each snippet (``PLACED_COLUMNS``), in the corpus's order.
    """

    added: pa.Table
    costs: pd.DataFrame
    spent: Spent


def placements(
    run: Run,
    corpus: Corpus,
    plan: Plan,
    ballots: Ballots,
    progress: Progress | None = None,
    *,
    stored_only: bool = False,
) -> pd.DataFrame:
    """Place every snippet of a corpus; returns what would be ``placements.parquet``.

    See ``placed``.
    """
    added = placed(corpus, plan, ballots, progress, stored_only=stored_only)
    return pa.concat_tables([SCHEMA.empty_table(), *with_snippets(run, added)]).to_pandas()


def placed(
    corpus: Corpus,
    plan: Plan,
    ballots: Ballots,
    progress: Progress | None = None,
    budget: Budget | None = None,
    printed: PrintedAsks | None = None,
    *,
    stored_only: bool = False,
) -> pa.Table:
    """Place every snippet of a corpus; returns what that adds to each, see Placed.

    ``printed`` takes note of what the printed algorithm would have asked. With ``stored_only``
    nobody is asked and nothing is written: where votes are missing, there is no verdict. Raises
    as place_all, and MissingVoteError in a replay.
    """
    rows = Rows(sum(corpus.sizes.values()), ballots)
    subjects = subjects_of(corpus, plan, printed)
    if stored_only:
        place_stored(subjects, ballots, rows.put, progress)
    else:
        place_all(subjects, ballots, rows.put, progress, budget)
    return rows.table()


def with_snippets(run: Run, added: pa.Table) -> Iterator[pa.Table]:
    """Give the rows of ``placements.parquet``, some at a time; ``added``: see Placed."""
    run.sha256(SNIPPETS)  # so that no damaged one is read
    first = 0
    held: list[pa.Table] = []
    with pq.ParquetFile(run.path(SNIPPETS)) as snippets:
        for number in range(snippets.num_row_groups):
            held.append(snippets.read_row_group(number, list(SNIPPET_COLUMNS)))
            rows = sum(map(len, held))
            if rows >= _ROWS_AT_ONCE or number == snippets.num_row_groups - 1:
                columns = [*pa.concat_tables(held).columns, *added.slice(first, rows).columns]
                yield pa.table(columns, list(COLUMNS)).cast(SCHEMA)
                first, held = first + rows, []


class Rows:
    """The columns that placing adds (``PLACED_COLUMNS``), filled in whatever order.

    A snippet takes 21 bytes and the text of its reason, if it has one.
    """

    def __init__(self, size: int, ballots: Ballots) -> None:
        self._ballots = ballots
        self._judge = ballots.judge.settings.name
        self._codes = {name: np.zeros(size, np.uint8) for name in _VALUES}
        """Of placement and questions: places in ``_VALUES``."""
        self._reasons: list[str | None] = [None] * size
        self._flip_risks = np.zeros(size)

    def put(self, number: int, placement: Placement, flip_risk: float) -> None:
        """Note the end of a snippet."""
        self._codes["placement"][number] = _VALUES["placement"].index(placement.category)
        for question, verdict in placement.verdicts.items():
            self._codes[question][number] = _VALUES[question].index(verdict)
        self._reasons[number] = placement.unasked or (
            self._ballots.reason(placement.undecided) if placement.undecided else None
        )
        self._flip_risks[number] = flip_risk

    def table(self) -> pa.Table:
        """Return the columns, once all rows are put."""
        size = len(self._reasons)
        columns: dict[str, pa.Array[Any]] = {
            name: _decoded(codes, _VALUES[name]) for name, codes in self._codes.items()
        }
        columns["judge"] = _decoded(np.zeros(size, np.uint8), [self._judge])
        columns["reason"] = pa.array(self._reasons, pa.string())
        columns["flip_risk"] = pa.array(self._flip_risks)
        return pa.table({name: columns[name] for name in PLACED_COLUMNS})


def _decoded(codes: npt.NDArray[np.uint8], values: Sequence[str | None]) -> pa.Array[Any]:
    return pa.DictionaryArray.from_arrays(codes, pa.array(values, pa.string()))


def subjects_of(
    corpus: Corpus, plan: Plan, printed: PrintedAsks | None = None
) -> Iterator[Subject]:
    """Give every snippet with what places it, in the corpus's order, a repository at a time."""
    numbers = count()
    for repository in corpus.repositories:
        yield from subjects_in(corpus, repository, plan, printed, numbers)


def subjects_in(
    corpus: Corpus,
    repository: str,
    plan: Plan,
    printed: PrintedAsks | None = None,
    numbers: Iterator[int] | None = None,
) -> Iterator[Subject]:
    """Give the snippets of one repository with what places them; numbered from 0 by default."""
    around = with_class_functions(
        corpus.snippets(repository),
        corpus.classes(repository),
        follow=plan.placement.bases == "follow",
    )
    for (snippet, of_class), number in zip(around, numbers or count(), strict=False):
        yield Subject(number, partial(_place, plan, printed, snippet, of_class))


def plan_of(study: Study, corpus: Corpus, loss_names: tuple[str, ...] | None = None) -> Plan:
    """Return how a study places the snippets of a corpus.

    ``loss_names`` are the known losses, where the study's list of them is read already. Raises
    InputError if that cannot be read.
    """
    in_text = loss_name_finder(loss_names or known_loss_names(study.placement.loss_functions))
    names_loss = remembered(lambda snippet: in_text(snippet.text))
    if study.savings.rules_gate:
        return Plan(study.placement, study.savings, names_loss, rules_gate(corpus), repeats)
    return Plan(study.placement, study.savings, names_loss)


def names_known_loss(settings: PlacementSettings) -> NamesLoss:
    """Return a function that tells whether a snippet's text names a known loss function.

    Raises InputError if the study's own list of them cannot be read.
    """
    in_text = loss_name_finder(known_loss_names(settings.loss_functions))
    return lambda snippet: in_text(snippet.text)


def _place(
    plan: Plan,
    printed: PrintedAsks | None,
    snippet: Snippet,
    of_class: Sequence[Snippet],
    verdict_of: VerdictOf,
) -> Placement | frozenset[Ask]:
    result = plan.place(snippet, of_class, verdict_of)
    if printed is not None and isinstance(result, Placement):
        printed.add(result, plan.first_question(snippet), of_class)
    return result
