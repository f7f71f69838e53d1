"""The classification stage: snippets of a run to votes and placements on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from classify.ask import Ballots, Spent, place_all
from classify.judges import Completion, Judge, Messages
from classify.placement import Placement, VerdictOf, place
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from classify.store import Store
from mining.artifacts import Artifact, Run
from mining.extraction import CLASSES, FILES, SNIPPETS, Corpus
from mining.hierarchy import functions_by_class
from mining.loss_names import known_loss_names, loss_name_finder
from mining.progress import track
from mining.records import Snippet
from mining.study import PlacementSettings, Study

PLACEMENTS = "placements.parquet"
STORE = "votes.sqlite"

COLUMNS = {
    "snippet_id": "str",
    "repository": "str",
    "commit": "str",
    "path": "str",
    "start_line": "int64",
    "end_line": "int64",
    "kind": "str",
    "qualname": "str",
    "code_sha256": "str",
    "placement": "str",
    **{question.value: "str" for question in Question},
    "judge": "str",
    "reason": "str",
}
"""Of ``placements.parquet``, one row for each snippet. ``placement`` is null where there is none,
and ``reason`` says why. Each question's column holds yes, no or none (no verdict), or null where
it was not asked; for a method, training_loop and model_definition speak of its class."""


@dataclass(frozen=True, slots=True)
class OpenedJudge:
    """A judge with what it is asked: how an ask is rendered, and how often each is put.

    ``reads_repository``: it looks beyond the snippet, so that equal code in two places is two
    prompts, and the corpus is best taken one repository at a time.
    """

    judge: Judge
    messages: Callable[[Ask], Messages]
    votes: int
    reads_repository: bool
    prompts_sha256: str | None


def classify(study: Study, run: Run) -> Spent | None:
    """Place every snippet of the run (``placements.parquet``); None if that is done already.

    Raises JudgeError if the judge did not answer all; its answers so far are kept.
    """
    corpus = Corpus(run)
    with Store(run.path(STORE)) as store:
        opened = open_judge(study, corpus, store)
        artifact = Artifact("classify", _settings(study, opened), _inputs(run))
        if run.is_done(PLACEMENTS, artifact.settings, artifact.inputs):
            return None
        ballots = Ballots(store, opened.judge, opened.messages, opened.votes)
        rows = [
            _row(placement, ballots)
            for placement in _placements(corpus, study.placement, ballots, opened.reads_repository)
        ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    run.write(PLACEMENTS, frame, artifact)
    return ballots.spent


def open_judge(study: Study, corpus: Corpus, store: Store) -> OpenedJudge:
    """Return the judge that a study names. An engine starts only when it is first asked.

    Raises PromptError, JudgeError for a missing extra, and for ``replay`` MissingVoteError.
    """
    settings = study.judge
    if settings.kind == "replay":
        from classify.judges.replay import ReplayJudge, stored_judge

        original = stored_judge(store, settings.model)
        judge: Judge = ReplayJudge(original)
        kind = original.kind
    else:
        kind = settings.kind

    if kind == "rules":
        from classify.judges.rules import RulesJudge, rules_messages

        code_of = lru_cache(maxsize=1)(corpus.code)
        if settings.kind != "replay":
            judge = RulesJudge(code_of)
        return OpenedJudge(
            judge,
            lambda ask: rules_messages(ask, code_of(ask.snippet.repository)),
            votes=1,
            reads_repository=True,
            prompts_sha256=None,
        )
    prompts = read_prompts(study.prompts.folder, study.prompts.version)
    if settings.kind == "vllm":
        from classify.judges.vllm import VllmJudge

        judge = VllmJudge(settings)
    elif settings.kind == "openai":
        from classify.judges.openai import OpenAIJudge

        judge = OpenAIJudge(settings)
    return OpenedJudge(judge, prompts.messages, settings.votes, False, prompts.sha256)


def _placements(
    corpus: Corpus, settings: PlacementSettings, ballots: Ballots, reads_repository: bool
) -> Iterator[Placement]:
    """Give the placement of every snippet, in the order of the corpus."""
    if reads_repository:
        for repository in track(corpus.repositories, "classifying", len(corpus.repositories)):
            yield from _place_batch(corpus, [repository], settings, ballots, lambda s, _: s)
    else:
        # a model is asked about the whole corpus at once, so that its batch stays full
        yield from _place_batch(
            corpus, corpus.repositories, settings, ballots, lambda s, n: track(s, "asking", n)
        )


def _place_batch(
    corpus: Corpus,
    repositories: Iterable[str],
    settings: PlacementSettings,
    ballots: Ballots,
    watch: Callable[[Iterator[Completion], int], Iterable[Completion]],
) -> list[Placement]:
    snippets: list[Snippet] = []
    functions: dict[tuple[str, str], list[Snippet]] = {}
    for repository in repositories:
        of_repository = corpus.snippets(repository)
        snippets += of_repository
        by_class = functions_by_class(
            of_repository, corpus.classes(repository), follow=settings.bases == "follow"
        )
        functions |= {(repository, key): of_class for key, of_class in by_class.items()}
    names_loss = loss_name_finder(known_loss_names())

    def place_one(snippet: Snippet, verdict_of: VerdictOf) -> Placement | frozenset[Ask]:
        # what is no method has no class, and so no entry
        key = (snippet.repository, f"{snippet.path}::{snippet.class_qualname}")
        return place(snippet, functions.get(key, ()), verdict_of, names_loss, settings.gate)

    return place_all(snippets, place_one, ballots, watch)


def _row(placement: Placement, ballots: Ballots) -> dict[str, Any]:
    snippet = placement.snippet
    return {
        **{name: getattr(snippet, name) for name in COLUMNS if hasattr(snippet, name)},
        "placement": placement.category and placement.category.value,
        **{question.value: verdict.value for question, verdict in placement.verdicts.items()},
        "judge": ballots.judge.settings.name,
        "reason": placement.undecided and ballots.reason(placement.undecided),
    }


def _settings(study: Study, opened: OpenedJudge) -> dict[str, Any]:
    names = "\n".join(known_loss_names())
    return {
        "placement": study.placement.model_dump(),
        "judge": opened.judge.settings.name,
        "judge_sha256": opened.judge.settings.sha256,
        "votes": opened.votes,
        "prompts_sha256": opened.prompts_sha256,
        "loss_functions_sha256": hashlib.sha256(names.encode()).hexdigest(),
    }


def _inputs(run: Run) -> dict[str, str]:
    return {name: run.sha256(name) for name in (FILES, SNIPPETS, CLASSES)}
