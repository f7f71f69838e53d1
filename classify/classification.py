"""The classification stage: snippets of a run to votes and placements on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from typing import Any

import pandas as pd

from classify.ask import Ballots, Budget, Progress, Spent, Subject, Unseen, place_all, place_stored
from classify.costs import COSTS, PrintedAsks, costs_of
from classify.gate import RULES_GATE, repeats, rules_gate
from classify.judges import Judge, JudgeSettings, Messages
from classify.judges.replay import ReplayJudge, stored_judge
from classify.judges.shortening import Shortener
from classify.placement import Category, Placement, Verdict, VerdictOf, first_question, place
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from classify.stopping import VotingRule
from classify.store import Store, Template
from mining.artifacts import Artifact, Run
from mining.code import RepositoryCode
from mining.extraction import CLASSES, FILES, SNIPPETS, Corpus
from mining.hierarchy import with_class_functions
from mining.loss_names import known_loss_names, loss_name_finder
from mining.records import Snippet
from mining.study import JudgeStudySettings, PlacementSettings, SavingsSettings, Study

NamesLoss = Callable[[Snippet], bool]
"""Tells whether a snippet names a known loss function."""

PLACEMENTS = "placements.parquet"
STORE = "votes.sqlite"

SNIPPET_COLUMNS = {
    "snippet_id": "str",
    "repository": "str",
    "commit": "str",
    "path": "str",
    "start_line": "int64",
    "end_line": "int64",
    "kind": "str",
    "qualname": "str",
    "code_sha256": "str",
}
"""What names a snippet, in every table with one row for each."""

COLUMNS = {
    **SNIPPET_COLUMNS,
    "placement": "str",
    **{question.value: "str" for question in Question},
    "judge": "str",
    "reason": "str",
    "flip_risk": "float64",
}
"""Of ``placements.parquet``, one row for each snippet. ``placement`` is null where there is none,
and ``reason`` says why; it also says where a placement was made without asking. Each question's
column holds yes, no or none (no verdict), or null where it was not asked; for a method,
training_loop and model_definition speak of its class. ``flip_risk`` is the greatest one taken on a
verdict that the placement looked at, 0 unless the study takes any (savings.max_flip_risk)."""


@dataclass(frozen=True, slots=True)
class OpenedJudge:
    """A judge with what it is asked: how an ask is rendered, and how votes make its verdict.

    ``templates`` say which text each question is asked by; the rules need none.
    """

    judge: Judge
    messages: Callable[[Ask], Messages]
    rule: VotingRule
    templates: Mapping[Question, Template]
    prompts_sha256: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How snippets are placed: the study's settings, and what they are told apart by.

    ``passes_gate`` tells of a snippet whether it is asked about at all, ``may_train`` whether it
    is asked about training_loop; see classify.gate.
    """

    placement: PlacementSettings
    savings: SavingsSettings
    names_loss: NamesLoss
    passes_gate: Callable[[Snippet], bool] = lambda _: True
    may_train: Callable[[Snippet], bool] = lambda _: True

    def place(
        self, snippet: Snippet, class_functions: Sequence[Snippet], verdict_of: VerdictOf
    ) -> Placement | frozenset[Ask]:
        """Place a snippet, or return the asks that this still needs; see placement.place."""
        if not self.passes_gate(snippet):
            return Placement(snippet, Category.NO_LOSS, {}, unasked=RULES_GATE)

        def verdict(ask: Ask) -> Verdict | None:
            if ask.question is Question.TRAINING_LOOP and not self.may_train(ask.snippet):
                return Verdict.NO
            return verdict_of(ask)

        names_loss = self.names_loss
        if self.savings.rules_gate:  # it has answered loss_related, so that nobody else is asked
            passed = self.placement.gate == "as_text"
            names_loss = lambda _: passed  # noqa: E731
        return place(
            snippet,
            class_functions,
            verdict,
            names_loss,
            self.placement.gate,
            stop_at_yes=self.savings.stop_at_yes,
            class_once=self.savings.class_once,
        )

    def first_question(self, snippet: Snippet) -> Question:
        """Return what is asked about a snippet before all else, if anything is."""
        return first_question(snippet, self.names_loss, self.placement.gate)


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
        if run.is_done(PLACEMENTS, settings, inputs) and not (retry_errors and refused):
            notes = (done := run.sidecar(PLACEMENTS)) and done.notes
            if study.judge.kind == "replay" or not (notes or {}).get("failed"):
                return None
        ballots = open_ballots(study, opened, store, {} if retry_errors else refused)
        printed = PrintedAsks()
        with begin(store, opened, _rows(run)) as progress:
            frame = placements(
                run, corpus, plan_of(study, corpus), ballots, progress, budget, printed
            )
        costs = costs_of(printed, ballots.paid(), opened.rule.votes)
    spent = ballots.spent
    run.write(COSTS, costs, Artifact("classify", settings, inputs))
    notes = {"failed": spent.failed, "refused": spent.refused}
    run.write(PLACEMENTS, frame, Artifact("classify", settings, inputs, notes=notes))
    return spent


