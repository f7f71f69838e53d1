"""The commands of mining; ``classify.cli`` mounts them under ``lossplace``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mining.artifacts import Run
from mining.study import Study, Weights, default_study, override, read_study

app = typer.Typer()

StudyArgument = Annotated[
    Path | None,
    typer.Argument(help="A study file (TOML), or the folder of a run.", show_default=False),
]
RunDirOption = Annotated[
    Path | None,
    typer.Option("--run-dir", help="Where the run is written; default: runs/<study>."),
]
LocalOption = Annotated[
    Path | None,
    typer.Option("--local", help="A folder of repositories (owner__name) in place of GitHub."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="Such as stars=1,forks=2,recency=1.5."),
]
TopOption = Annotated[
    int | None, typer.Option("--top", help="Repositories taken from each query.")
]


def opened(
    study_path: Path | None,
    run_dir: Path | None,
    local: Path | None = None,
    weights: str | None = None,
    top: int | None = None,
) -> tuple[Study, Run]:
    """Return the study that the arguments of a command mean, and its run.

    A run folder in place of a study file means the study that was run there. Raises StudyError.
    """
    if study_path is not None and study_path.is_dir():
        run_dir = run_dir or study_path
        study = read_study(study_path / "study.json")
    elif study_path is not None:
        study = read_study(study_path)
    else:
        study = default_study(local)
    study = override(
        study,
        corpus={"local": local},
        ranking={"weights": weights and Weights.parse(weights), "top": top},
    )
    return study, Run(run_dir or Path("runs", study.name))


@app.command()
def search(study: StudyArgument = None, run_dir: RunDirOption = None) -> None:
    """Ask GitHub for the repositories of every query."""
    from mining import pipeline

    pipeline.search(*opened(study, run_dir))


@app.command()
def rank(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    weights: WeightsOption = None,
    top: TopOption = None,
) -> None:
    """Score and select the repositories found; with new weights, without the network."""
    from mining import pipeline

    for line in pipeline.rank(*opened(study, run_dir, weights=weights, top=top)):
        typer.echo(line)
