"""Folders of repositories: which there are, and what each holds. I/O, but nothing written."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mining.decode import decode
from mining.errors import InputError
from mining.notebooks import NotebookError, read_notebook
from mining.records import Dropped, Outcome, SourceFile

NOTEBOOK = ".ipynb"
_AS_IT_IS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LFS = b"version https://git-lfs.github.com/spec/"


def folder_name(repository: str) -> str:
    """Return the folder of a repository in a corpus: ``owner__name``."""
    return repository.replace("/", "__", 1)


def local_repositories(folder: Path) -> tuple[dict[str, Path], list[Dropped]]:
    """Return the repositories of a local corpus by name, and what else lies in its folder.

    Each folder in ``folder`` is a repository; ``owner__name`` is called ``owner/name``.
    Hidden ones are passed over. Raises InputError if there is no repository.
    """
    if not folder.is_dir():
        raise InputError(
            f"Expected a folder of repositories at {folder}, found "
            f"{'a file' if folder.exists() else 'nothing'}; "
            "give a folder which holds one folder for each repository, named owner__name."
        )
    found: dict[str, Path] = {}
    beside: list[Dropped] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        name = printable_path(os.fsencode(entry.name))
        repository = name.replace("__", "/", 1)
        if not entry.is_dir() or entry.is_symlink():
            beside.append(Dropped(name, "fetch", "not a folder, so not a repository"))
        elif repository in found:
            beside.append(Dropped(name, "fetch", "another folder has its name"))
        else:
            found[repository] = entry
    if not found:
        raise InputError(
            f"Expected at least one repository in {folder}, found no folder there; "
            "put each repository in a folder of its own, named owner__name."
        )
    return found, beside


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a repository: its bytes, or the outcome and the reason why it is not read.

    ``size_bytes`` is None where it is not known, since the file was not fetched. ``git_sha1`` is
    the hash by which git knows the bytes.
    """

    path: str
    size_bytes: int | None
    git_sha1: str | None
    content: bytes | None
    outcome: Outcome | None = None
    reason: str | None = None


