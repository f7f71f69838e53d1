"""Which ranked repositories make the corpus. Pure: frame in, frame out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from mining.study import RankingSettings

# a reason is one of these, or begins with one
FORK, ARCHIVED, LARGER = "fork", "archived", "larger than "
TAKEN_BY, BELOW = "taken by ", "below rank "
NO_PYTHON, COPY_OF = "no Python file", "copy of "


def select(ranked: pd.DataFrame, settings: RankingSettings) -> pd.DataFrame:
    """Take the best ``top`` repositories of each query that no earlier query took.

    Reads the columns query, repository, fork and rank, and archived and size_kb where the
    settings bar repositories for these. Queries are served in the order of their first
    appearance, their repositories by rank: where one is passed over, the next takes its place.
    Returns the same rows, by query and rank, with added columns:

    - selected: whether the repository enters the corpus through this query.
    - position: 1 to ``top`` among the selected of the query; missing for the others.
    - reason: why it is not selected: ``fork``, ``archived``, ``larger than <kB> kB``,
      ``taken by <query>`` or ``below rank <top>``, of which the first that holds is given;
      missing for the selected.
    """
    place, queries = pd.factorize(ranked["query"])
    order = np.lexsort((ranked["rank"], place))
    chosen, place = ranked.iloc[order].reset_index(drop=True), place[order]
    name, names = pd.factorize(chosen["repository"])
    barred, reasons = pd.factorize(bars(chosen, settings))
    taken = len(reasons) + np.arange(len(queries))  # the reasons of what each query took
    texts = [*reasons, *(f"{TAKEN_BY}{query}" for query in queries), f"{BELOW}{settings.top}"]

    # each row's number among the reasons; below rank until something else is found
    reason = np.where(barred >= 0, barred, len(texts) - 1)
    position = np.zeros(len(chosen), dtype=np.int64)
    taken_by = np.full(len(names), -1)
    for query, rows in enumerate(groups(place, len(queries))):
        free = rows[barred[rows] < 0]
        by = taken_by[name[free]]
        reason[free[by >= 0]] = by[by >= 0]
        best = free[by < 0][: settings.top]
        position[best] = np.arange(1, len(best) + 1)
        taken_by[name[best]] = taken[query]
    selected = position > 0
    return chosen.assign(
        selected=selected,
        position=pd.Series(position).where(selected).astype("Int64"),
        reason=pd.Series(texts, dtype="string").array.take(
            np.where(selected, -1, reason), allow_fill=True
        ),
    )


def bars(results: pd.DataFrame, settings: RankingSettings) -> pd.Series[str]:
    """Return why a result cannot be selected, whatever its score; missing where it can."""
    reason = pd.Series(pd.NA, results.index, dtype="string")
    if settings.max_repository_kb is not None:
        too_large = results["size_kb"] > settings.max_repository_kb
        reason = reason.mask(too_large, f"{LARGER}{settings.max_repository_kb} kB")
    if settings.archived == "exclude":
        reason = reason.mask(results["archived"].astype(bool), ARCHIVED)
    return reason.mask(results["fork"].astype(bool), FORK)


def unfit(corpus: pd.DataFrame, *, copies: bool) -> pd.Series[str]:
    """Return why fetched repositories are no part of the corpus; missing where they are.

    Reads the columns repository, commit, tree_sha256, python_files and reason, one row for each
    repository, in the order of selection; those with a reason were not fetched and keep it. Two
    things are only known of a repository that is there: that it holds no Python file
    (``no Python file``), and that it is at the commit, or holds the files, of an earlier one
    (``copy of <repository>``), which is looked for where ``copies`` is false.

    Nobody takes the place of such a repository, as in the published study: which ones are
    fetched is then known from the ranking alone, so that fetching can be killed and resumed, or
    done on another machine, and always ends with the same corpus.
    """
    reason = corpus["reason"].astype("string")
    reason = reason.mask(reason.isna() & (corpus["python_files"] == 0), NO_PYTHON)
    if copies:
        return reason
    original: dict[str, str] = {}
    for row, name, *marks in zip(
        corpus.index, corpus["repository"], corpus["commit"], corpus["tree_sha256"], strict=True
    ):
        if not pd.isna(reason[row]):
            continue
        found = [mark for mark in marks if not pd.isna(mark)]
        first = next((original[mark] for mark in found if mark in original), None)
        if first is not None:
            reason[row] = f"{COPY_OF}{first}"
        for mark in found:
            original.setdefault(mark, first or name)
    return reason


def changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return what entered and what left the corpus between two results of ``select``.

    One row for each such repository, the entered ones first, in the order of selection. Columns:
    change (``entered`` or ``left``), repository, query, rank; the last two as they are where it
    is selected. A repository that only came to another query is neither.
    """
    old, new = (frame.loc[frame["selected"]] for frame in (before, after))
    entered = new.loc[~new["repository"].isin(old["repository"])]
    left = old.loc[~old["repository"].isin(new["repository"])]
    columns = ["change", "repository", "query", "rank"]
    return pd.concat(
        [entered.assign(change="entered")[columns], left.assign(change="left")[columns]],
        ignore_index=True,
    )


def groups(place: npt.NDArray[np.int64], count: int) -> Iterator[npt.NDArray[np.int64]]:
    """Give the rows of each of ``count`` queries, by number; ``place`` has each row's, sorted."""
    edges = np.searchsorted(place, np.arange(count + 1))
    for start, end in pairwise(edges):
        yield np.arange(start, end)
