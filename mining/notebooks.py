"""The code cells of a Jupyter notebook as one Python file. Pure: text in, text out.

Read as plain JSON rather than by nbformat: notebooks of all formats (1 to 4, and damaged ones
that Jupyter still opens) hold their code in one of three places, and need not be valid otherwise.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mining.records import Outcome
from mining.untrusted_json import json_of

_PYTHON_CELLS = frozenset({"capture", "debug", "memit", "mprun", "prun", "time", "timeit"})
"""Cell magics that run the rest of the cell as Python in this notebook."""

_CELL_MAGIC = re.compile(r"%%\s*(\w*)(.*)")
_TIMED = re.compile(r"(\s*)%time\s+(?=\S)")
_MAGIC = re.compile(
    r"\s*([%!?]"  # %magic, !shell, ?help
    r"|(pip|conda) (install|uninstall|list|show)\b"  # which IPython takes for magics
    r"|[A-Za-z_][\w.]*(\[[\w'\"]*\])?\?{1,2}\s*$"  # help?
    r"|[A-Za-z_][\w\s,.\[\]]*=\s*(!|%[A-Za-z]))"  # x = !shell, x = %magic
)
_TOKEN = re.compile(
    r"""("\"\"|''')|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|\#.*|([(\[{])|([)\]}])"""
)


class NotebookError(ValueError):
    """A notebook of which nothing can be read; ``outcome`` is that of its file."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Notebook:
    """The joined code cells. Before each stands a line ``# %% cell N``, N as in ``cells``.

    ``cells``: for each code cell, the line of ``text`` where it begins, and its number. Both are
    1-based; the number counts all cells of the notebook, as a reader of it does. ``unreadable``
    counts cells that no parser could read (an open bracket or string at their end); they are
    left out, line by line.
    """

    text: str
    cells: tuple[tuple[int, int], ...]
    unreadable: int


def read_notebook(text: str) -> Notebook:
    """Return the code cells of a notebook, given as JSON, joined to one Python file.

    What IPython would not pass to Python (magics, shell commands, help) becomes a comment or a
    ``pass``, so that every line of a cell is one line of the result. Raises NotebookError.
    """
    lines: list[str] = []
    starts: list[tuple[int, int]] = []
    unreadable = 0
    for number, source in _code_cells(_loaded(text)):
        cell = _python_lines(source.split("\n"))
        if cell is None:
            unreadable += 1
            cell = [_comment(line) for line in source.split("\n")]
        lines.append(f"# %% cell {number}")
        starts.append((len(lines) + 1, number))
        lines.extend(cell)
    joined = "\n".join(lines) + "\n" if lines else ""
    return Notebook(joined, tuple(starts), unreadable)


def place_in_cell(cells: Sequence[tuple[int, int]], line: int) -> tuple[int, int]:
    """Return the cell in which a line of the joined text lies, and the line within it."""
    first_line, number = cells[bisect_right(cells, line, key=lambda cell: cell[0]) - 1]
    return number, line - first_line + 1


def _loaded(text: str) -> dict[str, Any]:
    try:
        notebook = json_of(text)
    except ValueError as error:
        raise NotebookError(Outcome.UNDECODABLE, f"not the JSON of a notebook ({error})") from None
    if not isinstance(notebook, dict):
        raise NotebookError(Outcome.UNDECODABLE, "not a notebook: its JSON is no object")
    return notebook


def _code_cells(notebook: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Give the number and the source of each code cell."""
    language = _language(notebook)
    if language is not None and "python" not in language.lower():
        raise NotebookError(Outcome.NOT_PYTHON, f"a notebook in {language[:40]!r}")
    cells = notebook.get("cells")
    if cells is None:  # before format 4
        sheets = notebook.get("worksheets")
        if isinstance(sheets, list) and sheets:
            found = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
            cells = [cell for sheet in found if isinstance(sheet, list) for cell in sheet]
    if not isinstance(cells, list):
        raise NotebookError(Outcome.UNDECODABLE, "not a notebook: it holds no list of cells")
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = next((cell[key] for key in ("source", "input", "code") if key in cell), "")
        if isinstance(source, list):
            source = "".join(part for part in source if isinstance(part, str))
        if isinstance(source, str):
            yield number, _clean(source)


def _language(notebook: dict[str, Any]) -> str | None:
    metadata = notebook.get("metadata")
    for section, key in (("language_info", "name"), ("kernelspec", "language")):
        found = metadata.get(section) if isinstance(metadata, dict) else None
        if isinstance(found, dict) and isinstance(found.get(key), str) and found[key]:
            return str(found[key])
    return None


def _clean(source: str) -> str:
    """Return a cell's text as a decoder would give it: no surrogates, no NUL, newlines alone."""
    text = (
        source.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


def _python_lines(cell: Sequence[str]) -> list[str] | None:
    """Return a cell's lines as Python reads them, or None if they end within a statement."""
    first = next((i for i, line in enumerate(cell) if line.strip()), 0)
    magic = _CELL_MAGIC.match(cell[first])
    if magic is not None:
        writes_python = magic[1] in ("writefile", "file") and magic[2].strip().endswith(".py")
        if magic[1] not in _PYTHON_CELLS and not writes_python:
            return [_comment(line) for line in cell]
    lines: list[str] = []
    depth, quote, continued, left_out = 0, "", False, False
    for number, line in enumerate(cell):
        begins = not (depth or quote or continued)
        if number == first and magic is not None:
            lines.append(_comment(line))
            continue
        if begins:
            line = _TIMED.sub(r"\1", line)
        left_out = _MAGIC.match(line) is not None if begins else left_out and continued
        if left_out:
            indentation = line[: len(line) - len(line.lstrip())]
            lines.append(
                f"{indentation}pass  {_comment(line.lstrip())}" if begins else _comment(line)
            )
            continued = line.endswith("\\")
            continue
        lines.append(line)
        depth, quote, in_comment = _after(line, depth, quote)
        continued = line.endswith("\\") and not in_comment
    return None if depth > 0 or quote else lines


def _after(line: str, depth: int, quote: str) -> tuple[int, str, bool]:
    """Return how many brackets and which long string are open after a line.

    The third value tells whether the line ends in a comment.
    """
    position = 0
    while True:
        if quote:
            end = re.compile(rf"(?:\\.|(?!{quote})[^\\])*?{quote}").match(line, position)
            if end is None:
                return depth, quote, False
            position, quote = end.end(), ""
        token = _TOKEN.search(line, position)
        if token is None:
            return depth, quote, False
        position = token.end()
        if token[0].startswith("#"):
            return depth, quote, True
        if token[1]:
            quote = token[1]
        elif token[2]:
            depth += 1
        elif token[3]:
            depth = max(0, depth - 1)


def _comment(line: str) -> str:
    return f"# {line}" if line else ""
