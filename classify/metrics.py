"""How right the placements are: confusion, counts, scores and their intervals. Pure.

Every function takes labels or counts and returns frames or numbers; none reads a file. A
snippet without a verdict is ``unplaced``: it counts against its true category, and for none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from classify.placement import Category

CATEGORIES: tuple[str, ...] = tuple(category.value for category in Category)
"""The five categories, in the order of every table."""
LOSSES: tuple[str, ...] = tuple(c for c in CATEGORIES if c != Category.NO_LOSS)
"""The categories of snippets that define a loss."""
UNPLACED = "unplaced"
"""The column of snippets that have no verdict."""

INDEPENDENT_SAMPLE = "the labelled snippets are an independent random sample"

F1Method = Literal["wilson_indirect", "wilson_direct", "clopper_pearson", "wald"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, and what must hold for it to mean something.

    ``n`` is the sample size that the formula used, which may be an effective, broken one.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    method: str
    n: float
    assumption: str = INDEPENDENT_SAMPLE

    @property
    def centre(self) -> float:
        """The middle of the interval; not the estimate, except for a symmetric method."""
        return (self.low + self.high) / 2

    @property
    def half_width(self) -> float:
        """Half of what lies between the bounds."""
        return (self.high - self.low) / 2


def confusion(actual: Iterable[str], predicted: Iterable[str | None]) -> pd.DataFrame:
    """Count the snippets of each true category (rows) by their placement (columns).

    Rows are the five categories, columns those and ``unplaced``, all in fixed order. None or
    NaN in ``predicted`` means unplaced. Raises ValueError on any other label.
    """
    rows, columns = codes(actual, predicted)
    cells = np.zeros((len(CATEGORIES), len(CATEGORIES) + 1), dtype=int)
    np.add.at(cells, (rows, columns), 1)
    return pd.DataFrame(
        cells,
        index=pd.Index(CATEGORIES, name="actual"),
        columns=pd.Index((*CATEGORIES, UNPLACED), name="predicted"),
    )


def codes(
    actual: Iterable[str], predicted: Iterable[str | None]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row and the column of each snippet in the frame of ``confusion``.

    Raises ValueError as ``confusion`` does.
    """
    true = pd.Series(list(actual), dtype=object)
    placed = pd.Series(list(predicted), dtype=object)
    if len(true) != len(placed):
        raise ValueError(f"{len(true)} true labels, but {len(placed)} placements")
    placed = placed.where(placed.notna(), UNPLACED)
    found = []
    for labels, known in ((true, CATEGORIES), (placed, (*CATEGORIES, UNPLACED))):
        code = pd.Index(known).get_indexer(pd.Index(labels, dtype=object))
        if (code < 0).any():
            unknown = sorted(set(labels) - set(known))
            raise ValueError(f"expected labels out of {', '.join(known)}; found {unknown[0]!r}")
        found.append(code)
    return found[0], found[1]


def counts(matrix: pd.DataFrame) -> pd.DataFrame:
    """Return tp, tn, fp and fn of each category, from a frame as ``confusion`` gives it."""
    placed = matrix[list(CATEGORIES)]
    tp = pd.Series(np.diag(placed), index=list(CATEGORIES))
    fp = placed.sum(axis=0) - tp
    fn = matrix.sum(axis=1) - tp
    tn = int(matrix.to_numpy().sum()) - tp - fp - fn
    table = pd.DataFrame({"tp": tp, "tn": tn, "fp": fp, "fn": fn})
    return table.reindex(CATEGORIES).rename_axis("category").astype(int)


def scores(table: pd.DataFrame) -> pd.DataFrame:
    """Return precision, recall, f1 and support of each category, from a frame of ``counts``.

    A quotient of nothing by nothing is 0, as in the published tables: the precision of a
    category that was never predicted, the recall of one that never occurs, the F1 of either.
    """
    tp, fp, fn = table["tp"], table["fp"], table["fn"]
    return pd.DataFrame(
        {
            "precision": _quotient(tp, tp + fp),
            "recall": _quotient(tp, tp + fn),
            "f1": _quotient(2 * tp, 2 * tp + fp + fn),
            "support": tp + fn,
        }
    )


def weighted_f1(table: pd.DataFrame) -> float:
    """Return the mean F1 of the categories, weighted by true occurrences (from ``counts``).

    Raises ValueError if nothing occurs.
    """
    each = scores(table)
    return float((each["f1"] * each["support"]).sum() / _occurring(each["support"]))


