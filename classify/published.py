"""The published tables beside ours: the same computation must give the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from classify.metrics import confusion, counts, weighted_f1_wilson
from classify.rendering import Table
from classify.tables import table_4_1, table_d_2, table_d_3, table_d_4, table_d_5
from mining.shipped import shipped

_ROUNDING = 0.005 + 1e-9
"""Half of the last of the two published decimals."""


def published(name: str) -> pd.DataFrame:
    """Return a published table that ships with lossplace, such as ``table_d_1_sample``."""
    return pd.read_csv(shipped(f"data/published/{name}.csv"))


def compare_published() -> list[Table]:
    """Compute the tables D.2 to D.5 from the published rows of D.1, and put both side by side.

    Each table has one row for each published cell: the names of its row and column, ``ours``,
    ``published``, and ``agrees``: whether ours rounds to the published number.
    """
    sample = published("table_d_1_sample")
    interval = published("table_d_5_interval").assign(method="wilson")
    matrix = confusion(sample["actual"], sample["predicted"])
    table = counts(matrix)
    ours = weighted_f1_wilson(matrix, float(interval["confidence"].iloc[0]))
    return [
        _beside(table_d_2({"": matrix}), published("table_d_2_confusion"), "actual"),
        _beside(table_d_3({"": table}), published("table_d_3_counts"), "category"),
        _beside(table_d_4({"": table}), published("table_d_4_f1"), "category"),
        _beside(table_d_5({"": [ours]}), interval, "method"),
    ]


def compare_table_4_1(placements: pd.DataFrame) -> Table:
    """Put the counts of a run beside those of the published table 4.1.

    Columns: category, counted (``instances`` or ``repositories``), ours, published and
    difference. The corpora differ, so a difference is no error.
    """
    beside = _beside(table_4_1(placements), published("table_4_1_instances"), "category")
    frame = beside.frame.rename(columns={"cell": "counted"}).drop(columns="agrees")
    return replace(
        beside,
        frame=frame.assign(difference=frame["ours"] - frame["published"]),
        note="The published counts are of another corpus and another judge.",
    )


def _beside(table: Table, theirs: pd.DataFrame, key: str) -> Table:
    """Return a row for each cell of a published table, with our value of the same cell."""
    mine = table.frame.set_index(key)
    cells = [
        (row, column, mine.at[row, column], value)
        for row, values in theirs.set_index(key).iterrows()
        for column, value in values.items()
    ]
    frame = pd.DataFrame(cells, columns=[key, "cell", "ours", "published"])
    frame["agrees"] = (frame["ours"] - frame["published"]).abs() <= _ROUNDING
    return replace(
        table,
        name=f"{table.name}_published",
        title=f"{table.title}; ours and published",
        frame=frame,
    )
