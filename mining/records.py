"""The records that pass between the stages of mining, and on to ``classify``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

_LEADING = re.compile(r"[ \t]*")
_BLANK_LINE = re.compile(r"^[ \t]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository as the search described it, at the moment of the search.

    ``name`` is ``owner/name``. Times are in UTC; ``pushed_at`` is None where a repository
    was never pushed to. ``size_kb`` is GitHub's own figure, in kilobytes.
    """

    name: str
    stars: int
    forks: int
    pushed_at: datetime | None
    created_at: datetime
    fork: bool
    archived: bool
    size_kb: int
    license: str | None


class Outcome(StrEnum):
    """The one end of each file seen; the counts of all outcomes add up to the files seen."""

    EXTRACTED = "extracted"
    """Parsed without an error."""
    PARTIAL = "partial"
    """Parsed around syntax errors; what could be read was extracted."""
    EMPTY = "empty"
    """Nothing but white space."""
    UNDECODABLE = "undecodable"
    """No encoding turns its bytes into text."""
    TOO_LARGE = "too_large"
    """Larger than the study's limit; not read."""
    NOT_PYTHON = "not_python"
    """Its name does not end in ``.py`` (``.ipynb``), or it is a notebook in another language."""
    LINK = "link"
    """A symbolic link, or another repository as a submodule; never followed."""
    UNREADABLE = "unreadable"
    """Its bytes cannot be had: it is no regular file, lies with Git LFS, or cannot be read."""


EXTRACTED_OUTCOMES = frozenset({Outcome.EXTRACTED, Outcome.PARTIAL, Outcome.EMPTY})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file seen in a repository, with its outcome; ``text`` only where it was parsed.

    ``path`` is relative to the repository, with forward slashes. ``text`` has universal
    newlines, so that line numbers mean the same everywhere; that of a notebook is its joined
    code cells. ``size_bytes`` is None of a file that was not fetched. ``git_sha1`` is the hash by
    which git knows the bytes (``git hash-object``). ``cells`` says where each code cell of a
    notebook begins; see ``mining.notebooks``.
    """

    repository: str
    commit: str | None
    path: str
    size_bytes: int | None
    sha256: str | None
    encoding: str | None
    outcome: Outcome
    reason: str | None
    snippets: int
    text: str | None
    git_sha1: str | None = None
    cells: tuple[tuple[int, int], ...] = ()


class Kind(StrEnum):
    """What a snippet is. A function nested anywhere inside a class is a method."""

    FUNCTION = "function"
    METHOD = "method"
    LOOP = "loop"


@dataclass(frozen=True)
class Snippet:
    """A function, a method, or an outermost module-level loop.

    Lines are 1-based and inclusive; ``start_line`` is that of ``def``, ``for`` or ``while``.
    ``text`` holds the file's lines from there, verbatim but for its newlines.
    ``class_qualname`` names the innermost class around a method. In a notebook the lines are
    those of its joined code cells; ``cell`` is the number of the cell among all of the notebook,
    ``cell_line`` that of the line in it where the snippet begins, both 1-based. Not slotted,
    because its hashes are computed once and kept.
    """

    repository: str
    commit: str | None
    path: str
    start_line: int
    end_line: int
    kind: Kind
    qualname: str
    class_qualname: str | None
    text: str
    cell: int | None = None
    cell_line: int | None = None

    @cached_property
    def snippet_id(self) -> str:
        """16 hexadecimal digits which name this occurrence, the same in every run."""
        where = f"{self.repository}\0{self.path}\0{self.start_line}\0{self.qualname}\0{self.text}"
        return _sha256(where)[:16]

    @cached_property
    def code(self) -> str:
        """The text as a judge reads it: without the indentation that the whole snippet shares."""
        return dedent(self.text)

    @cached_property
    def code_sha256(self) -> str:
        """Equal for equal code, wherever it occurs."""
        return _sha256(self.code)


@dataclass(frozen=True, slots=True)
class ClassDefinition:
    """A class statement. ``bases`` are dotted names as written in the class statement.

    ``resolved_bases`` gives each base as ``path::qualname`` if the repository defines it,
    else as the dotted name that the file's imports make of it (``torch.nn.Module``).
    """

    repository: str
    path: str
    qualname: str
    start_line: int
    end_line: int
    bases: tuple[str, ...]
    resolved_bases: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """``path::qualname``: names the class within its repository."""
        return f"{self.path}::{self.qualname}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """What left the flow, where, and why. ``subject`` is a repository or ``repository:path``."""

    subject: str
    stage: str
    reason: str


def dedent(text: str) -> str:
    """Return a text without the leading blanks and tabs that all its lines share.

    Lines of nothing else become empty. As textwrap.dedent of Python 3.11; that of 3.14 differs,
    and hashes of code must not depend on the Python that runs this.
    """
    margin = _leading(text)
    if not (text[:1] == "\n" or text[-1:] in " \t" or _may_have_blanks_alone(text)):
        # most often the first line has the margin of all, which is fast
        if not margin:
            return text
        moved = text[len(margin) :].replace(f"\n{margin}", "\n")
        at_margin = (len(text) - len(moved)) // len(margin) - 1
        if text.count("\n") in (at_margin, at_margin + text.count("\n\n")):
            return moved
    lines = _BLANK_LINE.sub("", text).split("\n")
    filled = [line for line in lines if line]
    first, last = min(filled, default=""), max(filled, default="")  # what these share, all do
    shared = _leading(first)
    while not last.startswith(shared):
        shared = shared[:-1]
    return "\n".join([line[len(shared) :] for line in lines])


def _may_have_blanks_alone(text: str) -> bool:
    # to look for one character is many times as fast as for two, and few texts have a tab
    return " \n" in text or ("\t" in text and "\t\n" in text)


def _leading(text: str) -> str:
    return text[: _LEADING.match(text).end()]  # type: ignore[union-attr]


def _sha256(text: str) -> str:
    # surrogates cannot come out of a decoder, but a record may be built by hand
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
