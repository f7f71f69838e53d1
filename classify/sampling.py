"""What to label next: samples of known design, and how many labels an interval needs. Pure.

Every function takes frames and numbers and returns frames; a seed decides all that is random.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classify.designs import Design, Margin, Within
from classify.metrics import CATEGORIES, LOSSES, UNPLACED, linearised_weighted_f1, wilson

AT_LEAST = 2
"""Snippets drawn from each stratum that has as many: with one, its spread cannot be seen."""

GUESSED_ERROR = dict.fromkeys(LOSSES, 0.2) | {"no_loss": 0.02, UNPLACED: 0.5}
"""The share of wrong placements that is taken for each placement, where none was measured."""

_GUESSED_AT_MARGIN = {Margin.UNANIMOUS: 0.5, Margin.CLEAR: 1.5, Margin.CLOSE: 3.0}
"""How many times as often as other placements those of a vote margin are taken to be wrong."""

_GUESSED_AT_MOST = 0.5

_MEASURED_LIKE = 2.0
"""As many labels as these the guess counts for, beside what was measured."""

_PARTS = 1e9
"""Half-widths are compared up to one part in these."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Snippets that are drawn from together: those of one placement and one part of it.

    ``part`` is a kind of snippets, or a vote margin (see designs.Within). ``true`` holds the
    shares of the true categories that are expected among them, in the order of
    metrics.CATEGORIES.
    """

    placement: str
    part: str
    size: int
    true: tuple[float, ...]

    @property
    def error(self) -> float:
        """The expected share of wrong placements; all of the unplaced are wrong."""
        if self.placement == UNPLACED:
            return 1.0
        return 1.0 - self.true[CATEGORIES.index(self.placement)]


def strata_of(
    population: pd.DataFrame, labelled: pd.DataFrame | None = None, within: Within = Within.KIND
) -> list[Stratum]:
    """Return the strata of a run's placements, by placement and then by the column ``within``.

    ``population`` has the columns placement (missing: unplaced) and ``within``. What is true in a
    stratum is taken from ``labelled`` (columns label, placement and ``within``, as gold.match
    gives them): of all labels of its placement, or of those of its placement and vote margin,
    with the guess of ``GUESSED_ERROR`` counting for two labels; without any, from the guess
    alone, by which a wrong placement may be any other category, and is the likelier the closer
    the votes were.
    """
    placed = population["placement"].fillna(UNPLACED)
    sizes = population.groupby([placed, population[within].astype(str)]).size()
    return [
        Stratum(
            placement,
            part,
            int(sizes.loc[placement, part]),
            _expected(placement, Margin(part) if within is Within.MARGIN else None, labelled),
        )
        for placement in (*CATEGORIES, UNPLACED)
        for part in sorted(sizes.index.get_level_values(1).unique())
        if (placement, part) in sizes.index
    ]


def _expected(
    placement: str, margin: Margin | None, labelled: pd.DataFrame | None
) -> tuple[float, ...]:
    wrong = GUESSED_ERROR[placement]
    if margin is not None:
        wrong = min(_GUESSED_AT_MOST, _GUESSED_AT_MARGIN[margin] * wrong)
    others = len(CATEGORIES) - (placement in CATEGORIES)
    if placement == UNPLACED:
        wrong = 1.0
    shares = np.array([1 - wrong if c == placement else wrong / others for c in CATEGORIES])
    if labelled is not None:
        of_stratum = labelled["placement"].fillna(UNPLACED) == placement
        if margin is not None:
            of_stratum &= labelled[Within.MARGIN] == margin
        labels = labelled.loc[of_stratum, "label"]
        seen = np.array([(labels == category).sum() for category in CATEGORIES], dtype=float)
        shares = (seen + _MEASURED_LIKE * shares) / (seen.sum() + _MEASURED_LIKE)
    return tuple(float(share) for share in shares)


def neyman(
    sizes: Sequence[int], deviations: Sequence[float], n: int, at_least: int = AT_LEAST
) -> list[int]:
    """Share ``n`` draws among strata in proportion to size times deviation (Neyman 1934).

    No stratum gets more than its size, nor less than ``at_least`` (or its size), as far as ``n``
    goes round; what one cannot take, the others share. Where all deviations are 0, sizes alone
    count. The draws add up to ``n``, or to all there is. Ties go to the earlier stratum.
    """
    if len(sizes) != len(deviations) or min((*sizes, *deviations, n, at_least), default=0) < 0:
        raise ValueError("expected a size and a deviation of each stratum, none negative")
    top = np.array(sizes, dtype=float)
    n = min(n, int(top.sum()))
    if n == 0:
        return [0] * len(top)
    drawn = np.minimum(top, at_least)
    if drawn.sum() > n:  # not enough to go round: the largest strata first
        drawn = np.zeros(len(top))
        for place in sorted(range(len(top)), key=lambda i: (-top[i], i)):
            drawn[place] = min(top[place], at_least, n - drawn.sum())
        return [int(each) for each in drawn]
    share = top * np.array(deviations, dtype=float)
    share = share if share.sum() > 0 else top
    wanted = _water(share, drawn, top, n)
    whole = np.floor(wanted + 1e-9)
    rest = int(n - whole.sum())
    order = sorted(range(len(top)), key=lambda i: (whole[i] - wanted[i], i))
    for place in [i for i in order if whole[i] < top[i]][:rest]:
        whole[place] += 1
    return [int(each) for each in whole]


def _water(
    share: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return values between the bounds, proportional to ``share`` within them, that sum to n."""
    below, above = 0.0, 1.0
    # a share of 0 takes part where all others are at their bound
    positive: NDArray[np.float64] = np.maximum(share / share.max(), 1e-9)
    while np.clip(above * positive, low, high).sum() < n:
        above *= 2
    for _ in range(200):
        middle = (below + above) / 2
        below, above = (
            (middle, above) if np.clip(middle * positive, low, high).sum() < n else (below, middle)
        )
    return np.clip(above * positive, low, high)


