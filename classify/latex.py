"""How a table is set in LaTeX, so that it stays within the page. Pure: text comes out.

Widths are estimated by the mean width of a character in LaTeX's own font. A table that is too
wide as it is gets smaller type, stacked heads, and text columns in which long names break.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LINE = 340.0
"""Width of a line in points, a little less than the 345 of LaTeX's article class."""
_PLAIN = (4.8, 6.0)
_COMPACT = (4.05, 3.0)
"""Mean width of a character, and of the space at each side of a column, in points."""
_HEAD = 10
"""Characters to which the lines of a stacked head are filled."""

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "±": r"\ensuremath{\pm}",
    # at the start of a row, these would be read as an argument of the \\ before it
    "[": "{[}",
    "*": "{*}",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's parts in LaTeX: ``columns`` of the tabular, the row of heads, and the body.

    ``compact`` must come before the tabular, in a group; it is empty where the table fits as it
    is. ``height`` is how many lines of text the body takes.
    """

    compact: str
    columns: str
    heads: str
    body: list[str]
    height: int


def layout(heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> Layout:
    """Set rows of plain text under heads; ``numeric`` columns are set flush right."""
    sides = ["r" if each else "l" for each in numeric]
    longest = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    if _width(longest, *_PLAIN) <= _LINE:
        body = [_row(map(escaped, row)) for row in rows]
        return Layout("", "".join(sides), _row(map(escaped, heads)), body, len(rows))
    stacks = [_stacked(head) for head in heads]
    head_widths = [max(map(len, stack)) for stack in stacks]
    cells = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    wanted = [max(pair) for pair in zip(head_widths, cells or head_widths, strict=True)]
    given = _shared(wanted, numeric)
    columns, height = "", 0
    for side, want, width in zip(sides, wanted, given, strict=True):
        columns += side if width >= want else rf"p{{{width * _COMPACT[0] / _LINE:.3f}\linewidth}}"
    for row in rows:
        height += max(math.ceil(len(c) / w) for c, w in zip(row, given, strict=True))
    return Layout(
        rf"\footnotesize\setlength{{\tabcolsep}}{{{_COMPACT[1]:g}pt}}",
        columns,
        _row(_head(stack, side) for stack, side in zip(stacks, sides, strict=True)),
        [
            _row(
                escaped(cell) if width >= want else breakable(cell, width)
                for cell, want, width in zip(row, wanted, given, strict=True)
            )
            for row in rows
        ],
        height,
    )


def escaped(text: str) -> str:
    """Return one line of text such that LaTeX shows it as it is."""
    shown = "".join(_ESCAPED.get(character, character) for character in text)
    return re.sub("-(?=-)", "-{}", shown)  # two hyphens would become a dash


def breakable(text: str, width: int) -> str:
    """Return text as ``escaped`` does, which may break within a column of ``width`` characters.

    It may after a separator, at a capital in a name, and at last anywhere, without a hyphen.
    """
    piece = max(1, width * 2 // 3)  # some characters are wider than others
    pieces = rf".{{0,{piece - 1}}}?(?:[/_. -]|[a-z](?=[A-Z]))|.{{1,{piece}}}"
    return r"\allowbreak{}".join(map(escaped, re.findall(pieces, text)))


def _stacked(head: str) -> list[str]:
    lines = [""]
    for word in re.findall(r"[^_ ]*[_ ]*", head):
        if lines[-1] and len(lines[-1] + word) > _HEAD:
            lines.append("")
        lines[-1] += word
    return lines


def _head(stack: Sequence[str], side: str) -> str:
    lines = r"\\".join(map(escaped, stack))
    return rf"\shortstack[{side}]{{{lines}}}" if len(stack) > 1 else lines


def _shared(wanted: Sequence[int], numeric: Sequence[bool]) -> list[int]:
    """Return the width of each column in characters: numbers whole, texts by what is left.

    The narrowest texts are served first, so that the widest share what these leave.
    """
    digit, space = _COMPACT
    left = (_LINE - 2 * space * len(wanted)) / digit
    given = list(wanted)
    left -= sum(want for want, number in zip(wanted, numeric, strict=True) if number)
    texts = sorted((i for i, number in enumerate(numeric) if not number), key=wanted.__getitem__)
    for served, i in enumerate(texts):
        given[i] = max(1, min(wanted[i], int(left / (len(texts) - served))))
        left -= given[i]
    return given


def _width(characters: Sequence[int], digit: float, space: float) -> float:
    return sum(characters) * digit + 2 * space * len(characters)


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
