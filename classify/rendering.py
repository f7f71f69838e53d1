"""A table for a paper, written as CSV, Markdown or LaTeX. Pure: text comes out.

Cells may hold anything that a repository is named: each form escapes what would be read as
its own syntax, and in CSV what a spreadsheet would run as a formula.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real

import pandas as pd

from classify.latex import escaped, layout

_PAGE = 40
"""More lines than these do not fit one page in LaTeX, and break over several."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a paper. ``name`` is that of its files, ``note`` says what a reader must know.

    ``number`` is the study's own, such as D.1; LaTeX counts the tables of a paper itself.
    The frame's index is not shown. Real numbers are shown with ``decimals`` places, in CSV with
    six significant digits; a missing value is an empty cell.
    """

    name: str
    title: str
    frame: pd.DataFrame
    note: str = ""
    number: str = ""
    decimals: int = 2

    @property
    def heading(self) -> str:
        """The title with the table's number."""
        return f"Table {self.number}: {self.title}" if self.number else self.title

    def to_csv(self) -> str:
        """Return the table as CSV, without title and note."""
        heads = [defused(str(column)) for column in self.frame.columns]
        return csv_text([heads, *([_csv_cell(value) for value in row] for row in self._rows())])

    def to_markdown(self) -> str:
        """Return the table as GitHub Markdown, with its title above and its note below."""
        heads = [_markdown(str(column)) for column in self.frame.columns]
        rules = ["---:" if numeric else "---" for numeric in self._numeric()]
        body = [[_markdown(self._shown(value)) for value in row] for row in self._rows()]
        lines = ["| " + " | ".join(cells) + " |" for cells in (heads, rules, *body)]
        parts = [f"**{_markdown(self.heading)}**", "\n".join(lines)]
        if self.note:
            parts.append(_markdown(self.note))
        return "\n\n".join(parts) + "\n"

    def to_latex(self) -> str:
        """Return the table as LaTeX in UTF-8; needs booktabs, and longtable for a long one."""
        heads = [_one_line(str(column)) for column in self.frame.columns]
        body = [[_one_line(self._shown(value)) for value in row] for row in self._rows()]
        parts = layout(heads, body, self._numeric())
        title, said = escaped(_one_line(self.title)), escaped(_one_line(self.note))
        caption = rf"\caption{{{title}}}\label{{tab:{self.name}}}"
        note = [rf"\par\smallskip\footnotesize {said}"] if self.note else []
        compact = [parts.compact] if parts.compact else []
        if parts.height > _PAGE:
            head = [r"\toprule", parts.heads, r"\midrule"]
            start = [rf"\begin{{longtable}}{{{parts.columns}}}", caption + r" \\", *head]
            repeated = [r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot"]
            lines = [*start, *repeated, *parts.body, r"\end{longtable}"]
            if compact:
                lines = ["{" + parts.compact, *lines, "}"]
            if note:
                lines += ["{" + note[0] + r"\par}"]
        else:
            lines = [
                r"\begin{table}",
                r"\centering",
                caption,
                *compact,
                rf"\begin{{tabular}}{{{parts.columns}}}",
                *(r"\toprule", parts.heads, r"\midrule"),
                *parts.body,
                *(r"\bottomrule", r"\end{tabular}"),
                *note,
                r"\end{table}",
            ]
        return "\n".join(lines) + "\n"

    def lines(self) -> list[str]:
        """Return the table as lines of text for a terminal."""
        heads = [str(column) for column in self.frame.columns]
        body = [[_one_line(self._shown(value)) for value in row] for row in self._rows()]
        widths = [max(map(len, cells)) for cells in zip(heads, *body, strict=True)]
        lines = [self.heading, ""]
        for cells in (heads, *body):
            aligned = [
                cell.rjust(width) if numeric else cell.ljust(width)
                for cell, width, numeric in zip(cells, widths, self._numeric(), strict=True)
            ]
            lines.append("  ".join(aligned).rstrip())
        return [*lines, "", *textwrap.wrap(self.note, 98)] if self.note else lines

    def _rows(self) -> list[tuple[object, ...]]:
        return list(self.frame.itertuples(index=False, name=None))

    def _numeric(self) -> list[bool]:
        return [
            pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
            for dtype in self.frame.dtypes
        ]

    def _shown(self, value: object) -> str:
        if isinstance(value, Real) and not isinstance(value, Integral) and not _missing(value):
            return f"{float(value):.{self.decimals}f}"
        return _plain(value)


def _plain(value: object) -> str:
    if _missing(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _csv_cell(value: object) -> str:
    if isinstance(value, Real) and not isinstance(value, Integral) and not _missing(value):
        return f"{float(value):.6g}"
    if isinstance(value, Integral):
        return _plain(value)
    return defused(_plain(value))


_FORMULA = re.compile("'*[=+\\-@\t\r]")


def defused(text: str) -> str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula; see ``armed``."""
    return f"'{text}" if _FORMULA.match(text) else text


def full_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV with its numbers in full, and texts that no spreadsheet runs."""
    cells = [
        [
            "" if _missing(value) else defused(value) if isinstance(value, str) else str(value)
            for value in row
        ]
        for row in frame.itertuples(index=False, name=None)
    ]
    return csv_text([list(map(str, frame.columns)), *cells])


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    r"""Return rows of cells as CSV; unlike csv.writer's, a lone ``\r`` in a cell ends no row."""
    # a row of one empty cell would be no row
    return "".join((",".join(map(_quoted, row)) or '""') + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if re.search('[",\r\n]', cell) else cell


def armed(cell: str) -> str:
    """Return the text of which ``defused`` made a cell: a path may well begin with ``@``."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _markdown(text: str) -> str:
    # an underscore inside a word means nothing; __init__ would be bold
    active = r"[\\`*{}\[\]<>|~$&#]|(?<![^\W_])_|_(?![^\W_])"
    return re.sub(active, r"\\\g<0>", _one_line(text))


def _one_line(text: str) -> str:
    """Return text without line breaks and control characters, which end or break a row."""
    return "".join(c if c.isprintable() else " " for c in text)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or value != value
