"""What a classification cost, against what the algorithm as printed would have. Pure.

The printed algorithm asks for every snippet anew, whatever its text; asks both questions about a
class of each of its functions, for each of its methods that holds a loss; and takes all votes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from classify.judges import short_hash
from classify.placement import Placement, functions_asked
from classify.questions import OF_CLASS, Question
from classify.store import Cost
from mining.records import Kind, Snippet

COSTS = "costs.parquet"

COLUMNS = {
    "question": "str",
    "asks": "int64",
    "votes": "int64",
    "prompt_tokens": "int64",
    "output_tokens": "int64",
    "printed_asks": "int64",
    "printed_votes": "int64",
    "printed_prompt_tokens": "int64",
    "printed_output_tokens": "int64",
    "printed_estimated": "int64",
}
"""Of ``costs.parquet``, one row for each question. ``asks`` are distinct prompts, and their cost is
what is in the store, of whichever run. The ``printed_`` columns say what the algorithm as printed
costs; ``printed_estimated`` of its asks are about texts that ours never asked about, so that their
tokens are estimated (see costs_of). Of the rules they are counted by the repository."""


@dataclass(slots=True)
class PrintedAsks:
    """The asks of the printed algorithm: how often each question is put about each text."""

    asks: defaultdict[Question, dict[int, tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """By question and short_hash of the text: how often, and its length in characters."""

    def add(
        self, placement: Placement, first: Question, class_functions: Sequence[Snippet] = ()
    ) -> None:
        """Count the asks that lead to a placement; ``first`` is asked of every snippet."""
        snippet, asked = placement.snippet, placement.verdicts
        self._add(first, snippet)
        if first is Question.LOSS_RELATED and Question.LOSS_DEFINITION in asked:
            self._add(Question.LOSS_DEFINITION, snippet)
        if Question.TRAINING_LOOP not in asked:
            return
        if snippet.kind is not Kind.METHOD:
            self._add(Question.TRAINING_LOOP, snippet)
            return
        for question in OF_CLASS:
            for function in functions_asked(question, snippet, class_functions):
                self._add(question, function)

    def _add(self, question: Question, snippet: Snippet) -> None:
        asks, code = self.asks[question], short_hash(snippet.code_sha256)
        times, chars = asks.get(code, (0, len(snippet.text)))
        asks[code] = times + 1, chars


class _Paid(NamedTuple):
    """What a prompt cost, in less memory; ``code`` is the short_hash of its text."""

    code: int
    votes: int
    requests: int
    prompt_tokens: int
    output_tokens: int


def costs_of(printed: PrintedAsks, paid: Iterable[Cost], votes: int) -> pd.DataFrame:
    """Return what was paid beside what the printed algorithm costs at ``votes`` votes an ask.

    Of a text that was asked about, the printed algorithm's tokens are those of its prompt, once
    an ask, and its answers' mean length for each vote. Of another text, a line fitted to the
    question's prompts over the length of their texts, and the question's mean answer; of a
    question that was never asked, those of the others. Columns are ``COLUMNS``; no question was
    asked: no row.
    """
    by_question: defaultdict[Question, list[_Paid]] = defaultdict(list)
    for cost in paid:
        code = short_hash(cost.code_sha256)
        by_question[cost.question].append(
            _Paid(code, cost.votes, cost.requests, cost.prompt_tokens, cost.output_tokens)
        )
    everything = list(chain.from_iterable(by_question.values()))
    chars = {code: chars for asks in printed.asks.values() for code, (_, chars) in asks.items()}
    rows = []
    for question in Question:
        known, asks = by_question[question], printed.asks[question]
        if not known and not asks:
            continue
        prompts, answers = _estimates(known or everything, chars)
        prompt_tokens, output_tokens, estimated = _printed_tokens(
            known, asks, votes, prompts, answers
        )
        times = sum(times for times, _ in asks.values())
        rows.append(
            (
                question.value,
                len(known),
                sum(cost.votes for cost in known),
                sum(cost.prompt_tokens for cost in known),
                sum(cost.output_tokens for cost in known),
                times,
                times * votes,
                prompt_tokens,
                output_tokens,
                estimated,
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def cost_line(costs: pd.DataFrame) -> str:
    """Say in a line what was saved."""
    total = costs.drop(columns="question").sum()
    tokens = total["prompt_tokens"] + total["output_tokens"]
    printed = total["printed_prompt_tokens"] + total["printed_output_tokens"]
    ours = f"{total['asks']:,} asks, {total['votes']:,} votes"
    theirs = f"{total['printed_asks']:,} asks, {total['printed_votes']:,} votes"
    if tokens:
        ours += f", {tokens:,} tokens"
        theirs += f", {'about ' if total['printed_estimated'] else ''}{printed:,} tokens"
    saved = [
        f"{part / whole:.1f} times as many {what}"
        for part, whole, what in (
            (total["printed_votes"], total["votes"], "votes"),
            (printed, tokens, "tokens"),
        )
        if whole
    ]
    return f"paid in all: {ours}; as printed: {theirs} ({', '.join(saved)})"


def _estimates(
    known: Sequence[_Paid], chars: Mapping[int, int]
) -> tuple[Callable[[int], float], float]:
    """Return the tokens of a prompt by the length of its text, and those of an answer."""
    points = [
        (chars[cost.code], cost.prompt_tokens / cost.requests)
        for cost in known
        if cost.code in chars
    ]
    intercept, slope = _line(points)
    answers = sum(cost.output_tokens for cost in known) / max(1, sum(cost.votes for cost in known))
    return lambda length: intercept + slope * length, answers


def _printed_tokens(
    known: Sequence[_Paid],
    asks: Mapping[int, tuple[int, int]],
    votes: int,
    prompt_of: Callable[[int], float],
    answer: float,
) -> tuple[int, int, int]:
    """Return prompt tokens, output tokens, and how many asks are only estimated."""
    prompts = {cost.code: cost.prompt_tokens / cost.requests for cost in known}
    answers = {cost.code: cost.output_tokens / cost.votes for cost in known}
    prompt_tokens = output_tokens = 0.0
    estimated = 0
    for code, (times, chars) in asks.items():
        estimated += 0 if code in prompts else times
        prompt_tokens += times * (prompts[code] if code in prompts else prompt_of(chars))
        output_tokens += times * votes * answers.get(code, answer)
    return round(prompt_tokens), round(output_tokens), estimated


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return intercept and slope of the least-squares line; of equal lengths, their mean."""
    if not points:
        return 0.0, 0.0
    x, y = np.array(points, float).T
    if np.ptp(x) == 0:
        return float(y.mean()), 0.0
    slope, intercept = np.polyfit(x, y, 1)
    return float(intercept), float(slope)
