"""The ranking stage: stored repositories to a ranked and selected list. Needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from mining.artifacts import Artifact, Run
from mining.pages import REPOSITORIES, SEARCH, finished_search
from mining.ranking import score
from mining.selection import changes, select
from mining.study import RankingSettings, utc

RANKING = "ranking.parquet"


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What a ranking gives. ``candidates``: the results with what ``score`` and ``select`` add.

    ``changes`` says what entered and left since the ranking before; it is empty at the first.
    """

    candidates: pd.DataFrame
    changes: pd.DataFrame


def rank_repositories(run: Run, settings: RankingSettings) -> Ranking:
    """Score and select the repositories that the search found, and write ``ranking.parquet``.

    Raises ArtifactError if the search is not finished.
    """
    as_of = settings.as_of or finished_search(run).as_of
    candidates = select(score(run.read(REPOSITORIES), settings.weights, as_of), settings.top)
    columns = ["selected", "repository", "query", "rank"]
    before = run.read(RANKING, columns) if run.sidecar(RANKING) else candidates
    run.write(
        RANKING,
        candidates,
        Artifact(
            "rank",
            ranking_settings(settings),
            ranking_inputs(run),
            notes={"as_of": utc(as_of)},
        ),
    )
    return Ranking(candidates, changes(before, candidates))


def ranking_settings(settings: RankingSettings) -> dict[str, Any]:
    """Return the settings that change a ranking."""
    return settings.model_dump(mode="json")


def ranking_inputs(run: Run) -> dict[str, str]:
    """Return the hashes of what a ranking is made from."""
    return {name: run.sha256(name) for name in (REPOSITORIES, SEARCH)}