def deviations_of(strata: Sequence[Stratum]) -> list[float]:
    """Return how much the weighted F1's linearised score is expected to vary in each stratum.

    For a figure that is linear in the strata this is sqrt(e(1-e)) of the error rate e; for the
    weighted F1, the score of a snippet is the gradient at its cell of the confusion matrix.
    """
    _, gradient = linearised_weighted_f1(_shares(strata))
    found = []
    for stratum in strata:
        scores = gradient[:, _column(stratum)]
        true = np.array(stratum.true)
        mean = float(true @ scores)
        found.append(math.sqrt(max(0.0, float(true @ scores**2) - mean**2)))
    return found


def half_width(strata: Sequence[Stratum], drawn: Sequence[int] | int, confidence: float) -> float:
    """Return the half-width that the weighted F1's interval is expected to have.

    ``drawn``: labels of each stratum, or one number of a plain random sample. The variance is
    that of the linearised scores under the design (with each stratum's share of the population
    drawn taken off), and the interval Wilson's at the effective size.
    """
    estimate, gradient = linearised_weighted_f1(_shares(strata))
    total = sum(each.size for each in strata)
    if isinstance(drawn, int):
        shares = _shares(strata)
        spread = float((gradient**2 * shares).sum()) - estimate**2
        variance = spread / drawn * max(0.0, 1 - drawn / total)
    else:
        variance = sum(
            (stratum.size / total) ** 2 * deviation**2 / n * (1 - n / stratum.size)
            for stratum, deviation, n in zip(strata, deviations_of(strata), drawn, strict=True)
            if n
        )
    if variance <= 0:
        return 0.0
    return wilson(estimate, estimate * (1 - estimate) / variance, confidence).half_width


def labels_needed(
    strata: Sequence[Stratum], design: Design, wanted: float, confidence: float
) -> int:
    """Return the fewest labels with which the interval is expected to be no wider than wanted.

    ``wanted`` is its half-width. The thesis's design counts as a random sample; see ``kish``.
    """
    total = sum(each.size for each in strata)
    low, high = fewest_labels(strata) if design is Design.STRATIFIED else 1, total
    while low < high:
        middle = (low + high) // 2
        if _expected_half_width(strata, design, middle, confidence) <= wanted * (1 + 1 / _PARTS):
            high = middle
        else:
            low = middle + 1
    return low


def _expected_half_width(
    strata: Sequence[Stratum], design: Design, n: int, confidence: float
) -> float:
    if design is not Design.STRATIFIED:
        return half_width(strata, n, confidence)
    return half_width(strata, allocation(strata, n), confidence)


