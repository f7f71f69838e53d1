"""Corpora to measure on: real repositories, or many made of them. None of their code is run."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mining.study import CorpusSettings

_MAX_FILE_BYTES = CorpusSettings().max_file_bytes
_OPENS_A_BLOCK = re.compile(
    r"^[ \t]*(?:async\s+)?(?:def|class|for|while)\b.*:[ \t]*$", re.MULTILINE
)


def repositories_of(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the repositories in some folders, by name; of two with one name, the first."""
    found: dict[str, Path] = {}
    for folder in folders:
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
                found.setdefault(entry.name, entry)
    if not found:
        raise SystemExit(f"No repository in {', '.join(map(str, folders))}.")
    return found


def python_files(repository: Path) -> Iterator[Path]:
    """Give the Python files that lossplace reads of a repository's folder."""
    for directory, folders, files in os.walk(repository):
        folders[:] = sorted(name for name in folders if name != ".git")
        for path in (Path(directory, name) for name in sorted(files) if name.endswith(".py")):
            if not path.is_symlink() and path.is_file() and path.stat().st_size <= _MAX_FILE_BYTES:
                yield path


def link_repositories(repositories: Mapping[str, Path], target: Path) -> None:
    """Put each repository under its name into a folder, as hard links."""
    for name, source in repositories.items():
        shutil.copytree(source, target / name, symlinks=True, copy_function=_link)


def link_copies(repositories: Mapping[str, Path], target: Path, copies: int) -> None:
    """Put each repository ``copies`` times under other names into a folder, as hard links."""
    for copy in range(copies):
        link_repositories({f"{name}-{copy}": at for name, at in repositories.items()}, target)


def write_renamed(sources: Sequence[Path], target: Path, count: int) -> None:
    """Write repositories, ``count`` of them, which are those of ``sources`` in turn.

    From the second turn on no code of theirs equals any other's, since every line that opens a
    function, class or loop ends in a comment of its own: else, what is done for a text once would
    be done once for all copies.
    """
    for number in range(count):
        source = sources[number % len(sources)]
        home = target / f"{source.name}-{number}"
        for path in python_files(source):
            place = home / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_marked(path.read_bytes(), number // len(sources)))


def write_single_files(
    sources: Sequence[Path], target: Path, count: int, most_bytes: int, seed: int
) -> None:
    """Write repositories of one real file each, drawn at random among those up to a size.

    Each holds a function or a loop at the least. As in ``write_renamed``, no two are equal.
    """
    pool = [
        path
        for source in sources
        for path in python_files(source)
        if path.stat().st_size <= most_bytes and re.search(rb"\b(def|for) ", path.read_bytes())
    ]
    random.Random(seed).shuffle(pool)
    for number in range(count):
        path = pool[number % len(pool)]
        home = target / f"file__{number:05}"
        home.mkdir()
        (home / path.name).write_bytes(_marked(path.read_bytes(), number // len(pool)))


def _marked(content: bytes, turn: int) -> bytes:
    if not turn:
        return content
    with suppress(UnicodeDecodeError):
        text = content.decode("utf-8")
        return _OPENS_A_BLOCK.sub(rf"\g<0>  # {turn}", text).encode()
    return content


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
