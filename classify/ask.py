"""The loop that runs every study: place what can be placed, ask what is open, store, go on.

Asks stream: a verdict opens the next questions of its snippets at once, ahead of snippets not yet
looked at, so that a judge that answers many prompts at a time never waits for a wave to end, and
the prompt of a second wave is still in its cache. Batching, resuming after a crash, and replaying
with another rule are this one loop.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import Protocol

from classify.errors import BudgetSpentError, JudgeError
from classify.hash_table import HashTable
from classify.judges import (
    Completion,
    Judge,
    JudgeSettings,
    Messages,
    Request,
    prompt_sha256,
    short_hash,
)
from classify.placement import Placement, Verdict, VerdictOf
from classify.questions import Ask, Question
from classify.stopping import Tally, VotingRule
from classify.store import Cost, Template, Vote
from classify.votes import reading
from mining.progress import duration

_ERRORS_IN_A_ROW = 16
"""So many asks in a row without an answer mean that the judge is gone, not that one is odd."""

_UNTIL_THE_FIRST_ANSWER = 16
"""So many requests go out under a budget of tokens before it is known what one costs."""

_MOST_REMEMBERED = 4_000
"""So many prompts and verdicts are kept in memory while a judge is asked, half a kilobyte each."""

_IDLE_AT_MOST = 1_000_000
"""A judge that looks for requests so often without giving a completion has lost one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A snippet to be placed: its number in the corpus, and what places it; see place()."""

    number: int
    place: Callable[[VerdictOf], Placement | frozenset[Ask]]


@dataclass(slots=True)
class Spent:
    """What a classification asked for, and what it found in the store."""

    asks: int = 0
    """Distinct prompts sent to the judge."""
    votes: int = 0
    """Answers received."""
    truncated: int = 0
    """Of these, answers that were cut off before they decided."""
    unreadable: int = 0
    """Of these, answers that ended without a readable decision."""
    stored: int = 0
    """Distinct prompts whose verdict came from the store alone."""
    refused: int = 0
    """Prompts which the judge will never answer, such as too long ones."""
    failed: int = 0
    """Prompts left without an answer by an error that may pass."""
    reason: str | None = None
    """That of the first failed prompt."""
    prompt_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All tokens that were paid for."""
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend; None is no limit. Requests under way are let finish."""

    max_tokens: int | None = None
    max_hours: float | None = None


class Progress(Protocol):
    """Whoever wants to see how far it is."""

    def answered(self, completion: Completion) -> None:
        """Take note of an answer, or an error, of the judge."""

    def placed(self, placement: Placement) -> None:
        """Take note of a snippet's end."""

    def added(self, votes: int, placed: Mapping[str, int]) -> None:
        """Take note of many answers at once, and of ends: how many snippets are placed where."""


class Unseen:
    """Progress that nobody watches."""

    def answered(self, completion: Completion) -> None:
        """Do nothing."""

    def placed(self, placement: Placement) -> None:
        """Do nothing."""

    def added(self, votes: int, placed: Mapping[str, int]) -> None:
        """Do nothing."""


class Votes(Protocol):
    """Where votes are kept; see classify.store.Store."""

    def votes(self, prompt_sha256: str, judge: JudgeSettings, /) -> list[Vote]:
        """Return the votes on a prompt, by draw number."""

    def add(
        self, completion: Completion, judge: JudgeSettings, template: Template | None, /
    ) -> None:
        """Keep the answers of a completion."""

    def fail(
        self, completion: Completion, judge: JudgeSettings, template: Template | None, /
    ) -> None:
        """Note that a prompt got no answer."""

    def costs(self, judge: JudgeSettings, /) -> Iterator[Cost]:
        """Give what each prompt cost."""


