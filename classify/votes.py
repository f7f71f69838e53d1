"""From answers to votes: what an answer decides."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mining.untrusted_json import json_of

_TAG = r"(?:think|thinking|thought|reasoning|reflection|scratchpad)"
_REASONING_STARTS = re.compile(rf"^[^\w\n<\[]*(?:<{_TAG}>|\[THINK\])", re.IGNORECASE | re.MULTILINE)
_REASONING_ENDS = re.compile(rf"</{_TAG}>|\[/THINK\]", re.IGNORECASE)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")

_NAMED = re.compile(
    r"""
    (?<![^\W_]) decision (?![^\W_])
    (?: (?P<key>["']\s*:)
      | (?:[^\w\n:=]|_){0,8} (?: (?P<colon>[:=\uff1a]) | (?P<is>[ ]is\b:?) | > | $ ) )
    """,
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
"""The word with what announces a value: a colon, an "is", the end of a tag or of a heading."""
_VALUE = re.compile(
    r"(?:[^\w\n!\u00ac\u2260?]|_|\\?(?:text|textbf|boxed|mathrm|bf|b|strong)\b)*"
    r"(?P<word>true|false|yes|no)(?![^\W_])",
    re.IGNORECASE,
)
"""A value after what may stand around it: white space, brackets, quotes, mark-up."""
_BELOW = re.compile(r"[^\w\n]*\n\W*")
_MORE = re.compile(r"\s*\w")
_WORDS = re.compile(r"(?<![^\W_])(true|yes|false|no)(?![^\W_])", re.IGNORECASE)
_CHOICE = re.compile(r"(?<![^\W_])(?:or|if|else|otherwise|unless|either)(?![^\W_])|[/|]", re.I)
_LEAD = re.compile(
    r"\W*(?:(?:\d+|step|so|thus|hence|therefore|my|the|final|answer|conclusion)\b\W*)*",
    re.IGNORECASE,
)
"""What may stand before a decision in a line of its own."""
_QUOTES = frozenset("\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb")
_YES = frozenset({"true", "yes"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says: its decision, or why it has none.

    ``truncated``: it was cut at the limit of tokens before it decided, so that a higher limit
    may help; ``unreadable``: it ended by itself without a decision, so that another draw may.
    """

    decision: bool | None
    truncated: bool

    @property
    def unreadable(self) -> bool:
        """Whether the answer is whole and yet decides nothing."""
        return self.decision is None and not self.truncated


def reading(text: str, finish_reason: str = "stop") -> Reading:
    """Read an answer; ``finish_reason`` is the engine's, ``length`` for one that was cut.

    The last decision decides: ``Decision: True`` or ``False`` (or Yes, No), in whatever mark-up,
    quotes, brackets or case, and whatever follows it. It is none where it offers a choice
    (``[True or False]``), is in doubt (``True?``), or is a quotation within a sentence. What a
    model writes between reasoning tags is a draft and never counts, closed or not. In an answer
    that was cut only a line which starts with the decision counts, since a sentence about the
    code may hold another.
    """
    cut = finish_reason == "length"
    decided = _of_object(text)
    if decided is not None:
        return Reading(decided, False)
    decided = _last_decision(_without_reasoning(_INVISIBLE.sub("", text)), cut)
    return Reading(decided, cut and decided is None)


def decision(text: str) -> bool | None:
    """Return what a whole answer decides, None for an abstention; see ``reading``."""
    return reading(text).decision


def _of_object(text: str) -> bool | None:
    """Return the decision of an answer that is a JSON object, whatever its other texts hold."""
    if not text.strip().startswith("{"):
        return None
    try:
        found = json_of(text).get("decision")
    except ValueError:
        return None
    return found if isinstance(found, bool) else None


def _without_reasoning(text: str) -> str:
    """Return what comes after the last reasoning, and before one that is never closed."""
    ends = [end.end() for end in _REASONING_ENDS.finditer(text)]
    answer = text[ends[-1] :] if ends else text
    unclosed = _REASONING_STARTS.search(answer)
    return answer[: unclosed.start()] if unclosed else answer


def _last_decision(text: str, cut: bool) -> bool | None:
    """Return the last decision. One that cannot be read counts where it starts its line."""
    # from the end, since each looks at the rest of its line, and a model may repeat itself
    for named in reversed(list(_NAMED.finditer(text))):
        line_start = text.rfind("\n", 0, named.start()) + 1
        leads = _LEAD.fullmatch(text, line_start, named.start()) is not None
        if cut and not leads:
            continue
        value = _value(text, named)
        if value is not None and _goes_on(text, named, value, cut):
            value = None
        if value is not None and (leads or named["key"] or not _quoted(text, named, value)):
            return value["word"].lower() in _YES if _plain(text, named, value) else None
        if value is None and leads and named["colon"]:
            return None
    return None


def _value(text: str, named: re.Match[str]) -> re.Match[str] | None:
    """Return the value that follows in the line, or stands alone in the next that holds words."""
    value = _VALUE.match(text, named.end())
    if value is not None:
        return value
    below = _BELOW.match(text, named.end())
    value = below and _VALUE.match(text, below.end())
    if value is None:
        return None
    line_end = text.find("\n", value.end())
    rest = text[value.end() : len(text) if line_end < 0 else line_end]
    return None if re.search(r"\w", rest) else value


def _goes_on(text: str, named: re.Match[str], value: re.Match[str], cut: bool) -> bool:
    """Tell whether a word is no value: part of a sentence ("is no longer"), or cut in half."""
    half = cut and value.end() == len(text) and value["word"].lower() == "no"
    return half or (bool(named["is"]) and _MORE.match(text, value.end()) is not None)


def _plain(text: str, named: re.Match[str], value: re.Match[str]) -> bool:
    """Tell whether the rest of the line leaves the value alone: offers no choice, has no doubt."""
    line_end = text.find("\n", value.end())
    rest = text[value.end() : len(text) if line_end < 0 else line_end]
    if named["key"] and re.match(r"[\"']?\s*[,}]", rest):
        return True  # a JSON object, which may go on with other keys
    if re.match(r"\W*\?", rest):
        return False
    yes = value["word"].lower() in _YES
    opposite = [word for word in _WORDS.finditer(rest) if (word[0].lower() in _YES) != yes]
    if not opposite:
        return True
    beside = not re.search(r"\w", rest[: opposite[0].start()])
    return not beside and _CHOICE.search(rest) is None


def _quoted(text: str, named: re.Match[str], value: re.Match[str]) -> bool:
    """Tell whether a decision stands in quotation marks."""
    return (
        text[named.start() - 1 : named.start()] in _QUOTES
        and text[value.end() : value.end() + 1] in _QUOTES
    )
