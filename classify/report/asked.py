"""What each placement of a run rests on, repository by repository: steps, asks, and their votes.

The one place of the report that reads the store. A placement is replayed, so that what a page
shows is what decided, and a table that says otherwise is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from classify.ask import Ballots
from classify.classification import STORE
from classify.evidence import placed_by
from classify.judging import OpenedJudge, open_ballots, open_replay
from classify.placement import Placement, Verdict
from classify.questions import Ask, Question
from classify.store import Store
from classify.subjects import plan_of
from classify.votes import reading
from mining.artifacts import Run
from mining.errors import ArtifactError
from mining.extracted import Corpus
from mining.hierarchy import functions_by_class, with_class_functions
from mining.records import ClassDefinition, Snippet
from mining.study import Study


@dataclass(frozen=True, slots=True)
class Answered:
    """One ask: its verdict, its votes as (decision, text, finish reason), or why it has none."""

    verdict: Verdict
    votes: tuple[tuple[bool | None, str, str], ...]
    refused: str | None

    @property
    def margin(self) -> int:
        """By how many votes it was decided."""
        return abs(sum(0 if d is None else 1 if d else -1 for d, _, _ in self.votes))


@dataclass(frozen=True, slots=True)
class Step:
    """One question on the way to a placement, and the snippets it was put about.

    For a method, training_loop and model_definition are put about the functions of its class.
    """

    question: Question
    verdict: Verdict
    about: tuple[Snippet, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A snippet, whether it names a known loss function, and the steps that placed it."""

    snippet: Snippet
    names_loss: bool
    steps: tuple[Step, ...]
    placement: Placement


@dataclass(frozen=True, slots=True)
class Hearing:
    """A repository: its cases in order, its classes by key, and every ask that any rests on."""

    cases: tuple[Case, ...]
    classes: dict[str, ClassDefinition]
    functions: dict[str, list[Snippet]]
    answered: dict[tuple[Question, str], Answered]

    def margin(self, case: Case) -> int:
        """By how many votes the narrowest question on the way to a placement was decided."""
        return min((self._margin(step) for step in case.steps), default=0)

    def _margin(self, step: Step) -> int:
        asks = [self.answered.get((step.question, each.snippet_id)) for each in step.about]
        found = [each for each in asks if each is not None]
        if step.verdict is Verdict.YES:  # one clear yes is enough, whatever the others are
            return max((a.margin for a in found if a.verdict is Verdict.YES), default=0)
        return min((each.margin for each in found), default=0)


class Records:
    """The votes of the judge that placed a run, as a report needs them."""

    def __init__(self, study: Study, run: Run, store: Store) -> None:
        """Open what is needed; see ``records``."""
        self.judge, self._rule = placed_by(run)
        self.votes = self._rule.votes
        self._study = study
        self._store = store
        self.corpus = Corpus(run)
        self._opened: OpenedJudge = open_replay(study, self.corpus, self.judge)
        self._refused = store.reasons(self.judge)
        self._plan = plan_of(study, self.corpus)

    def hear(self, repository: str) -> Hearing:
        """Replay the placements of a repository. Raises ArtifactError where votes are missing."""
        snippets = self.corpus.snippets(repository)
        classes = {each.key: each for each in self.corpus.classes(repository)}
        follow = self._study.placement.bases == "follow"
        own = functions_by_class(snippets, classes.values(), follow=False)
        opened = replace(self._opened, rule=self._rule)
        ballots = open_ballots(self._study, opened, self._store, self._refused)
        asked: dict[Ask, None] = {}
        cases = tuple(
            self._case(each, around, ballots, asked)
            for each, around in with_class_functions(snippets, classes.values(), follow=follow)
        )
        answered = {
            (ask.question, ask.snippet.snippet_id): found
            for ask in asked
            if (found := self._answered(ask, ballots)) is not None
        }
        return Hearing(cases, classes, own, answered)

    def _case(
        self,
        snippet: Snippet,
        around: Sequence[Snippet],
        ballots: Ballots,
        asked: dict[Ask, None],
    ) -> Case:
        about: dict[Question, list[Snippet]] = {}

        def verdict_of(ask: Ask) -> Verdict | None:
            about.setdefault(ask.question, []).append(ask.snippet)
            asked[ask] = None
            return ballots.verdict(ask)

        placed = self._plan.place(snippet, around, verdict_of)
        if not isinstance(placed, Placement):
            raise ArtifactError(
                f"Expected the votes on {snippet.repository} {snippet.path} line "
                f"{snippet.start_line} in the run, found some missing; run `lossplace classify` "
                "first."
            )
        steps = tuple(
            Step(question, verdict, tuple(dict.fromkeys(about[question])))
            for question, verdict in placed.verdicts.items()
        )
        return Case(snippet, self._plan.names_loss(snippet), steps, placed)

    def _answered(self, ask: Ask, ballots: Ballots) -> Answered | None:
        verdict = ballots.verdict(ask)
        if verdict is None:  # another function of the class had decided already
            return None
        votes = tuple(
            (reading(vote.text, vote.finish_reason).decision, vote.text, vote.finish_reason)
            for vote in ballots.counted(ask)
        )
        return Answered(verdict, votes, self._refused.get(ballots.prompt(ask)))


@contextmanager
def records(study: Study, run: Run) -> Iterator[Records]:
    """Open the records of a run. Raises ArtifactError if it is not placed."""
    with Store(run.path(STORE)) as store:
        yield Records(study, run, store)