@dataclass(slots=True)
class Ballots:
    """The verdicts of one judge, over a store. Asks with equal prompts share their votes.

    ``messages`` renders an ask; ``rule`` makes verdicts of votes. ``unanswered`` are prompts not
    to be asked, with the reason. Unless ``equal_code``, each snippet has votes of its own.
    ``templates`` say which text each question is asked by. ``prompts`` holds the hash of each
    ask's rendered prompt, by question and snippet_id: the latest, or, to ``remember_all``, of
    each that was wanted.
    """

    store: Votes
    judge: Judge
    messages: Callable[[Ask], Messages]
    rule: VotingRule
    unanswered: Mapping[str, str] = field(default_factory=dict)
    equal_code: bool = True
    templates: Mapping[Question, Template] = field(default_factory=dict)
    remember_all: bool = False
    prompts: dict[tuple[Question, str, str], str] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    _decided: dict[str, Tally] = field(default_factory=dict)
    _ended: HashTable = field(default_factory=HashTable)
    """All prompts that were decided."""
    _failed: dict[str, str] = field(default_factory=dict)
    _open: dict[str, list[Vote]] = field(default_factory=dict)
    _tallies: dict[Tally, Tally] = field(default_factory=dict)

    def verdict(self, ask: Ask) -> Verdict | None:
        """Return the verdict on an ask, or None while votes are missing."""
        prompt = self.prompt(ask)
        if (decided := self._tally_of(prompt)) is not None:
            return decided.verdict
        if prompt in self._failed:
            return Verdict.NONE
        if prompt not in self._open:
            if self._count(prompt):
                self.spent.stored += 1
                return self._decided[prompt].verdict
            if prompt in self.unanswered:
                self._failed[prompt] = self.unanswered[prompt]
                del self._open[prompt]
                return Verdict.NONE
        return None

    def flip_risk(self, ask: Ask) -> float:
        """Return the risk that was taken on an ask by leaving votes out; 0 where none was."""
        decided = self._tally_of(self.prompt(ask))
        return 0.0 if decided is None else decided.flip_risk

    def reason(self, ask: Ask) -> str:
        """Say why an ask has no verdict."""
        prompt = self.prompt(ask)
        why = self._failed.get(prompt)
        if prompt in self._open:
            why = f"{len(self._open[prompt])} votes are stored, too few"
        if why is None:
            tally = self._tally_of(prompt)
            assert tally is not None  # it has ended, and did not fail
            read = (reading(vote.text, vote.finish_reason) for vote in self.counted(ask))
            cut = sum(each.truncated for each in read)
            why = f"{tally.yes} yes, {tally.no} no, {tally.abstained} abstained"
            why += f" ({cut} truncated)" if cut else ""
        return f"no verdict on {ask.question}: {why}"

    def counted(self, ask: Ask) -> list[Vote]:
        """Return the votes that the verdict on an ask rests on; none where it has no verdict."""
        prompt = self.prompt(ask)
        decided = self._tally_of(prompt)
        if decided is None:
            return []
        return self.store.votes(prompt, self.judge.settings)[: _counted(decided)]

    def asks(self) -> Iterator[tuple[str, Question, str, str]]:
        """Give snippet_id, question, ``apart`` and the prompt's hash of each ask that has ended.

        All are there if it was told to ``remember_all``.
        """
        for (question, snippet_id, apart), prompt in self.prompts.items():
            if short_hash(prompt) in self._ended or prompt in self._failed:
                yield snippet_id, question, apart, prompt

    def requests(self, ask: Ask) -> list[Request]:
        """Return what to ask next about an open ask: the draws of the next wave not yet there."""
        prompt = self.prompt(ask)
        votes = self._open[prompt]
        tally = self._tally(votes)
        known = {vote.draw for vote in votes}
        first = _counted(tally)
        missing = [draw for draw in range(first, first + tally.wanted) if draw not in known]
        ask = self._apart(ask)
        messages = self.messages(ask)
        return [
            Request(ask, messages, run[0], len(run))
            for run in (
                [d for _, d in group]
                for _, group in groupby(enumerate(missing), key=lambda each: each[1] - each[0])
            )
        ]

    def keep(self, completion: Completion) -> bool:
        """Store the answers of a completion; tell whether they decide."""
        request, settings = completion.request, self.judge.settings
        self.store.add(completion, settings, self.templates.get(request.ask.question))
        spent = self.spent
        spent.votes += len(completion.answers)
        spent.prompt_tokens += completion.prompt_tokens
        for answer in completion.answers:
            read = reading(answer.text, answer.finish_reason)
            spent.output_tokens += answer.output_tokens
            spent.truncated += read.truncated
            spent.unreadable += read.unreadable
        return self._count(request.prompt_sha256)

    def give_up(self, completion: Completion) -> None:
        """Note that a prompt got no answer: its ask has no verdict in this run."""
        request, reason = completion.request, completion.error or "no reason given"
        self.store.fail(completion, self.judge.settings, self.templates.get(request.ask.question))
        self._failed[request.prompt_sha256] = reason
        self._open.pop(request.prompt_sha256, None)
        if completion.refused:
            self.spent.refused += 1
        else:
            self.spent.failed += 1
            self.spent.reason = self.spent.reason or reason

    def paid(self) -> Iterator[Cost]:
        """Give what each prompt cost that a verdict was wanted on and votes are there for."""
        for cost in self.store.costs(self.judge.settings):
            if short_hash(cost.prompt_sha256) in self._ended or cost.prompt_sha256 in self._failed:
                yield cost

    def forget(self) -> None:
        """Let go of the oldest of what can be had again, once that has become much."""
        if len(self.prompts) > _MOST_REMEMBERED and not self.remember_all:
            self.prompts = dict(islice(self.prompts.items(), len(self.prompts) // 2, None))
        if len(self._decided) > _MOST_REMEMBERED:
            self._decided = dict(islice(self._decided.items(), len(self._decided) // 2, None))

    def prompt(self, ask: Ask) -> str:
        """Return the hash of an ask's rendered prompt."""
        ask = self._apart(ask)
        key = (ask.question, ask.snippet.snippet_id, ask.apart)
        if key not in self.prompts:
            self.prompts[key] = prompt_sha256(self.messages(ask), ask.apart)
        return self.prompts[key]

    def _apart(self, ask: Ask) -> Ask:
        if self.equal_code or ask.apart.endswith(ask.snippet.snippet_id):
            return ask
        return replace(ask, apart=ask.apart + ask.snippet.snippet_id)

    def _tally_of(self, prompt: str) -> Tally | None:
        """Return what the votes on a prompt decided, from the store if it is forgotten."""
        if prompt not in self._decided and short_hash(prompt) in self._ended:
            self._count(prompt)
        return self._decided.get(prompt)

    def _count(self, prompt: str) -> bool:
        votes = self.store.votes(prompt, self.judge.settings)
        tally = self._tally(votes)
        if tally.verdict is None:
            self._open[prompt] = votes
            return False
        self._open.pop(prompt, None)
        self._decided[prompt] = self._tallies.setdefault(tally, tally)
        self._ended.add(short_hash(prompt))
        return True

    def _tally(self, votes: Sequence[Vote]) -> Tally:
        """Count the votes up to the first draw that is missing."""
        return self.rule.tally(
            reading(vote.text, vote.finish_reason).decision
            for number, vote in enumerate(votes)
            if vote.draw == number
        )


def place_all(
    subjects: Iterable[Subject],
    ballots: Ballots,
    put: Callable[[int, Placement, float], None],
    progress: Progress | None = None,
    budget: Budget | None = None,
) -> None:
    """Place every subject, asking the judge as often as it takes.

    ``put`` takes the number of each, its placement, and the greatest flip risk of the verdicts
    that it looked at, as soon as it is placed and in whatever order. A prompt without an answer
    leaves its snippets unplaced. Raises JudgeError once the judge is out of reach, and
    BudgetSpentError; what was answered until then is in the store.
    """
    flow = _Flow(iter(subjects), ballots, put, progress or Unseen(), budget or Budget())
    while flow.goes_on():
        for completion in ballots.judge.answer(flow.requests()):
            flow.take(completion)
        flow.end()
    check_answered(ballots.judge.settings.name_and_place, ballots.spent)


def check_answered(judge: str, spent: Spent) -> None:
    """Raise JudgeError if all that was asked failed."""
    if spent.failed and not (spent.votes or spent.stored):
        raise JudgeError(
            f"Expected answers from {judge}, found none to {spent.failed} prompts (the first: "
            f"{spent.reason}); mend that and run the command again."
        )


def budget_spent(limit: str, placed: int, spent: Spent) -> BudgetSpentError:
    """Return the error that says that a limit is reached, and that nothing is lost."""
    return BudgetSpentError(
        f"Expected to place every snippet within {limit}, found that spent with {placed} placed "
        f"and more open ({spent.votes} votes, {spent.tokens} tokens); every vote is kept, run the "
        "command again to go on."
    )


def place_stored(
    subjects: Iterable[Subject],
    ballots: Ballots,
    put: Callable[[int, Placement, float], None],
    progress: Progress | None = None,
) -> None:
    """Place every subject by the stored votes alone; see place_all.

    An ask whose votes are missing has no verdict. Nothing is asked and nothing is stored.
    """
    for subject in subjects:
        risk = 0.0

        def verdict_of(ask: Ask) -> Verdict:
            nonlocal risk
            verdict = ballots.verdict(ask)
            risk = max(risk, ballots.flip_risk(ask))
            return verdict or Verdict.NONE

        placement = subject.place(verdict_of)
        assert isinstance(placement, Placement)  # since no verdict is missing
        put(subject.number, placement, risk)
        if progress is not None:
            progress.placed(placement)


class _Flow:
    """The snippets on their way through a judge, and the requests that are open or under way."""

    def __init__(
        self,
        subjects: Iterator[Subject],
        ballots: Ballots,
        put: Callable[[int, Placement, float], None],
        progress: Progress,
        budget: Budget,
    ) -> None:
        self._subjects = subjects
        self._ballots = ballots
        self._put = put
        self._progress = progress
        self._budget = budget
        self._started = time.monotonic()
        self._ready: deque[Request] = deque()
        self._under_way: dict[tuple[str, int], Request] = {}
        self._outstanding: Counter[str] = Counter()
        """Of a prompt, how many requests are ready or under way."""
        self._waiting: dict[str, dict[int, Subject]] = {}
        self._unplaced: set[int] = set()
        self._placed = 0
        self._completions = 0
        self._errors_in_a_row = 0
        self._exhausted = False

    def goes_on(self) -> bool:
        """Tell whether a judge is to be asked (once more)."""
        return bool(self._ready) or not self._exhausted

    def requests(self) -> Iterator[Request | None]:
        """Give what is open, None where that depends on what is under way; see Judge.answer."""
        idle = seen = 0
        while True:
            more = self._look_for_more()
            spent = self._budget_spent()
            if more and not spent:
                request = self._ready.popleft()
                self._under_way[request.prompt_sha256, request.first_draw] = request
                yield request
            elif self._under_way:
                idle = idle + 1 if seen == self._completions else 0
                seen = self._completions
                if idle > _IDLE_AT_MOST:
                    raise JudgeError(
                        f"Expected {self._name} to answer each request, found that it waits for "
                        f"more with {len(self._under_way)} unanswered; the answers received are "
                        "kept, run the command again."
                    )
                yield None
            elif more:
                raise budget_spent(spent, self._placed, self._ballots.spent)
            else:
                return

    def take(self, completion: Completion) -> None:
        """Store what came of a request, and place or ask on what waited for it."""
        request = completion.request
        prompt = request.prompt_sha256
        del self._under_way[prompt, request.first_draw]
        self._outstanding[prompt] -= 1
        self._completions += 1
        if completion.error is None and not completion.answers:
            completion = replace(completion, error="an empty answer")
        self._progress.answered(completion)
        if completion.error is None:
            self._errors_in_a_row = 0
            decided = self._ballots.keep(completion)
        else:
            decided = True
            self._give_up(completion)
        if decided:
            waiting = self._waiting.pop(prompt, {})
            self._ballots.spent.asks += bool(waiting)
            for subject in waiting.values():
                if subject.number in self._unplaced:
                    self._place(subject)
        elif not self._outstanding[prompt]:
            # before all others, while the judge still has the prompt in its cache
            self._ask(request.ask, self._ready.extendleft)
        if not self._outstanding[prompt]:
            del self._outstanding[prompt]

    def end(self) -> None:
        """Note for what a judge gave no answer before it ended."""
        for request in list(self._under_way.values()):
            self.take(Completion(request, error="no answer came"))

    @property
    def _name(self) -> str:
        return self._ballots.judge.settings.name_and_place

    def _look_for_more(self) -> bool:
        """Take up snippets until a request is ready, or none is left."""
        while not self._ready and not self._exhausted:
            subject = next(self._subjects, None)
            if subject is None:
                self._exhausted = True
            else:
                self._unplaced.add(subject.number)
                self._place(subject)
        return bool(self._ready)

    def _place(self, subject: Subject) -> None:
        self._ballots.forget()
        risk = 0.0

        def verdict_of(ask: Ask) -> Verdict | None:
            nonlocal risk
            verdict = self._ballots.verdict(ask)
            risk = max(risk, self._ballots.flip_risk(ask))
            return verdict

        result = subject.place(verdict_of)
        if isinstance(result, Placement):
            self._unplaced.remove(subject.number)
            self._placed += 1
            self._put(subject.number, result, risk)
            self._progress.placed(result)
            return
        for ask in sorted(result, key=_position):
            waiting = self._waiting.setdefault(self._ballots.prompt(ask), {})
            if not waiting:
                self._ask(ask, self._ready.extend)
            waiting[subject.number] = subject

    def _ask(self, ask: Ask, put: Callable[[Iterable[Request]], None]) -> None:
        requests = self._ballots.requests(ask)
        self._outstanding[self._ballots.prompt(ask)] += len(requests)
        put(requests)

    def _give_up(self, completion: Completion) -> None:
        self._ballots.give_up(completion)
        if not completion.refused:
            self._errors_in_a_row += 1
        if self._errors_in_a_row >= _ERRORS_IN_A_ROW:
            raise JudgeError(
                f"Expected answers from {self._name}, found {self._errors_in_a_row} errors in a "
                f"row (the last: {completion.error}); the answers received are kept, mend that "
                "and run the command again."
            )

    def _budget_spent(self) -> str:
        """Say which limit is reached, if what is under way costs as much as what came so far."""
        limit, hours = self._budget.max_tokens, self._budget.max_hours
        if hours is not None and time.monotonic() - self._started >= hours * 3600:
            return duration(hours * 3600)
        if limit is None:
            return ""
        if self._completions:
            each = self._ballots.spent.tokens / self._completions
            reached = self._ballots.spent.tokens + len(self._under_way) * each >= limit
        else:
            reached = len(self._under_way) >= _UNTIL_THE_FIRST_ANSWER
        return f"{limit} tokens" if reached else ""


def _counted(tally: Tally) -> int:
    return tally.yes + tally.no + tally.abstained


def _position(ask: Ask) -> tuple[str, str, int, str]:
    """Return what orders asks in the same way in every process."""
    snippet = ask.snippet
    return ask.question, snippet.path, snippet.start_line, snippet.qualname
