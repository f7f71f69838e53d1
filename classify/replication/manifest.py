"""The manifest of a bundle: the SHA-256 of each file, as ``sha256sum -c`` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mining.artifacts import file_sha256, write_atomically
from mining.errors import InputError

MANIFEST = "MANIFEST.sha256"
AUTHORS = frozenset({"README.md", "CHECKLIST.md", "CITATION.cff"})
"""What the study's authors go on writing; it is in no manifest."""


def write_manifest(folder: Path) -> None:
    """Note the hash of every file below a folder, by name."""
    lines = (f"{file_sha256(folder / name)}  {name}\n" for name in _names(folder))
    write_atomically(folder / MANIFEST, "".join(lines))


def differences(folder: Path) -> tuple[int, list[str]]:
    """Compare a folder with its manifest: how many files it names, and what differs.

    Raises InputError if there is no manifest, or none that can be read.
    """
    try:
        noted = {
            name: digest
            for digest, _, name in (
                line.partition("  ") for line in (folder / MANIFEST).read_text("utf-8").splitlines()
            )
        }
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Expected a bundle of lossplace at {folder}, found no {MANIFEST} in it that can be "
            "read; give the folder or the ZIP file that `lossplace bundle` wrote."
        ) from error
    there = set(_names(folder))
    found = [f"{name} is missing" for name in sorted(noted.keys() - there)]
    found += [f"{name} is not in the manifest" for name in sorted(there - noted.keys())]
    found += [
        f"{name} is not what the manifest says"
        for name in sorted(there & noted.keys())
        if file_sha256(folder / name) != noted[name]
    ]
    return len(noted), found


def _names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and name not in AUTHORS:
            yield name
