"""What a study's votes stand at before it is run: what is open, and what its settings void.

Nothing is ever deleted: votes that a change of the study makes useless stay in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classify.classification import STORE
from classify.judges import JudgeSettings
from classify.judging import OpenedJudge, open_ballots, open_judge, unanswered
from classify.placement import Placement
from classify.store import Store
from classify.subjects import plan_of, subjects_of
from mining.artifacts import Run
from mining.extracted import Corpus
from mining.study import Study


@dataclass(frozen=True, slots=True)
class Open:
    """What a classification would ask for next.

    ``decided`` snippets are placed by the votes that are stored; of the ``waiting`` ones the
    first open asks make so many ``prompts`` and ``votes``. Further ones depend on the answers.
    """

    decided: int
    waiting: int
    prompts: int
    votes: int

    def line(self) -> str:
        """Say it."""
        said = f"would ask: nothing, all {self.decided} snippets are decided by stored votes"
        if self.waiting:
            said = (
                f"would ask: {self.prompts} prompts for {self.votes} votes first, and more as "
                f"their answers open it; {self.decided} of {self.decided + self.waiting} snippets "
                "are decided by stored votes"
            )
        return said


def dry_run(study: Study, run: Run, *, retry_errors: bool = False) -> list[str]:
    """Say what a classification would void and ask for, a line each; nothing is asked."""
    corpus = Corpus(run)
    path = run.path(STORE)
    with Store(path if path.exists() else Path(":memory:")) as store:
        opened = open_judge(study, corpus, store)
        known = {} if retry_errors else unanswered(store, opened.judge.settings)
        ballots = open_ballots(study, opened, store, known)
        decided = waiting = votes = 0
        prompts: set[str] = set()
        for subject in subjects_of(corpus, plan_of(study, corpus)):
            result = subject.place(ballots.verdict)
            if isinstance(result, Placement):
                decided += 1
                continue
            waiting += 1
            for ask in result:
                if ballots.prompt(ask) not in prompts:
                    prompts.add(ballots.prompt(ask))
                    votes += sum(request.draws for request in ballots.requests(ask))
        said = list(voided(store, opened))
    return [*said, Open(decided, waiting, len(prompts), votes).line()]


def voided(store: Store, opened: OpenedJudge) -> Iterator[str]:
    """Say which stored votes the study does not use, and why, a line for each reason."""
    ours = opened.judge.settings
    for judge in store.judges():
        if judge.sha256 != ours.sha256:
            yield from _unused(store.voted(judge), f"of {judge.name}", _since(judge, ours))
    for question, template in opened.templates.items():
        yield from _unused(
            store.voted_by_others(ours, question, template.sha256),
            f"on {question}",
            f"its prompt changed (now {template.version})",
        )
    votes, tokens = store.cut_below(ours)
    if votes:
        yield (
            f"{votes} votes of {tokens} output tokens were cut off and are asked for again, since "
            f"`max_tokens` was raised to {ours.max_tokens}; they stay in the store"
        )


def _unused(found: tuple[int, int], what: str, why: str) -> Iterator[str]:
    votes, tokens = found
    if votes:
        yield f"{votes} votes of {tokens} output tokens {what} stay in the store unused: {why}"


def _since(theirs: JudgeSettings, ours: JudgeSettings) -> str:
    """Say what sets two judges apart."""
    if theirs.kind != ours.kind:
        return f"`kind` changed from {theirs.kind} to {ours.kind}"
    changed = [
        f"`{name}` changed{_shown(theirs.text.get(name), ours.text.get(name))}"
        for name in sorted({*theirs.text, *ours.text})
        if theirs.text.get(name) != ours.text.get(name)
    ]
    return " and ".join(changed)


def _shown(before: Any, after: Any) -> str:
    """Return two values, unless they are hashes or the like."""
    said = f" from {before} to {after}"
    return said if len(said) < 100 else ""
