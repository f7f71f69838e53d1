"""The rules gate: what cannot hold a loss, or a training loop, is not asked about. Opt-in.

The rules answer loss_related in the judge's place. Unlike a lossless saving this can lose a loss,
so its recall is measured wherever there are labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

from classify.gold import Gold, match
from classify.judges.rules import rule
from classify.metrics import LOSSES, wilson
from classify.questions import Question
from mining.extracted import Corpus
from mining.records import Snippet

RULES_GATE = "rules gate"
"""The reason of a snippet that was placed without asking."""


_REPEATS = re.compile(r"\b(?:for|while|map|reduce)\b|loop|scan", re.IGNORECASE)
"""Statements that repeat something, and what frameworks call a repetition on their side."""


def repeats(snippet: Snippet) -> bool:
    """Tell whether a snippet may repeat anything; what does not is no training loop."""
    return _REPEATS.search(snippet.text) is not None


def rules_gate(corpus: Corpus) -> Callable[[Snippet], bool]:
    """Return what tells whether a snippet is loss_related by the rules, and so is asked on."""
    return lambda s: rule(Question.LOSS_RELATED, s, corpus.code(s.repository)).decision


def gate_line(placements: pd.DataFrame, gold: Gold | None, confidence: float) -> str:
    """Say what share of the snippets the gate left out, and of labelled losses it let pass."""
    gated = placements["reason"] == RULES_GATE
    said = f"rules gate: {gated.sum()} of {len(placements)} snippets placed without asking"
    if gold is None:
        return f"{said}; its recall is not known, as the study names no hand labels"
    rows = match(gold.rows, placements).rows
    losses = rows[rows["label"].isin(LOSSES)]
    if losses.empty:
        return f"{said}; its recall is not known, as no loss is labelled"
    passed = int((losses["reason"] != RULES_GATE).sum())
    interval = wilson(passed / len(losses), len(losses), confidence)
    return (
        f"{said}; recall {passed} of {len(losses)} labelled losses "
        f"({interval.low:.3f} to {interval.high:.3f} at {confidence:.0%})"
    )
