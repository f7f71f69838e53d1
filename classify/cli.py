"""The command line: parses, calls one library function, prints. Nothing else."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from classify.designs import Design, Unit
from classify.errors import BudgetSpentError
from classify.export import Format
from classify.placement import Verdict
from mining.cli import (
    LocalOption,
    RayOption,
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

BUDGET_SPENT = 3
"""The exit status of a run that ended by its budget: neither finished nor failed."""

GoldOption = Annotated[
    Path | None, typer.Option("--gold", help="Hand labels (CSV) in place of the study's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
WithTextOption = Annotated[
    bool,
    typer.Option("--with-text", help="Pass every text on: you know that its licence allows it."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Decides what is drawn.")]


@app.command()
def run(
    study: StudyArgument = None,
    local: LocalOption = None,
    run_dir: RunDirOption = None,
    weights: WeightsOption = None,
    top: TopOption = None,
    ray: RayOption = None,
) -> None:
    """Do everything that is not yet done, from the search to the paper's tables."""
    from classify import pipeline
    from mining.opening import open_run, writing

    with writing(*open_run(study, run_dir, local, weights, top, ray)) as opened:
        for lines in pipeline.run_all(*opened):
            say(lines)


@app.command()
def rank(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    weights: WeightsOption = None,
    top: TopOption = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Also say what other weights would select."),
    ] = False,
) -> None:
    """Score and select the repositories found; with new weights, without the network."""
    from classify.unplaced import unplaced_lines
    from mining import pipeline
    from mining.opening import open_run, writing

    with writing(*open_run(study, run_dir, weights=weights, top=top)) as opened:
        say([*pipeline.rank(*opened), *unplaced_lines(opened[1])])
        if sensitivity:
            say(pipeline.sensitivity(*opened))


app.add_typer(mining_app)


