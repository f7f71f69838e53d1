"""A prompt that is too long for a model's context: what it is asked with instead.

Pure: code in, shorter code out, with a line that says how much is missing at each gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tree_sitter import Node

from classify.judges import Messages
from classify.prompts import Prompts
from classify.questions import Ask
from mining.extract import parse
from mining.study import TooLong

_TELLING = re.compile(
    r"loss|cost|objective|criteri|error|penalt|regulari|diverg|entropy|likelihood|elbo|energy"
    r"|backward|gradient|optimi[sz]|minimi[sz]e|\.step\(|\.fit\(",
    re.IGNORECASE,
)
"""A statement with one of these stays in an outline: it may define a loss, or train."""
_HEADED = {
    "function_definition": True,
    "class_definition": True,
    "for_statement": True,
    "while_statement": True,
    "if_statement": False,
    "elif_clause": False,
    "else_clause": False,
    "with_statement": False,
    "try_statement": False,
    "except_clause": False,
    "finally_clause": False,
    "match_statement": False,
    "case_clause": False,
}
"""Statements with a body: whether their head stays for its own sake, or only for what is in it."""
_WITHOUT_WORDS = frozenset({"module", "block", "decorated_definition", "ERROR"})
_LEAST_GAP = 60
"""A single line of fewer characters is kept rather than replaced."""
_STEP = 0.9
"""How much smaller each attempt is than the one before."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A conversation that stands in for a longer one, about ``code``.

    ``how`` is what is kept of it beside the votes: no code, since not all code may be passed on,
    but the lines that were sent.
    """

    messages: Messages
    code: str
    how: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shortened:
    """Code without some of its lines. ``kept`` are ranges of line numbers, such as 1-3,8."""

    code: str
    kept: str
    left_out: int


@dataclass(frozen=True, slots=True)
class Shortener:
    """Renders asks whose prompts are too long, by the rule of the study."""

    rule: TooLong
    prompts: Prompts

    def presentations(self, ask: Ask, share: float) -> Iterator[Presented]:
        """Give shorter and shorter conversations for an ask; none where the rule is to refuse.

        ``share`` is how much of the code there is room for, about. The first that fits is to be
        sent.
        """
        for shorter in shortened(ask.snippet.code, self.rule, share):
            yield Presented(
                self.prompts.messages(ask, shorter.code),
                shorter.code,
                {
                    "rule": self.rule,
                    "lines_sent": shorter.kept,
                    "lines_left_out": shorter.left_out,
                },
            )


def shortened(code: str, rule: TooLong, share: float) -> Iterator[Shortened]:
    """Give shorter and shorter versions of code.

    ``outline``: the heads of definitions and loops, what is returned, and the statements that
    mention losses or updates, within the statements around them; where that is too long itself,
    its head and tail. ``head_and_tail``: as many lines from both ends as there may be room for.
    ``refuse``: nothing.
    """
    lines = code.split("\n")
    rows: Sequence[int] = range(len(lines))
    if rule == "refuse":
        return
    if rule == "outline":
        rows = _outline(code)
        yield _with_gaps(lines, rows)
    size = min(share * _size(lines), _STEP * _size(lines[row] for row in rows))
    while ends := _ends(lines, rows, size):
        yield _with_gaps(lines, ends)
        size = _STEP * min(size, _size(lines[row] for row in ends))


def _outline(code: str) -> list[int]:
    """Return the rows of an outline, in order."""
    kept: set[int] = set()
    # each node with the rows of the heads around it
    pending: list[tuple[Node, frozenset[int]]] = [(parse(code.encode()).root_node, frozenset())]
    while pending:
        node, heads = pending.pop()
        if node.type in _HEADED:
            heads |= _head(node)
            if _HEADED[node.type]:
                kept |= heads
        elif node.type == "decorator" or (
            node.type not in _WITHOUT_WORDS
            and (node.type == "return_statement" or _TELLING.search((node.text or b"").decode()))
        ):
            kept |= heads | set(range(node.start_point.row, node.end_point.row + 1))
            continue
        elif node.type not in _WITHOUT_WORDS:
            continue
        pending += [(child, heads) for child in node.named_children if _is_statement(child)]
    return sorted(kept)


def _is_statement(node: Node) -> bool:
    return (
        node.type in _HEADED
        or node.type in _WITHOUT_WORDS
        or node.type == "decorator"
        or node.type.endswith("_statement")
    )


def _head(node: Node) -> frozenset[int]:
    """Return the rows from the start of a statement up to its body, at least the first."""
    block = next((child for child in node.children if child.type == "block"), None)
    first = node.start_point.row
    end = first + 1 if block is None else max(block.start_point.row, first + 1)
    return frozenset(range(first, end))


def _ends(lines: Sequence[str], rows: Sequence[int], size: float) -> list[int]:
    """Return rows from both ends in about ``size`` bytes; none if not even one fits at each end."""
    head, tail = _taken(lines, rows, size / 2), _taken(lines, rows[::-1], size / 2)[::-1]
    if not head or not tail or len(head) + len(tail) >= len(rows):
        return []
    return [*head, *tail]


def _taken(lines: Sequence[str], rows: Sequence[int], size: float) -> list[int]:
    taken: list[int] = []
    for row in rows:
        size -= _size([lines[row]])
        if size < 0:
            break
        taken.append(row)
    return taken


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)


def _with_gaps(lines: Sequence[str], rows: Sequence[int]) -> Shortened:
    """Return the lines of some rows, with a comment in place of each stretch between them."""
    text: list[str] = []
    kept: list[range] = []
    following = 0
    for row in [*rows, len(lines)]:
        gap = lines[following:row]
        if len(gap) > 1 or (gap and len(gap[0]) > _LEAST_GAP):
            first = next((line for line in gap if line.strip()), "")
            indentation = first[: len(first) - len(first.lstrip())]
            text.append(f"{indentation}# ... lines left out here: {len(gap)} ...")
        else:
            text += gap
            kept.append(range(following, row))
        text += lines[row : row + 1]
        kept.append(range(row, min(row + 1, len(lines))))
        following = row + 1
    sent = [number for numbers in kept for number in numbers]
    return Shortened("\n".join(text), _ranges(sent), len(lines) - len(sent))


def _ranges(rows: Sequence[int]) -> str:
    """Write rows, which ascend, as ranges of line numbers from 1."""
    starts = [row for before, row in pairwise([-2, *rows]) if row != before + 1]
    ends = [row for row, after in pairwise([*rows, -2]) if after != row + 1]
    return ",".join(
        f"{start + 1}-{end + 1}" if end > start else f"{start + 1}"
        for start, end in zip(starts, ends, strict=True)
    )