def macro_f1(table: pd.DataFrame) -> float:
    """Return the plain mean F1 of the categories that truly occur (from ``counts``).

    A category without a true occurrence can only score 0, whatever the judge does, so it has
    no part in the mean. Raises ValueError if nothing occurs.
    """
    each = scores(table)
    _occurring(each["support"])
    return float(each.loc[each["support"] > 0, "f1"].mean())


def accuracy(matrix: pd.DataFrame) -> float:
    """Return the share of snippets placed rightly; an unplaced one is not. Of ``confusion``."""
    return float(np.diag(matrix[list(CATEGORIES)]).sum() / _occurring(matrix.sum(axis=1)))


def balanced_accuracy(matrix: pd.DataFrame) -> float:
    """Return the plain mean recall of the categories that truly occur, of ``confusion``."""
    each = scores(counts(matrix))
    _occurring(each["support"])
    return float(each.loc[each["support"] > 0, "recall"].mean())


def matthews(matrix: pd.DataFrame) -> float:
    """Return Matthews' correlation of true categories and placements, of ``confusion``.

    The coefficient for several categories (Gorodkin 2004), from -1 to 1, with ``unplaced`` as
    a placement like any other; 0 where all snippets are of one category, or placed in one.
    """
    n = _occurring(matrix.sum(axis=1))
    cells = matrix.to_numpy(dtype=float) / n
    true, placed = np.append(cells.sum(axis=1), 0.0), cells.sum(axis=0)
    spread = (1 - (true**2).sum()) * (1 - (placed**2).sum())
    if spread < 1e-12:
        return 0.0
    return float((np.trace(cells) - true @ placed) / math.sqrt(spread))


def coverage(matrix: pd.DataFrame) -> float:
    """Return the share of snippets that have a placement, from a frame of ``confusion``."""
    return float(1 - matrix[UNPLACED].sum() / _occurring(matrix.sum(axis=1)))


def wilson(p: float, n: float, confidence: float) -> Interval:
    """Return the Wilson score interval of a proportion ``p`` seen in ``n`` trials.

    ``n`` may be an effective sample size. With z the normal quantile, the centre is
    (p + z²/2n)/(1 + z²/n) and the half-width z/(1 + z²/n) · sqrt(p(1-p)/n + z²/4n²)
    (Wilson 1927). Raises ValueError outside of 0 <= p <= 1, n > 0, 0 < confidence < 1.
    """
    if not (0 <= p <= 1 and n > 0):
        raise ValueError(f"expected a proportion and a positive sample size, found {p} and {n}")
    z = normal_quantile(confidence)
    shrink = 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / shrink
    half_width = z / shrink * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # the interval holds the proportion and lies in [0, 1]; only rounding could say otherwise
    low = max(0.0, min(p, centre - half_width))
    high = min(1.0, max(p, centre + half_width))
    return Interval(p, low, high, confidence, "wilson", n)


def f1_interval(
    tp: int, fp: int, fn: int, confidence: float, method: F1Method = "wilson_indirect"
) -> Interval:
    """Return a confidence interval of one category's F1 (Lam 2023).

    With nu = tp + fp + fn and J = tp/nu, a proportion, F1 = 2J/(1 + J). ``wilson_indirect`` and
    ``clopper_pearson`` map their interval of J at nu through that function; ``wilson_direct``
    solves |F - f| = z · sqrt(f(1-f)(2-f)²/2nu) for f; ``wald`` puts F into that root instead of
    f, and is cut at 0 and 1. ``n`` of the result is nu. Raises ValueError if nu is 0, where F1
    is undefined.
    """
    if method not in get_args(F1Method):
        raise ValueError(f"expected one of {', '.join(get_args(F1Method))}; found {method!r}")
    nu = tp + fp + fn
    if min(tp, fp, fn) < 0 or nu == 0:
        raise ValueError(f"expected counts that are not all 0, found tp={tp}, fp={fp}, fn={fn}")
    z = normal_quantile(confidence)
    f1 = 2 * tp / (2 * tp + fp + fn)
    match method:
        case "wilson_indirect":
            jaccard = wilson(tp / nu, nu, confidence)
            low, high = _f1_of_jaccard(jaccard.low), _f1_of_jaccard(jaccard.high)
        case "wilson_direct":
            low, high = _wilson_direct(f1, nu, z)
        case "clopper_pearson":
            tail = (1 - confidence) / 2
            lower = float(betaincinv(tp, nu - tp + 1, tail)) if tp else 0.0
            upper = float(betaincinv(tp + 1, nu - tp, 1 - tail)) if tp < nu else 1.0
            low, high = _f1_of_jaccard(lower), _f1_of_jaccard(upper)
        case "wald":
            half_width = z * math.sqrt(f1 * (1 - f1) * (2 - f1) ** 2 / (2 * nu))
            low, high = max(0.0, f1 - half_width), min(1.0, f1 + half_width)
    return Interval(f1, low, high, confidence, method, nu)


