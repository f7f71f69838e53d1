"""How often each 95 % interval holds the truth: a Monte Carlo of known populations.

    python benchmarks/interval_coverage.py [--replicates N] [--workers N]

Prints a table and writes benchmarks/results/interval_coverage.json. Each population is known, and
so is the true figure; samples are drawn from it by each design, and the intervals that hold the
truth are counted. The standard error of a coverage of 0.95 from R samples is sqrt(0.95 · 0.05 / R):
0.0034 for 4,000.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import write_result
from classify.compare import difference_of_weighted_f1
from classify.intervals import Strata, weighted_f1_clustered, weighted_f1_stratified
from classify.metrics import (
    CATEGORIES,
    LOSSES,
    UNPLACED,
    F1Method,
    Interval,
    confusion,
    f1_interval,
    linearised_weighted_f1,
    weighted_f1_delta,
    weighted_f1_wilson,
)
from classify.prevalence import corrected_shares, rogan_gladen

CONFIDENCE = 0.95
NAMES = np.array(CATEGORIES, dtype=object)
PLACES = np.array([*CATEGORIES, UNPLACED], dtype=object)

EVEN = np.array(
    [
        [0.08, 0.01, 0.00, 0.01, 0.02, 0.01],
        [0.00, 0.10, 0.01, 0.02, 0.00, 0.00],
        [0.01, 0.02, 0.05, 0.00, 0.01, 0.01],
        [0.00, 0.02, 0.00, 0.20, 0.05, 0.01],
        [0.01, 0.02, 0.00, 0.05, 0.27, 0.01],
    ]
)
EVEN /= EVEN.sum()
"""Shares of true categories (rows) by placements, in a sample where all are frequent."""

Judged = tuple[str, bool, float]
"""An interval's name, whether it holds the truth, and its width."""


@dataclass(frozen=True)
class Setting:
    """A design and its sizes; ``draw`` makes one sample and judges its intervals."""

    design: str
    sizes: str
    draw: Callable[[np.random.Generator], Iterator[Judged]]
    part: float = 1.0
    """Of the replicates: the slow ones get fewer."""


def corpus(missed: float) -> np.ndarray:
    """Return the shares of a whole corpus: one snippet in 20 is a loss, some of those missed."""
    losses = np.array([0.30, 0.35, 0.15, 0.20]) * 0.05
    cells = np.zeros((5, 6))
    cells[:4, :4] = losses[:, None] * (1 - missed) * 0.05
    cells[range(4), range(4)] = losses * (1 - missed) * 0.85
    cells[:4, 4] = losses * missed
    cells[4, :4], cells[4, 4] = 0.95 * 0.005, 0.95 * 0.98
    return cells / cells.sum()


def truth(cells: np.ndarray, of: tuple[str, ...] = CATEGORIES) -> float:
    """Return the weighted F1 of a population's cells, over some true categories."""
    counted = cells * np.isin(CATEGORIES, of)[:, None]
    return linearised_weighted_f1(counted / counted.sum())[0]


