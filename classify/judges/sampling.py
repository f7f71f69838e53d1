"""What language models are asked to sample, wherever they run."""

from __future__ import annotations

from typing import Any

from classify.judges.shortening import Shortener
from mining.study import JudgeStudySettings

DECISION_SCHEMA = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "decision": {"type": "boolean"}},
    "required": ["reasoning", "decision"],
    "additionalProperties": False,
}
"""For servers that constrain answers by JSON schema only."""


def structure(max_tokens: int) -> str:
    """Return a regular expression for an answer which can be read: reasons, then a decision.

    A token is at least one character of ASCII, so that reasons of at most ``max_tokens`` less
    those of the last line always leave room for it. Room to reason costs nothing until it is
    used: where structured answers are cut short, raise ``max_tokens``.
    """
    reasons = max(max_tokens - len("\nDecision: False") - 1, 1)
    return rf"[\n -~]{{1,{reasons}}}\nDecision: (True|False)"


def sampling_text(study: JudgeStudySettings, shortener: Shortener | None) -> dict[str, Any]:
    """Return the settings of any language model that can change an answer's text.

    What stands at its default and was no setting once is left out, so that it voids nothing.
    """
    text: dict[str, Any] = {
        "model": study.model,
        "temperature": study.temperature,
        "top_p": study.top_p,
        "seed": study.seed,
    }
    if study.structured:
        text["structured"] = True
    rule = shortener.rule if shortener else "refuse"
    if rule != "outline":
        text["too_long"] = rule
    return text
