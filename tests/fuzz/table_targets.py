"""What must hold of tables, whatever their cells: what is written is read back as it was shown.

The readers here know the formats, not the code that writes them.
"""

import csv
import io
import math
import re
import struct

import pandas as pd

from classify.rendering import Table, armed

_LATEX = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textasciigrave{}": "`",
    r"\textquotesingle{}": "'",
    r"\ensuremath{\pm}": "±",
    r"\allowbreak{}": "",
    "{[}": "[",
    "{*}": "*",
    "-{}": "-",
} | {rf"\{c}": c for c in "{}&%$#_"}
_TOKEN = re.compile("|".join([*map(re.escape, _LATEX), r" \\\\$", " & ", "."]), re.DOTALL)


def table(data: bytes) -> None:
    """A table of text and numbers comes back from CSV, Markdown and LaTeX."""
    frame = _frame(data)
    made = Table("t", "T", frame, "N")
    heads, *rows = csv.reader(io.StringIO(made.to_csv(), newline=""), strict=True)
    assert heads == list(frame.columns)
    for row, values in zip(rows, frame.itertuples(index=False), strict=True):
        assert [armed(cell) for cell in row[:2]] == list(values[:2])
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row[:2])
        assert int(row[2]) == values[2]
        assert math.isnan(values[3]) or math.isclose(float(row[3]), values[3], rel_tol=1e-5)
    shown = [
        [*map(_one_line, values[:2]), str(values[2]), "" if x != x else f"{x:.2f}"]
        for *values, x in frame.itertuples(index=False)
    ]
    lines = made.to_markdown().split("\n")
    assert [_cells(line) for line in lines[4:-3]] == shown
    assert [_row(line) for line in _body(made.to_latex())] == shown
    assert all(line == _one_line(line) for line in made.lines())


def _frame(data: bytes) -> pd.DataFrame:
    """Return a frame of two text columns, one of whole numbers and one of real ones."""
    fields = data.decode("utf-8", "replace").split("\x1e")[:120]
    fields += [""] * (len(fields) % 2)
    size = len(fields) // 2
    padded = data.ljust(8 * size, b"\0")[: 8 * size]
    return pd.DataFrame(
        {
            "a": pd.Series(fields[::2], dtype=object),
            "b_c": pd.Series(fields[1::2], dtype=object),
            "n": struct.unpack(f"<{size}q", padded),
            "x": struct.unpack(f"<{size}d", padded),
        }
    )


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _cells(line: str) -> list[str]:
    """Return the cells of a row of Markdown."""
    cells, characters = [""], iter(line)
    for character in characters:
        if character == "|":
            cells.append("")
        else:
            cells[-1] += next(characters) if character == "\\" else character
    return [cell[1:-1] for cell in cells[1:-1]]


def _body(latex: str) -> list[str]:
    start, end = (
        (r"\endfoot", r"\end{longtable}") if r"\endfoot" in latex else (r"\midrule", r"\bottomrule")
    )
    return latex.partition(start)[2].partition(end)[0].strip("\n").split("\n")


def _row(line: str) -> list[str]:
    """Return the cells of a row of LaTeX as they are set."""
    cells = [""]
    for token in _TOKEN.findall(line):
        if token == " & ":
            cells.append("")
        elif token != r" \\":
            cells[-1] += _LATEX.get(token, token)
    return cells