def in_repositories(
    rng: np.random.Generator, n: int, cells: np.ndarray, repositories: int, icc: float
) -> np.ndarray:
    """Draw about n snippets by (repository, true, placed), each repository with its own shares.

    Shares from a Dirichlet distribution of total 1/icc - 1 make any two snippets of a repository
    correlate by icc. Repositories hold 1 to 2n/repositories - 1 snippets.
    """
    sizes = rng.integers(1, 2 * n // repositories, size=repositories)
    shares = np.tile(cells.ravel(), (repositories, 1))
    if icc:
        shares = rng.dirichlet((1 / icc - 1) * np.maximum(shares[0], 1e-9), size=repositories)
    drawn = [rng.multinomial(k, p) for k, p in zip(sizes, shares, strict=True)]
    return np.array(drawn).reshape(repositories, *cells.shape)


def snippets(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labels, placements and repositories of snippets counted by cell."""
    repository, true, placed = (np.repeat(i, cells[cells > 0]) for i in np.nonzero(cells))
    return NAMES[true], PLACES[placed], repository


def judged(name: str, interval: Interval, true: float) -> Judged:
    """Judge one interval."""
    held = interval.low <= true <= interval.high
    return f"{name}, {interval.method}", held, interval.high - interval.low


def of_category(shares: tuple[float, float, float], n: int) -> Callable[..., Iterator[Judged]]:
    """F1 of one category, from the shares of true positives, false positives, false negatives."""

    def draw(rng: np.random.Generator) -> Iterator[Judged]:
        tp, fp, fn, _ = rng.multinomial(n, [*shares, 1 - sum(shares)]).tolist()
        if tp + fp + fn:
            true = 2 * shares[0] / (2 * shares[0] + shares[1] + shares[2])
            for method in get_args(F1Method):
                interval = f1_interval(tp, fp, fn, CONFIDENCE, method)
                yield judged("F1 of a category", interval, true)

    return draw


def independent(n: int) -> Callable[..., Iterator[Judged]]:
    """Weighted F1 of a random sample."""

    def draw(rng: np.random.Generator) -> Iterator[Judged]:
        matrix = pd.DataFrame(
            rng.multinomial(n, EVEN.ravel()).reshape(5, 6), index=CATEGORIES, columns=PLACES
        )
        for method in (weighted_f1_wilson, weighted_f1_delta):
            yield judged("weighted F1", method(matrix, CONFIDENCE), truth(EVEN))

    return draw


def clustered(n: int, repositories: int, icc: float) -> Callable[..., Iterator[Judged]]:
    """Weighted F1 of all snippets of a random sample of repositories."""

    def draw(rng: np.random.Generator) -> Iterator[Judged]:
        labels, placed, repository = snippets(in_repositories(rng, n, EVEN, repositories, icc))
        matrix = confusion(labels, placed)
        for interval in (
            weighted_f1_wilson(matrix, CONFIDENCE),
            weighted_f1_delta(matrix, CONFIDENCE),
            weighted_f1_clustered(labels, placed, repository, CONFIDENCE),
        ):
            yield judged("weighted F1", interval, truth(EVEN))

    return draw


def stratified(
    missed: float, each: int, repositories: int, icc: float
) -> Callable[..., Iterator[Judged]]:
    """Figures of a corpus of 6,000 snippets of which ``each`` are labelled of each placement.

    The truth is that of the corpus, but for the intervals for other repositories that of the
    distribution from which the corpus came.
    """
    cells = corpus(missed)

    def draw(rng: np.random.Generator) -> Iterator[Judged]:
        population = in_repositories(rng, 6000, cells, repositories, icc)
        whole = population.sum(axis=0).astype(float)
        size = whole.sum(axis=0).astype(int)
        n = np.minimum(size, each)
        sample = np.zeros_like(population)
        for j in np.flatnonzero(size):
            drawn = rng.multivariate_hypergeometric(population[:, :, j].ravel(), n[j])
            sample[:, :, j] = drawn.reshape(repositories, 5)
        labels, placed, repository = snippets(sample)
        stratum = pd.Index(PLACES).get_indexer(pd.Index(placed))
        strata = Strata(stratum, np.maximum(size, 1.0), np.maximum(n, 1.0))
        naive = weighted_f1_delta(confusion(labels, placed), CONFIDENCE)
        yield judged("weighted F1, strata ignored", naive, truth(whole))
        drawn_by = (labels, placed, strata, CONFIDENCE)
        for of, name in ((CATEGORIES, "weighted F1"), (LOSSES, "weighted F1 of losses")):
            if np.isin(labels, of).any():
                these = weighted_f1_stratified(*drawn_by, of)
                others = weighted_f1_stratified(*drawn_by, of, repository)
                yield judged(name, these, truth(whole, of))
                yield judged(name, others, truth(cells, of))
        counted = dict(zip(PLACES, size.tolist(), strict=True))
        shares = corrected_shares(labels, placed, counted, None, CONFIDENCE)
        for name, of in (("loss_unknown", ("loss_unknown",)), ("any loss", LOSSES)):
            true = whole[np.isin(CATEGORIES, of)].sum() / whole.sum()
            yield judged(f"share of {name}", shares[name], true)

    return draw


def difference(n: int, repositories: int, icc: float) -> Callable[..., Iterator[Judged]]:
    """Weighted F1 of two judges that agree on half, and are equally good."""

    def draw(rng: np.random.Generator) -> Iterator[Judged]:
        drawn = in_repositories(rng, n, EVEN, repositories, icc)
        labels, placed, repository = snippets(drawn)
        # the other judge answers by the same rates, in each repository its own
        rates = drawn.cumsum(axis=2) / np.maximum(drawn.sum(axis=2, keepdims=True), 1)
        true = pd.Index(CATEGORIES).get_indexer(pd.Index(labels))
        below = rates[repository, true] <= rng.random(len(true))[:, None]
        other = PLACES[below.sum(axis=1)]
        rows = pd.DataFrame(
            {
                "repository": repository,
                "label": labels,
                "placement_a": placed,
                "placement_b": np.where(rng.random(len(placed)) < 0.5, placed, other),
            }
        )
        interval = difference_of_weighted_f1(rows, CONFIDENCE)
        if interval is not None:
            yield judged("difference of weighted F1", interval, 0.0)

    return draw


def transferred(share: float, se: float, sp: float) -> Callable[..., Iterator[Judged]]:
    """A share in a corpus of 5,000, with error rates from 60 and 180 labels elsewhere."""

    def draw(rng: np.random.Generator) -> Iterator[Judged]:
        apparent = rng.binomial(5000, share * se + (1 - share) * (1 - sp)) / 5000
        rates = (rng.binomial(60, se) / 60, 60, rng.binomial(180, sp) / 180, 180)
        interval = rogan_gladen(apparent, 5000, *rates, CONFIDENCE)
        if interval is not None:
            yield judged("share in another corpus", interval, share)

    return draw


SETTINGS = [
    Setting("random sample", "n 200, F1 0.80", of_category((0.4, 0.1, 0.1), 200)),
    Setting("random sample", "n 60, F1 0.80", of_category((0.4, 0.1, 0.1), 60)),
    *(Setting("random sample", f"n {n}", independent(n)) for n in (30, 120, 400)),
    Setting("repositories, ICC 0", "n 400 in 40", clustered(400, 40, 0.0)),
    Setting("repositories, ICC 0.3", "n 400 in 40", clustered(400, 40, 0.3)),
    Setting("repositories, ICC 0.3", "n 240 in 38", clustered(240, 38, 0.3)),
    Setting("repositories, ICC 0.3", "n 100 in 10", clustered(100, 10, 0.3)),
    Setting("repositories, ICC 0.3", "n 240 in 38", difference(240, 38, 0.3), 0.2),
    *(
        Setting(
            f"by placement, ICC {icc:g}",
            f"{each} each, {missed:.0%} missed",
            stratified(missed, each, 40, icc),
            0.2,
        )
        for icc, each, missed in (
            (0, 50, 0.05),
            (0, 50, 0.4),
            (0, 150, 0.05),
            (0, 150, 0.4),
            (0.3, 50, 0.2),
            (0.3, 150, 0.2),
        )
    ),
    Setting("transfer", "share 0.03", transferred(0.03, 0.85, 0.99)),
]
PARTS = 20
"""Into which each setting is cut, so that the result is the same with any number of workers."""


def simulate(job: tuple[int, int, int]) -> tuple[int, dict[str, np.ndarray]]:
    """Return how many intervals were made, how many held, and their widths, by name."""
    index, part, replicates = job
    rng = np.random.default_rng([index, part])
    found: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for _ in range(replicates):
        for name, held, width in SETTINGS[index].draw(rng):
            found[name] += (1, held, width)
    return index, dict(found)


def coverage(replicates: int, workers: int) -> list[dict[str, Any]]:
    """Simulate every setting; return a row for each interval of each."""
    jobs = [
        (index, part, max(1, int(replicates * setting.part) // PARTS))
        for part in range(PARTS)
        for index, setting in enumerate(SETTINGS)
    ]
    sums: dict[tuple[int, str], np.ndarray] = defaultdict(lambda: np.zeros(3))
    with ProcessPoolExecutor(workers) as pool:
        for index, found in pool.map(simulate, jobs):
            for name, counted in found.items():
                sums[index, name] += counted
    return [
        {
            "design": SETTINGS[index].design,
            "sizes": SETTINGS[index].sizes,
            "interval": name,
            "samples": int(n),
            "coverage": round(held / n, 4),
            "mean_width": round(width / n, 4),
        }
        for (index, name), (n, held, width) in sorted(sums.items(), key=lambda item: item[0][0])
    ]


def main() -> None:
    """Print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description="Coverage of each 95 % interval, by Monte Carlo.")
    parser.add_argument("--replicates", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    start = time.monotonic()
    rows = coverage(options.replicates, options.workers)
    print(f"{'design':<22}{'sizes':<21}{'interval':<52}{'samples':>8}{'coverage':>10}{'width':>7}")
    for row in rows:
        print(
            f"{row['design']:<22}{row['sizes']:<21}{row['interval']:<52}{row['samples']:>8}"
            f"{row['coverage']:>10.3f}{row['mean_width']:>7.3f}"
        )
    result = {"confidence": CONFIDENCE, "rows": rows}
    path = write_result("interval_coverage", result, ("numpy", "pandas", "scipy"))
    print(f"written to {path}; {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
