"""How frequent each category truly is: placements, corrected for the judge's errors. Pure.

Two corrections. Where hand-labelled snippets were drawn from the corpus itself, what is known of
each placement's snippets is carried over to all of them (post-stratification): nothing is
assumed of how the judge errs. For another corpus, which has no labels, only the judge's
sensitivity and specificity can be carried over (Rogan and Gladen), as if they were the same there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from classify.intervals import (
    PRIOR,
    STRATIFIED_SAMPLE,
    Codes,
    Floats,
    Strata,
    interval_at,
    stratified_variance,
)
from classify.metrics import CATEGORIES, LOSSES, UNPLACED, Interval, codes, normal_quantile

ANY_LOSS = "any loss"
SHARES: dict[str, tuple[str, ...]] = {c: (c,) for c in CATEGORIES} | {ANY_LOSS: LOSSES}
"""What has a corrected share: each category, and the losses together."""

PLACEMENT_SAMPLE = (
    "the labelled snippets of each placement are a random sample of the run's snippets placed there"
)
SAME_ERRORS = (
    "the judge errs in this corpus as often as in the one where it was measured, whose labelled "
    "snippets are a random sample"
)


def corrected_shares(
    actual: Iterable[str],
    predicted: Iterable[str | None],
    placed: Mapping[str, int],
    strata: Strata | None,
    confidence: float,
) -> dict[str, Interval]:
    """Return the share that each of ``SHARES`` truly has among the placed snippets.

    ``actual`` and ``predicted`` are of the labelled snippets, ``placed`` counts the snippets of
    the run by placement. With W_h the share of those placed in h, and pi_hc that of category c
    among the labelled snippets placed in h, p_c = sum of W_h pi_hc. pi_hc is weighted by
    ``strata`` where the labelled snippets were drawn so; otherwise the placements themselves
    are the strata. The variance is that of intervals.stratified_variance.

    Without a labelled snippet of some placement the shares cannot be told: the result is empty.
    Unplaced snippets, though, are left out where none of them is labelled.
    """
    true, column = codes(actual, predicted)
    names = (*CATEGORIES, UNPLACED)
    size = np.array([placed.get(name, 0) for name in names], dtype=float)
    labelled = np.bincount(column, minlength=len(names))
    if labelled[-1] == 0:
        size[-1] = 0
    if ((size > 0) & (labelled == 0)).any() or size.sum() == 0:
        return {}
    design = strata or Strata(column, np.maximum(size, 1), np.maximum(labelled, 1).astype(float))
    weights = design.weights
    share = size / size.sum()
    # what each labelled snippet counts for: its placement's share, divided among its labelled
    each = (
        weights
        * np.divide(
            share,
            np.bincount(column, weights, len(names)),
            where=labelled > 0,
            out=np.zeros(len(names)),
        )[column]
    )
    prior = (PRIOR / (design.drawn + PRIOR))[design.stratum]
    assumption = PLACEMENT_SAMPLE if strata is None else STRATIFIED_SAMPLE
    result = {}
    for name, categories in SHARES.items():
        inside = np.isin(CATEGORIES, categories).astype(float)
        holds = inside[true]
        of_placement = np.bincount(column, each * holds, len(names))
        rate = np.divide(of_placement, share, where=share > 0, out=np.zeros(len(names)))[column]
        estimate = float(np.clip((each * holds).sum(), 0, 1))
        found = each * (holds - rate)
        possible = each[:, None] * (inside[None, :] - rate[:, None])
        smoothed = float((each * ((1 - prior) * holds + prior * inside.mean())).sum())
        variance = stratified_variance(found, possible, design, prior=0)
        unseen = max(0.0, stratified_variance(found, possible, design) - variance)
        result[name] = interval_at(
            estimate,
            variance,
            confidence,
            "post_stratified",
            assumption,
            unseen=(unseen, smoothed),
        )
    return result


def transferred_shares(
    actual: Iterable[str],
    predicted: Iterable[str | None],
    placed: Mapping[str, int],
    strata: Strata | None,
    confidence: float,
) -> dict[str, Interval]:
    """Return the share of each of ``SHARES`` in a corpus that has no labels of its own.

    ``actual`` and ``predicted`` are of labelled snippets of another corpus; they give how often
    the judge sees the category where it is (sensitivity), and sees none where it is not
    (specificity), with weights and effective sizes where they were drawn by ``strata``.
    ``placed`` counts the snippets of this corpus by placement. What ``rogan_gladen`` cannot
    tell, or where no labelled snippet is of a category, has no entry.
    """
    true, column = codes(actual, predicted)
    names = (*CATEGORIES, UNPLACED)
    n = sum(placed.values())
    result = {}
    for name, categories in SHARES.items():
        inside = np.isin(CATEGORIES, categories)
        seen = np.isin(names, categories)[column].astype(float)
        if n == 0 or inside[true].all() or not inside[true].any():
            continue
        sensitivity, of_sensitivity = _rate(seen, true, inside, strata)
        specificity, of_specificity = _rate(1 - seen, true, ~inside, strata)
        apparent = sum(placed.get(category, 0) for category in categories) / n
        interval = rogan_gladen(
            apparent, n, sensitivity, of_sensitivity, specificity, of_specificity, confidence
        )
        if interval is not None:
            result[name] = interval
    return result


def rogan_gladen(
    apparent: float,
    n: float,
    sensitivity: float,
    n_sensitivity: float,
    specificity: float,
    n_specificity: float,
    confidence: float,
) -> Interval | None:
    """Return a true share, from an apparent one and from error rates measured elsewhere.

    The estimate is (apparent + specificity - 1)/(sensitivity + specificity - 1), cut at 0 and 1
    (Rogan and Gladen 1978); the interval that of Lang and Reiczigel (2014), with the shares
    moved towards the middle by z²/2 of n + z² snippets, and by 1 of n + 2 for the error rates.
    None where a judge that throws dice would do as well: sensitivity + specificity <= 1.
    """
    if sensitivity + specificity <= 1:
        return None
    z = normal_quantile(confidence)
    estimate = (apparent + specificity - 1) / (sensitivity + specificity - 1)
    p = (n * apparent + z**2 / 2) / (n + z**2)
    se = (n_sensitivity * sensitivity + 1) / (n_sensitivity + 2)
    sp = (n_specificity * specificity + 1) / (n_specificity + 2)
    if se + sp <= 1:
        return None
    of_se, of_sp = se * (1 - se) / (n_sensitivity + 2), sp * (1 - sp) / (n_specificity + 2)
    middle = (p + sp - 1) / (se + sp - 1)
    shift = 2 * z**2 * (middle * of_se - (1 - middle) * of_sp)
    variance = p * (1 - p) / (n + z**2) + middle**2 * of_se + (1 - middle) ** 2 * of_sp
    half_width = z * math.sqrt(variance) / (se + sp - 1)
    low, estimate, high = np.clip(
        [middle + shift - half_width, estimate, middle + shift + half_width], 0.0, 1.0
    ).tolist()
    # the shifts can move the bounds past an estimate near 0 or 1
    return Interval(
        estimate,
        min(low, estimate),
        max(high, estimate),
        confidence,
        "lang_reiczigel",
        n_sensitivity + n_specificity,
        SAME_ERRORS,
    )


def _rate(
    holds: Floats, true: Codes, counted: NDArray[np.bool_], strata: Strata | None
) -> tuple[float, float]:
    """Return how often something holds in the labelled snippets that count, and from how many.

    With strata, both are of the population: the size is the one at which a plain sample's rate
    would vary as much.
    """
    inside = counted[true]
    if strata is None:
        return float(holds[inside].mean()), float(inside.sum())
    weights = strata.weights
    each = weights / weights[inside].sum()
    rate = float((each * inside * holds).sum())
    possible = (each * (holds - rate))[:, None] * counted[None, :]
    variance = stratified_variance(possible[np.arange(len(true)), true], possible, strata)
    prior = (PRIOR / (strata.drawn + PRIOR))[strata.stratum]
    share = (1 - prior) * inside + prior * counted.mean()
    smoothed = float((each * share * holds).sum() / (each * share).sum())
    spread = smoothed * (1 - smoothed)
    return rate, spread / variance if min(spread, variance) > 1e-15 else float(inside.sum())