def open_ballots(
    study: Study, opened: OpenedJudge, store: Store, unanswered: Mapping[str, str]
) -> Ballots:
    """Return the ballots of a study's judge; ``unanswered`` are prompts not to be asked."""
    return Ballots(
        store,
        opened.judge,
        opened.messages,
        opened.rule,
        unanswered,
        study.savings.equal_code,
        opened.templates,
    )


def placements(
    run: Run,
    corpus: Corpus,
    plan: Plan,
    ballots: Ballots,
    progress: Progress | None = None,
    budget: Budget | None = None,
    printed: PrintedAsks | None = None,
    *,
    stored_only: bool = False,
) -> pd.DataFrame:
    """Place every snippet of a corpus; returns a frame with ``COLUMNS``, in the corpus's order.

    ``printed`` takes note of what the printed algorithm would have asked. With ``stored_only``
    nobody is asked and nothing is written: where votes are missing, there is no verdict. Raises
    as place_all, and MissingVoteError in a replay.
    """
    frame = run.read(SNIPPETS, list(SNIPPET_COLUMNS))
    columns: dict[str, list[Any]] = {
        name: [None] * len(frame) for name in COLUMNS if name not in SNIPPET_COLUMNS
    }

    def put(number: int, placement: Placement, flip_risk: float) -> None:
        row = {
            "placement": placement.category and placement.category.value,
            **{q.value: verdict.value for q, verdict in placement.verdicts.items()},
            "judge": ballots.judge.settings.name,
            "reason": placement.unasked
            or (placement.undecided and ballots.reason(placement.undecided)),
            "flip_risk": flip_risk,
        }
        for name, value in row.items():
            columns[name][number] = value

    subjects = subjects_of(corpus, plan, printed)
    if stored_only:
        place_stored(subjects, ballots, put, progress)
    else:
        place_all(subjects, ballots, put, progress, budget)
    return frame.assign(**columns).astype(COLUMNS)[list(COLUMNS)]


def subjects_of(
    corpus: Corpus, plan: Plan, printed: PrintedAsks | None = None
) -> Iterator[Subject]:
    """Give every snippet with what places it, in the corpus's order, a repository at a time."""
    numbers = count()
    for repository in corpus.repositories:
        for snippet, of_class in with_class_functions(
            corpus.snippets(repository),
            corpus.classes(repository),
            follow=plan.placement.bases == "follow",
        ):
            yield Subject(next(numbers), partial(_place, plan, printed, snippet, of_class))


def plan_of(study: Study, corpus: Corpus) -> Plan:
    """Return how a study places the snippets of a corpus. Raises InputError, see below."""
    # a snippet is looked at again after each answer about it
    names_loss = lru_cache(maxsize=10_000)(names_known_loss(study.placement))
    if study.savings.rules_gate:
        return Plan(study.placement, study.savings, names_loss, rules_gate(corpus), repeats)
    return Plan(study.placement, study.savings, names_loss)


