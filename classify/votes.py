"""From answers to votes, and from votes to a verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable

from classify.placement import Verdict

_DECISION = re.compile(r"\bdecision\b[\s*_`\"']*[:=][\s*_`\"'\[(]*([^\n]*)", re.IGNORECASE)
_YES = re.compile(r"(true|yes)\b", re.IGNORECASE)
_NO = re.compile(r"(false|no)\b", re.IGNORECASE)
_EITHER = re.compile(r"\b(true|yes|false|no)\b", re.IGNORECASE)


def decision(text: str) -> bool | None:
    """Return what an answer decides: its last ``Decision: True`` or ``Decision: False``.

    None, an abstention, where there is no such line, or where the last one says neither, or
    both (a template repeated: ``Decision: [True or False]``).
    """
    found = _DECISION.findall(text)
    if not found:
        return None
    last = found[-1]
    words = {word.lower() for word in _EITHER.findall(last)}
    if words & {"true", "yes"} and words & {"false", "no"}:
        return None
    if _YES.match(last):
        return True
    return False if _NO.match(last) else None


def majority(votes: Iterable[bool | None]) -> Verdict:
    """Return what more of the votes say; abstentions (None) do not count, a tie decides nothing."""
    balance = sum(0 if vote is None else 1 if vote else -1 for vote in votes)
    if balance == 0:
        return Verdict.NONE
    return Verdict.YES if balance > 0 else Verdict.NO
