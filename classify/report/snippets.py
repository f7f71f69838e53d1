"""The snippets of a report: one table of all, and shards of their code and of their votes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from classify.labelling import permalink
from classify.metrics import CATEGORIES, UNPLACED
from classify.questions import Question
from classify.report.asked import Case, Hearing, Records, Step
from classify.report.shards import Series, Shards, trigrams
from mining.errors import ArtifactError
from mining.hierarchy import ancestry
from mining.licenses import Licenses
from mining.progress import track
from mining.records import Kind, Snippet

PLACES = (*CATEGORIES, UNPLACED)
"""What the numbers mean that stand for a placement."""
VERDICTS = ("yes", "no", "none")
KINDS = tuple(Kind)

TABLE, CODE, CASES, TRIGRAMS = "snippets", "code", "cases", "trigrams"
"""The shards: ``snippets`` and ``trigrams`` are one each, the others many."""


def write_snippets(
    shards: Shards,
    records: Records,
    placements: pd.DataFrame,
    licenses: Licenses | None,
) -> dict[str, Any]:
    """Write the shards of all snippets; return what finds them, for the page to begin with.

    ``snippets`` holds a list for each column, in which the place in the list is the snippet's
    number: ``id`` (all in one string, 16 digits each), ``file``, ``line``, ``end``, ``kind``,
    ``name``, ``placed``, ``margin`` and ``text`` (equal for equal code); ``files`` has
    the repository's number and the path of each file. Shard ``code-<n>`` has the code of some
    consecutive snippets, None where ``licenses`` do not let it be passed on (without licences,
    all is shown); ``cases-<n>`` what placed each (see ``_case``). Memory grows with the table
    and with the largest repository only.

    Raises ArtifactError if the placements are not what the votes give.
    """
    table = _Table()
    code, cases = Series(shards, CODE), Series(shards, CASES)
    texts: list[str] = []
    signatures: list[str] = []
    placed = placements[["snippet_id", "placement"]].itertuples(index=False, name=None)
    repositories = records.corpus.repositories
    for place, repository in enumerate(track(repositories, "reporting", len(repositories))):
        hearing = records.hear(repository)
        shown = licenses is None or licenses.allows(repository)
        numbers = {
            case.snippet.snippet_id: len(table) + number
            for number, case in reversed(list(enumerate(hearing.cases)))
        }
        for case in hearing.cases:
            category = case.placement.category and case.placement.category.value
            if (case.snippet.snippet_id, category) != _as_written(next(placed, None)):
                raise ArtifactError(
                    "Expected the placements to be what the run's votes and study give, found "
                    "others; run `lossplace classify` first."
                )
            text = case.snippet.text if shown else None
            if code.add(text, len(text or "")) and texts:
                signatures.append(trigrams(texts))
                texts.clear()
            texts.append(text or "")
            item = _case(case, hearing, numbers)
            cases.add(item, _weight(item["asks"]))
            table.add(place, case, hearing.margin(case))
    code.end()
    cases.end()
    if texts:
        signatures.append(trigrams(texts))
    shards.write(TABLE, table.columns())
    shards.write(TRIGRAMS, signatures)
    return {"count": len(table), CODE: code.starts, CASES: cases.starts}


def _as_written(row: tuple[Any, ...] | None) -> tuple[str, str | None] | None:
    return None if row is None else (row[0], None if pd.isna(row[1]) else row[1])


class _Table:
    """The columns of all snippets, as they come."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._rows: list[tuple[int, int, int, int, str, int, int, int]] = []
        self._files: dict[tuple[int, str], int] = {}
        self._texts: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, repository: int, case: Case, margin: int) -> None:
        snippet = case.snippet
        self._ids.append(snippet.snippet_id)
        self._rows.append(
            (
                self._files.setdefault((repository, snippet.path), len(self._files)),
                snippet.start_line,
                snippet.end_line,
                KINDS.index(snippet.kind),
                snippet.qualname,
                PLACES.index(case.placement.category or UNPLACED),
                margin,
                self._texts.setdefault(bytes.fromhex(snippet.code_sha256), len(self._texts)),
            )
        )

    def columns(self) -> dict[str, Any]:
        names = ("file", "line", "end", "kind", "name", "placed", "margin", "text")
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in names)
        return {
            "id": "".join(self._ids),
            **{name: list(column) for name, column in zip(names, columns, strict=True)},
            "files": [[repository, path] for repository, path in self._files],
        }


def _case(case: Case, hearing: Hearing, numbers: Mapping[str, int]) -> dict[str, Any]:
    """Return what a page shows of a snippet beside its code; snippets are named by number.

    ``names`` tells whether it names a known loss; ``steps`` are [question, verdict, snippets
    asked about]; ``asks`` are the questions put about this very snippet, with verdict, votes
    ([decision, text, finish reason]) and why there are none; and ``classes`` are its class and the
    bases of that in the repository.
    """
    snippet = case.snippet
    return {
        "link": permalink(snippet),
        "names": case.names_loss,
        "steps": [
            [step.question.value, step.verdict.value, _about(step, hearing, numbers)]
            for step in case.steps
        ],
        "asks": {
            question.value: [
                found.verdict.value,
                [list(vote) for vote in found.votes],
                found.refused,
            ]
            for question in Question
            if (found := hearing.answered.get((question, snippet.snippet_id))) is not None
        },
        "classes": list(_classes(snippet, hearing, numbers)),
    }


def _about(step: Step, hearing: Hearing, numbers: Mapping[str, int]) -> list[list[Any]]:
    asked = ((s, hearing.answered.get((step.question, s.snippet_id))) for s in step.about)
    return [[numbers[s.snippet_id], found and found.verdict.value] for s, found in asked]


def _classes(
    snippet: Snippet, hearing: Hearing, numbers: Mapping[str, int]
) -> Iterable[dict[str, Any]]:
    for key in ancestry(f"{snippet.path}::{snippet.class_qualname}", hearing.classes):
        if (found := hearing.classes.get(key)) is not None:
            yield {
                "name": found.qualname,
                "path": found.path,
                "line": found.start_line,
                "bases": [
                    list(pair) for pair in zip(found.bases, found.resolved_bases, strict=False)
                ],
                "methods": [numbers[each.snippet_id] for each in hearing.functions.get(key, ())],
            }


def _weight(asks: Mapping[str, Sequence[Any]]) -> int:
    return 100 + sum(len(text) for _, votes, _ in asks.values() for _, text, _ in votes)