def weighted_f1_wilson(matrix: pd.DataFrame, confidence: float) -> Interval:
    """Return the interval of the weighted F1 as published: Wilson's, as if F1 were a proportion.

    It is none, so the interval is an approximation; ``weighted_f1_delta`` is a better one.
    """
    n = _occurring(matrix.sum(axis=1))
    return wilson(weighted_f1(counts(matrix)), n, confidence)


def weighted_f1_delta(matrix: pd.DataFrame, confidence: float) -> Interval:
    """Return the interval of the weighted F1 by its delta-method variance.

    With G the gradient (``linearised_weighted_f1``), the variance is (sum G²p - wF²)/n for cell
    shares p. Wilson's interval is then taken at the effective size wF(1-wF)/variance, at which
    a proportion would vary as much. Where the variance is 0, as with all right or all wrong,
    that size is n.
    """
    n = _occurring(matrix.sum(axis=1))
    shares = matrix.to_numpy(dtype=float) / n
    estimate, gradient = linearised_weighted_f1(shares)
    variance = float((gradient**2 * shares).sum() - estimate**2) / n
    effective = estimate * (1 - estimate) / variance if variance > 1e-12 / n else float(n)
    at_effective = wilson(estimate, effective, confidence)
    return Interval(
        estimate, at_effective.low, at_effective.high, confidence, "wilson_delta", effective
    )


def linearised_weighted_f1(
    shares: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """Return the weighted F1 of cell shares that add up to 1, and how it changes with each.

    ``shares`` and the gradient have the rows and columns of ``confusion``; the shares may come
    from weighted snippets. With r and s the shares of true and predicted occurrences and d the
    diagonal's, G_ij = 2 d_i s_i/(r_i+s_i)² - 2 r_j d_j/(r_j+s_j)² + [i=j] 2 r_i/(r_i+s_i). The
    value at a snippet's cell is its linearised score, from which variances under other designs
    follow.
    """
    size = len(CATEGORIES)
    r, s, d = shares.sum(axis=1), shares[:, :size].sum(axis=0), np.diag(shares)
    either = r + s
    by_row = _ratio(2 * d * s, either**2)
    by_column = np.append(_ratio(2 * r * d, either**2), 0.0)  # no category is truly "unplaced"
    gradient = by_row[:, None] - by_column[None, :]
    gradient[np.arange(size), np.arange(size)] += _ratio(2 * r, either)
    estimate = float(np.clip(_ratio(2 * r * d, either).sum(), 0.0, 1.0))
    return estimate, gradient


def _wilson_direct(f1: float, nu: int, z: float) -> tuple[float, float]:
    # (F-f)² = k f(1-f)(2-f)² as a quartic; exactly two of its roots are real, both in [0, 1]
    k = z**2 / (2 * nu)
    roots = np.roots([k, -5 * k, 1 + 8 * k, -2 * f1 - 4 * k, f1**2])
    real = roots[np.argsort(np.abs(roots.imag), kind="stable")[:2]].real
    low, high = np.clip([real.min(), real.max()], 0.0, 1.0)
    # at 0 and 1 the estimate itself is a root; only rounding would move it
    return (0.0 if f1 == 0 else float(low)), (1.0 if f1 == 1 else float(high))


def _f1_of_jaccard(jaccard: float) -> float:
    return 2 * jaccard / (1 + jaccard)


def normal_quantile(confidence: float) -> float:
    """Return the standard normal quantile z of a two-sided confidence."""
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, found {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _occurring(support: pd.Series[int]) -> int:
    total = int(support.sum())
    if total == 0:
        raise ValueError("expected at least one labelled snippet, found none")
    return total


def _quotient(numerator: pd.Series[int], denominator: pd.Series[int]) -> pd.Series[float]:
    return (numerator / denominator.where(denominator > 0)).fillna(0.0)


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
