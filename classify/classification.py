"""The classification stage: snippets of a run to votes and placements on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from classify.ask import Ballots, Budget, Progress, Spent, Unseen
from classify.by_repository import clear_parts, passing_the_gate, place_by_repository
from classify.costs import COSTS, PrintedAsks, costs_of
from classify.judging import OpenedJudge, open_ballots, open_judge, open_rules, unanswered
from classify.store import Store
from classify.subjects import SCHEMA, Placed, Plan, placed, plan_of, with_snippets
from mining.artifacts import Artifact, Run
from mining.extracted import Corpus
from mining.extraction import CLASSES, FILES, SNIPPETS
from mining.loss_names import known_loss_names
from mining.study import Study

PLACEMENTS = "placements.parquet"
STORE = "votes.sqlite"


def classify(
    study: Study,
    run: Run,
    *,
    retry_errors: bool = False,
    budget: Budget | None = None,
    begin: Callable[[Store, OpenedJudge, int], AbstractContextManager[Progress]] = (
        lambda *_: nullcontext(Unseen())
    ),
) -> Spent | None:
    """Place every snippet of the run (``placements.parquet``); None if that is done already.

    Prompts that a judge refused are asked again only with ``retry_errors``; what failed for the
    moment is asked again by each run, until nothing has. ``begin`` is told of the store, the judge
    and how many snippets there are before anything is asked. Also writes ``costs.parquet``.
    Raises JudgeError if the judge is out of reach, and BudgetSpentError: then its answers are
    kept, and no placements are written.
    """
    corpus = Corpus(run)
    with Store(run.path(STORE)) as store:
        opened = open_judge(study, corpus, store)
        settings, inputs = _settings(study, opened), _inputs(run)
        refused = unanswered(store, opened.judge.settings)
        done = all(run.is_done(name, settings, inputs) for name in (COSTS, PLACEMENTS))
        if done and not (retry_errors and refused):
            notes = (sidecar := run.sidecar(PLACEMENTS)) and sidecar.notes
            if study.judge.kind == "replay" or not (notes or {}).get("failed"):
                if study.scale.storage is None:  # which may be out of reach, or nobody's any more
                    clear_parts(study, run)  # which a kill right before the end leaves
                return None
        placing: Callable[[Progress, Budget | None], Placed]
        if study.judge.kind == "rules":
            judge = opened.judge.settings
            placing = partial(place_by_repository, study, run, store, judge, inputs)
        else:
            plan = plan_of(study, corpus)
            if study.savings.rules_gate:  # before the stream, which is not to wait for it
                rules = open_rules(study, corpus).judge.settings
                plan = replace(plan, passes_gate=passing_the_gate(study, run, rules, inputs))
            ballots = open_ballots(study, opened, store, {} if retry_errors else refused)
            placing = partial(_place_by_stream, corpus, plan, ballots)
        with begin(store, opened, _rows(run)) as progress:
            ended = placing(progress, budget)
    spent = ended.spent
    run.write(COSTS, ended.costs, Artifact("classify", settings, inputs))
    notes = {"failed": spent.failed, "refused": spent.refused}
    artifact = Artifact("classify", settings, inputs, notes=notes)
    run.write_pieces(PLACEMENTS, SCHEMA, with_snippets(run, ended.added), artifact)
    if study.judge.kind == "rules" or study.savings.rules_gate:
        clear_parts(study, run)
    return spent


def _place_by_stream(
    corpus: Corpus,
    plan: Plan,
    ballots: Ballots,
    progress: Progress,
    budget: Budget | None,
) -> Placed:
    """Have any judge place every snippet, which answers as many asks at a time as it can."""
    printed = PrintedAsks()
    added = placed(corpus, plan, ballots, progress, budget, printed)
    costs = costs_of(printed, ballots.paid(), ballots.rule.votes)
    return Placed(added, costs, ballots.spent)


def _rows(run: Run) -> int:
    sidecar = run.sidecar(SNIPPETS)
    return (sidecar and sidecar.rows) or 0


def _settings(study: Study, opened: OpenedJudge) -> dict[str, Any]:
    names = "\n".join(known_loss_names(study.placement.loss_functions))
    return {
        "placement": study.placement.model_dump(exclude={"loss_functions"}),
        "judge": opened.judge.settings.name,
        "judge_sha256": opened.judge.settings.sha256,
        "votes": opened.rule.votes,
        "spare_votes": opened.rule.spare,
        "savings": study.savings.model_dump(
            include={"equal_code", "class_once", "max_flip_risk", "rules_gate"}
        ),
        "prompts_sha256": opened.prompts_sha256,
        "loss_functions_sha256": hashlib.sha256(names.encode()).hexdigest(),
    }


def _inputs(run: Run) -> dict[str, str]:
    return {name: run.sha256(name) for name in (FILES, SNIPPETS, CLASSES)}