def voting_rule(judge: JudgeStudySettings, savings: SavingsSettings) -> VotingRule:
    """Return how a language model's votes make a verdict."""
    return VotingRule(
        judge.votes,
        judge.spare_votes if judge.temperature else 0,  # at 0 another draw says the same
        savings.early_stop,
        savings.max_flip_risk,
    )


def names_known_loss(settings: PlacementSettings) -> NamesLoss:
    """Return a function that tells whether a snippet's text names a known loss function.

    Raises InputError if the study's own list of them cannot be read.
    """
    in_text = loss_name_finder(known_loss_names(settings.loss_functions))
    return lambda snippet: in_text(snippet.text)


def open_judge(study: Study, corpus: Corpus, store: Store) -> OpenedJudge:
    """Return the judge that a study names. An engine starts only when it is first asked.

    Raises PromptError, JudgeError for a missing extra, and for ``replay`` MissingVoteError.
    """
    match study.judge.kind:
        case "replay":
            return open_replay(study, corpus, stored_judge(store, study.judge.model))
        case "rules":
            from classify.judges.rules import RulesJudge

            code_of = lru_cache(maxsize=1)(corpus.code)
            return _reading_repositories(RulesJudge(code_of, study.placement.bases), code_of)
        case "vllm":
            from classify.judges.vllm import VllmJudge

            return _reading_snippets(VllmJudge(study.judge, _shortener(study)), study)
        case "openai":
            from classify.judges.openai import OpenAIJudge

            return _reading_snippets(OpenAIJudge(study.judge, _shortener(study)), study)


def open_replay(study: Study, corpus: Corpus, original: JudgeSettings) -> OpenedJudge:
    """Return what stands in for a judge whose votes are stored. Raises PromptError."""
    judge = ReplayJudge(original)
    if original.kind == "rules":
        return _reading_repositories(judge, lru_cache(maxsize=1)(corpus.code))
    return _reading_snippets(judge, study)


def _reading_repositories(judge: Judge, code_of: Callable[[str], RepositoryCode]) -> OpenedJudge:
    from classify.judges.rules import rules_messages

    return OpenedJudge(
        judge,
        lambda ask: rules_messages(ask, code_of(ask.snippet.repository)),
        VotingRule(1),
        {},
        None,
    )


def _shortener(study: Study) -> Shortener:
    prompts = read_prompts(study.prompts.folder, study.prompts.version)
    return Shortener(study.prompts.too_long, prompts)


def _reading_snippets(judge: Judge, study: Study) -> OpenedJudge:
    prompts = read_prompts(study.prompts.folder, study.prompts.version)
    version = f"v{study.prompts.version}" if study.prompts.folder is None else "own"
    templates = {
        question: Template(version, hashlib.sha256(text.encode()).hexdigest())
        for question, text in prompts.templates.items()
    }
    rule = voting_rule(study.judge, study.savings)
    return OpenedJudge(judge, prompts.messages, rule, templates, prompts.sha256)


def _place(
    plan: Plan,
    printed: PrintedAsks | None,
    snippet: Snippet,
    of_class: Sequence[Snippet],
    verdict_of: VerdictOf,
) -> Placement | frozenset[Ask]:
    result = plan.place(snippet, of_class, verdict_of)
    if printed is not None and isinstance(result, Placement):
        printed.add(result, plan.first_question(snippet), of_class)
    return result


def _rows(run: Run) -> int:
    sidecar = run.sidecar(SNIPPETS)
    return (sidecar and sidecar.rows) or 0


def unanswered(store: Store, judge: JudgeSettings) -> dict[str, str]:
    """Return the prompts that it does not help to ask again, with the reasons.

    A replay can ask nothing again.
    """
    return {
        prompt: failure.reason
        for prompt, failure in store.failures(judge).items()
        if failure.refused or judge.engine == "stored"
    }


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
