"""The ranking stage: stored repositories to a ranked and selected list. Needs no network."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from mining.artifacts import Artifact, Run
from mining.clones import open_clones
from mining.errors import LossplaceError
from mining.extraction import SNIPPETS
from mining.pages import REPOSITORIES, SEARCH, finished_search
from mining.ranking import score
from mining.selection import changes, select
from mining.sensitivity import Sensitivity, sensitivity
from mining.study import RankingSettings, ScaleSettings, Study, utc

RANKING = "ranking.parquet"
SENSITIVITY, SENSITIVITY_DRAWS = "sensitivity.parquet", "sensitivity_draws.parquet"
FIGURE = "sensitivity"


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What a ranking gives. ``candidates``: the results with what ``score`` and ``select`` add.

    ``changes`` says what entered and left since the ranking before; it is empty at the first.
    """

    candidates: pd.DataFrame
    changes: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the repositories that entered are still in need of.

    Of ``entered``, ``extracted`` have ``snippets`` in ``snippets.parquet``; of the others,
    ``fetched`` lie in the run's clones; None where those are in storage that is out of reach.
    ``snippets_each`` is the mean over all repositories that are extracted, as a guess at the
    others; None where there are none.
    """

    entered: int
    extracted: int
    snippets: int
    fetched: int | None
    snippets_each: float | None

    def lines(self) -> list[str]:
        """Say it, in a line or none."""
        if not self.entered:
            return []
        others = self.entered - self.extracted
        guess = ""
        if self.snippets_each is not None and others:
            unknown = others * self.snippets_each
            guess = f"; the others may hold {unknown:,.0f} more, at {self.snippets_each:,.0f} each"
        if self.fetched is None:
            to_do = f"{others} not extracted (storage out of reach)"
        else:
            to_do = f"{self.fetched} only fetched, {others - self.fetched} not fetched"
        return [
            f"  of {self.entered} entered: {self.extracted} extracted "
            f"({self.snippets} snippets to be placed), {to_do}{guess}"
        ]


def rank_repositories(run: Run, settings: RankingSettings) -> Ranking:
    """Score and select the repositories that the search found, and write ``ranking.parquet``.

    Raises ArtifactError if the search is not finished.
    """
    as_of = settings.as_of or finished_search(run).as_of
    candidates = select(score(run.read(REPOSITORIES), settings.weights, as_of), settings)
    columns = ["selected", "repository", "query", "rank"]
    before = run.read(RANKING, columns) if run.is_sound(RANKING) else candidates
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


def ahead(run: Run, changes: pd.DataFrame, scale: ScaleSettings) -> Ahead:
    """Look up how far the repositories that entered are; ``changes`` as ``Ranking`` has it."""
    entered = changes.loc[changes["change"] == "entered", "repository"]
    snippets = pd.Series(dtype="int64")
    if run.is_sound(SNIPPETS):
        snippets = run.read(SNIPPETS, ["repository"])["repository"].value_counts()
    extracted = entered[entered.isin(snippets.index)]
    others = entered[~entered.isin(snippets.index)]
    clones = open_clones(run, scale)
    fetched = None
    with suppress(LossplaceError):  # ranking needs no network
        there = clones.names()
        fetched = sum(clones.name(name) in there for name in others)
    return Ahead(
        len(entered),
        len(extracted),
        int(snippets.reindex(extracted).sum()),
        fetched,
        float(snippets.mean()) if len(snippets) else None,
    )


def measure_sensitivity(run: Run, study: Study) -> Sensitivity:
    """Move the weights of the run's ranking, and write what that changes, if it is not done.

    Writes ``sensitivity.parquet`` and ``sensitivity_draws.parquet``, and the figure as CSV, SVG
    and PDF. Raises ArtifactError without a ranking, StudyError if all weights are 0.
    """
    ranking, settings = study.ranking, study.sensitivity
    artifact = Artifact(
        "rank --sensitivity",
        {"ranking": ranking_settings(ranking), **settings.model_dump(mode="json")},
        {RANKING: run.sha256(RANKING)},
    )
    figures = [f"{FIGURE}.{kind}" for kind in ("csv", "svg", "pdf")]
    names = (SENSITIVITY, SENSITIVITY_DRAWS, *figures)
    if all(run.is_done(name, artifact.settings, artifact.inputs) for name in names):
        return Sensitivity(run.read(SENSITIVITY), run.read(SENSITIVITY_DRAWS))
    # drawing takes a second to import
    from mining.drawing import files_of
    from mining.sensitivity_figure import figure_of, plot

    found = sensitivity(run.read(RANKING), ranking, settings)
    frame = figure_of(found, ranking.weights)
    run.write(SENSITIVITY, found.repositories, artifact)
    run.write(SENSITIVITY_DRAWS, found.draws, artifact)
    table = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    contents = {"csv": table.encode(), **files_of(plot(frame))}
    for name in figures:
        content = contents[name.rpartition(".")[2]]
        run.write_bytes(name, content, replace(artifact, rows=len(frame)))
    return found


def ranking_settings(settings: RankingSettings) -> dict[str, Any]:
    """Return the settings that change a ranking."""
    return settings.model_dump(mode="json")


def ranking_inputs(run: Run) -> dict[str, str]:
    """Return the hashes of what a ranking is made from."""
    return {name: run.sha256(name) for name in (REPOSITORIES, SEARCH)}
