"""What a ranking selects when its weights are moved. Pure: frames in, frames out.

Weights are drawn from a Dirichlet distribution around the study's. Only their ratios decide an
order, so the draws keep the study's sum. What is selected under each draw is what ``select``
would take; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mining.errors import StudyError
from mining.ranking import PARTS
from mining.selection import bars, groups
from mining.study import RankingSettings, SensitivitySettings, Weights

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

REPOSITORY_COLUMNS = {
    "repository": "str",
    "query": "str",
    "selected": "bool",
    "share": "float64",
    "doubt": "float64",
}
"""Of ``sensitivity.parquet``, one row for each repository found: the query by which the study
selects it (null where it does not), whether it does, the share of the draws that select it, and
the share that decides otherwise than the study. The selected come first, in their order, then
the others by their share."""

DRAW_COLUMNS = {
    "stars": "float64",
    "forks": "float64",
    "recency": "float64",
    "jaccard": "float64",
    "entered": "int64",
    "left": "int64",
}
"""Of ``sensitivity_draws.parquet``, one row for each draw: its weights, the Jaccard overlap of
its selection with the study's (shared repositories by those in either), and how many entered
and left."""

_MOST_IN_DOUBT = 10


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity:
    """Frames with ``REPOSITORY_COLUMNS`` and ``DRAW_COLUMNS``."""

    repositories: pd.DataFrame
    draws: pd.DataFrame


def sensitivity(
    ranked: pd.DataFrame, ranking: RankingSettings, settings: SensitivitySettings
) -> Sensitivity:
    """Select anew under each draw of the weights, and compare with what the study selects.

    ``ranked`` is what ``select`` returned under ``ranking``. Time grows with draws times
    results, memory with the results alone. Raises StudyError if all weights are 0.
    """
    weights = draw_weights(ranking.weights, settings)
    place, queries = pd.factorize(ranked["query"])
    name, names = pd.factorize(ranked["repository"], sort=True)
    able = np.flatnonzero(bars(ranked, ranking).isna())
    able = able[np.lexsort((name[able], place[able]))]  # equal scores go by name
    parts = ranked[list(PARTS)].to_numpy()[able]
    of_query = [
        (name[able][rows], *np.ascontiguousarray(parts[rows].T))
        for rows in groups(place[able], len(queries))
    ]
    chosen = ranked[ranked["selected"]]
    own = np.zeros(len(names), dtype=bool)
    own[name[ranked["selected"].to_numpy(dtype=bool)]] = True

    times = np.zeros(len(names), dtype=np.int64)
    shared, size = np.zeros((2, len(weights)), dtype=np.int64)
    for draw, (w_stars, w_forks, w_recency) in enumerate(weights):
        taken = np.zeros(len(names), dtype=bool)
        for members, f_stars, f_forks, f_recency in of_query:
            # the very sum of ranking.score, so that equal weights give equal scores
            scores = w_stars * f_stars + w_forks * f_forks + w_recency * f_recency
            scores[taken[members]] = -np.inf
            taken[members[_best(scores, ranking.top)]] = True
        times += taken
        shared[draw], size[draw] = (taken & own).sum(), taken.sum()

    entered, left = size - shared, own.sum() - shared
    either = own.sum() + entered
    draws = pd.DataFrame(
        {
            **dict(zip(Weights.model_fields, weights.T, strict=True)),
            "jaccard": np.where(either > 0, shared / np.maximum(either, 1), 1.0),
            "entered": entered,
            "left": left,
        }
    )
    repositories = pd.DataFrame(
        {
            "repository": names,
            "query": pd.Series(names).map(chosen.set_index("repository")["query"]),
            "selected": own,
            "share": times / len(weights),
        }
    )
    repositories["doubt"] = np.where(own, 1 - repositories["share"], repositories["share"])
    order = {repository: i for i, repository in enumerate(chosen["repository"])}
    turn = pd.Series(names).map(order).fillna(len(order)).to_numpy()
    repositories = repositories.iloc[np.lexsort((names, -times * ~own, turn))]
    return Sensitivity(
        repositories.reset_index(drop=True).astype(REPOSITORY_COLUMNS), draws.astype(DRAW_COLUMNS)
    )


def draw_weights(weights: Weights, settings: SensitivitySettings) -> Numbers:
    """Return as many weights as there are draws, in rows: stars, forks, recency.

    Each row has the sum of ``weights``, and the rows' mean tends to them: a share p of the sum
    has the standard deviation sqrt(p (1 - p) / (concentration + 1)). A weight of 0 stays 0.
    Raises StudyError if all are 0.
    """
    own = np.array(list(weights.model_dump().values()))
    if not own.any():
        raise StudyError(
            "Expected a weight above 0 in ranking.weights, found none; "
            "without weights there is nothing to move."
        )
    used = own > 0
    drawn = np.zeros((settings.draws, len(own)))
    shares = own[used] / own.sum()
    rng = np.random.default_rng(settings.seed)
    drawn[:, used] = rng.dirichlet(settings.concentration * shares, settings.draws)
    return drawn * float(own.sum())


def sensitivity_lines(
    found: Sensitivity, weights: Weights, settings: SensitivitySettings
) -> list[str]:
    """Return what a reader wants to know first, as lines."""
    repositories, draws = found.repositories, found.draws
    own = weights.model_dump()
    low, high = (draws[list(own)].quantile(q) for q in (0.025, 0.975))
    quantiles = draws["jaccard"].quantile([0.025, 0.5, 0.975])
    selected = repositories[repositories["selected"]]
    doubtful = repositories[repositories["doubt"] > 0].sort_values(
        "doubt", ascending=False, kind="stable"
    )
    return [
        f"sensitivity: {len(draws)} draws of the weights (Dirichlet, concentration "
        f"{settings.concentration:g}, seed {settings.seed}); their sum stays "
        f"{sum(own.values()):g}, since only ratios matter",
        *(
            f"  {name:<8} {own[name]:.2f}, 95 % of the draws {low[name]:.2f} to {high[name]:.2f}"
            for name in own
        ),
        f"  overlap with the study's selection (Jaccard): mean {draws['jaccard'].mean():.3f}, "
        f"median {quantiles[0.5]:.3f}, 95 % of the draws {quantiles[0.025]:.3f} to "
        f"{quantiles[0.975]:.3f}, least {draws['jaccard'].min():.3f}",
        f"  of {len(selected)} selected repositories {(selected['share'] == 1).sum()} are selected "
        f"in every draw, {(selected['share'] < 0.5).sum()} in less than half; "
        f"{(~doubtful['selected']).sum()} others in some",
        *(["  most in doubt:"] if len(doubtful) else []),
        *(
            f"    {row.repository}: {'selected' if row.selected else 'not selected'}, and in "
            f"{row.share:.0%} of the draws"
            for row in doubtful.head(_MOST_IN_DOUBT).itertuples()
        ),
    ]


def _best(scores: Numbers, top: int) -> Places:
    """Return the places of the ``top`` highest scores that are finite; of equal ones the first."""
    cut = np.partition(scores, -top)[-top] if len(scores) > top else -np.inf
    if cut == -np.inf:
        return np.flatnonzero(scores > cut)
    above = np.flatnonzero(scores > cut)
    return np.concatenate([above, np.flatnonzero(scores == cut)[: top - len(above)]])
