"""What a classification will cost, estimated from a random sample of a corpus. Pure.

What is drawn are *units*: a class with all its methods, or a function or loop by itself, so that
all that is asked about a class is seen together, as in the run. Units are stratified by what
their texts promise, and the sum over each stratum is a ratio estimate: what a sampled text cost,
times the texts not sampled (prompts: times their characters, which are known). The interval is
that of the ratio estimator with the finite population correction (Cochran 1977, ch. 6), by the
linearised jackknife, with Student's t at Satterthwaite's degrees of freedom, taken on the
logarithm, since costs are skewed and never negative. Where few units of a stratum lead on to
further questions, a small sample may hold none of them: the variance of each stratum has one more
unit, imagined, that costs as much for its size as those of the costliest stratum.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from classify.questions import Question

Floats = NDArray[np.float64]

CONFIDENCE = 0.9
METRICS = ("asks", "votes", "prompt_tokens", "computed_tokens", "output_tokens")
"""What is estimated of each question. ``prompt_tokens`` count once for each request;
``computed_tokens`` are those of them that no engine with a prefix cache has seen before."""
QUESTIONS = tuple(Question)
STRATA = 3
"""Of texts: that name a loss function, that mention what may be a loss, and all others."""

Opened = tuple[Question, str]
"""What names an ask that another one leads to: the question, and what text it is about."""

_BREAK_S = 60.0
_SHAPE = (len(QUESTIONS), len(METRICS))


@dataclass(frozen=True, slots=True)
class Member:
    """A snippet that is asked about: its number, the unit it belongs to, and its first prompt.

    ``chars`` is the length of that prompt, ``code`` that of the snippet in it, ``promise`` the
    stratum of its text. ``opens`` are the
    asks about the function, or about its class, that it may lead to.
    """

    number: int
    unit: Hashable
    prompt: str
    question: Question
    chars: int
    code: int
    promise: int
    opens: frozenset[Opened] = frozenset()


@dataclass(frozen=True, slots=True)
class Unit:
    """What is drawn. Its ``texts``, their lengths, and ``firsts``: a text in k units counts 1/k."""

    numbers: tuple[int, ...]
    promise: int
    texts: float
    chars: float
    code: float
    firsts: Mapping[Question, float]
    opens: frozenset[Opened]

    @property
    def is_class(self) -> bool:
        """Whether asks about it may be shared with other units, or at least among its methods."""
        return len(self.opens) > 1


@dataclass(frozen=True, slots=True)
class Frame:
    """All units of a corpus.

    ``text_units`` says how many hold a text, by the hash of its first prompt, ``open_units`` from
    how many of each stratum an ask may come.
    """

    units: tuple[Unit, ...]
    text_units: Mapping[str, int]
    open_units: Mapping[Opened, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval at ``CONFIDENCE``."""

    value: float
    low: float
    high: float

    def less(self, known: float) -> Estimate:
        """Return the figure without a part of it that is known, at least nothing."""
        return Estimate(*(max(0.0, each - known) for each in (self.value, self.low, self.high)))

    def times(self, factor: float) -> Estimate:
        """Return the figure in another measure."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What is known, and what is expected beside it, by question and metric.

    ``known`` and ``expected`` have a row for each of ``QUESTIONS`` and a column for each of
    ``METRICS``. ``spread`` holds the covariance of ``expected``, flattened, by stratum, with its
    degrees of freedom.
    """

    known: Floats
    expected: Floats
    spread: tuple[tuple[Floats, int], ...]

    def of(self, weights: Mapping[str, float], question: Question | None = None) -> Estimate:
        """Return a weighted sum of metrics, of one question or of all."""
        mask = np.zeros(_SHAPE)
        rows = range(_SHAPE[0]) if question is None else [QUESTIONS.index(question)]
        for name, weight in weights.items():
            mask[list(rows), METRICS.index(name)] = weight
        known, expected = float((mask * self.known).sum()), float((mask * self.expected).sum())
        flat = mask.ravel()
        variances = [max(0.0, float(flat @ covariance @ flat)) for covariance, _ in self.spread]
        total = sum(variances)
        if expected <= 0 or total <= 1e-9 * expected:
            return Estimate(known + expected, known + expected, known + expected)
        freedom = total**2 / sum(
            v**2 / df for v, (_, df) in zip(variances, self.spread, strict=True) if df
        )
        wide = exp(float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * total**0.5 / expected)
        return Estimate(known + expected, known + expected / wide, known + expected * wide)


def frame_of(members: Iterable[Member]) -> Frame:
    """Return the units of a corpus, in its order. Of units with the same texts the first counts."""
    grouped: defaultdict[Hashable, list[Member]] = defaultdict(list)
    for member in members:
        grouped[member.unit].append(member)
    distinct: dict[tuple[frozenset[str], frozenset[Opened]], list[Member]] = {}
    for group in grouped.values():
        opens = frozenset(ask for member in group for ask in member.opens)
        distinct.setdefault((frozenset(member.prompt for member in group), opens), group)
    groups = [(opens, group) for (_, opens), group in distinct.items()]
    text_units = Counter(prompt for _, group in groups for prompt in {m.prompt for m in group})
    units = tuple(_unit(opens, group, text_units) for opens, group in groups)
    open_units: dict[Opened, list[int]] = {}
    for unit in units:
        for ask in unit.opens:
            open_units.setdefault(ask, [0] * STRATA)[unit.promise] += 1
    return Frame(units, text_units, open_units)