def allocation(strata: Sequence[Stratum], n: int) -> list[int]:
    """Return Neyman's allocation of ``n`` labels for the weighted F1."""
    return neyman([each.size for each in strata], deviations_of(strata), n)


def fewest_labels(strata: Sequence[Stratum]) -> int:
    """Return the fewest labels that leave no stratum without the ``AT_LEAST`` that it needs.

    With fewer, nothing would be known of some snippets, and no figure of all of them could be
    told.
    """
    return sum(min(each.size, AT_LEAST) for each in strata)


def kish(weights: Sequence[float]) -> float:
    """Return by how much unequal weights inflate a variance: n Σw² / (Σw)² (Kish 1965)."""
    values = np.array(weights, dtype=float)
    return float(len(values) * (values**2).sum() / values.sum() ** 2)


def draw_random(population: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Draw ``n`` snippets, each as likely as any other. See ``draw_stratified`` for columns."""
    return _drawn(population, pd.Series("all", population.index), {"all": n}, seed)


def draw_stratified(
    population: pd.DataFrame,
    strata: Sequence[Stratum],
    drawn: Sequence[int],
    seed: int,
    within: Within = Within.KIND,
) -> pd.DataFrame:
    """Draw so many snippets of each stratum, and mix them.

    Returns rows of ``population`` (columns placement and ``within``; others are kept) with
    ``sampling_stratum``, a number that does not tell which stratum it is; ``stratum_size`` and
    ``stratum_sampled``, whose quotient is the snippet's weight; and
    ``inclusion_probability``. Each stratum's draw depends on the seed and the stratum alone.
    """
    key = population["placement"].fillna(UNPLACED) + "/" + population[within].astype(str)
    wanted = {f"{s.placement}/{s.part}": n for s, n in zip(strata, drawn, strict=True)}
    return _drawn(population, key, wanted, seed)


def draw_thesis(population: pd.DataFrame, repositories: int, seed: int) -> pd.DataFrame:
    """Draw repositories, each as likely as any other, and of each one snippet placed as a loss.

    The population is the snippets placed as a loss. Each repository is its own stratum; a
    snippet of one with many losses was less likely to be drawn, and weighs more.
    """
    losses = population[population["placement"].isin(LOSSES)]
    names = sorted(losses["repository"].unique())
    taken = min(repositories, len(names))
    chosen = _generator(seed, "repositories").choice(len(names), size=taken, replace=False)
    wanted = {names[place]: 1 for place in sorted(chosen)}
    rows = _drawn(losses, losses["repository"].astype(str), wanted, seed)
    share = taken / len(names) if names else 0.0
    return rows.assign(inclusion_probability=rows["inclusion_probability"] * share)


def _drawn(
    population: pd.DataFrame, key: pd.Series[str], wanted: Mapping[str, int], seed: int
) -> pd.DataFrame:
    names = sorted(wanted)
    numbers = _generator(seed, "numbers").permutation(len(names)) + 1
    parts = []
    for name, number in zip(names, numbers, strict=True):
        of_stratum = population[key == name]
        n = min(wanted[name], len(of_stratum))
        places = _generator(seed, name).choice(len(of_stratum), size=n, replace=False)
        parts.append(
            of_stratum.iloc[sorted(places)].assign(
                sampling_stratum=f"s{number:02d}",
                stratum_size=len(of_stratum),
                stratum_sampled=n,
                inclusion_probability=n / len(of_stratum) if n else 0.0,
            )
        )
    rows = pd.concat(parts) if parts else population.head(0)
    order = _generator(seed, "order").permutation(len(rows))
    return rows.iloc[order].reset_index(drop=True)


def _generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a generator of its own for each purpose, so that no draw shifts another."""
    return np.random.default_rng([seed, *purpose.encode("utf-8", "surrogatepass")])


def _shares(strata: Sequence[Stratum]) -> NDArray[np.float64]:
    """Return the expected confusion matrix as cell shares: metrics.confusion's shape."""
    cells = np.zeros((len(CATEGORIES), len(CATEGORIES) + 1))
    for stratum in strata:
        cells[:, _column(stratum)] += stratum.size * np.array(stratum.true)
    shares: NDArray[np.float64] = cells / cells.sum()
    return shares


def _column(stratum: Stratum) -> int:
    return (*CATEGORIES, UNPLACED).index(stratum.placement)
