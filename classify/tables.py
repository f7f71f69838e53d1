"""The tables of the study: what was found (4.1), and how right it is (D.1 to D.5). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from classify.evaluate import Evaluation
from classify.metrics import (
    LOSSES,
    UNPLACED,
    Interval,
    scores,
    weighted_f1,
)
from classify.placement import Category
from classify.rendering import Table

ORDER_4_1: tuple[str, ...] = (
    Category.LOSS_UNKNOWN.value,
    Category.LOSS_IN_RUNNER.value,
    Category.LOSS_IN_MODEL.value,
    Category.LOSS_IN_MODEL_RUNNER.value,
)
"""The losses in the order of the published table 4.1."""


def table_4_1(placements: pd.DataFrame) -> Table:
    """Count snippets, repositories and distinct texts of each category.

    Reads the columns repository, code_sha256 and placement. Rows are the four losses, their
    union (``any loss``), no_loss, unplaced, and all snippets. ``instances`` add up; a repository
    or a text counts in each row in which it occurs.
    """
    placed = placements["placement"].fillna(UNPLACED)
    rows = [(category, placed == category) for category in ORDER_4_1]
    rows += [("any loss", placed.isin(LOSSES))]
    rows += [(category, placed == category) for category in (Category.NO_LOSS.value, UNPLACED)]
    rows += [("all snippets", placed.notna())]
    frame = pd.DataFrame(
        [
            (
                name,
                int(which.sum()),
                placements.loc[which, "repository"].nunique(),
                placements.loc[which, "code_sha256"].nunique(),
            )
            for name, which in rows
        ],
        columns=["category", "instances", "repositories", "distinct_texts"],
    )
    return Table(
        "table_4_1",
        "Snippets in each category, and the repositories that hold them",
        frame,
        "Counts are as placed, not corrected for the errors of the judge. A repository, or a "
        "text, counts once in each row in which it occurs, so that only the instances add up.",
        number="4.1",
    )


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """Return the tables D.1 to D.5 of an evaluation, each sample apart."""
    samples = evaluation.samples
    return [
        table_d_1(evaluation.rows),
        table_d_2({name: each.confusion for name, each in samples.items()}),
        table_d_3({name: each.categories for name, each in samples.items()}),
        table_d_4({name: each.categories for name, each in samples.items()}),
        table_d_5({name: each.weighted_f1 for name, each in samples.items()}),
    ]


def table_d_1(rows: pd.DataFrame) -> Table:
    """List the labelled snippets with their placements.

    Reads the columns repository, path, start_line, label and placement, of gold.match.
    """
    frame = pd.DataFrame(
        {
            "repository": rows["repository"],
            "path": rows["path"],
            "row": rows["start_line"],
            "actual": rows["label"],
            "predicted": rows["placement"].fillna(UNPLACED),
        }
    )
    return Table("table_d_1", "Labelled snippets and their placements", frame, number="D.1")


def table_d_2(matrices: Mapping[str, pd.DataFrame]) -> Table:
    """Show the confusion matrix (of metrics.confusion) of each sample."""
    parts = {sample: matrix.reset_index() for sample, matrix in matrices.items()}
    return Table(
        "table_d_2",
        "True categories (rows) and placements (columns)",
        _stacked(parts),
        "A snippet is unplaced if its votes decide nothing.",
        number="D.2",
    )


def table_d_3(tables: Mapping[str, pd.DataFrame]) -> Table:
    """Show tp, tn, fp and fn (of metrics.counts) of each sample."""
    parts = {name: each[["tp", "tn", "fp", "fn"]].reset_index() for name, each in tables.items()}
    return Table(
        "table_d_3",
        "True and false positives and negatives of each category",
        _stacked(parts),
        "An unplaced snippet is a false negative of its true category.",
        number="D.3",
    )


def table_d_4(tables: Mapping[str, pd.DataFrame]) -> Table:
    """Show the F1 of each category and their weighted mean, of each sample's counts."""
    parts = {}
    for sample, table in tables.items():
        each = scores(table)["f1"].reset_index()
        mean = pd.DataFrame({"category": ["weighted_mean"], "f1": [weighted_f1(table)]})
        parts[sample] = pd.concat([each, mean], ignore_index=True)
    return Table(
        "table_d_4",
        "F1 of each category, and their mean weighted by true occurrences",
        _stacked(parts),
        "The F1 of a category without a true positive is 0, also where it never occurs.",
        number="D.4",
    )


def table_d_5(intervals: Mapping[str, Iterable[Interval]]) -> Table:
    """Show the intervals of each sample's weighted F1, of one confidence and several methods."""
    parts = {}
    assumptions = []
    for sample, of_sample in intervals.items():
        of_sample = list(of_sample)
        assumptions += [interval.assumption for interval in of_sample]
        parts[sample] = pd.DataFrame(
            [
                (i.method, float(i.n), i.confidence, i.estimate, i.centre, i.half_width)
                for i in of_sample
            ],
            columns=["method", "n", "confidence", "f1", "centre", "half_width"],
        )
    return Table(
        "table_d_5",
        "Confidence intervals of the weighted F1",
        _stacked(parts),
        f"They assume that {'; '.join(dict.fromkeys(assumptions))}. The method wilson takes the "
        f"F1 for a proportion of n snippets, as published; wilson_delta takes the effective n "
        f"from the variance of the weighted F1 itself.",
        number="D.5",
    )


def _stacked(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the frames below one another, with the sample's name as first column."""
    named = []
    for sample, part in parts.items():
        part = part.rename_axis(columns=None)
        part.insert(0, "sample", sample)
        named.append(part)
    return pd.concat(named, ignore_index=True)
