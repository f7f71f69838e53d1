"""What a classification will cost, before it is run: the corpus counted, and a pilot of it asked.

The pilot has the judge classify a random sample into the run's own store, so that its votes are
kept, and not paid for again by the run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from classify.ask import Ballots, Progress, Subject, Unseen, place_all
from classify.classification import STORE
from classify.forecast import (
    METRICS,
    QUESTIONS,
    STRATA,
    Floats,
    Frame,
    Member,
    Opened,
    Unit,
    draw,
    forecast,
    frame_of,
    pace,
    shared,
)
from classify.judging import OpenedJudge, open_ballots, open_judge, unanswered
from classify.placement import Placement, Verdict
from classify.plan import SMALL, Counted, Pilot, Planned, Terms
from classify.questions import Ask, Question
from classify.store import Cost, Store
from classify.subjects import Plan, plan_of, subjects_of
from mining.artifacts import Run
from mining.extracted import Corpus
from mining.extraction import SNIPPETS
from mining.records import Kind
from mining.study import JudgeStudySettings, Study

_MENTIONS = re.compile(r"loss|cost|criteri|objective|penalt|entropy|diverg", re.IGNORECASE)
_GATES = (Question.LOSS_RELATED, Question.LOSS_DEFINITION)


def plan(
    study: Study,
    run: Run,
    terms: Terms,
    *,
    pilot: int,
    seed: int = 0,
    begin: Callable[[Store, OpenedJudge, int], AbstractContextManager[Progress]] = (
        lambda *_: nullcontext(Unseen())
    ),
) -> Planned:
    """Say what a classification of the run's snippets costs.

    A ``pilot`` of so many texts is classified into the run's store, as far as its votes are not
    there; 0 asks nothing, and estimates nothing. ``begin`` is told of the store, the judge, and
    how many snippets the pilot has, before it is asked. Raises JudgeError where the judge is out
    of reach; what it answered until then is kept.
    """
    corpus = Corpus(run)
    path = run.path(STORE)
    with Store(path if pilot or path.exists() else Path(":memory:")) as store:
        opened = open_judge(study, corpus, store)
        settings = opened.judge.settings
        ballots = open_ballots(study, opened, store, unanswered(store, settings))
        if study.judge.kind in ("rules", "replay"):
            return Planned(settings.name, _without_asking(run, corpus), (0, 0), terms)
        seen = _Seen(ballots, plan_of(study, corpus), corpus)
        planned = Planned(
            settings.name,
            seen.counted(),
            (opened.rule.tally([]).wanted, opened.rule.votes + opened.rule.spare),
            terms,
            terms.gpus or _gpus(study.judge),
        )
        if not seen.frame.units or not (pilot or planned.counted.all_decided):
            return planned
        sample = draw(seen.frame.units, pilot, seed)
        numbers = {number for p in sample for number in seen.frame.units[p].numbers}
        with begin(store, opened, len(numbers)) as progress:
            subjects = (s for s in seen.subjects() if s.number in numbers)
            place_all(subjects, ballots, lambda *_: None, progress)
        return _estimated(planned, seen, store, sample, seed)


def _gpus(judge: JudgeStudySettings) -> int:
    """Return how many GPUs the engine in this process shares its work among."""
    if judge.kind != "vllm":
        return 1
    sizes = (judge.engine.get(f"{way}_parallel_size", 1) for way in ("tensor", "pipeline", "data"))
    return prod(int(size) for size in sizes)


def _without_asking(run: Run, corpus: Corpus) -> Counted:
    texts = run.read(SNIPPETS, ["code_sha256"])["code_sha256"]
    none = dict.fromkeys(QUESTIONS, 0)
    return Counted(
        len(texts), len(corpus.repositories), len(texts), texts.nunique(), 0, 0, none, none
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """An ask that has a verdict. ``units`` it may come from, by stratum if another opened it."""

    opened: bool
    units: Sequence[int]

    def weight(self, own: int, reached: Sequence[float]) -> float:
        """Return the share of it that falls to one unit; see forecast.shared."""
        return shared(self.units, own, reached) if self.opened else 1 / self.units[0]


class _Seen:
    """A corpus as its first look finds it: units, what is decided, and what may be asked."""

    def __init__(self, ballots: Ballots, placing: Plan, corpus: Corpus) -> None:
        self.ballots = ballots
        self._placing = placing
        self._corpus = corpus
        self._decided: set[int] = set()
        self._snippets = 0
        members = list(self._members())
        self._asked = len(members)
        self._stored = ballots.spent.stored
        self._firsts = {member.prompt: member.question for member in members}
        self.frame: Frame = frame_of(members)

    def subjects(self) -> Iterator[Subject]:
        """Give every snippet with what places it."""
        return subjects_of(self._corpus, self._placing)

    def opened(self, ask: Ask) -> Opened:
        """Return what names an ask that another one leads to."""
        snippet = ask.snippet
        text = snippet.code_sha256 if self.ballots.equal_code else snippet.snippet_id
        return ask.question, text + ask.apart

    def asked(self, positions: Collection[int]) -> dict[int, dict[str, _Asked]]:
        """Return what was asked about units, by its prompt's hash; stored votes alone count."""
        unit_of = {number: p for p in positions for number in self.frame.units[p].numbers}
        asked: dict[int, dict[str, _Asked]] = {p: {} for p in positions}
        for subject in self.subjects():
            if subject.number in unit_of:
                asked[unit_of[subject.number]] |= self._asked_about(subject)
        return asked

    def is_decided(self, numbers: tuple[int, ...]) -> bool:
        """Tell whether nothing was open about snippets when they were looked at."""
        return self._decided.issuperset(numbers)

    def counted(self) -> Counted:
        """Count what is certain."""
        least = Counter(self._firsts.values())
        most = Counter(question for question, _ in self.frame.open_units)
        most[Question.LOSS_RELATED] = least[Question.LOSS_RELATED]
        most[Question.LOSS_DEFINITION] = len(self._firsts)
        return Counted(
            self._snippets,
            len(self._corpus.repositories),
            self._snippets - self._asked,
            len(self._firsts),
            len(self._decided),
            self._stored,
            {question: least[question] for question in QUESTIONS},
            {question: most[question] for question in QUESTIONS},
        )

    def _asked_about(self, subject: Subject) -> dict[str, _Asked]:
        asked: dict[str, _Asked] = {}

        def verdict_of(ask: Ask) -> Verdict | None:
            verdict = self.ballots.verdict(ask)
            if verdict is not None:
                prompt = self.ballots.prompt(ask)
                if ask.question in _GATES:
                    # the second question about a text is in as many units as the first
                    first = next(iter(asked), prompt)
                    asked[prompt] = _Asked(False, (self.frame.text_units[first],))
                else:
                    asked[prompt] = _Asked(True, self.frame.open_units[self.opened(ask)])
            return verdict

        subject.place(verdict_of)
        return asked

    def _members(self) -> Iterator[Member]:
        seen: set[object] = set()
        for subject in self.subjects():
            self._snippets += 1
            first = subject.place(lambda _: None)
            if isinstance(first, Placement):
                continue
            if isinstance(subject.place(self.ballots.verdict), Placement):
                self._decided.add(subject.number)
            [ask] = first
            snippet = ask.snippet
            unit: object = subject.number
            if snippet.kind is Kind.METHOD:
                unit = snippet.repository, snippet.path, snippet.class_qualname
            known = unit in seen and self._placing.savings.class_once
            seen.add(unit)
            promise = 2 if self._placing.names_loss(snippet) else 0
            yield Member(
                subject.number,
                unit,
                self.ballots.prompt(ask),
                ask.question,
                sum(len(content) for _, content in self.ballots.messages(ask)),
                len(snippet.code),
                promise or int(_MENTIONS.search(snippet.text) is not None),
                frozenset() if known else self._may_open(subject),
            )

    def _may_open(self, subject: Subject) -> frozenset[Opened]:
        """Return the asks that follow if a snippet defines a loss, were all their answers no."""
        asked: set[Opened] = set()

        def verdict_of(ask: Ask) -> Verdict:
            if ask.question in _GATES:
                return Verdict.YES
            asked.add(self.opened(ask))
            return Verdict.NO

        subject.place(verdict_of)
        return frozenset(asked)


