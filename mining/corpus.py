"""Folders of repositories: which there are, and what each holds. I/O, but nothing written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mining.decode import decode
from mining.errors import InputError
from mining.records import Dropped, Outcome, SourceFile


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
            found[_printable(entry.name.replace("__", "/", 1))] = entry
        else:
            beside.append(
                Dropped(_printable(entry.name), "fetch", "not a folder, so not a repository")
            )
    if not found:
        raise InputError(
            f"Expected at least one repository in {folder}, found no folder there; "
            "put each repository in a folder of its own, named owner__name."
        )
    return found, beside


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file of a repository before it is read; ``outcome`` is set where it will not be."""

    path: str
    location: Path
    size_bytes: int
    outcome: Outcome | None
    reason: str | None


def walk(folder: Path, max_file_bytes: int) -> Iterator[SeenFile]:
    """Give every file below a repository's folder, by path; links are seen, never followed."""
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f != ".git")
        links = [f for f in folders if Path(directory, f).is_symlink()]
        for name in sorted(files + links):
            location = Path(directory, name)
            path = _printable(location.relative_to(folder).as_posix())
            yield _seen(path, location, max_file_bytes)


def tree_sha256(folder: Path, max_file_bytes: int) -> tuple[str, int]:
    """Return one hash over a repository's Python files and the names of all others.

    The second value counts the Python files. Equal hashes mean equal extractions.
    """
    digest = hashlib.sha256()
    python_files = 0
    for seen in walk(folder, max_file_bytes):
        content = ""
        if seen.outcome is None:
            python_files += 1
            try:
                content = hashlib.sha256(seen.location.read_bytes()).hexdigest()
            except OSError:
                content = Outcome.UNREADABLE
        fields = (seen.path, str(seen.size_bytes), str(seen.outcome), content)
        digest.update("\0".join(fields).encode("utf-8", "replace") + b"\n")
    return digest.hexdigest(), python_files


def read_file(repository: str, commit: str | None, seen: SeenFile) -> SourceFile:
    """Read and decode one file. ``snippets`` is 0 until it is extracted."""

    def ended(
        outcome: Outcome,
        reason: str | None,
        sha256: str | None = None,
        encoding: str | None = None,
        text: str | None = None,
    ) -> SourceFile:
        return SourceFile(
            repository,
            commit,
            seen.path,
            seen.size_bytes,
            sha256,
            encoding,
            outcome,
            reason,
            0,
            text,
        )

    if seen.outcome is not None:
        return ended(seen.outcome, seen.reason)
    try:
        content = seen.location.read_bytes()
    except OSError as error:
        return ended(Outcome.UNREADABLE, error.strerror)
    sha256 = hashlib.sha256(content).hexdigest()
    decoded = decode(content)
    if decoded is None:
        return ended(Outcome.UNDECODABLE, "holds bytes that are no text", sha256)
    outcome = Outcome.EXTRACTED if decoded.text.strip() else Outcome.EMPTY
    return ended(outcome, None, sha256, decoded.encoding, decoded.text)


def _seen(path: str, location: Path, max_file_bytes: int) -> SeenFile:
    if location.is_symlink():
        return SeenFile(path, location, 0, Outcome.LINK, "a symbolic link, which is not followed")
    try:
        size = location.stat().st_size
    except OSError as error:
        return SeenFile(path, location, 0, Outcome.UNREADABLE, error.strerror)
    if not location.is_file():
        return SeenFile(path, location, 0, Outcome.UNREADABLE, "not a regular file")
    if not path.endswith(".py"):
        return SeenFile(path, location, size, Outcome.NOT_PYTHON, "its name does not end in .py")
    if size > max_file_bytes:
        reason = f"{size} bytes, more than the study's limit of {max_file_bytes}"
        return SeenFile(path, location, size, Outcome.TOO_LARGE, reason)
    return SeenFile(path, location, size, None, None)


def _printable(name: str) -> str:
    """Return a file's name as text that can be stored, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
