"""The commands of mining; ``classify.cli`` mounts them under ``lossplace``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

StudyArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="STUDY", help="A study file (TOML), or the folder of a run.", show_default=False
    ),
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
    str | None, typer.Option("--weights", help="Such as stars=1,forks=2,recency=1.5.")
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Work on a Ray cluster: auto, local to start one here, or such as 10.0.0.1:6379.",
    ),
]
TopOption = Annotated[int | None, typer.Option("--top", help="Repositories taken from each query.")]


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        typer.echo(printable(line))


def printable(line: str) -> str:
    """Return a line in which nothing steers a terminal, as a repository's name could."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


@app.command()
def search(study: StudyArgument = None, run_dir: RunDirOption = None) -> None:
    """Ask GitHub for the repositories of every query."""
    from mining import pipeline
    from mining.opening import open_run, writing

    with writing(*open_run(study, run_dir)) as opened:
        say(pipeline.search(*opened))


@app.command()
def fetch(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    local: LocalOption = None,
    ray: RayOption = None,
) -> None:
    """Get the Python files of the selected repositories."""
    from mining import pipeline
    from mining.opening import open_run, writing

    with writing(*open_run(study, run_dir, local, ray=ray)) as opened:
        say(pipeline.fetch(*opened))


@app.command()
def extract(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    local: LocalOption = None,
    ray: RayOption = None,
) -> None:
    """Extract every function and every module-level loop of the corpus."""
    from mining import pipeline
    from mining.opening import open_run, writing

    with writing(*open_run(study, run_dir, local, ray=ray)) as opened:
        say(pipeline.extract(*opened))


@app.command()
def loss_names(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    out: Annotated[Path, typer.Option("--out", help="Where the list is written (CSV).")] = Path(
        "loss_names.csv"
    ),
) -> None:
    """List what the corpus calls that may be a loss, for a person to confirm."""
    from mining.loss_mining import write_loss_names
    from mining.opening import open_run

    opened, run = open_run(study, run_dir)
    say(write_loss_names(run, out, opened.placement.loss_functions))
