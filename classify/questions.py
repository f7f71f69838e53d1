"""The four questions, and an ask: one question about one snippet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mining.records import Snippet


class Question(StrEnum):
    """What a judge may be asked about a snippet. Each is answered yes or no."""

    LOSS_RELATED = "loss_related"
    """Is the concept of a training loss present, used or computed?"""
    LOSS_DEFINITION = "loss_definition"
    """Does the snippet calculate a loss itself, rather than only call something that does?"""
    TRAINING_LOOP = "training_loop"
    """Does it iterate over data and update parameters?"""
    MODEL_DEFINITION = "model_definition"
    """Does it build layers, or is it a forward pass?"""


OF_CLASS = (Question.TRAINING_LOOP, Question.MODEL_DEFINITION)
"""The questions that, for a method, are put to the functions of its class."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question about one snippet.

    Asks with equal prompts share their votes; where ``apart`` differs, each has its own.
    """

    question: Question
    snippet: Snippet
    apart: str = ""
