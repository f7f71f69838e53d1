"""The stages after mining, and all stages in a row. Each returns the lines that it has to say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from classify import classification, published
from classify.analysis import analysis_tables
from classify.classification import PLACEMENTS
from classify.compare import Comparison
from classify.compare import compare as compare_placements
from classify.designs import Design
from classify.errors import GoldError
from classify.evaluate import Evaluation
from classify.evaluate import evaluate as evaluate_placements
from classify.gold import read_gold
from classify.manual_tables import confused_types, table_4_3
from classify.paper import write_paper
from classify.proposals import TYPES, propose_for_labels, propose_types
from classify.queue import write_queue
from classify.tables import table_4_1, table_4_1_transferred
from mining import pipeline as mining
from mining.artifacts import Artifact, Run, file_sha256
from mining.errors import ArtifactError
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
    labels = read_gold(_labels(study, gold))
    return evaluate_placements(labels, run.read(PLACEMENTS), study.evaluation.confidence)


def sample(
    study: Study,
    run: Run,
    out: Path,
    design: Design,
    labels: int | None,
    half_width: float | None,
    gold: Path | None,
    losses_only: bool,
    seed: int,
) -> list[str]:
    """Draw a queue of snippets to be labelled next; see queue.write_queue."""
    return write_queue(
        run,
        out,
        design,
        labels=labels,
        wanted=half_width,
        gold=None if gold is None else read_gold(gold),
        losses_only=losses_only,
        seed=seed,
        confidence=study.evaluation.confidence,
    )


def types(study: Study, run: Run, labels: Path | None = None) -> list[str]:
    """Propose the type of each snippet placed loss_unknown (``types.parquet``).

    Where types are labelled, in ``labels`` or else the study's gold, the rules are measured.
    """
    done = "" if propose_types(run) else " (all was done)"
    proposed = run.read(TYPES)
    path = labels or study.evaluation.gold
    by_hand = None if path is None else propose_for_labels(run, read_gold(path).rows)
    table = table_4_3(proposed, published.published("table_4_3_unknown_types"), by_hand)
    lines = [f"types: {len(proposed)} snippets placed loss_unknown{done}", "", *table.lines()]
    if by_hand is not None and len(by_hand):
        lines += ["", *confused_types(by_hand).lines()]
    return lines


def paper(
    study: Study,
    run: Run,
    gold: Path | None = None,
    transfer_from: tuple[Study, Run] | None = None,
    *,
    drawings: bool = True,
) -> list[str]:
    """Write the paper's tables and figures; those of the evaluation where there are labels.

    With ``transfer_from``, another run of the same judge, ``gold`` (or else that run's own) are
    labels of its snippets, by which the counts of this run are corrected. Without ``drawings``,
    no figure is drawn.
    """
    path = study.evaluation.gold if transfer_from else gold or study.evaluation.gold
    inputs = {name: run.sha256(name) for name in (PLACEMENTS, mining.CORPUS)}
    placements = run.read(PLACEMENTS)
    own = evaluation = None
    if path is not None:
        own = read_gold(path)
        evaluation = evaluate_placements(own, placements, study.evaluation.confidence)
        inputs["gold"] = file_sha256(path)
    transferred = None
    if transfer_from is not None:
        other, measured = transfer_from
        labels = _labels(other, gold)
        _check_same_judge(run, measured)
        rows = evaluate_placements(read_gold(labels), measured.read(PLACEMENTS)).rows
        transferred = table_4_1_transferred(placements, rows, study.evaluation.confidence)
        inputs |= {"transfer": measured.sha256(PLACEMENTS), "transfer_gold": file_sha256(labels)}
    corpus = run.read(mining.CORPUS)
    analysis, analysed = analysis_tables(run, corpus, own, evaluation)
    inputs |= analysed
    written = write_paper(
        run,
        placements,
        corpus,
        evaluation,
        Artifact("paper", {"confidence": study.evaluation.confidence}, inputs),
        transferred,
        analysis,
        drawings=drawings,
    )
    names = sorted({Path(name).stem for name in written})
    return [f"paper: {', '.join(names)}", f"written to {run.folder}"]


def compare(a: tuple[Study, Run], b: tuple[Study, Run], gold: Path | None = None) -> Comparison:
    """Compare the placements of two runs, also against hand labels: ``gold``, or else A's."""
    path = gold or a[0].evaluation.gold
    tables = [run.read(PLACEMENTS) for _, run in (a, b)]
    return compare_placements(
        tables[0],
        tables[1],
        None if path is None else read_gold(path),
        a[0].evaluation.confidence,
        (_described(a[1], tables[0]), _described(b[1], tables[1])),
    )


def compare_published() -> Iterator[str]:
    """Give the published tables D.2 to D.5 beside ours, computed from the published D.1."""
    tables = published.compare_published()
    for table in tables:
        yield from (*table.lines(), "")
    cells = sum(len(table.frame) for table in tables)
    agreeing = sum(int(table.frame["agrees"].sum()) for table in tables)
    yield f"{agreeing} of {cells} published cells agree"


def _labels(study: Study, gold: Path | None) -> Path:
    path = gold or study.evaluation.gold
    if path is None:
        raise GoldError(
            "Expected hand labels, found none named; give --gold FILE.csv, or name them in the "
            "study as [evaluation] gold."
        )
    return path


def _check_same_judge(run: Run, other: Run) -> None:
    """Raise ArtifactError unless both runs were placed by the same judge in the same way."""
    settings = []
    for each in (run, other):
        each.sha256(PLACEMENTS)
        sidecar = each.sidecar(PLACEMENTS)
        settings.append({} if sidecar is None else sidecar.settings)
    differing = sorted(
        key
        for key in {**settings[0], **settings[1]}
        if settings[0].get(key) != settings[1].get(key)
    )
    if differing:
        raise ArtifactError(
            f"Expected {other.folder} to be placed by the judge of {run.folder}, found other "
            f"settings ({', '.join(differing)}); errors carry over only within one judge."
        )


def _described(run: Run, placements: pd.DataFrame) -> str:
    judges = ", ".join(sorted(placements["judge"].dropna().unique()))
    return f"{run.folder} (judge {judges or 'unknown'})"
