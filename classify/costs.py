"""What a classification cost, against what the algorithm as printed would have. Pure.

The printed algorithm asks for every snippet anew, whatever its text; asks both questions about a
class of each of its functions, for each of its methods that holds a loss; and takes all votes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.hash_table import HashTable, Numbers, places_of
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

Paid = npt.NDArray[Any]
"""Rows of ``_PAID``."""
Reals = npt.NDArray[np.float64]

_AMOUNTS = ("votes", "requests", "prompt_tokens", "output_tokens")


class PrintedAsks:
    """The asks of the printed algorithm: how often each question is put about each text."""

    def __init__(self) -> None:
        """Begin with none."""
        self.asks = {question: HashTable(2) for question in Question}
        """By short_hash of the text: how often, and the characters of all these asks."""

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
        self.asks[question].add(short_hash(snippet.code_sha256), 1, len(snippet.text))


_PAID = np.dtype([("question", np.int8), *((name, np.int64) for name in ("code", *_AMOUNTS))])
"""What a prompt cost, in 41 bytes; ``code`` is the short_hash of its text."""


def costs_of(printed: PrintedAsks, paid: Iterable[Cost], votes: int) -> pd.DataFrame:
    """Return what was paid beside what the printed algorithm costs at ``votes`` votes an ask.

    Of a text that was asked about, the printed algorithm's tokens are those of its prompt, once
    an ask, and its answers' mean length for each vote. Of another text, a line fitted to the
    question's prompts over the length of their texts, and the question's mean answer; of a
    question that was never asked, those of the others. Columns are ``COLUMNS``; no question was
    asked: no row.
    """
    questions = list(Question)
    paid_each = np.fromiter(
        (
            (
                questions.index(cost.question),
                short_hash(cost.code_sha256),
                *(getattr(cost, name) for name in _AMOUNTS),
            )
            for cost in paid
        ),
        _PAID,
    )
    chars = _lengths(printed)
    rows = []
    for number, question in enumerate(questions):
        known = paid_each[paid_each["question"] == number]
        codes, asks = printed.asks[question].sums()
        if not len(known) and not len(codes):
            continue
        prompt, answer = _estimates(known if len(known) else paid_each, chars)
        times = int(asks[:, 0].sum())
        rows.append(
            (
                question.value,
                len(known),
                *(int(known[name].sum()) for name in ("votes", "prompt_tokens", "output_tokens")),
                times,
                times * votes,
                *_printed_tokens(known, codes, asks, votes, prompt, answer),
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


def _lengths(printed: PrintedAsks) -> tuple[Numbers, Reals]:
    """Return each text that the printed algorithm asks about, in order, and its characters."""
    codes, asks = zip(*(table.sums() for table in printed.asks.values()), strict=True)
    distinct, first = np.unique(np.concatenate(codes), return_index=True)
    times, chars = np.concatenate(asks)[first].T
    return distinct, chars / times


def _estimates(known: Paid, lengths: tuple[Numbers, Reals]) -> tuple[tuple[float, float], float]:
    """Return the line of a prompt's tokens over the length of its text, and those of an answer."""
    codes, chars = lengths
    places = places_of(known["code"], codes)
    told = known[places >= 0]
    line = _line(chars[places[places >= 0]], told["prompt_tokens"] / told["requests"])
    return line, known["output_tokens"].sum() / max(1, known["votes"].sum())


def _printed_tokens(
    known: Paid,
    codes: Numbers,
    asks: Numbers,
    votes: int,
    prompt: tuple[float, float],
    answer: float,
) -> tuple[int, int, int]:
    """Return prompt tokens, output tokens, and how many asks are only estimated.

    ``asks`` has a row for each text in ``codes``: how often it is asked about, and the characters
    of these asks.
    """
    times, chars = asks.T
    intercept, slope = prompt
    prompt_tokens, answers = intercept * times + slope * chars, np.full(len(codes), answer)
    told, last = np.unique(known["code"][::-1], return_index=True)
    told_last = known[::-1][last]
    places = places_of(codes, told)
    there = places >= 0
    one = told_last[places[there]]
    prompt_tokens[there] = times[there] * (one["prompt_tokens"] / one["requests"])
    answers[there] = one["output_tokens"] / one["votes"]
    return (
        round(float(prompt_tokens.sum())),
        round(float((times * votes * answers).sum())),
        int(times[~there].sum()),
    )


def _line(x: Reals, y: Reals) -> tuple[float, float]:
    """Return intercept and slope of the least-squares line; of equal lengths, their mean."""
    if not len(x):
        return 0.0, 0.0
    if np.ptp(x) == 0:
        return float(y.mean()), 0.0
    slope, intercept = np.polyfit(x, y, 1)
    return float(intercept), float(slope)
