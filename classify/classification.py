"""The classification stage: snippets of a run to votes and placements on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from classify.ask import Ballots, Spent, place_all
from classify.judges import Completion, Judge, JudgeSettings, Messages
from classify.judges.replay import ReplayJudge, stored_judge
from classify.placement import Placement, VerdictOf, place
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from classify.store import Store
from mining.artifacts import Artifact, Run
from mining.code import RepositoryCode
from mining.extraction import CLASSES, FILES, SNIPPETS, Corpus
from mining.hierarchy import functions_by_class
from mining.loss_names import known_loss_names, loss_name_finder
from mining.progress import track
from mining.records import Snippet
from mining.study import PlacementSettings, Study

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
        # another attempt may be answered, but a replay has only what was
        refused = store.refusals(opened.judge.settings) if study.judge.kind == "replay" else {}
        ballots = Ballots(store, opened.judge, opened.messages, opened.votes, refused)
        frame = placements(
            corpus, study.placement, ballots, opened.reads_repository, names_known_loss()
        )
    run.write(PLACEMENTS, frame, artifact)
    return ballots.spent


def placements(
    corpus: Corpus,
    settings: PlacementSettings,
    ballots: Ballots,
    reads_repository: bool,
    names_loss: NamesLoss,
    doing: str = "classifying",
) -> pd.DataFrame:
    """Place every snippet of a corpus; returns a frame with ``COLUMNS``, in the corpus's order.

    ``reads_repository``: see OpenedJudge; ``doing``: what a progress bar calls it. Raises
    JudgeError, or MissingVoteError in a replay.
    """
    placed = _placements(corpus, settings, ballots, reads_repository, names_loss, doing)
    rows = [_row(placement, ballots) for placement in placed]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def names_known_loss() -> NamesLoss:
    """Return a function that tells whether a snippet's text names a known loss function."""
    in_text = loss_name_finder(known_loss_names())
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
            return _reading_repositories(RulesJudge(code_of), code_of)
        case "vllm":
            from classify.judges.vllm import VllmJudge

            return _reading_snippets(VllmJudge(study.judge), study)
        case "openai":
            from classify.judges.openai import OpenAIJudge

            return _reading_snippets(OpenAIJudge(study.judge), study)


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
        votes=1,
        reads_repository=True,
        prompts_sha256=None,
    )


def _reading_snippets(judge: Judge, study: Study) -> OpenedJudge:
    prompts = read_prompts(study.prompts.folder, study.prompts.version)
    return OpenedJudge(judge, prompts.messages, study.judge.votes, False, prompts.sha256)


def _placements(
    corpus: Corpus,
    settings: PlacementSettings,
    ballots: Ballots,
    reads_repository: bool,
    names_loss: NamesLoss,
    doing: str,
) -> Iterator[Placement]:
    """Give the placement of every snippet, in the order of the corpus."""
    if reads_repository:
        for repository in track(corpus.repositories, doing, len(corpus.repositories)):
            yield from _place_batch(
                corpus, [repository], settings, ballots, names_loss, lambda s, _: s
            )
    else:
        # a model is asked about the whole corpus at once, so that its batch stays full
        yield from _place_batch(
            corpus,
            corpus.repositories,
            settings,
            ballots,
            names_loss,
            lambda s, n: track(s, "asking", n),
        )


def _place_batch(
    corpus: Corpus,
    repositories: Iterable[str],
    settings: PlacementSettings,
    ballots: Ballots,
    names_loss: NamesLoss,
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
