"""Two runs over the same snippets: what moved, whether one way, and which is right. Pure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import bdtr, chdtrc, ndtr, stdtrit

from classify.errors import GoldError
from classify.evaluate import interval_json, matrix_lines
from classify.gold import KEY, Gold, match, sampling_strata
from classify.intervals import Codes, Floats, clustered_variance
from classify.metrics import CATEGORIES, UNPLACED, Interval, codes
from mining.errors import ArtifactError

SNIPPET = [*KEY, "code_sha256"]
"""What two runs must both hold for a snippet to be the same in both."""
RESAMPLES = 4000
SEED = 20240220
INDEPENDENT_SNIPPETS = "snippets are independent of one another, also within a repository"
INDEPENDENT_REPOSITORIES = "the repositories are an independent random sample of repositories"


@dataclass(frozen=True, slots=True)
class Test:
    """A test of the hypothesis that both runs differ by chance only; ``n`` counts what differs."""

    method: str
    statistic: float
    degrees_of_freedom: int | None
    p_value: float
    n: int
    assumption: str


@dataclass(frozen=True, slots=True)
class AgainstGold:
    """Both runs against the labelled snippets that both hold.

    ``right`` counts the snippets that both place rightly, only A, only B, and neither.
    ``difference`` is the weighted F1 of B less that of A, ``population`` the same with each
    snippet weighted by its stratum: None where the gold file has no strata. Both are None where
    all labelled snippets are of one repository, and where none is placed otherwise in B than in
    A: then the labels tell nothing of how often that happens.
    """

    n: int
    repositories: int
    right: tuple[int, int, int, int]
    mcnemar: Test | None
    weighted_f1: tuple[float, float]
    difference: Interval | None
    population: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run A against run B over the snippets that both hold.

    ``moves`` counts them by placement in A (rows) and in B (columns), ``unplaced`` among both.
    ``placed`` of the ``common`` ones have a placement in both runs, and only those take part in
    kappa and Bowker's test. ``kappa`` is None where it has no meaning, as when both runs place
    all snippets alike in one category, or all are of one repository.
    """

    names: tuple[str, str]
    common: int
    only: tuple[int, int]
    placed: int
    repositories: int
    moves: pd.DataFrame
    agreement: float
    kappa: Interval | None
    bowker: Test | None
    gold: AgainstGold | None

    def to_json(self) -> dict[str, Any]:
        """Return all figures as dictionaries, lists, strings and numbers."""
        against = self.gold
        return {
            "a": self.names[0],
            "b": self.names[1],
            "common": self.common,
            "only_a": self.only[0],
            "only_b": self.only[1],
            "placed_in_both": self.placed,
            "repositories": self.repositories,
            "moves": self.moves.to_dict("index"),
            "agreement": self.agreement,
            "kappa": _estimate_json(self.kappa),
            "bowker": None if self.bowker is None else asdict(self.bowker),
            "gold": None
            if against is None
            else {
                "n": against.n,
                "repositories": against.repositories,
                "right": dict(zip(("both", "a", "b", "neither"), against.right, strict=True)),
                "mcnemar": None if against.mcnemar is None else asdict(against.mcnemar),
                "weighted_f1": dict(zip("ab", against.weighted_f1, strict=True)),
                "difference": _estimate_json(against.difference),
                "population_difference": _estimate_json(against.population),
            },
        }

    def lines(self) -> Iterator[str]:
        """Give the figures as lines of text, none wider than 100 columns."""
        for letter, name, only in zip("AB", self.names, self.only, strict=True):
            yield from textwrap.wrap(f"{letter}: {name}, {only} snippets of its own", 98)
        yield (
            f"{self.common} snippets of {self.repositories} repositories are in both, "
            f"{self.placed} placed in both."
        )
        yield ""
        yield from matrix_lines(self.moves, "in A, in B")
        yield ""
        moved = self.placed - round(self.agreement * self.placed)
        yield f"  {moved} placed elsewhere, {self.agreement:.2%} placed alike"
        if self.kappa is not None:
            yield f"  Cohen's kappa {_told(self.kappa)}, clustered by repository"
        if self.bowker is not None:
            test = self.bowker
            yield (
                f"  Bowker's test of symmetry: chi² {test.statistic:.2f}, "
                f"{test.degrees_of_freedom} degrees of freedom, p = {test.p_value:.2g}"
            )
        if (against := self.gold) is not None:
            yield ""
            yield from _gold_lines(against)
        yield ""
        yield from textwrap.wrap(
            f"The intervals assume that {INDEPENDENT_REPOSITORIES}, the tests that "
            f"{INDEPENDENT_SNIPPETS}: where snippets of a repository move together, a small p "
            f"says less than it seems.",
            98,
        )


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    gold: Gold | None = None,
    confidence: float = 0.95,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Compare two tables of placements over their common snippets.

    Each has at least the columns of ``SNIPPET`` and placement. Snippets are the same if they are
    at the same place and their code is equal. Raises ArtifactError if there are none in common,
    and GoldError if no gold row is about one of them.
    """
    both = _common(a, b)
    if both.empty:
        raise ArtifactError(
            f"Expected two runs with snippets in common, found none among {len(a)} and {len(b)}; "
            f"compare runs over the same repositories."
        )
    placed = both.dropna(subset=["placement_a", "placement_b"])
    first, second = codes(placed["placement_a"], placed["placement_b"]) if len(placed) else ((), ())
    cells = np.zeros((len(CATEGORIES), len(CATEGORIES)))
    np.add.at(cells, (first, second), 1)
    return Comparison(
        names=names,
        common=len(both),
        only=(len(a) - len(both), len(b) - len(both)),
        placed=len(placed),
        repositories=both["repository"].nunique(),
        moves=_moves(both),
        agreement=float(np.trace(cells) / max(1, len(placed))),
        kappa=cohen_kappa(placed, confidence),
        bowker=bowker(cells),
        gold=None if gold is None else _against_gold(both, gold, confidence),
    )


def cohen_kappa(placed: pd.DataFrame, confidence: float) -> Interval | None:
    """Return Cohen's kappa of two runs' placements, with an interval clustered by repository.

    Reads the columns repository, placement_a and placement_b, none of them missing. With p_o the
    share placed alike and p_e that expected of the margins a and b, a snippet in cell (i, j) has
    the linearised score [([i=j] - p_o)(1 - p_e) - (1 - p_o)(b_i + a_j - 2 p_e)] / (1 - p_e)²
    (with all snippets independent this is the variance of Fleiss, Cohen and Everitt 1969); the
    interval is kappa ± t·s with M-1 degrees of freedom for M repositories. None without two
    repositories, or if p_e is 1.
    """
    clusters = placed["repository"].nunique()
    if clusters < 2:
        return None
    first, second = codes(placed["placement_a"], placed["placement_b"])
    n, size = len(placed), len(CATEGORIES)
    of_a, of_b = np.bincount(first, minlength=size) / n, np.bincount(second, minlength=size) / n
    alike = first == second
    observed, expected = float(alike.mean()), float(of_a @ of_b)
    if 1 - expected < 1e-12:
        return None
    kappa = (observed - expected) / (1 - expected)
    surprise = of_b[first] + of_a[second] - 2 * expected
    scores = (alike - observed) * (1 - expected) - (1 - observed) * surprise
    variance = clustered_variance(scores / (1 - expected) ** 2 / n, placed["repository"])
    half_width = float(stdtrit(clusters - 1, (1 + confidence) / 2)) * math.sqrt(variance)
    return Interval(
        kappa,
        max(-1.0, kappa - half_width),
        min(1.0, kappa + half_width),
        confidence,
        "linearised_clustered",
        n,
        INDEPENDENT_REPOSITORIES,
    )


def bowker(cells: Floats) -> Test | None:
    """Return Bowker's test that as many snippets move from i to j as from j to i.

    chi² is the sum of (n_ij - n_ji)²/(n_ij + n_ji) over the pairs between which any move, whose
    number is that of the degrees of freedom (Bowker 1948). None if nothing moves.
    """
    there, back = cells[np.triu_indices_from(cells, 1)], cells.T[np.triu_indices_from(cells, 1)]
    moved = there + back
    some = moved > 0
    if not some.any():
        return None
    statistic = float(((there - back)[some] ** 2 / moved[some]).sum())
    degrees = int(some.sum())
    p_value = float(chdtrc(degrees, statistic))
    return Test("bowker", statistic, degrees, p_value, int(moved.sum()), INDEPENDENT_SNIPPETS)


def mcnemar(only_a: int, only_b: int) -> Test | None:
    """Return McNemar's exact test that a snippet which one run gets right is as often A's as B's.

    The binomial test of those right in A only among those right in one run only. None if there
    are none.
    """
    n = only_a + only_b
    if n == 0:
        return None
    # both tails of a symmetric distribution; where they meet, they are all of it
    p_value = min(1.0, 2 * float(bdtr(min(only_a, only_b), n, 0.5)))
    return Test("mcnemar_exact", float(min(only_a, only_b)), None, p_value, n, INDEPENDENT_SNIPPETS)


def difference_of_weighted_f1(
    rows: pd.DataFrame, confidence: float, weights: Floats | None = None
) -> Interval | None:
    """Return the weighted F1 of B less that of A, with a paired bootstrap of the repositories.

    Reads the columns repository, label, placement_a and placement_b. ``RESAMPLES`` times as many
    repositories as there are are drawn, each with all its snippets in both runs; the interval
    reaches between the quantiles of the differences, which for M repositories lie further out by
    sqrt(M/(M-1)) · t/z, with Student's t of M-1 degrees of freedom: the expanded percentiles of
    Hesterberg (2015), without which few repositories give too narrow an interval. The draws are
    the same each time. None where there is but one repository, or where all is placed alike in
    both runs.
    """
    repository, names = pd.factorize(rows["repository"])
    placed_a, placed_b = (rows[c].fillna(UNPLACED) for c in ("placement_a", "placement_b"))
    if len(names) < 2 or (placed_a == placed_b).all():
        return None
    weights = np.ones(len(rows)) if weights is None else weights
    drawn = np.random.default_rng(SEED).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES
    )
    draws = np.vstack([np.ones(len(names)), drawn])  # the first is the sample itself
    of_run = []
    for placements in (placed_a, placed_b):
        true, placed = codes(rows["label"], placements)
        of_run.append(_weighted_f1s(draws @ _cells(repository, true, placed, weights)))
    differences = of_run[1] - of_run[0]
    t = float(stdtrit(len(names) - 1, (1 + confidence) / 2))
    tail = float(ndtr(-math.sqrt(len(names) / (len(names) - 1)) * t))
    low, high = np.quantile(differences[1:], [tail, 1 - tail]).tolist()
    estimate = float(differences[0])
    method = "bootstrap_clustered_paired"
    return Interval(estimate, low, high, confidence, method, len(rows), INDEPENDENT_REPOSITORIES)


def _common(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    first, second = (each[[*SNIPPET, "placement"]].drop_duplicates(SNIPPET) for each in (a, b))
    return first.merge(second, on=SNIPPET, suffixes=("_a", "_b"))


def _moves(both: pd.DataFrame) -> pd.DataFrame:
    names = [*CATEGORIES, UNPLACED]
    counted = pd.crosstab(
        both["placement_a"].fillna(UNPLACED).astype(object),
        both["placement_b"].fillna(UNPLACED).astype(object),
    )
    return counted.reindex(
        index=pd.Index(names, name="a"), columns=pd.Index(names, name="b"), fill_value=0
    ).astype(int)


def _against_gold(both: pd.DataFrame, gold: Gold, confidence: float) -> AgainstGold:
    rows = match(gold.rows, both).rows
    if rows.empty:
        raise GoldError(
            f"Expected gold rows about snippets of both runs, found none among {len(gold.rows)} "
            f"labelled rows; check their repository names, paths and lines."
        )
    right_a, right_b = (rows["label"] == rows[c] for c in ("placement_a", "placement_b"))
    right = tuple(
        int(each.sum())
        for each in (right_a & right_b, right_a & ~right_b, ~right_a & right_b, ~right_a & ~right_b)
    )
    strata = sampling_strata(rows)
    one = np.zeros(len(rows), dtype=np.intp)
    scores = [
        float(_weighted_f1s(_cells(one, *codes(rows["label"], rows[c]), np.ones(len(rows))))[0])
        for c in ("placement_a", "placement_b")
    ]
    return AgainstGold(
        n=len(rows),
        repositories=rows["repository"].nunique(),
        right=(right[0], right[1], right[2], right[3]),
        mcnemar=mcnemar(right[1], right[2]),
        weighted_f1=(scores[0], scores[1]),
        difference=difference_of_weighted_f1(rows, confidence),
        population=None
        if strata is None
        else difference_of_weighted_f1(rows, confidence, strata.weights),
    )


def _cells(repository: Codes, true: Codes, placed: Codes, weights: Floats) -> Floats:
    """Return weighted counts of each repository (rows) in each cell of the confusion matrix."""
    size, columns = len(CATEGORIES), len(CATEGORIES) + 1
    counted = np.zeros((int(repository.max()) + 1, size * columns))
    np.add.at(counted, (repository, true * columns + placed), weights)
    return counted


def _weighted_f1s(cells: Floats) -> Floats:
    """Return the weighted F1 of each row of confusion cells; as metrics.weighted_f1, but many."""
    size = len(CATEGORIES)
    matrices = cells.reshape(len(cells), size, size + 1)
    r, s = matrices.sum(axis=2), matrices[:, :, :size].sum(axis=1)
    d = np.diagonal(matrices[:, :, :size], axis1=1, axis2=2)
    f1 = np.divide(2 * d, r + s, out=np.zeros_like(r), where=r + s > 0)
    mean: Floats = (f1 * r).sum(axis=1) / r.sum(axis=1)
    return mean


def _gold_lines(against: AgainstGold) -> Iterator[str]:
    both, only_a, only_b, neither = against.right
    yield f"Against {against.n} labelled snippets of {against.repositories} repositories"
    yield f"  right in both {both}, only in A {only_a}, only in B {only_b}, in neither {neither}"
    if against.mcnemar is not None:
        yield f"  McNemar's exact test: p = {against.mcnemar.p_value:.2g}"
    yield f"  weighted F1 {against.weighted_f1[0]:.3f} in A, {against.weighted_f1[1]:.3f} in B"
    if against.difference is not None:
        yield f"  B less A {_told(against.difference, '+')}, {RESAMPLES} resamples of repositories"
    if against.population is not None:
        yield f"  of the population, weighted by stratum {_told(against.population, '+')}"


def _told(interval: Interval, sign: str = "") -> str:
    return (
        f"{interval.estimate:{sign}.3f}; at {interval.confidence:.0%} confidence "
        f"{interval.low:{sign}.3f} to {interval.high:{sign}.3f}"
    )


def _estimate_json(interval: Interval | None) -> dict[str, Any] | None:
    fields = interval_json(interval)
    return None if interval is None or fields is None else {"estimate": interval.estimate, **fields}
