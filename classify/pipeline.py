"""The stages after mining, and all stages in a row. Each returns the lines that it has to say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from classify import classification, published
from classify.classification import PLACEMENTS
from classify.errors import GoldError
from classify.evaluate import Evaluation
from classify.evaluate import evaluate as evaluate_placements
from classify.gold import read_gold
from classify.paper import write_paper
from classify.tables import table_4_1
from mining import pipeline as mining
from mining.artifacts import Artifact, Run, file_sha256
from mining.study import Study


def run_all(study: Study, run: Run) -> Iterator[list[str]]:
    """Do what is not yet done, stage by stage, and give the lines of each as it ends."""
    if study.corpus.local is None:
        yield mining.search(study, run)
        yield mining.rank(study, run)
    yield mining.fetch(study, run)
    yield mining.extract(study, run)
    yield classify(study, run)
    yield ["", *table_4_1(run.read(PLACEMENTS)).lines()]
    if study.evaluation.gold is not None:
        yield ["", *evaluate(study, run).lines()]
    yield ["", *paper(study, run)]


def classify(study: Study, run: Run) -> list[str]:
    """Have the judge answer what is open, and place every snippet (``placements.parquet``)."""
    spent = classification.classify(study, run)
    placements = run.read(PLACEMENTS, ["placement"])["placement"]
    asked = (
        "nothing to ask, all was done"
        if spent is None
        else f"{spent.asks} prompts asked for {spent.votes} votes, {spent.stored} from the store"
        + (f", {spent.refused} refused" if spent.refused else "")
    )
    return [f"classify: {placements.notna().sum()} of {len(placements)} snippets placed ({asked})"]


def evaluate(study: Study, run: Run, gold: Path | None = None) -> Evaluation:
    """Measure the placements of a run against hand labels: ``gold``, or else the study's.

    Raises GoldError without labels, ArtifactError without placements.
    """
    path = gold or study.evaluation.gold
    if path is None:
        raise GoldError(
            "Expected hand labels, found none named; give --gold FILE.csv, or name them in the "
            "study as [evaluation] gold."
        )
    labels = read_gold(path)
    return evaluate_placements(labels, run.read(PLACEMENTS), study.evaluation.confidence)


def paper(study: Study, run: Run, gold: Path | None = None) -> list[str]:
    """Write the paper's tables and figures; those of the evaluation where there are labels."""
    path = gold or study.evaluation.gold
    inputs = {name: run.sha256(name) for name in (PLACEMENTS, mining.CORPUS)}
    evaluation = None
    if path is not None:
        evaluation = evaluate(study, run, path)
        inputs["gold"] = file_sha256(path)
    written = write_paper(
        run,
        run.read(PLACEMENTS),
        run.read(mining.CORPUS),
        evaluation,
        Artifact("paper", {"confidence": study.evaluation.confidence}, inputs),
    )
    names = sorted({Path(name).stem for name in written})
    return [f"paper: {', '.join(names)}", f"written to {run.folder}"]


def compare_published() -> Iterator[str]:
    """Give the published tables D.2 to D.5 beside ours, computed from the published D.1."""
    tables = published.compare_published()
    for table in tables:
        yield from (*table.lines(), "")
    cells = sum(len(table.frame) for table in tables)
    agreeing = sum(int(table.frame["agrees"].sum()) for table in tables)
    yield f"{agreeing} of {cells} published cells agree"
