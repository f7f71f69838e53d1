"""The funnel: where each result of a search ends on its way into the corpus. Pure."""

from __future__ import annotations

import pandas as pd

from mining.selection import ARCHIVED, BELOW, COPY_OF, FORK, LARGER, NO_PYTHON, TAKEN_BY

FUNNEL = "funnel.parquet"
COLUMNS = {"stage": "str", "reason": "str", "results": "int64", "repositories": "int64"}

_TAKEN = "taken by an earlier query"
_SELECTED = "selected"
_NOT_FETCHED = "could not be fetched"
_COPY = "copy of another"
_IN = "in the corpus"


def funnel(candidates: pd.DataFrame, corpus: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return how many results of the search end where, in the order in which they are sifted.

    ``candidates`` has the columns repository and reason, as ``select`` gives them; ``corpus``,
    once the selected repositories were fetched, repository and reason of each. Columns of the
    result: stage (``rank`` or ``fetch``), reason, results, repositories. The last row counts
    what is left, ``selected`` or ``in the corpus``.

    Each result ends in one row, so ``results`` adds up to the candidates. So does
    ``repositories`` to the distinct ones: a repository that several queries found counts where
    it comes furthest, and what an earlier query took counts with that query.
    """
    ends = candidates["reason"].fillna(_SELECTED)
    if corpus is not None:
        fetched = corpus.set_index("repository")["reason"].map(_after_fetch)
        ends = ends.where(ends != _SELECTED, candidates["repository"].map(fetched))
    code, reasons = pd.factorize(ends)
    named = [_row(reason) for reason in reasons]
    left = ("rank", _SELECTED) if corpus is None else ("fetch", _IN)
    rows = sorted({*named, left}, key=_order)
    place = pd.Series([rows.index(row) for row in named], dtype="int64")
    at = pd.Series(place.to_numpy()[code], index=candidates.index)
    found = pd.DataFrame(rows, columns=["stage", "reason"])
    for column, counted in (
        ("results", at),
        ("repositories", at.groupby(pd.factorize(candidates["repository"])[0]).max()),
    ):
        found[column] = counted.value_counts().reindex(found.index, fill_value=0)
    return found.astype(COLUMNS)


def funnel_lines(found: pd.DataFrame) -> list[str]:
    """Return the funnel as lines: what there was, what went, and what is left."""
    *gone, left = found.itertuples(index=False)
    rows = [
        ("found by the search", found["results"].sum(), found["repositories"].sum()),
        *((f"- {row.reason}", row.results, row.repositories) for row in gone),
        (f"= {left.reason}", left.results, left.repositories),
    ]
    width = max(len(name) for name, *_ in rows)
    head = f"  {'':<{width}}  {'results':>9}  {'repositories':>12}"
    return [head, *(f"  {name:<{width}}  {n:>9,}  {m:>12,}" for name, n, m in rows)]


_RANKED = (FORK, ARCHIVED, LARGER, _TAKEN, BELOW, _SELECTED)
_FETCHED = (_NOT_FETCHED, NO_PYTHON, _COPY, _IN)


def _after_fetch(reason: str | None) -> str:
    """Return how the funnel calls a reason of the corpus; git has many to refuse a repository."""
    if pd.isna(reason):
        return _IN
    if reason.startswith(COPY_OF):
        return _COPY
    return reason if reason == NO_PYTHON else _NOT_FETCHED


def _row(reason: str) -> tuple[str, str]:
    """Return the stage and the row of the funnel for a reason, of which each query has its own."""
    if reason.startswith(TAKEN_BY):
        return "rank", _TAKEN
    return "fetch" if reason in _FETCHED else "rank", reason


def _order(row: tuple[str, str]) -> tuple[int, int]:
    stage, reason = row
    known = _RANKED if stage == "rank" else _FETCHED
    place = next(i for i, start in enumerate(known) if reason.startswith(start))
    return ("rank", "fetch").index(stage), place
