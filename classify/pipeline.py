"""The stages after mining, and all stages in a row. Each returns the lines that it has to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pandas as pd

from classify import classification, published
from classify.analysis import analysis_tables
from classify.ask import Budget, Progress, Spent
from classify.classification import PLACEMENTS
from classify.compare import Comparison
from classify.compare import compare as compare_placements
from classify.costs import COSTS, cost_line
from classify.designs import Design
from classify.errors import GoldError
from classify.evaluate import Evaluation
from classify.evaluate import evaluate as evaluate_placements
from classify.gate import gate_line
from classify.gold import Gold, read_gold
from classify.judging import OpenedJudge
from classify.manual_tables import confused_types, table_4_3, table_4_4
from classify.paper import write_paper
from classify.pilot import plan as plan_by_pilot
from classify.plan import Planned, Terms
from classify.proposals import TYPES, propose_for_labels, propose_types
from classify.queue import write_queue
from classify.report.build import INDEX, build_report, report_inputs, static_sha256
from classify.standing import voided
from classify.store import Store
from classify.tables import table_4_1, table_4_1_transferred
from classify.watching import watch
from mining import pipeline as mining
from mining import progress
from mining.artifacts import Artifact, Run, file_sha256
from mining.errors import ArtifactError
from mining.study import Study


def run_all(study: Study, run: Run) -> Iterator[list[str]]:
    """Do what is not yet done, stage by stage, and give the lines of each as it ends."""
    if study.corpus.searched:
        yield mining.search(study, run)
        yield mining.rank(study, run)
    yield mining.fetch(study, run)
    yield mining.extract(study, run)
    yield classify(study, run)
    yield ["", *table_4_1(run.read(PLACEMENTS)).lines()]
    if study.evaluation.gold is not None:
        yield ["", *evaluate(study, run).lines()]
    yield ["", *paper(study, run)]


def classify(
    study: Study, run: Run, *, retry_errors: bool = False, budget: Budget | None = None
) -> list[str]:
    """Have the judge answer what is open, and place every snippet (``placements.parquet``).

    ``retry_errors`` asks again what the judge refused before. Raises BudgetSpentError.
    """
    spent = classification.classify(
        study, run, retry_errors=retry_errors, budget=budget, begin=_begin
    )
    of_gate = ["repository", "path", "start_line", "reason"] if study.savings.rules_gate else []
    placements = run.read(PLACEMENTS, ["placement", *of_gate])
    placed = placements["placement"].notna().sum()
    said = "nothing to ask, all was done" if spent is None else _spent(spent)
    lines = [f"classify: {placed} of {len(placements)} snippets placed ({said})"]
    if study.judge.kind != "rules":
        lines.append(cost_line(run.read(COSTS)))
    if study.savings.rules_gate:
        gold = None if study.evaluation.gold is None else read_gold(study.evaluation.gold)
        lines.append(gate_line(placements, gold, study.evaluation.confidence))
    if spent is not None:
        lines += _without_answer(spent)
    return lines


def plan(study: Study, run: Run, terms: Terms, *, pilot: int, seed: int = 0) -> Planned:
    """Say what `classify` costs, estimated by a pilot of so many texts; 0 asks nothing.

    What the pilot asks is stored in the run. Raises JudgeError if the judge is out of reach.
    """
    begin = partial(_begin, doing="pilot")
    return plan_by_pilot(study, run, terms, pilot=pilot, seed=seed, begin=begin)


def _begin(
    store: Store, opened: OpenedJudge, snippets: int, doing: str = "classifying"
) -> AbstractContextManager[Progress]:
    for line in voided(store, opened):
        progress.say(line)
    return watch(snippets, doing)


def _spent(spent: Spent) -> str:
    said = f"{spent.asks} prompts asked for {spent.votes} votes, {spent.stored} from the store"
    unread = [
        f"{count} {what}"
        for count, what in ((spent.truncated, "cut off"), (spent.unreadable, "unreadable"))
        if count
    ]
    return f"{said}; of the votes {', '.join(unread)}" if unread else said


def _without_answer(spent: Spent) -> Iterator[str]:
    """Say what has no answer, and what to do; its snippets are unplaced, with the reason."""
    if spent.refused:
        yield (
            f"{spent.refused} prompts refused: asking again as they are does not help. Change "
            "the study (a longer context, [prompts] too_long) or use --retry-errors."
        )
    if spent.failed:
        yield (
            f"{spent.failed} prompts without an answer (the first: {spent.reason}): run the "
            "command again, and it asks for them again."
        )


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
        study,
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
    lines = [f"types: {len(proposed)} snippets placed loss_unknown{done}"]
    for table_of, theirs in (
        (table_4_3, "table_4_3_unknown_types"),
        (table_4_4, "table_4_4_standalone_special_cases"),
    ):
        lines += ["", *table_of(proposed, published.published(theirs), by_hand).lines()]
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


def report(
    study: Study,
    run: Run,
    gold: Path | None = None,
    against: tuple[Study, Run] | None = None,
    *,
    public: bool = False,
) -> list[str]:
    """Write the report of a run (``report/index.html``), with hand labels where there are any.

    ``against`` is another run to compare it with. A ``public`` report leaves out the code that
    may not be passed on.
    """
    path = gold or study.evaluation.gold
    settings = {
        "public": public,
        "pages_sha256": static_sha256(),
        "study": study.model_dump(mode="json", exclude={"corpus", "prompts"}),
    }
    inputs = report_inputs(run)
    if path is not None:
        inputs["gold"] = file_sha256(path)
    if against is not None:
        inputs["against"] = against[1].sha256(PLACEMENTS)
    if run.is_done(INDEX, settings, inputs):
        return [f"report: nothing has changed, open {run.path(INDEX)}"]
    labels = None if path is None else read_gold(path)
    size = build_report(
        study,
        run,
        Artifact("report", settings, inputs),
        labels,
        None if labels is None else evaluate(study, run, path),
        None if against is None else _compared((study, run), against, labels),
        public=public,
    )
    return [f"report: {size / 1e6:,.1f} MB, open {run.path(INDEX)}"]


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


def _compared(
    a: tuple[Study, Run], b: tuple[Study, Run], gold: Gold | None
) -> tuple[Comparison, pd.DataFrame]:
    """Compare two runs for a report, which names no path of this machine."""
    ours, theirs = (run.read(PLACEMENTS) for _, run in (a, b))
    names = f"{a[0].name}, {_judges(ours)}", f"{b[0].name}, {_judges(theirs)}"
    confidence = a[0].evaluation.confidence
    try:
        found = compare_placements(ours, theirs, gold, confidence, names)
    except GoldError:  # labels of snippets that the other run lacks
        found = compare_placements(ours, theirs, None, confidence, names)
    return found, theirs


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
    return f"{run.folder} ({_judges(placements)})"


def _judges(placements: pd.DataFrame) -> str:
    judges = ", ".join(sorted(placements["judge"].dropna().unique()))
    return f"judge {judges or 'unknown'}"