def draw(units: Sequence[Unit], texts: int, seed: int) -> list[int]:
    """Return the positions of a random sample of units with about ``texts`` texts, in order.

    Each stratum gives as many texts as any other, as far as it has them, and at least two units.
    A larger sample of the same seed holds the smaller one.
    """
    strata: defaultdict[int, list[int]] = defaultdict(list)
    for position, unit in enumerate(units):
        strata[unit.promise].append(position)
    sample: list[int] = []
    left = float(texts)
    # what a small stratum lacks is left for the larger ones
    ordered = sorted(strata.items(), key=lambda each: sum(units[p].texts for p in each[1]))
    for number, (promise, positions) in enumerate(ordered):
        in_all = sum(units[position].texts for position in positions)
        share = min(1.0, left / (len(ordered) - number) / in_all)
        shuffled = list(positions)
        random.Random(f"{seed}/{promise}").shuffle(shuffled)
        taken = min(len(shuffled), max(2, round(share * len(shuffled))))
        sample += shuffled[:taken]
        left = max(0.0, left - share * in_all)
    return sorted(sample)


def shared(units: Sequence[int], own: int, reached: Sequence[float]) -> float:
    """Return the share of an ask's cost that falls to one of the units that it may come from.

    ``units`` are how many these are, and ``reached`` which share of what such units may ask they
    do ask, both by stratum; ``own`` is the stratum of the one.
    """
    others = sum(n * share for n, share in zip(units, reached, strict=True)) - reached[own]
    return 1 / (1 + max(0.0, others))


def forecast(units: Sequence[Unit], costs: Mapping[int, Floats], sample: Sequence[int]) -> Forecast:
    """Estimate what all units cost.

    ``costs`` has what units cost, by question and metric, an ask shared by k units as 1/k: those
    of the random sample, and any others of which nothing is open any more. What all others cost
    is expected. Each stratum with anything open has to have two sampled units.
    """
    known, expected = sum(costs.values(), np.zeros(_SHAPE)), np.zeros(_SHAPE)
    spread: list[tuple[Floats, int]] = []
    by_stratum = {
        promise: [p for p in sample if units[p].promise == promise]
        for promise in sorted({unit.promise for unit in units})
    }
    costliest = np.max(
        [_ratios(units, costs, drawn) for drawn in by_stratum.values() if drawn], axis=0, initial=0
    )
    for promise, drawn in by_stratum.items():
        rest = [u for p, u in enumerate(units) if u.promise == promise and p not in costs]
        if not rest:
            continue
        if len(drawn) < 2:
            raise ValueError("no two sampled units in a stratum that is open")
        depends = np.array([_dependent(units[p], costs[p]) for p in drawn])
        sizes = np.array([_sizes(units[p]) for p in drawn])
        ratios = _ratios(units, costs, drawn)
        expected += ratios * sum(_sizes(unit) for unit in rest)
        known += sum(_first_asks(unit) for unit in rest)
        # against the ratio of all others, without which one large unit hides its own error
        others = 1 - sizes / sizes.sum(axis=0)
        residuals = (depends - ratios * sizes) / np.maximum(others, 1 / len(drawn))
        imagined = (costliest - ratios) * sizes.mean(axis=0)
        residuals = np.vstack([residuals.reshape(len(drawn), -1), imagined.reshape(1, -1)])
        freedom = len(drawn)
        covariance = residuals.T @ residuals / freedom
        # a mean of the drawn stands in for so many that are not: both vary
        spread.append((covariance * len(rest) * (len(rest) / len(drawn) + 1), freedom))
    return Forecast(known, expected, tuple(spread))


def pace(answered: Iterable[tuple[str, int]]) -> float | None:
    """Return the tokens a second of answers that came at so many instants, in order of time.

    ``answered`` gives each instant (ISO 8601) with its tokens. A break of more than
    ``_BREAK_S`` counts for no time, nor do the tokens that end it. None where no time passed.
    """
    seconds = tokens = 0.0
    before: datetime | None = None
    for instant, of_instant in answered:
        now = datetime.fromisoformat(instant)
        if before is not None and (passed := (now - before).total_seconds()) <= _BREAK_S:
            seconds += passed
            tokens += of_instant
        before = now
    return tokens / seconds if seconds else None


def _unit(opens: frozenset[Opened], group: list[Member], text_units: Mapping[str, int]) -> Unit:
    texts = {m.prompt: m for m in group}
    firsts: defaultdict[Question, float] = defaultdict(float)
    for prompt, member in texts.items():
        firsts[member.question] += 1 / text_units[prompt]
    return Unit(
        tuple(m.number for m in group),
        max(m.promise for m in group),
        sum(firsts.values()),
        sum(m.chars / text_units[prompt] for prompt, m in texts.items()),
        sum(m.code / text_units[prompt] for prompt, m in texts.items()),
        firsts,
        opens,
    )


def _ratios(units: Sequence[Unit], costs: Mapping[int, Floats], drawn: Sequence[int]) -> Floats:
    """Return what units cost beside their certain asks, in proportion to their sizes."""
    depends = sum((_dependent(units[p], costs[p]) for p in drawn), np.zeros(_SHAPE))
    return depends / sum((_sizes(units[p]) for p in drawn), np.zeros(_SHAPE))


def _dependent(unit: Unit, cost: Floats) -> Floats:
    """Return what of a unit's cost was not certain before."""
    return cost - _first_asks(unit)


def _first_asks(unit: Unit) -> Floats:
    """Return the asks of a unit that are certain."""
    certain = np.zeros(_SHAPE)
    for question, asks in unit.firsts.items():
        certain[QUESTIONS.index(question), METRICS.index("asks")] = asks
    return certain


def _sizes(unit: Unit) -> Floats:
    """Return what each cost of a unit is taken to be in proportion to."""
    sizes = np.full(_SHAPE, unit.texts)
    sizes[:, METRICS.index("prompt_tokens")] = unit.chars
    sizes[:, METRICS.index("computed_tokens")] = unit.code
    return sizes
