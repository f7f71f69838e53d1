"""Placements against hand labels: every figure with its interval and what it assumes. Pure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from classify.errors import GoldError
from classify.gold import Gold, match, sampling_strata
from classify.intervals import Strata, weighted_f1_clustered, weighted_f1_stratified
from classify.metrics import (
    CATEGORIES,
    LOSSES,
    UNPLACED,
    Interval,
    accuracy,
    balanced_accuracy,
    confusion,
    counts,
    coverage,
    f1_interval,
    macro_f1,
    matthews,
    scores,
    weighted_f1_delta,
    weighted_f1_wilson,
)

SHORT = dict(
    zip(
        (*CATEGORIES, UNPLACED),
        ("runner", "model", "model+runner", "unknown", "no loss", "unplaced"),
        strict=True,
    )
)
"""Column heads, where the names of the categories are too long."""


@dataclass(frozen=True, slots=True)
class Performance:
    """How well one sample of labelled snippets was placed.

    ``confusion`` is that of metrics.confusion. ``categories`` has a row a category with tp, tn,
    fp, fn, precision, recall, f1 and support; ``f1_intervals`` has those categories that occur
    or were predicted. ``weighted_f1`` holds the published interval, then the delta-method one.
    ``clustered`` is that by repository, None where all snippets are of one. ``population`` is of
    the snippets from which the labelled ones were drawn by stratum, so that its estimate is
    another: for these very repositories, then for others too (where there are two or more);
    empty if the gold file has no strata.
    """

    sample: str
    n: int
    repositories: int
    weighted_f1: tuple[Interval, Interval]
    clustered: Interval | None
    population: tuple[Interval, ...]
    macro_f1: float
    accuracy: float
    balanced_accuracy: float
    matthews: float
    coverage: float
    confusion: pd.DataFrame
    categories: pd.DataFrame
    f1_intervals: dict[str, Interval]

    @property
    def sample_intervals(self) -> tuple[Interval, ...]:
        """The intervals of the weighted F1 of the labelled snippets."""
        return self.weighted_f1 if self.clustered is None else (*self.weighted_f1, self.clustered)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Two samples apart, and what of the gold file took part.

    ``everything`` is over all gold rows about snippets of the run, ``losses`` over those whose
    true label is a loss, the published study's kind of sample; None where there is none.
    ``rows`` are the joined rows (see gold.Match), ``labelled`` the gold rows with a label.
    """

    confidence: float
    labelled: int
    contested: int
    without_snippet: int
    other_commit: int
    rows: pd.DataFrame
    everything: Performance
    losses: Performance | None
    notes: tuple[str, ...]

    @property
    def samples(self) -> dict[str, Performance]:
        """The samples that there are, by name: ``all``, then ``losses``."""
        both = {"all": self.everything, "losses": self.losses}
        return {name: each for name, each in both.items() if each is not None}

    def to_json(self) -> dict[str, Any]:
        """Return all figures as dictionaries, lists, strings and numbers."""
        return {
            "confidence": self.confidence,
            "gold": {
                "labelled": self.labelled,
                "contested": self.contested,
                "matched": len(self.rows),
                "without_snippet": self.without_snippet,
                "other_commit": self.other_commit,
            },
            "samples": {name: _performance_json(each) for name, each in self.samples.items()},
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Give the figures as lines of text, none wider than 100 columns."""
        yield (
            f"{len(self.rows)} of {self.labelled} labelled snippets are in this run "
            f"({self.without_snippet} are not, {self.contested} contested rows are left out)."
        )
        if self.other_commit:
            yield f"{self.other_commit} were labelled in another commit than the run holds."
        for each in self.samples.values():
            yield ""
            yield from _performance_lines(each)
        if self.losses is None:
            yield ""
            yield "No labelled snippet of this run is a loss: no figures over losses."
        yield ""
        for note in self.notes:
            yield from textwrap.wrap(note, 98)


def evaluate(gold: Gold, placements: pd.DataFrame, confidence: float = 0.95) -> Evaluation:
    """Measure the placements against the gold rows about the same snippets.

    ``placements`` has at least the columns repository, path, start_line and placement (one of
    the five categories, or missing for an unplaced snippet). Raises GoldError if no gold row is
    about one of its snippets.
    """
    matched = match(gold.rows, placements)
    rows = matched.rows
    if rows.empty:
        raise GoldError(
            f"Expected gold rows about snippets of this run, found none among "
            f"{len(gold.rows)} labelled rows; check their repository names, paths and lines."
        )
    has_loss = bool(rows["label"].isin(LOSSES).any())
    strata = sampling_strata(rows)
    return Evaluation(
        confidence=confidence,
        labelled=len(gold.rows),
        contested=gold.contested,
        without_snippet=matched.without_snippet,
        other_commit=matched.other_commit,
        rows=rows,
        everything=_performance("all labelled snippets", rows, CATEGORIES, strata, confidence),
        losses=_performance(
            "labelled snippets that define a loss", rows, LOSSES, strata, confidence
        )
        if has_loss
        else None,
        notes=tuple(_notes(rows, strata)),
    )


def _performance(
    sample: str,
    all_rows: pd.DataFrame,
    of: tuple[str, ...],
    strata: Strata | None,
    confidence: float,
) -> Performance:
    rows = all_rows[all_rows["label"].isin(of)]
    matrix = confusion(rows["label"], rows["placement"])
    table = counts(matrix)
    population: list[Interval] = []
    if strata is not None:
        # the rows of other categories are part of the sample that the strata describe
        drawn = (all_rows["label"], all_rows["placement"], strata, confidence, of)
        population.append(weighted_f1_stratified(*drawn))
        if all_rows["repository"].nunique() > 1:
            population.append(weighted_f1_stratified(*drawn, all_rows["repository"]))
    return Performance(
        sample=sample,
        n=len(rows),
        repositories=rows["repository"].nunique(),
        weighted_f1=(weighted_f1_wilson(matrix, confidence), weighted_f1_delta(matrix, confidence)),
        clustered=weighted_f1_clustered(
            rows["label"], rows["placement"], rows["repository"], confidence
        )
        if rows["repository"].nunique() > 1
        else None,
        population=tuple(population),
        macro_f1=macro_f1(table),
        accuracy=accuracy(matrix),
        balanced_accuracy=balanced_accuracy(matrix),
        matthews=matthews(matrix),
        coverage=coverage(matrix),
        confusion=matrix,
        categories=table.join(scores(table)),
        f1_intervals={
            category: f1_interval(tp, fp, fn, confidence)
            for category, tp, fp, fn in table[["tp", "fp", "fn"]].itertuples()
            if tp + fp + fn
        },
    )


def _notes(rows: pd.DataFrame, strata: Strata | None) -> Iterator[str]:
    assumed = "The intervals assume that the labelled snippets are an independent random sample"
    if rows["repository"].nunique() > 1:
        assumed += (
            "; the one clustered by repository assumes so of the repositories only, and is the "
            "one to quote for code of other repositories"
        )
    yield f"{assumed}."
    if strata is not None:
        yield (
            "The gold file was sampled by stratum, so the figures describe the labelled snippets, "
            "except those of the population: they count each labelled snippet by the snippets "
            "(stratum_size / stratum_sampled) for which it stands, and are the ones to quote for "
            "the corpus. Their intervals allow for what a stratum may hold that was not drawn."
        )
    elif "sampling_stratum" in rows.columns:
        yield (
            "This gold file was sampled by stratum (its column sampling_stratum), so the figures "
            "describe the labelled snippets; for the corpus they would need weights, from the "
            "columns stratum_size and stratum_sampled."
        )


def _performance_json(each: Performance) -> dict[str, Any]:
    return {
        "sample": each.sample,
        "n": each.n,
        "repositories": each.repositories,
        "weighted_f1": each.weighted_f1[0].estimate,
        "intervals": {i.method: interval_json(i) for i in each.sample_intervals},
        "population": {
            "weighted_f1": each.population[0].estimate,
            "intervals": {i.method: interval_json(i) for i in each.population},
        }
        if each.population
        else None,
        "macro_f1": each.macro_f1,
        "accuracy": each.accuracy,
        "balanced_accuracy": each.balanced_accuracy,
        "matthews": each.matthews,
        "coverage": each.coverage,
        "categories": {
            category: {
                **{key: int(row[key]) for key in ("support", "tp", "tn", "fp", "fn")},
                **{key: float(row[key]) for key in ("precision", "recall", "f1")},
                "interval": interval_json(each.f1_intervals.get(str(category))),
            }
            for category, row in each.categories.to_dict("index").items()
        },
        "confusion": each.confusion.to_dict("index"),
    }


def interval_json(interval: Interval | None) -> dict[str, Any] | None:
    """Return an interval as numbers and strings; ``n`` is null where nothing is uncertain."""
    if interval is None:
        return None
    return {
        "low": interval.low,
        "high": interval.high,
        "centre": interval.centre,
        "half_width": interval.half_width,
        "confidence": interval.confidence,
        "method": interval.method,
        "n": interval.n if math.isfinite(interval.n) else None,
        "assumption": interval.assumption,
    }


def _performance_lines(each: Performance) -> Iterator[str]:
    published, delta = each.weighted_f1
    yield f"Over {each.sample}: n = {each.n}, repositories {each.repositories}"
    yield (
        f"  weighted F1 {published.estimate:.2f}; at {published.confidence:.0%} confidence "
        f"{published.centre:.2f} ± {published.half_width:.2f} (Wilson, as published)"
    )
    yield f"      and {_bounds(delta, 'delta method')}"
    if (of_clusters := each.clustered) is not None:
        yield f"      and {_bounds(of_clusters, 'clustered by repository')}"
    scopes = ("for these repositories", "for others too")
    for of_population, scope in zip(each.population, scopes, strict=False):
        yield (
            f"  weighted F1 of the population {of_population.estimate:.2f}; "
            f"{_bounds(of_population, scope)}"
        )
    yield (
        f"  macro F1 {each.macro_f1:.2f}, accuracy {each.accuracy:.2f}, "
        f"balanced accuracy {each.balanced_accuracy:.2f}, MCC {each.matthews:.2f}, "
        f"placed at all {each.coverage:.2f}"
    )
    yield ""
    yield "  category              precision  recall    F1   interval of F1   snippets"
    for category, row in each.categories.to_dict("index").items():
        interval = each.f1_intervals.get(str(category))
        between = f"{interval.low:.2f} to {interval.high:.2f}" if interval else "-"
        yield (
            f"  {category:<20}  {row['precision']:>9.2f}  {row['recall']:>6.2f}  "
            f"{row['f1']:>4.2f}   {between:>14}   {row['support']:>8}"
        )
    yield ""
    yield from matrix_lines(each.confusion, "actual, placed as")


def matrix_lines(matrix: pd.DataFrame, head: str) -> Iterator[str]:
    """Give a table of categories (or unplaced) by categories as lines of text."""
    yield f"  {head:<20}" + "".join(f"  {SHORT[c]:>{_width(c)}}" for c in matrix.columns)
    for category, cells in matrix.to_dict("index").items():
        yield f"  {category:<20}" + "".join(f"  {cells[c]:>{_width(c)}}" for c in matrix.columns)


def _bounds(interval: Interval, what: str) -> str:
    size = f", effective n {interval.n:.1f}" if math.isfinite(interval.n) else ""
    return f"{interval.low:.2f} to {interval.high:.2f} ({what}{size})"


def _width(category: str) -> int:
    return max(6, len(SHORT[category]))