@app.command()
def plan(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    pilot: Annotated[
        int,
        typer.Option(
            "--pilot", min=0, help="About so many texts are judged now, and kept; 0 asks nothing."
        ),
    ] = 300,
    seed: SeedOption = 0,
    tokens_per_second: Annotated[
        float | None,
        typer.Option("--tokens-per-second", min=0.001, help="Output tokens, of all GPUs together."),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=1, help="How many answer together.")
    ] = None,
    price_per_gpu_hour: Annotated[
        float | None, typer.Option("--price-per-gpu-hour", min=0.0, help="In any currency.")
    ] = None,
    price_in: Annotated[
        float | None,
        typer.Option("--price-in", min=0.0, help="Of a million tokens of prompts."),
    ] = None,
    price_out: Annotated[
        float | None,
        typer.Option("--price-out", min=0.0, help="Of a million tokens of answers."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what classifying will cost: asks, votes, tokens, hours and money."""
    from classify import pipeline
    from classify.plan import Terms
    from mining.opening import open_run, writing

    opened = open_run(study, run_dir)
    terms = Terms(gpus, tokens_per_second, price_per_gpu_hour, price_in, price_out)
    with writing(*opened) if pilot else nullcontext(opened) as held:
        planned = pipeline.plan(*held, terms, pilot=pilot, seed=seed)
    if as_json:
        typer.echo(json.dumps(planned.to_json(), indent=1))
    else:
        say(planned.lines())


@app.command()
def classify(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, help="End after so many tokens; exit status 3."),
    ] = None,
    max_hours: Annotated[
        float | None,
        typer.Option("--max-hours", min=0.0, help="End after so many hours; exit status 3."),
    ] = None,
    retry_errors: Annotated[
        bool,
        typer.Option("--retry-errors", help="Ask again also what the judge refused for good."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked and voided, and end.")
    ] = False,
    ray: RayOption = None,
) -> None:
    """Have the judge answer what is open, and place every snippet."""
    from classify import pipeline, standing
    from classify.ask import Budget
    from mining.opening import open_run, writing

    opened = open_run(study, run_dir, ray=ray)
    if dry_run:
        say(standing.dry_run(*opened, retry_errors=retry_errors))
        return
    budget = Budget(max_tokens, max_hours)
    with writing(*opened) as held:
        say(pipeline.classify(*held, retry_errors=retry_errors, budget=budget))


@app.command()
def replay(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    votes: Annotated[
        int | None, typer.Option("--votes", min=1, help="Count so many votes on each question.")
    ] = None,
    ties: Annotated[
        Verdict | None, typer.Option("--ties", help="What a tie decides: yes, no or none.")
    ] = None,
    gate: Annotated[
        Literal["as_text", "as_printed"] | None,
        typer.Option("--gate", help="When loss_related is asked: as_text or as_printed."),
    ] = None,
    bases: Annotated[
        Literal["follow", "ignore"] | None,
        typer.Option("--bases", help="Whether base classes count: follow or ignore."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how Table 4.1 moves by other rules, from stored votes alone; the run stays as it is."""
    from classify.replay import Rules
    from classify.replay import replay as replay_run
    from mining.opening import open_run

    replayed = replay_run(*open_run(study, run_dir), Rules(votes, ties, gate, bases))
    if as_json:
        typer.echo(json.dumps(replayed.to_json(), indent=1))
    else:
        say(replayed.lines())


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
    transfer_from: Annotated[
        Path | None,
        typer.Option(
            "--transfer-from",
            help="A run of the same judge over another corpus, which the hand labels are of: "
            "correct the counts by its errors.",
        ),
    ] = None,
) -> None:
    """Write the paper's tables and figures from a run."""
    from classify import pipeline
    from mining.opening import open_run

    if published:
        say(pipeline.compare_published())
    if study is not None or run_dir is not None or not published:
        source = None if transfer_from is None else open_run(transfer_from)
        opened = open_run(study, run_dir)
        with opened[1].alone():
            say(pipeline.paper(*opened, gold, source))


@app.command()
def report(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    gold: GoldOption = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Another run, to compare this one with."),
    ] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="Leave out the code that may not be passed on."),
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it on this machine's loopback, until Ctrl-C.")
    ] = False,
    queue: Annotated[
        Path | None,
        typer.Option("--queue", help="With --serve: have this queue of `sample` (CSV) labelled."),
    ] = None,
    reader: Annotated[
        str | None, typer.Option("--reader", help="Who labels the queue; names the labels file.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Of --serve; 0: any free one.")
    ] = 8733,
) -> None:
    """Write the report: pages in which every number opens down to code and votes."""
    from classify import pipeline
    from mining.opening import open_run

    opened = open_run(study, run_dir)
    other = None if against is None else open_run(against)
    with opened[1].alone():
        say(pipeline.report(*opened, gold, other, public=public))
    if serve or queue is not None or reader is not None:
        from classify.report.server import serve_report

        serve_report(opened[1], port, queue, reader, say)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="A study file, or the folder of a run.")],
    run_b: Annotated[Path, typer.Argument(help="Another one.")],
    gold: GoldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs (judges, prompts, settings) over the snippets that both hold."""
    from classify import pipeline
    from mining.opening import open_run

    comparison = pipeline.compare(open_run(run_a), open_run(run_b), gold)
    if as_json:
        typer.echo(json.dumps(comparison.to_json(), indent=1))
    else:
        say(comparison.lines())


@app.command()
def sample(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    out: Annotated[Path, typer.Option("--out", help="Where the queue is written (CSV).")] = Path(
        "queue.csv"
    ),
    design: Annotated[
        Design,
        typer.Option(
            "--design",
            help="random; stratified by placement and vote margin (or kind, where the judge votes "
            "once), with Neyman allocation; or thesis: repositories, and one snippet placed as a "
            "loss of each.",
        ),
    ] = Design.STRATIFIED,
    labels: Annotated[
        int | None, typer.Option("--labels", min=1, help="How many snippets are drawn.")
    ] = None,
    half_width: Annotated[
        float | None,
        typer.Option(
            "--half-width",
            min=0.001,
            max=0.5,
            help="Say how many labels this half-width of the weighted F1's interval needs, and "
            "draw as many unless --labels says otherwise.",
        ),
    ] = None,
    gold: Annotated[
        Path | None,
        typer.Option("--gold", help="Labels by which error rates are known, not guessed."),
    ] = None,
    losses: Annotated[
        bool, typer.Option("--losses", help="Draw only from what was placed as a loss.")
    ] = False,
    seed: SeedOption = 0,
) -> None:
    """Draw what to label next from a run's placements, with known inclusion probabilities."""
    from classify import pipeline
    from mining.opening import open_run

    opened = open_run(study, run_dir)
    say(pipeline.sample(*opened, out, design, labels, half_width, gold, losses, seed))


