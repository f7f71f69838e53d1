"""The judge that a study names, with all that it is asked by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from classify.ask import Ballots, Votes
from classify.judges import Judge, JudgeSettings, Messages
from classify.judges.replay import ReplayJudge, stored_judge
from classify.judges.shortening import Shortener
from classify.prompts import Prompts, read_prompts
from classify.questions import Ask, Question
from classify.stopping import VotingRule
from classify.store import Store, Template
from mining.code import RepositoryCode
from mining.extracted import Corpus
from mining.study import JudgeStudySettings, SavingsSettings, Study


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


def open_ballots(
    study: Study, opened: OpenedJudge, store: Votes, unanswered: Mapping[str, str]
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


def voting_rule(judge: JudgeStudySettings, savings: SavingsSettings) -> VotingRule:
    """Return how a language model's votes make a verdict."""
    return VotingRule(
        judge.votes,
        judge.spare_votes if judge.temperature else 0,  # at 0 another draw says the same
        savings.early_stop,
        savings.max_flip_risk,
    )


def open_judge(study: Study, corpus: Corpus, store: Store) -> OpenedJudge:
    """Return the judge that a study names. An engine starts only when it is first asked.

    Raises PromptError, JudgeError for a missing extra, and for ``replay`` MissingVoteError.
    """
    match study.judge.kind:
        case "replay":
            return open_replay(study, corpus, stored_judge(store, study.judge.model))
        case "rules":
            return open_rules(study, corpus)
    judge: Judge
    prompts = read_prompts(study.prompts.folder, study.prompts.version)
    shortener = Shortener(study.prompts.too_long, prompts)
    match study.judge.kind:
        case "vllm" if study.scale.engine == "ray":
            from classify.judges.ray import RayVllmJudge

            judge = RayVllmJudge(study.judge, study.scale, shortener)
        case "vllm":
            from classify.judges.vllm import VllmJudge

            judge = VllmJudge(study.judge, shortener)
        case "openai":
            from classify.judges.openai import OpenAIJudge

            judge = OpenAIJudge(study.judge, shortener)
    return _reading_snippets(judge, study, prompts)


def open_rules(study: Study, corpus: Corpus) -> OpenedJudge:
    """Return the judge without a model."""
    from classify.judges.rules import RulesJudge

    return _reading_repositories(RulesJudge(corpus.code, study.placement.bases), corpus.code)


def open_replay(study: Study, corpus: Corpus, original: JudgeSettings) -> OpenedJudge:
    """Return what stands in for a judge whose votes are stored. Raises PromptError."""
    judge = ReplayJudge(original)
    if original.kind == "rules":
        return _reading_repositories(judge, corpus.code)
    prompts = read_prompts(study.prompts.folder, study.prompts.version)
    return _reading_snippets(judge, study, prompts)


def _reading_repositories(judge: Judge, code_of: Callable[[str], RepositoryCode]) -> OpenedJudge:
    from classify.judges.rules import rules_messages

    return OpenedJudge(
        judge,
        lambda ask: rules_messages(ask, code_of(ask.snippet.repository)),
        VotingRule(1),
        {},
        None,
    )


def _reading_snippets(judge: Judge, study: Study, prompts: Prompts) -> OpenedJudge:
    version = f"v{study.prompts.version}" if study.prompts.folder is None else "own"
    templates = {
        question: Template(version, hashlib.sha256(text.encode()).hexdigest())
        for question, text in prompts.templates.items()
    }
    rule = voting_rule(study.judge, study.savings)
    return OpenedJudge(judge, prompts.messages, rule, templates, prompts.sha256)


def unanswered(store: Store, judge: JudgeSettings) -> dict[str, str]:
    """Return the prompts that it does not help to ask again, with the reasons.

    A replay can ask nothing again.
    """
    return {
        prompt: failure.reason
        for prompt, failure in store.failures(judge).items()
        if failure.refused or judge.engine == "stored"
    }