def _estimated(
    planned: Planned, seen: _Seen, store: Store, sample: list[int], seed: int
) -> Planned:
    """Add what the votes on a sample say of the whole."""
    ballots, units = seen.ballots, seen.frame.units
    settings, spent = ballots.judge.settings, ballots.spent
    instructions = {
        question: _in_common(*extremes)
        for question, *extremes in store.extremes(settings, ballots.templates)
    }
    paid = {
        cost.prompt_sha256: _amounts(cost, instructions.get(cost.question, 0))
        for cost in ballots.paid()
    }
    decided = {p for p, unit in enumerate(units) if seen.is_decided(unit.numbers)}
    asked = seen.asked({*sample, *decided})
    reached = _reached(seen.frame, asked, sample)
    nothing = _amounts(None, 0)
    cost_of = {
        position: sum(
            (
                each.weight(units[position].promise, reached) * paid.get(prompt, nothing)
                for prompt, each in asks.items()
            ),
            nothing,
        )
        for position, asks in asked.items()
    }
    found = forecast(units, cost_of, sample)
    if len(cost_of) == len(units):
        found = replace(found, known=sum(paid.values(), nothing))
    return replace(
        planned,
        pilot=Pilot(
            len(sample),
            round(sum(units[p].texts for p in sample)),
            _smallest(units, sample),
            spent.asks,
            spent.votes,
            spent.failed,
            seed,
        ),
        forecast=found,
        paid=sum(paid.values(), nothing),
        tokens_per_second=pace(store.answered(settings)),
    )


def _amounts(cost: Cost | None, instructions: int) -> Floats:
    """Return what an ask cost, in forecast.METRICS at its question; nothing without a vote."""
    amounts = np.zeros((len(QUESTIONS), len(METRICS)))
    if cost is not None:
        once = cost.prompt_tokens / cost.requests
        amounts[QUESTIONS.index(cost.question)] = (
            1,
            cost.votes,
            cost.prompt_tokens,
            once * (1 - instructions / cost.chars),
            cost.output_tokens,
        )
    return amounts


def _in_common(first: str, last: str) -> int:
    """Return how many characters all texts begin with, given the first and last in order."""
    return next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)


def _reached(
    frame: Frame, asked: Mapping[int, Mapping[str, _Asked]], sample: list[int]
) -> list[float]:
    """Return what share of the asks that sampled classes may open they did, by stratum."""
    may_open: Counter[int] = Counter()
    opened: Counter[int] = Counter()
    for position in sample:
        unit = frame.units[position]
        if unit.is_class:
            may_open[unit.promise] += len(unit.opens)
            opened[unit.promise] += sum(each.opened for each in asked[position].values())
    return [opened[promise] / max(1, may_open[promise]) for promise in range(STRATA)]


def _smallest(units: Sequence[Unit], sample: list[int]) -> int:
    """Return how many units were sampled of the stratum with the fewest, if it has others."""
    there = Counter(unit.promise for unit in units)
    taken = Counter(units[p].promise for p in sample)
    return min((n for promise, n in taken.items() if n < there[promise]), default=SMALL)
