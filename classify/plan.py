"""What is said of a classification's cost before it is run: counted, bounded, estimated. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from classify.forecast import (
    CONFIDENCE,
    METRICS,
    QUESTIONS,
    Estimate,
    Floats,
    Forecast,
)
from classify.questions import Question

_COLUMNS = ("asks", "votes", "prompt_tokens", "output_tokens")
SMALL = 20
"""Sampled units of a stratum, below which an interval is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What tokens are turned into hours and money by; None is not known.

    ``gpus`` are those that answer together, as many as the judge's engine is told to use where
    it is not said. ``tokens_per_second`` are output tokens of all of them. Prices are for an hour
    of one GPU, and for a million tokens.
    """

    gpus: int | None = None
    tokens_per_second: float | None = None
    price_per_gpu_hour: float | None = None
    price_in: float | None = None
    price_out: float | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What is certain of a corpus before anything is asked.

    ``least`` and ``most`` are asks by question: if all verdicts are no, and if whatever leads on
    does and every class is asked in whole. ``stored`` are asks whose verdict the store has.
    """

    snippets: int
    repositories: int
    unasked: int
    texts: int
    decided: int
    stored: int
    least: Mapping[Question, int]
    most: Mapping[Question, int]

    @property
    def all_decided(self) -> bool:
        """Whether nothing is left to ask."""
        return self.unasked + self.decided == self.snippets


