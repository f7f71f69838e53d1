"""Intervals of the weighted F1 under the design by which the labelled snippets were drawn. Pure.

A variance comes from linearised scores: how much each snippet moves the figure, the snippets'
mean being 0 (Särndal, Swensson and Wretman 1992, ch. 5). The interval is Wilson's at the
effective size, at which a proportion would vary as much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from classify.metrics import CATEGORIES, Interval, codes, linearised_weighted_f1, wilson

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

PRIOR = 1.0
"""Snippets of any category, equally likely, that each stratum is taken to hold beside those
drawn, where a variance is computed. Without them a stratum of which all labelled snippets are
placed alike would seem to hold no other, however few were drawn and however many are not."""

INDEPENDENT_REPOSITORIES = (
    "the repositories with labelled snippets are an independent random sample of repositories"
)
STRATIFIED_SAMPLE = "within each sampling stratum the labelled snippets are a random sample"


@dataclass(frozen=True, slots=True)
class Strata:
    """How labelled snippets were drawn: of each its stratum, and of each stratum its two sizes.

    ``stratum`` has an index into ``size`` (snippets in the stratum) and ``drawn`` (of them the
    labelled ones) for each snippet at hand. There may be fewer of those than were drawn: what
    is computed from them is then a figure of a part of the population, which other snippets of
    the sample fall out of.
    """

    stratum: Codes
    size: Floats
    drawn: Floats

    @property
    def weights(self) -> Floats:
        """How many snippets of the population each snippet stands for."""
        return (self.size / self.drawn)[self.stratum]


def weighted_f1_clustered(
    actual: Iterable[str],
    predicted: Iterable[str | None],
    repositories: Iterable[str],
    confidence: float,
) -> Interval:
    """Return the interval of the weighted F1 when snippets of a repository are not independent.

    With u_k the value of the gradient (metrics.linearised_weighted_f1) at snippet k's cell and M
    repositories, the variance is M/(M-1) · sum over repositories of (sum of u_k - mean)² / n².
    Student's t takes the place of the normal quantile z, as an effective size smaller by (z/t)²
    (Korn and Graubard 1998), with one degree of freedom fewer than ``effective_clusters``. Where
    all is right, or all wrong, nothing shows how alike a repository's snippets are, and each of
    those counts once.
    Raises ValueError unless there are two repositories or more.
    """
    true, placed = codes(actual, predicted)
    of_repository = list(repositories)
    clusters = effective_clusters(np.ones(len(true)), of_repository)
    cells = _cells(true, placed, np.ones(len(true)))
    estimate, gradient = linearised_weighted_f1(cells / cells.sum())
    scores = (gradient - estimate)[true, placed] / len(true)
    return interval_at(
        estimate,
        clustered_variance(scores, of_repository),
        confidence,
        "wilson_clustered",
        INDEPENDENT_REPOSITORIES,
        clusters,
    )


def weighted_f1_stratified(
    actual: Iterable[str],
    predicted: Iterable[str | None],
    strata: Strata,
    confidence: float,
    of: Collection[str] = CATEGORIES,
    repositories: Iterable[str] | None = None,
) -> Interval:
    """Return the weighted F1 of the snippets that were sampled from by stratum.

    Each snippet counts by its stratum's size / drawn. ``of`` are the true categories that count:
    give the labelled snippets of all categories also where only losses shall, since the others
    are part of the sample. The variance is ``stratified_variance``. With ``repositories``, of
    each snippet its own, the interval holds for other repositories too: the variance between
    repositories (``clustered_variance`` of the weighted scores, in which that of drawing is
    contained) takes the place of the one within strata, and what ``PRIOR`` adds is kept.

    Raises ValueError if no snippet is of a category in ``of``, or with just one repository.
    """
    true, placed = codes(actual, predicted)
    counted = np.isin(CATEGORIES, list(of)).astype(float)
    weights = strata.weights
    cells = _cells(true, placed, weights * counted[true])
    total = cells.sum()
    if total == 0:
        raise ValueError("expected at least one snippet of the categories that count, found none")
    estimate, gradient = linearised_weighted_f1(cells / total)
    scores = (gradient - estimate) * counted[:, None] / total
    possible = weights[:, None] * scores[:, placed].T
    found = possible[np.arange(len(true)), true]
    variance = stratified_variance(found, possible, strata, prior=0)
    unseen = max(0.0, stratified_variance(found, possible, strata) - variance)
    with_prior = _cells_with_prior(true, placed, weights, counted, strata)
    smoothed, _ = linearised_weighted_f1(with_prior / with_prior.sum())
    method, assumption, clusters = "wilson_stratified", STRATIFIED_SAMPLE, None
    if repositories is not None:
        of_repository = list(repositories)
        clusters = effective_clusters(weights * counted[true], of_repository)
        variance = clustered_variance(found, of_repository)
        method = "wilson_stratified_clustered"
        assumption = f"{STRATIFIED_SAMPLE}; {INDEPENDENT_REPOSITORIES}"
    return interval_at(
        estimate, variance, confidence, method, assumption, clusters, (unseen, smoothed)
    )


def clustered_variance(scores: Floats, clusters: Iterable[str]) -> float:
    """Return M/(M-1) · sum of squared totals of the scores in each of the M clusters.

    ``scores`` add up to 0. Raises ValueError unless there are two clusters or more.
    """
    totals = _totals(scores, clusters)
    return float(len(totals) / (len(totals) - 1) * (totals**2).sum())


def effective_clusters(weights: Floats, clusters: Iterable[str]) -> float:
    """Return how many clusters of one size would tell as much as these (Kish).

    (sum of w)² / sum of w² for the total weight w of the snippets that count in each cluster:
    one that holds none tells nothing, and one that holds most of them decides most. At least 2.
    Raises ValueError unless there are two clusters or more.
    """
    totals = _totals(weights, clusters)
    return max(2.0, float(totals.sum() ** 2 / (totals**2).sum()))


def stratified_variance(
    found: Floats, possible: Floats, strata: Strata, prior: float = PRIOR
) -> float:
    """Return the variance of the sum of ``found`` over samples drawn by stratum.

    ``found`` has each snippet's weighted score, ``possible`` (snippets x categories) what it
    would be if the snippet were of each category. In a stratum of which n out of N were drawn,
    the scores' distribution is that of the n drawn (0 for those not at hand) and of ``prior``
    more that are placed like those at hand and are of any category. Its variance counts n times,
    and (1 - n/N) times for the finite population. Without a prior, that is the textbook's, with
    n/(n-1), and 0 for a stratum of one.
    """
    n, strata_count = strata.drawn, len(strata.drawn)

    def total(values: Floats) -> Floats:
        return np.bincount(strata.stratum, values, strata_count).astype(float)

    share = prior / (n + prior)
    mean = ((1 - share) * total(found) + share * total(possible.mean(axis=1))) / n
    square = ((1 - share) * total(found**2) + share * total((possible**2).mean(axis=1))) / n
    if prior == 0:
        n = np.where(n > 1, n * n / np.maximum(n - 1, 1), 0.0)
    unseen = 1 - strata.drawn / strata.size
    return float(np.maximum(n * unseen * (square - mean**2), 0.0).sum())


def interval_at(
    estimate: float,
    variance: float,
    confidence: float,
    method: str,
    assumption: str,
    clusters: float | None = None,
    unseen: tuple[float, float] = (0.0, 0.0),
) -> Interval:
    """Return Wilson's interval of an estimate with a variance, at the effective size.

    The size n at which a proportion p varies as much is p(1-p)/variance. ``unseen`` is a further
    variance, from what ``PRIOR`` adds, and what the estimate would be with that; 1/n is the sum
    of both parts' variance / p(1-p), each at its own p. With ``clusters``, how many, Student's t
    is used, and without any variance the size is their number. Without either nothing is
    uncertain: all were drawn, and both bounds are the estimate.
    """
    parts = [
        part / (p * (1 - p))
        for part, p in ((variance, estimate), unseen)
        if part > 1e-15 and 0 < p < 1
    ]
    if not parts and clusters is None:
        return Interval(estimate, estimate, estimate, confidence, method, float("inf"), assumption)
    effective = 1 / sum(parts) if parts else clusters or 1.0
    if clusters is not None:
        tail = (1 + confidence) / 2
        effective *= float(ndtri(tail) / stdtrit(clusters - 1, tail)) ** 2
    bounds = wilson(estimate, effective, confidence)
    return Interval(estimate, bounds.low, bounds.high, confidence, method, effective, assumption)


def _cells(true: Codes, placed: Codes, weights: Floats) -> Floats:
    cells = np.zeros((len(CATEGORIES), len(CATEGORIES) + 1))
    np.add.at(cells, (true, placed), weights)
    return cells


def _cells_with_prior(
    true: Codes, placed: Codes, weights: Floats, counted: Floats, strata: Strata
) -> Floats:
    share = (PRIOR / (strata.drawn + PRIOR))[strata.stratum]
    cells = _cells(true, placed, weights * (1 - share))
    anywhere = np.bincount(placed, weights * share, minlength=cells.shape[1]) / len(CATEGORIES)
    both: Floats = (cells + anywhere) * counted[:, None]
    return both


def _totals(values: Floats, clusters: Iterable[str]) -> Floats:
    of_cluster, names = pd.factorize(np.asarray(list(clusters), dtype=object))
    if len(names) < 2:
        raise ValueError(f"expected snippets of two repositories or more, found {len(names)}")
    return np.bincount(of_cluster, values).astype(float)