@app.command()
def label(
    queue: Annotated[Path, typer.Argument(metavar="QUEUE", help="A queue of `sample` (CSV).")],
    reader: Annotated[str, typer.Option("--reader", help="Who labels; names the labels file.")],
    study: Annotated[
        Path | None,
        typer.Option("--run", metavar="STUDY", help="The study file or the folder of the run."),
    ] = None,
    run_dir: RunDirOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The labels file; default: beside the queue.")
    ] = None,
) -> None:
    """Label snippets by hand in the terminal, blind to the judge and to other readers."""
    from classify.labelling import label_queue
    from mining.opening import open_run

    _, opened = open_run(study, run_dir)
    label_queue(opened, queue, reader, out)


@app.command()
def agree(
    labels: Annotated[list[Path], typer.Argument(metavar="LABELS", help="One file a reader.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the gold file that they make is written.")
    ] = None,
    adjudicated: Annotated[
        Path | None,
        typer.Option("--adjudicated", help="Labels that settle what the readers differ on."),
    ] = None,
    unit: Annotated[
        Unit, typer.Option("--unit", help="What the bootstrap draws: repository or snippet.")
    ] = Unit.REPOSITORY,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.999, help="Of the intervals.")
    ] = 0.95,
    seed: SeedOption = 0,
) -> None:
    """Say how far readers agree, list where not, and write the gold that their labels make."""
    from classify import adjudication

    say(adjudication.agree(labels, out, adjudicated, unit, confidence, seed))


@app.command()
def types(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Labels with an unknown_type, in place of the study's."),
    ] = None,
) -> None:
    """Propose the type of each snippet placed loss_unknown, and measure the proposals."""
    from classify import pipeline
    from mining.opening import open_run

    opened = open_run(study, run_dir)
    with opened[1].alone():
        say(pipeline.types(*opened, labels))


@app.command()
def export(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    *,
    to: Annotated[Format, typer.Option("--to", help="What for.")],
    out: Annotated[Path, typer.Option("--out", help="The file or folder that is written.")],
    queue: Annotated[
        Path | None, typer.Option("--queue", help="Only the snippets of this queue (CSV).")
    ] = None,
    with_text: WithTextOption = False,
) -> None:
    """Give the snippets and their placements to other tools."""
    from classify.export import exports
    from mining.opening import open_run

    opened = open_run(study, run_dir)
    say(exports.export(*opened, to, out, with_text=with_text, queue=queue))


@app.command()
def bundle(
    study: StudyArgument = None,
    run_dir: RunDirOption = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="A new folder, or a .zip file.")],
    gold: GoldOption = None,
    with_text: WithTextOption = False,
) -> None:
    """Make the replication package of a finished run."""
    from classify.replication.bundle import bundle as bundle_run
    from mining.opening import open_run

    say(bundle_run(*open_run(study, run_dir), out, gold=gold, with_text=with_text))


@app.command()
def verify(
    package: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle: folder or .zip.")],
) -> None:
    """Recompute a bundle's placements and tables from its votes; exit status 1 if any differ."""
    from classify.replication.verify import verify as verify_package

    verification = verify_package(package)
    say(verification.lines())
    if not verification.agrees:
        raise typer.Exit(1)


@app.command()
def import_labels(
    labels: Annotated[Path, typer.Argument(metavar="FILE", help="An export (JSON).")],
    out: Annotated[Path, typer.Option("--out", help="The gold file that is written.")],
) -> None:
    """Turn labels made in Label Studio or Argilla into a gold file."""
    from classify.export import exports

    say(exports.import_labels(labels, out))


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
        for each in found:
            rows = "done" if each.rows is None else f"{each.rows} rows"
            say([f"  {each.artifact:<22}  {rows if each.done else 'not done'}"])


def main() -> None:
    """Run the command line; an error of the user's to mend is one sentence and exit status 1."""
    status = 1
    try:
        app()
    except BudgetSpentError as error:
        said, status = str(error), BUDGET_SPENT
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
    sys.exit(status)
