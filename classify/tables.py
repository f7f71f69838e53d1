"""The tables of the study: what was found (4.1), and how right it is (D.1 to D.5). Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from classify.evaluate import Evaluation
from classify.gold import sampling_strata
from classify.metrics import (
    LOSSES,
    UNPLACED,
    Interval,
    scores,
    weighted_f1,
)
from classify.placement import Category
from classify.prevalence import (
    ANY_LOSS,
    SAME_ERRORS,
    SHARES,
    corrected_shares,
    transferred_shares,
)
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
    # numbers are told apart much faster than the texts they stand for
    repository, text = (
        pd.Series(pd.factorize(placements[column])[0], placements.index)
        for column in ("repository", "code_sha256")
    )
    frame = pd.DataFrame(
        [
            (name, int(which.sum()), repository[which].nunique(), text[which].nunique())
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


def table_4_1_corrected(placements: pd.DataFrame, evaluation: Evaluation) -> Table:
    """Put beside each count of instances what it is once the judge's errors are accounted for.

    Columns: category, instances as placed, ``corrected``, and ``low`` and ``high`` of its
    interval (see prevalence.corrected_shares), all in snippets. Without a labelled snippet of
    some placement there are no corrected numbers, and the note says of which.
    """
    placed = _placed(placements)
    rows = evaluation.rows
    labelled = set(rows["placement"].fillna(UNPLACED))
    unknown = [name for name in placed if name not in labelled]
    shares = corrected_shares(
        rows["label"],
        rows["placement"],
        placed,
        sampling_strata(rows),
        evaluation.confidence,
    )
    told = sum(placed.values()) - (placed[UNPLACED] if UNPLACED in unknown else 0)
    if shares:
        note = (
            f"Corrected by the {len(rows)} labelled snippets (post-stratified by placement), with "
            f"{evaluation.confidence:.0%} intervals for this corpus. Assumes that "
            f"{shares[ANY_LOSS].assumption}."
        )
        if UNPLACED in unknown:
            note += f" Leaves out the {placed[UNPLACED]} unplaced snippets: none is labelled."
    else:
        note = (
            f"No corrected numbers: no labelled snippet is placed as {', '.join(unknown)}, so "
            f"that nothing is known of {sum(placed[name] for name in unknown)} snippets placed "
            f"there; label some of them."
        )
    return _corrected("table_4_1_corrected", placed, shares, told, note)


def table_4_1_transferred(
    placements: pd.DataFrame, labelled: pd.DataFrame, confidence: float
) -> Table:
    """Correct the counts of a corpus without labels by the judge's errors in another corpus.

    ``labelled`` are gold rows joined to that other corpus's placements (of gold.match). Columns
    as in ``table_4_1_corrected``; see prevalence.transferred_shares.
    """
    placed = _placed(placements)
    shares = transferred_shares(
        labelled["label"],
        labelled["placement"],
        placed,
        sampling_strata(labelled),
        confidence,
    )
    note = (
        f"Only for transfer: corrected by the errors on {len(labelled)} labelled snippets of "
        f"another corpus (Rogan-Gladen, {confidence:.0%} intervals of Lang and Reiczigel). Assumes "
        f"that {SAME_ERRORS}. An empty cell: the judge tells the category no better than chance, "
        f"or no labelled snippet is of it. The rows are corrected each for itself and need not "
        f"add up."
    )
    return _corrected("table_4_1_transferred", placed, shares, sum(placed.values()), note)


def _placed(placements: pd.DataFrame) -> dict[str, int]:
    """Return how many snippets have each placement, unplaced among them."""
    counted = placements["placement"].fillna(UNPLACED).value_counts()
    return {str(name): int(count) for name, count in counted.items()}


def _corrected(
    name: str, placed: Mapping[str, int], shares: Mapping[str, Interval], told: int, note: str
) -> Table:
    frame = pd.DataFrame(
        [
            (
                category,
                sum(placed.get(each, 0) for each in SHARES[category]),
                *(
                    (share.estimate * told, share.low * told, share.high * told)
                    if (share := shares.get(category)) is not None
                    else (None, None, None)
                ),
            )
            for category in (*ORDER_4_1, ANY_LOSS, Category.NO_LOSS.value)
        ],
        columns=["category", "instances", "corrected", "low", "high"],
    ).astype({"corrected": float, "low": float, "high": float})
    title = "Snippets in each category, as placed and corrected for the judge's errors"
    return Table(name, title, frame, note, number="4.1", decimals=0)


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """Return the tables D.1 to D.5 of an evaluation, each sample apart."""
    samples = evaluation.samples
    return [
        table_d_1(evaluation.rows),
        table_d_2({name: each.confusion for name, each in samples.items()}),
        table_d_3({name: each.categories for name, each in samples.items()}),
        table_d_4({name: each.categories for name, each in samples.items()}),
        table_d_5(
            {name: (*each.sample_intervals, *each.population) for name, each in samples.items()}
        ),
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
    assumptions: dict[str, list[str]] = {}
    for sample, of_sample in intervals.items():
        of_sample = list(of_sample)
        for interval in of_sample:
            methods = assumptions.setdefault(interval.assumption, [])
            methods += [] if interval.method in methods else [interval.method]
        parts[sample] = pd.DataFrame(
            [
                (i.method, _finite(i.n), i.confidence, i.estimate, i.centre, i.half_width)
                for i in of_sample
            ],
            columns=["method", "n", "confidence", "f1", "centre", "half_width"],
        )
    assumed = "; ".join(f"{' and '.join(m)}, that {what}" for what, m in assumptions.items())
    return Table(
        "table_d_5",
        "Confidence intervals of the weighted F1",
        _stacked(parts),
        f"Each is Wilson's interval at the size n. The method wilson takes the F1 for a proportion "
        f"of n snippets, as published; the others take n from the variance of the weighted F1 "
        f"under a design. They assume: {assumed}.",
        number="D.5",
    )


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _stacked(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the frames below one another, with the sample's name as first column."""
    named = []
    for sample, part in parts.items():
        part = part.rename_axis(columns=None)
        part.insert(0, "sample", sample)
        named.append(part)
    return pd.concat(named, ignore_index=True)
