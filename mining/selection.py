"""Which ranked repositories make the corpus. Pure: frame in, frame out."""

from __future__ import annotations

import pandas as pd


def select(ranked: pd.DataFrame, top: int) -> pd.DataFrame:
    """Take the best ``top`` repositories of each query that no earlier query took; no forks.

    Reads the columns query, repository, fork and rank. Queries are served in the order of their
    first appearance, their repositories by rank: where one is passed over, the next takes its
    place. Returns the same rows, by query and rank, with added columns:

    - selected: whether the repository enters the corpus through this query.
    - position: 1 to ``top`` among the selected of the query; missing for the others.
    - reason: why it is not selected: ``fork``, ``taken by <query>`` or ``below rank <top>``,
      of which the first that holds is given; missing for the selected.
    """
    taken_by: dict[str, str] = {}
    parts = [ranked.iloc[:0]]
    for query, results in ranked.groupby("query", sort=False):
        results = results.sort_values("rank")
        taken = "taken by " + results["repository"].map(taken_by).astype("string")
        reason = taken.mask(results["fork"].astype(bool), "fork")
        free = reason.isna()
        position = free.cumsum().where(free).astype("Int64")
        selected = free & (position <= top).fillna(False).astype(bool)
        parts.append(
            results.assign(
                selected=selected,
                position=position.where(selected),
                reason=reason.mask(free & ~selected, f"below rank {top}"),
            )
        )
        taken_by |= dict.fromkeys(results.loc[selected, "repository"], str(query))
    chosen = pd.concat(parts[1:] or parts, ignore_index=True)
    columns = {"selected": "bool", "position": "Int64", "reason": "string"}
    return chosen.reindex(columns=[*ranked.columns, *columns]).astype(columns)


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
