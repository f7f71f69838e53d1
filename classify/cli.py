"""The command line: parses, calls one library function, prints. Nothing else."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mining.cli import (
    LocalOption,
    RunDirOption,
    StudyArgument,
    TopOption,
    WeightsOption,
    printable,
    say,
)
from mining.cli import app as mining_app
from mining.errors import LossplaceError

app = typer.Typer(
    help="Where does deep-learning code define its loss?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

GoldOption = Annotated[
    Path | None, typer.Option("--gold", help="Hand labels (CSV) in place of the study's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


@app.command()
def run(
    study: StudyArgument = None,
    local: LocalOption = None,
    run_dir: RunDirOption = None,
    weights: WeightsOption = None,
    top: TopOption = None,
) -> None:
    """Do everything that is not yet done, from the search to the paper's tables."""
    from classify import pipeline
    from mining.opening import begin, open_run

    for lines in pipeline.run_all(*begin(*open_run(study, run_dir, local, weights, top))):
        say(lines)


app.add_typer(mining_app)


@app.command()
def classify(study: StudyArgument = None, run_dir: RunDirOption = None) -> None:
    """Have the judge answer what is open, and place every snippet."""
    from classify import pipeline
    from mining.opening import begin, open_run

    say(pipeline.classify(*begin(*open_run(study, run_dir))))


@app.command()
def evaluate(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    gold: GoldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the placements against hand labels."""
    from classify import pipeline
    from mining.opening import open_run

    evaluation = pipeline.evaluate(*open_run(study, run_dir), gold)
    if as_json:
        typer.echo(json.dumps(evaluation.to_json(), indent=1))
    else:
        say(evaluation.lines())


@app.command()
def paper(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    gold: GoldOption = None,
    published: Annotated[
        bool,
        typer.Option("--published", help="Recompute the published tables D.2 to D.5, and compare."),
    ] = False,
) -> None:
    """Write the paper's tables and figures from a run."""
    from classify import pipeline
    from mining.opening import open_run

    if published:
        say(pipeline.compare_published())
    if study is not None or run_dir is not None or not published:
        say(pipeline.paper(*open_run(study, run_dir), gold))


@app.command()
def status(
    study: StudyArgument = None, run_dir: RunDirOption = None, as_json: JsonOption = False
) -> None:
    """Say which artifacts of a run are done."""
    from classify.status import status_of
    from mining.opening import open_run

    _, opened = open_run(study, run_dir)
    found = status_of(opened)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=1))
    else:
        say([str(opened.folder)])
        say(
            f"  {each.artifact:<22}  {'not done' if each.rows is None else f'{each.rows} rows'}"
            for each in found
        )


def main() -> None:
    """Run the command line; an error of the user's to mend is one sentence and exit status 1."""
    try:
        app()
    except LossplaceError as error:
        said = str(error)
    except OSError as error:
        said = (
            f"Expected to read and write the run's files, found {error.strerror or error} "
            f"({error.filename or 'no file named'}); make room or give access, and run it again."
        )
    else:
        return
    typer.echo(f"lossplace: {printable(said)}", err=True)
    sys.exit(1)