@dataclass(frozen=True, slots=True)
class Pilot:
    """What was sampled: units and texts of them; ``asked`` are prompts put to the judge now."""

    units: int
    texts: int
    smallest: int
    """Units of the stratum with the fewest, of those that were not taken whole."""
    asked: int
    votes: int
    failed: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """What a classification costs: counted, and, if there was a pilot, estimated.

    ``votes`` are the fewest and the most votes on an ask. ``paid`` has a row for each question
    and a column for each of forecast.METRICS. ``tokens_per_second`` is the rate of stored votes.
    """

    judge: str
    counted: Counted
    votes: tuple[int, int]
    terms: Terms
    gpus: int = 1
    pilot: Pilot | None = None
    forecast: Forecast | None = None
    paid: Floats = field(default_factory=lambda: np.zeros((len(QUESTIONS), len(METRICS))))
    tokens_per_second: float | None = None

    def bill(self) -> Iterator[tuple[str, Estimate, Estimate]]:
        """Give each figure's name, what it comes to in all, and what of it is still to be paid."""
        if self.forecast is None:
            return
        terms, rate = self.terms, self.terms.tokens_per_second or self.tokens_per_second
        weighted: list[tuple[str, dict[str, float]]] = [(name, {name: 1.0}) for name in METRICS]
        if rate:
            hours = {"output_tokens": 1 / rate / 3600}
            weighted += [("hours", hours), ("gpu_hours", _times(hours, self.gpus))]
            if terms.price_per_gpu_hour is not None:
                price = self.gpus * terms.price_per_gpu_hour
                weighted.append(("money_for_gpus", _times(hours, price)))
        if terms.price_in is not None or terms.price_out is not None:
            prices = {"prompt_tokens": terms.price_in, "output_tokens": terms.price_out}
            weighted.append(
                ("money_for_tokens", {name: (price or 0) / 1e6 for name, price in prices.items()})
            )
        for name, weights in weighted:
            in_all = self.forecast.of(weights)
            paid = sum(
                weight * float(self.paid[:, METRICS.index(metric)].sum())
                for metric, weight in weights.items()
            )
            yield name, in_all, in_all.less(paid)

    def to_json(self) -> dict[str, Any]:
        """Return all of it in plain values."""
        found: dict[str, Any] = {
            "judge": self.judge,
            **asdict(self.counted),
            "votes_an_ask": {"least": self.votes[0], "most": self.votes[1]},
        }
        if self.forecast is not None and self.pilot is not None:
            found |= {
                "pilot": asdict(self.pilot),
                "confidence": CONFIDENCE,
                "by_question": {
                    question.value: {
                        name: asdict(self.forecast.of({name: 1.0}, question)) for name in METRICS
                    }
                    for question in QUESTIONS
                },
                "in_all": {name: asdict(in_all) for name, in_all, _ in self.bill()},
                "to_pay": {name: asdict(to_pay) for name, _, to_pay in self.bill()},
                "tokens_per_second": self.terms.tokens_per_second or self.tokens_per_second,
                "gpus": self.gpus,
            }
        return found

    def lines(self) -> Iterator[str]:
        """Say what is certain, then what is expected, and on what that rests."""
        yield from self._certain()
        if self.forecast is not None and self.pilot is not None:
            yield ""
            yield from self._expected(self.forecast, self.pilot)

    def _certain(self) -> Iterator[str]:
        counted = self.counted
        yield (
            f"plan: {counted.snippets:,} snippets in {counted.repositories:,} repositories, "
            f"{counted.texts:,} distinct texts; judge {self.judge}"
        )
        if not self.votes[1]:
            yield "no model is asked: it costs nothing but the time of this machine"
            return
        if counted.unasked:
            yield f"{counted.unasked:,} snippets are placed without asking, by the rules gate"
        if counted.stored:
            yield (
                f"{counted.decided:,} snippets are decided by stored votes, and {counted.stored:,}"
                " asks need no asking"
            )
        yield f"{'asks':<18}{'least':>12}{'most':>12}"
        for question in QUESTIONS:
            least, most = counted.least[question], counted.most[question]
            yield f"{question.value:<18}{least:>12,}{most:>12,}"
        least, most = sum(counted.least.values()), sum(counted.most.values())
        yield f"{'all':<18}{least:>12,}{most:>12,}"
        yield f"{'votes':<18}{least * self.votes[0]:>12,}{most * self.votes[1]:>12,}"
        yield (
            "least: each snippet's first question only, all verdicts no; most: all go on, every "
            "class is asked in whole, and all votes are needed. What lies between depends on the "
            "answers."
        )

    def _expected(self, forecast: Forecast, pilot: Pilot) -> Iterator[str]:
        if self.counted.all_decided:
            yield "every snippet is decided by stored votes: what that cost is known"
        else:
            yield from self._sampled(pilot)
        yield f"{'in all':<18}" + "".join(f"{name.replace('_', ' '):>25}" for name in _COLUMNS)
        for question in QUESTIONS:
            yield _row(question, (forecast.of({name: 1.0}, question) for name in _COLUMNS))
        bill = {name: (in_all, to_pay) for name, in_all, to_pay in self.bill()}
        for place, named in enumerate(("all", "still to pay")):
            yield _row(named, (bill[name][place] for name in _COLUMNS))
        yield ""
        for name, (in_all, to_pay) in bill.items():
            if name not in _COLUMNS:
                yield f"{name.replace('_', ' ')}: {_said(in_all)}; still to pay {_said(to_pay)}"
        yield from self._assumed()

    def _sampled(self, pilot: Pilot) -> Iterator[str]:
        asked = f"{pilot.asked:,} prompts asked now for {pilot.votes:,} votes"
        yield (
            f"pilot: {pilot.texts:,} texts in {pilot.units:,} classes, functions and loops, drawn "
            f"at random (seed {pilot.seed}); "
            f"{asked if pilot.asked else 'its votes were stored, and nothing was asked'}"
        )
        if pilot.failed:
            yield (
                f"{pilot.failed} of its prompts have no answer and count for nothing, so that the "
                "figures are too low; run the command again"
            )
        if pilot.smallest < SMALL:
            yield (
                f"only {pilot.smallest} of a stratum were sampled: too few to trust the interval; "
                "a larger --pilot helps"
            )

    def _assumed(self) -> Iterator[str]:
        if not self.counted.all_decided:
            yield (
                f"In brackets the {CONFIDENCE:.0%} interval: ratio estimates from a random sample, "
                "stratified by what the texts mention, of whole classes. Early stop, second waves, "
                "shared prompts and stop at the first yes are counted in. See docs/votes.md."
            )
        yield (
            "prompt tokens are counted once a request, computed tokens without what a prefix cache "
            "has: the instructions of a question, and the prompt of a second wave."
        )
        if self.terms.tokens_per_second:
            yield f"hours: at the {self.terms.tokens_per_second:,.0f} output tokens/s given"
        elif self.tokens_per_second:
            yield (
                f"hours: at {self.tokens_per_second:,.0f} output tokens/s, as measured on the "
                "stored votes; a small pilot does not fill the engine's batch, so that the run may "
                "be much faster. --tokens-per-second takes a better figure; no interval counts "
                "the rate's own error"
            )
        else:
            yield (
                "hours: not known, as the stored votes came within a second or two; give "
                "--tokens-per-second"
            )


def _times(weights: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: weight * factor for name, weight in weights.items()}


def _row(name: str, estimates: Iterable[Estimate]) -> str:
    return f"{name:<18}" + "".join(f"{_said(estimate):>25}" for estimate in estimates)


def _said(estimate: Estimate) -> str:
    """Return a figure with its interval, if that is one."""
    value, low, high = map(_short, (estimate.value, estimate.low, estimate.high))
    return value if low == high else f"{value} ({low} to {high})"


def _short(value: float) -> str:
    """Return a number as a table has room for it, with three digits or more that count."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * (10 if unit == "k" else 1):
            scaled = value / size
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f}{unit}"
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"
