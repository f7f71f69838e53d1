"""How far readers agree on the labels of the same snippets. Pure.

Labels come as a frame with one column a reader and one row a snippet; a missing label is None
or NaN. A seed decides what is random.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classify.metrics import Interval

Floats = NDArray[np.float64]

RESAMPLES = 2000
_AT_ONCE = 200
"""Resamples that are in memory together."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One measure with its interval, None where it is undefined: nobody used two categories.

    ``readers`` are those compared, ``snippets`` those that count: read by two of them.
    """

    measure: str
    readers: tuple[str, ...]
    snippets: int
    interval: Interval | None


def share_agreed(labels: pd.DataFrame) -> float:
    """Return the share of pairs of labels of one snippet that are equal; NaN without a pair."""
    counts = _counts(labels)
    read = counts.sum(axis=1)
    return _over((counts * (counts - 1)).sum(), (read * (read - 1)).sum())


def cohen_kappa(labels: pd.DataFrame) -> float:
    """Return Cohen's kappa of two readers over the snippets that both labelled (Cohen 1960).

    (p_o - p_e)/(1 - p_e), with p_o the share of equal labels and p_e what it would be by chance
    with each reader's own shares. NaN where both used one and the same category only.
    """
    table = _pairs(labels)
    return float(_kappa(table[None])[0])


def krippendorff_alpha(labels: pd.DataFrame) -> float:
    """Return Krippendorff's alpha for nominal labels of any number of readers (2004, ch. 11).

    1 - D_o/D_e over the pairs of labels within snippets. A label which stands alone on its
    snippet does not count. NaN where fewer than two categories were used.
    """
    counts = _counts(labels)
    return float(_alpha(*_parts(counts, np.ones((1, len(counts)))))[0])


def agreements(
    labels: pd.DataFrame,
    clusters: Sequence[Hashable] | None,
    confidence: float,
    seed: int,
) -> list[Agreement]:
    """Return alpha of all readers, and the share agreed and kappa of each pair of them.

    The intervals are percentiles of a bootstrap (Efron 1979) over ``clusters``, say the
    repositories of the snippets; without them over snippets. ``Interval.n`` is the number of
    clusters.
    """
    readers = tuple(str(name) for name in labels.columns)
    found = [_agreement("krippendorff_alpha", labels, readers, clusters, confidence, seed)]
    for first in range(len(readers)):
        for second in range(first + 1, len(readers)):
            pair = labels.iloc[:, [first, second]]
            names = (readers[first], readers[second])
            found += [
                _agreement(measure, pair, names, clusters, confidence, seed)
                for measure in ("share_agreed", "cohen_kappa")
            ]
    return found


def _agreement(
    measure: str,
    labels: pd.DataFrame,
    readers: tuple[str, ...],
    clusters: Sequence[Hashable] | None,
    confidence: float,
    seed: int,
) -> Agreement:
    common = (labels.notna().sum(axis=1) > 1).to_numpy()
    read = labels[common]
    group = (
        np.arange(len(read)) if clusters is None else _codes(np.asarray(clusters, object)[common])
    )
    estimate = _MEASURES[measure](read) if len(read) else float("nan")
    if np.isnan(estimate):
        return Agreement(measure, readers, len(read), None)
    resampled = _resampled(measure, read, group, seed)
    resampled = resampled[~np.isnan(resampled)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail]) if len(resampled) else (estimate, estimate)
    unit = "snippets" if clusters is None else "repositories"
    interval = Interval(
        estimate,
        min(float(low), estimate),
        max(float(high), estimate),
        confidence,
        "bootstrap_percentile",
        float(group.max() + 1),
        f"the {unit} of the labels are an independent random sample",
    )
    return Agreement(measure, readers, len(read), interval)


def _resampled(measure: str, labels: pd.DataFrame, group: NDArray[np.intp], seed: int) -> Floats:
    """Return the measure of ``RESAMPLES`` samples of the groups, drawn with replacement."""
    generator = np.random.default_rng(seed)
    groups = int(group.max()) + 1
    of_kappa = measure == "cohen_kappa"
    cells = _pairs_of_each(labels) if of_kappa else _counts(labels)
    found = []
    for start in range(0, RESAMPLES, _AT_ONCE):
        times = generator.multinomial(
            groups, np.full(groups, 1 / groups), size=min(_AT_ONCE, RESAMPLES - start)
        )
        multiplicity = times[:, group].astype(float)
        if of_kappa:
            found.append(_kappa(np.tensordot(multiplicity, cells, axes=1)))
        else:
            parts = _parts(cells, multiplicity)
            found.append(
                _alpha(*parts) if measure == "krippendorff_alpha" else _share(cells, multiplicity)
            )
    return np.concatenate(found)


def _counts(labels: pd.DataFrame) -> Floats:
    """Return how often each category was given to each snippet: snippets by categories."""
    categories = _categories(labels)
    return (
        np.array(
            [(labels == category).sum(axis=1).to_numpy() for category in categories], dtype=float
        )
        .reshape(len(categories), len(labels))
        .T
    )


def _parts(counts: Floats, multiplicity: Floats) -> tuple[Floats, Floats]:
    """Return, of each resample, the coincidences that agree and the labels of each category.

    A snippet with m labels counts each pair of them 1/(m-1) times.
    """
    read = counts.sum(axis=1)
    several = read > 1
    agreeing = np.zeros(len(counts))
    agreeing[several] = (counts * (counts - 1)).sum(axis=1)[several] / (read[several] - 1)
    return multiplicity @ agreeing, multiplicity @ (counts * several[:, None])


def _alpha(agreeing: Floats, of_category: Floats) -> Floats:
    n = of_category.sum(axis=1)
    chance = n**2 - (of_category**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(chance > 0, 1 - (n - 1) * (n - agreeing) / chance, np.nan)
    return found


def _share(counts: Floats, multiplicity: Floats) -> Floats:
    read = counts.sum(axis=1)
    equal = multiplicity @ (counts * (counts - 1)).sum(axis=1)
    found: Floats = equal / (multiplicity @ (read * (read - 1)))
    return found


def _pairs_of_each(labels: pd.DataFrame) -> Floats:
    """Return a table of the two readers' categories for each snippet, with a 1 in one cell."""
    categories = _categories(labels)
    first, second = (
        np.array([labels.iloc[:, reader] == category for category in categories], dtype=float)
        for reader in (0, 1)
    )
    tables: Floats = np.einsum("as,bs->sab", first, second)
    return tables


def _pairs(labels: pd.DataFrame) -> Floats:
    both = labels[labels.notna().all(axis=1)]
    table: Floats = _pairs_of_each(both).sum(axis=0)
    return table


def _kappa(tables: Floats) -> Floats:
    n = tables.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.einsum("raa->r", tables) / n
        chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / n**2
        found: Floats = np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
    return found


def _categories(labels: pd.DataFrame) -> list[str]:
    values = pd.unique(labels.to_numpy(dtype=object).ravel())
    return sorted(str(value) for value in values if not pd.isna(value))


def _codes(clusters: NDArray[np.object_]) -> NDArray[np.intp]:
    return pd.factorize(clusters)[0].astype(np.intp)


def _over(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")


_MEASURES: dict[str, Callable[[pd.DataFrame], float]] = {
    "share_agreed": share_agreed,
    "cohen_kappa": cohen_kappa,
    "krippendorff_alpha": krippendorff_alpha,
}
