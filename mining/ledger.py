"""The ledger of a search: for each query, what GitHub counted and what it gave. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mining.answers import Page
from mining.windows import ATTEMPTS, LIMITS, Limits, Reading, Request

LEDGER = "ledger.parquet"
COLUMNS = {
    "query": "string",
    "total_count_first": "int64",
    "total_count_last": "int64",
    "windows": "int64",
    "windows_divided": "int64",
    "windows_unfinished": "int64",
    "pages": "int64",
    "pages_least": "int64",
    "pages_incomplete": "int64",
    "retries": "int64",
    "results": "int64",
    "withheld": "int64",
    "duplicates": "int64",
    "unique": "int64",
    "expected": "int64",
    "gap_percent": "float64",
}
"""Of ``ledger.parquet``, one row for each query.

- total_count_first, total_count_last: GitHub's count for the whole query, as first and as last
  seen.
- windows: those that stand for the query, each read to its end. windows_divided: those asked
  beside them, that held too many results or lost some between pages, and so were divided.
  windows_unfinished: of ``windows``, those of which GitHub showed less than it counted, or a
  page that stayed incomplete.
- pages: answers stored. Requests that failed are not counted. pages_least: the fewest that
  ``expected`` results fit on.
- pages_incomplete: answers that GitHub called incomplete. retries: answers asked for again
  because of that.
- results: places on the pages of ``windows``. withheld: those of them without a public
  repository. duplicates: those that show a repository again.
- unique: repositories on any page, told apart by GitHub's number, which outlives a renaming.
  More than ``results - withheld - duplicates`` where one was only seen before a window was
  divided.
- expected: what a whole search would give: total_count_last, and at most the first 1,000 where
  only they are asked for.
- gap_percent: how much of ``expected`` is neither among ``unique`` nor ``withheld``.
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """All pages of a query, in the order in which they were asked, and what was made of them."""

    query: str
    pages: tuple[tuple[Request, Page], ...]
    reading: Reading

    @property
    def standing(self) -> list[Page]:
        """The pages of the windows that stand for the query, in order."""
        return [page for window in self.reading.windows for page in window.pages]


def ledger(searched: Iterable[Answers], limits: Limits = LIMITS) -> pd.DataFrame:
    """Return one row for each query; see ``COLUMNS``."""
    rows = [_row(each, limits) for each in searched]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def ledger_lines(table: pd.DataFrame) -> list[str]:
    """Return the ledger as lines for people: a heading, and a line for each query."""
    heading = (
        "query",
        "total",
        "windows",
        "unfinished",
        "pages",
        "incomplete",
        "retries",
        "unique",
        "duplicates",
        "gap",
    )
    cells = [heading]
    for row in table.to_dict("records"):
        first, last = row["total_count_first"], row["total_count_last"]
        cells.append(
            (
                str(row["query"]),
                f"{first}" if first == last else f"{first} to {last}",
                str(row["windows"]),
                str(row["windows_unfinished"]),
                str(row["pages"]),
                str(row["pages_incomplete"]),
                str(row["retries"]),
                str(row["unique"]),
                str(row["duplicates"]),
                f"{row['gap_percent']:.2f} %",
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [f"  {_aligned(row, widths)}" for row in cells]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([cells[0].ljust(widths[0]), *numbers])


def _row(answers: Answers, limits: Limits) -> dict[str, Any]:
    reading = answers.reading
    standing = [place for page in answers.standing for place in page.places]
    shown = [place.repository_id for place in standing if place is not None]
    unique = {p.repository_id for _, page in answers.pages for p in page.places if p is not None}
    withheld = len(standing) - len(shown)
    whole_query = reading.windows[0].window is None
    expected = min(reading.total_last, limits.shown) if whole_query else reading.total_last
    missing = max(0, expected - len(unique) - withheld)
    return {
        "query": answers.query,
        "total_count_first": reading.total_first,
        "total_count_last": reading.total_last,
        "windows": len(reading.windows),
        "windows_divided": len({r.window for r, _ in answers.pages}) - len(reading.windows),
        "windows_unfinished": sum(not window.whole for window in reading.windows),
        "pages": len(answers.pages),
        "pages_least": max(1, math.ceil(expected / limits.per_page)),
        "pages_incomplete": sum(page.incomplete for _, page in answers.pages),
        "retries": sum(request.attempt not in (1, ATTEMPTS + 1) for request, _ in answers.pages),
        "results": len(standing),
        "withheld": withheld,
        "duplicates": len(shown) - len(set(shown)),
        "unique": len(unique),
        "expected": expected,
        "gap_percent": 100 * missing / expected if expected else 0.0,
    }
