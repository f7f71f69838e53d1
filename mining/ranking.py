"""Scores of repositories within their query. Pure: frame in, frame out.

score(r) = w_stars F_s(stars) + w_forks F_f(forks) + w_recency (1 - F_t(seconds since the push))

F is the normal CDF with the mean and the population variance of the attribute over all results
of the query (equation 3.1 of the study that lossplace reproduces). Forks of other repositories
are results too, so they take part here, and are only left out when repositories are selected.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from mining.study import Weights

ATTRIBUTES = ("stars", "forks", "seconds_since_push")
PARTS = ("f_stars", "f_forks", "f_recency")
"""The columns that weights are for, in the order of ``Weights``."""


def score(repositories: pd.DataFrame, weights: Weights, as_of: datetime) -> pd.DataFrame:
    """Return the repositories with their scores, best first within each query.

    Reads the columns query, repository, stars, forks, pushed_at and created_at, one row for each
    result. Queries keep the order of their first appearance; the order of the rows within a
    query does not matter. Added columns:

    - seconds_since_push: from the push to ``as_of``. A repository that was never pushed to
      counts from its creation: it holds nothing newer. Negative where ``as_of`` is earlier;
      moving ``as_of`` moves a query's mean along, so that it changes no score.
    - mean_<attribute>, sd_<attribute>: of stars, forks and seconds_since_push over the query,
      sd from the population variance.
    - f_stars, f_forks, f_recency: F_s, F_f and 1 - F_t, before weights, in [0, 1]; 0.5 for an
      attribute that does not vary.
    - score: their weighted sum.
    - rank: 1-based within the query; equal scores go by name.
    """
    # a sixth of what a command takes to start, and the others have no need of it
    from scipy.special import ndtr

    place, _ = pd.factorize(repositories["query"])
    name, _ = pd.factorize(repositories["repository"], sort=True)
    # sums of floats depend on the order of their terms, so the rows are brought into one order
    order = np.lexsort((name, place))
    place, name = place[order], name[order]
    ranked = repositories.iloc[order].reset_index(drop=True)
    pushed_at = ranked["pushed_at"].fillna(ranked["created_at"])
    ranked["seconds_since_push"] = (pd.Timestamp(as_of) - pushed_at).dt.total_seconds()
    by_query = ranked.groupby(place, sort=False)
    for attribute in ATTRIBUTES:
        values = by_query[attribute]
        ranked[f"mean_{attribute}"] = values.transform("mean")
        # of equal values, the rounded mean must not make a variance
        varies = values.transform("min") < values.transform("max")
        ranked[f"sd_{attribute}"] = values.transform("std", ddof=0).where(varies, 0.0)
    ranked["f_stars"] = ndtr(_standardised(ranked, "stars"))
    ranked["f_forks"] = ndtr(_standardised(ranked, "forks"))
    ranked["f_recency"] = ndtr(-_standardised(ranked, "seconds_since_push"))
    ranked["score"] = (
        weights.stars * ranked["f_stars"]
        + weights.forks * ranked["f_forks"]
        + weights.recency * ranked["f_recency"]
    )
    best_first = np.lexsort((name, -ranked["score"], place))
    ranked = ranked.iloc[best_first].reset_index(drop=True)
    ranked["rank"] = ranked.groupby(place, sort=False).cumcount() + 1
    return ranked


def _standardised(ranked: pd.DataFrame, attribute: str) -> pd.Series[float]:
    """Return the attribute in standard deviations from its query's mean; 0 without variance."""
    deviation = ranked[f"sd_{attribute}"]
    distance = ranked[attribute] - ranked[f"mean_{attribute}"]
    return (distance / deviation.where(deviation > 0, 1.0)).where(deviation > 0, 0.0)