def files_of_folder(folder: Path, max_file_bytes: int, *, notebooks: bool) -> Iterator[FoundFile]:
    """Give every file below a repository's folder; links are seen, never followed.

    The files of a folder come in the order of their names, then those of its folders in theirs.

    A folder that cannot be read is given as one unreadable file, so that it does not vanish.
    """
    above = len(f"{folder}/")
    taken: set[str] = set()
    waiting = [str(folder)]
    while waiting:  # no recursion: folders may be nested deeper than Python calls
        directory = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                found = sorted(
                    (entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries
                )
        except OSError as error:
            path = printable_path(os.fsencode(directory[above:])) or "."
            yield FoundFile(path, None, None, None, Outcome.UNREADABLE, _reason(error))
            continue
        waiting += [f"{directory}/{n}" for n, folds in reversed(found) if folds and n != ".git"]
        for name in (name for name, folds in found if not folds):
            location = f"{directory}/{name}"  # a Path takes as long as reading a small file
            path = printable_path(os.fsencode(location[above:]))
            if path in taken:
                reason = "another file has its name"
                yield FoundFile(path, None, None, None, Outcome.UNREADABLE, reason)
            else:
                taken.add(path)
                yield _found(path, location, max_file_bytes, notebooks=notebooks)


def is_code(path: str, *, notebooks: bool) -> bool:
    """Tell by its name whether a file is read."""
    return path.endswith((".py", NOTEBOOK) if notebooks else ".py")


def not_code(path: str, size_bytes: int | None, git_sha1: str | None = None) -> FoundFile:
    """Return a file which is not read because of its name."""
    reason = "a notebook" if path.endswith(NOTEBOOK) else "its name does not end in .py"
    return FoundFile(path, size_bytes, git_sha1, None, Outcome.NOT_PYTHON, reason)


def too_large(
    path: str, size_bytes: int, max_file_bytes: int, git_sha1: str | None = None
) -> FoundFile:
    """Return a file which is not read because of its size."""
    reason = f"{size_bytes} bytes, more than the study's limit of {max_file_bytes}"
    return FoundFile(path, size_bytes, git_sha1, None, Outcome.TOO_LARGE, reason)


class Tree:
    """One hash over the files of a repository that are read and the names of all others.

    Equal hashes mean equal extractions.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, file: FoundFile, sha256: str | None) -> None:
        """Take in a file, with the hash of its bytes where it is read."""
        fields = (file.path, str(file.size_bytes), sha256 or str(file.outcome))
        self._digest.update("\0".join(fields).encode("utf-8", "replace") + b"\n")

    @property
    def sha256(self) -> str:
        """The hash over the files that were added, which depends on their order."""
        return self._digest.hexdigest()


def tree_sha256(files: Iterable[FoundFile]) -> tuple[str, int]:
    """Return the hash of a repository's files (see Tree), and how many of them are read."""
    tree = Tree()
    read = 0
    for file in files:
        read += file.content is not None
        tree.add(file, _sha256(file.content))
    return tree.sha256, read


def read_file(repository: str, commit: str | None, file: FoundFile) -> SourceFile:
    """Decode one file. ``snippets`` is 0 until it is extracted.

    Of a notebook, the text is that of its code cells; see ``mining.notebooks``.
    """
    sha256 = _sha256(file.content)

    def ended(
        outcome: Outcome,
        reason: str | None,
        text: str | None = None,
        encoding: str | None = None,
        cells: tuple[tuple[int, int], ...] = (),
    ) -> SourceFile:
        return SourceFile(
            repository=repository,
            commit=commit,
            path=file.path,
            size_bytes=file.size_bytes,
            sha256=sha256,
            encoding=encoding,
            outcome=outcome,
            reason=reason,
            snippets=0,
            text=text,
            git_sha1=file.git_sha1,
            cells=cells,
        )

    if file.content is None:
        return ended(file.outcome or Outcome.UNREADABLE, file.reason)
    if file.content.startswith(_LFS):
        return ended(Outcome.UNREADABLE, "a pointer to Git LFS, from which nothing is fetched")
    decoded = decode(file.content)
    if decoded is None:
        return ended(Outcome.UNDECODABLE, "holds bytes that are no text")
    text = decoded.text
    cells: tuple[tuple[int, int], ...] = ()
    outcome, reason = Outcome.EXTRACTED if text.strip() else Outcome.EMPTY, None
    if file.path.endswith(NOTEBOOK):
        try:
            notebook = read_notebook(decoded.text)
        except NotebookError as error:
            return ended(error.outcome, str(error))
        text, cells = notebook.text, notebook.cells
        outcome = Outcome.EXTRACTED if text.strip() else Outcome.EMPTY
        if notebook.unreadable:
            outcome = Outcome.PARTIAL
            reason = f"{notebook.unreadable} cells end within a statement; read around them"
    return ended(outcome, reason, text, decoded.encoding, cells)


def git_blob_sha1(content: bytes) -> str:
    """Return the hash by which git knows a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def printable_path(name: bytes) -> str:
    """Return a file's name as text that can be stored, whatever bytes it is made of."""
    return name.decode("utf-8", "backslashreplace")


def _found(path: str, location: str, max_file_bytes: int, *, notebooks: bool) -> FoundFile:
    def unread(outcome: Outcome, reason: str | None) -> FoundFile:
        return FoundFile(path, None, None, None, outcome, reason)

    try:
        status = os.lstat(location)
        if stat.S_ISLNK(status.st_mode):
            return unread(Outcome.LINK, "a symbolic link, which is not followed")
        if not stat.S_ISREG(status.st_mode):
            return unread(Outcome.UNREADABLE, "not a regular file")
        if not is_code(path, notebooks=notebooks):
            return not_code(path, status.st_size)
        if status.st_size > max_file_bytes:
            return too_large(path, status.st_size, max_file_bytes)
        # it may have become a link or a pipe meanwhile, and may hold more than it says
        with os.fdopen(os.open(location, _AS_IT_IS), "rb") as file:
            content = file.read(max_file_bytes + 1)
    except OSError as error:
        return unread(Outcome.UNREADABLE, _reason(error))
    if len(content) > max_file_bytes:
        return unread(Outcome.TOO_LARGE, f"more than the study's limit of {max_file_bytes} bytes")
    return FoundFile(path, len(content), git_blob_sha1(content), content)


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
