"""Folders of repositories: which there are, and what each holds. I/O, but nothing written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mining.decode import decode
from mining.errors import InputError
from mining.notebooks import NotebookError, read_notebook
from mining.records import Dropped, Outcome, SourceFile

NOTEBOOK = ".ipynb"
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
        if entry.is_dir() and not entry.is_symlink():
            found[printable_path(os.fsencode(entry.name.replace("__", "/", 1)))] = entry
        else:
            beside.append(
                Dropped(
                    printable_path(os.fsencode(entry.name)),
                    "fetch",
                    "not a folder, so not a repository",
                )
            )
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
    """Give every file below a repository's folder, by path; links are seen, never followed."""
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f != ".git")
        links = [f for f in folders if Path(directory, f).is_symlink()]
        for name in sorted(files + links):
            location = Path(directory, name)
            path = printable_path(os.fsencode(location.relative_to(folder).as_posix()))
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


def tree_sha256(files: Iterable[FoundFile]) -> tuple[str, int]:
    """Return one hash over the files of a repository that are read and the names of all others.

    The second value counts those that are read. Equal hashes mean equal extractions.
    """
    digest = hashlib.sha256()
    read = 0
    for file in files:
        content = str(file.outcome)
        if file.content is not None:
            read += 1
            content = hashlib.sha256(file.content).hexdigest()
        fields = (file.path, str(file.size_bytes), content)
        digest.update("\0".join(fields).encode("utf-8", "replace") + b"\n")
    return digest.hexdigest(), read


def read_file(repository: str, commit: str | None, file: FoundFile) -> SourceFile:
    """Decode one file. ``snippets`` is 0 until it is extracted.

    Of a notebook, the text is that of its code cells; see ``mining.notebooks``.
    """
    unread = SourceFile(
        repository=repository,
        commit=commit,
        path=file.path,
        size_bytes=file.size_bytes,
        sha256=None,
        encoding=None,
        outcome=file.outcome or Outcome.UNREADABLE,
        reason=file.reason,
        snippets=0,
        text=None,
        git_sha1=file.git_sha1,
    )
    if file.content is None:
        return unread
    unread = replace(unread, sha256=hashlib.sha256(file.content).hexdigest())
    if file.content.startswith(_LFS):
        reason = "a pointer to Git LFS, from which nothing is fetched"
        return replace(unread, outcome=Outcome.UNREADABLE, reason=reason)
    decoded = decode(file.content)
    if decoded is None:
        reason = "holds bytes that are no text"
        return replace(unread, outcome=Outcome.UNDECODABLE, reason=reason)
    text = decoded.text
    cells: tuple[tuple[int, int], ...] = ()
    broken = None
    if file.path.endswith(NOTEBOOK):
        try:
            notebook = read_notebook(decoded.text)
        except NotebookError as error:
            return replace(unread, outcome=error.outcome, reason=str(error))
        text, cells = notebook.text, notebook.cells
        if notebook.unreadable:
            broken = f"{notebook.unreadable} cells end within a statement; read around them"
    ended = Outcome.EXTRACTED if text.strip() else Outcome.EMPTY
    return replace(
        unread,
        encoding=decoded.encoding,
        outcome=Outcome.PARTIAL if broken else ended,
        reason=broken,
        text=text,
        cells=cells,
    )


def git_blob_sha1(content: bytes) -> str:
    """Return the hash by which git knows a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def printable_path(name: bytes) -> str:
    """Return a file's name as text that can be stored, whatever bytes it is made of."""
    return name.decode("utf-8", "backslashreplace")


def _found(path: str, location: Path, max_file_bytes: int, *, notebooks: bool) -> FoundFile:
    def unread(outcome: Outcome, reason: str | None) -> FoundFile:
        return FoundFile(path, None, None, None, outcome, reason)

    if location.is_symlink():
        return unread(Outcome.LINK, "a symbolic link, which is not followed")
    try:
        size = location.stat().st_size
        if not location.is_file():
            return unread(Outcome.UNREADABLE, "not a regular file")
        if not is_code(path, notebooks=notebooks):
            return not_code(path, size)
        if size > max_file_bytes:
            return too_large(path, size, max_file_bytes)
        content = location.read_bytes()
    except OSError as error:
        return unread(Outcome.UNREADABLE, error.strerror)
    return FoundFile(path, size, git_blob_sha1(content), content)
