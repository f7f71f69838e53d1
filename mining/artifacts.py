"""A run folder: tables written whole or not at all, each with a sidecar that says how.

An artifact is written to a temporary name and renamed; its ``<name>.meta.json`` comes last.
No sidecar means not done. A sidecar holds no time and no path, so that two runs of the same
study over the same inputs are byte-equal. Each file is on the disk before it has its name, so that
no power cut leaves a sidecar beside less than it speaks of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mining.errors import ArtifactError, first_line
from mining.locking import alone
from mining.untrusted_json import json_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

STUDY = "study.json"
"""In a run's folder: the study as it was run, flags included."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a sidecar says: how a file came to be. ``settings`` and ``inputs`` decide staleness."""

    command: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    rows: int | None = None
    sha256: str = ""
    notes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What a study leaves on disk, under one folder.

    With ``as_is``, a file is read whoever wrote it and whatever has become of it: for who compares
    its contents with others.
    """

    folder: Path
    as_is: bool = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing here, and tidy up after killed ones.

        A folder that is no run yet is the user's own, and is not tidied. Does nothing while there
        is no such folder. Raises as locking.alone.
        """
        if not self.folder.is_dir():
            yield
            return
        with alone(self.folder) as is_new:
            if is_new and self.path(STUDY).is_file():
                for folder in (self.folder, *self.folder.iterdir()):
                    if folder.is_dir():
                        remove_left(folder)
            yield

    def path(self, name: str) -> Path:
        """Return the place of the artifact ``name``, done or not."""
        return self.folder / name

    def sidecar(self, name: str) -> Artifact | None:
        """Return what is known of ``name``, or None where it is not done.

        The file itself is not looked into. Raises ArtifactError if its sidecar is damaged.
        """
        path = self.path(name)
        try:
            fields = json_of(_sidecar(path).read_text("utf-8"))
            return _artifact(fields) if path.exists() else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"Expected a sidecar of lossplace at {_sidecar(path)}, found something unreadable "
                f"({first_line(error)}); delete it and run the command again."
            ) from error

    def is_done(self, name: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
        """Tell whether ``name`` was written from these settings, inputs and this version.

        What is damaged is not done, which is said: the stage that asks makes it anew.
        """
        try:
            found = self.sidecar(name)
        except ArtifactError:
            return self._not_done("its sidecar is damaged", name)
        if found is None or found.inputs != inputs:
            return False
        if found.settings != _plain({**settings, "lossplace": version("lossplace")}):
            return False
        if found.sha256 != _sha256_of(self.path(name)):
            return self._not_done("it is not what was written", name)
        return True

    def sha256(self, name: str) -> str:
        """Return the hash of the finished artifact ``name``, to be another one's input.

        The file is read for it, once in a process, so that nothing is made of a damaged one.
        Raises ArtifactError if it is not done, damaged, or of another version of lossplace.
        """
        found = self.sidecar(name)
        if found is None:
            raise ArtifactError(
                f"Expected {self.path(name)} to be done, found no finished one; "
                f"run the stage that writes it first (`lossplace run` does all)."
            )
        if self.as_is:
            return found.sha256
        by, here = found.settings.get("lossplace"), version("lossplace")
        if by != here:
            raise ArtifactError(
                f"Expected {self.path(name)} to be of lossplace {here}, found it written by {by}; "
                "bring the run up to date by `lossplace run`, which keeps all votes, or use that "
                "version."
            )
        if found.sha256 != _sha256_of(self.path(name)):
            if self.sidecar(name) != found:  # another process is just replacing it
                return self.sha256(name)
            raise ArtifactError(
                f"Expected {self.path(name)} to be what was written, found a damaged file (its "
                f"bytes are others than {_sidecar(self.path(name)).name} says); delete it and run "
                "the command that writes it again (`lossplace run` does all)."
            )
        return found.sha256

    def is_sound(self, name: str) -> bool:
        """Tell whether ``name`` can be read: done, by this version, and not damaged."""
        try:
            self.sha256(name)
        except ArtifactError:
            return False
        return True

    def read(
        self,
        name: str,
        columns: list[str] | None = None,
        filters: list[tuple[str, str, Any]] | None = None,
    ) -> pd.DataFrame:
        """Return the finished table ``name``. Raises ArtifactError if it is not there or broken."""
        import pandas as pd
        import pyarrow as pa

        self.sha256(name)
        try:
            return pd.read_parquet(self.path(name), columns=columns, filters=filters)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise ArtifactError(
                f"Expected a Parquet table at {self.path(name)}, found a damaged file "
                f"({first_line(error)}); delete it and run the command again."
            ) from error

    def write(self, name: str, frame: pd.DataFrame, artifact: Artifact) -> None:
        """Write ``frame`` as the table ``name`` (Parquet), then its sidecar."""
        with self.replacing(name, artifact) as (temporary, facts):
            frame.to_parquet(temporary, index=False, compression="zstd")
            facts["rows"] = len(frame)

    def write_pieces(
        self, name: str, schema: pa.Schema, pieces: Iterable[pa.Table], artifact: Artifact
    ) -> None:
        """Write the table ``name`` piece by piece, then its sidecar."""
        import pyarrow.parquet as pq

        with self.replacing(name, artifact) as (temporary, facts):
            facts["rows"] = 0
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for piece in pieces:
                    writer.write_table(piece)
                    facts["rows"] += len(piece)

    def write_bytes(self, name: str, content: bytes, artifact: Artifact) -> None:
        """Write a file that is no table (CSV, LaTeX, SVG ...), then its sidecar."""
        with self.replacing(name, artifact) as (temporary, _):
            temporary.write_bytes(content)

    def keep_only(self, folder: str, names: Iterable[str]) -> None:
        """Remove the artifacts in ``folder`` of the run that are not among ``names``."""
        kept = set(names)
        for sidecar in sorted(self.path(folder).glob(_sidecar(Path("*")).name)):
            artifact = sidecar.with_name(sidecar.name.removesuffix(".meta.json"))
            if artifact.relative_to(self.folder).as_posix() not in kept:
                # the sidecar last: by it an artifact is found again, if this is where it ends
                artifact.unlink(missing_ok=True)
                sidecar.unlink()

    @contextmanager
    def replacing(self, name: str, artifact: Artifact) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Give a temporary path; when the block ends well it becomes ``name``, sidecar last.

        The dictionary given beside it takes ``rows`` and ``notes`` for the sidecar.
        """
        path = self.path(name)
        facts: dict[str, Any] = {"rows": artifact.rows, "notes": artifact.notes}
        with whole(path) as temporary:
            yield temporary, facts
            digest = file_sha256(temporary)
            _sidecar(path).unlink(missing_ok=True)
        fields = {
            "command": artifact.command,
            "inputs": dict(artifact.inputs),
            "notes": facts["notes"],
            "rows": facts["rows"],
            "settings": _plain({**artifact.settings, "lossplace": version("lossplace")}),
            "sha256": digest,
        }
        _HASHED[_state(path)] = digest
        write_atomically(_sidecar(path), json.dumps(fields, indent=1, sort_keys=True) + "\n")

    def _not_done(self, why: str, name: str) -> bool:
        from mining.progress import say

        say(f"{self.path(name)} is made anew: {why}")
        return False


def table_of(schema: pa.Schema, records: Iterable[Any]) -> pa.Table:
    """Return the records as an Arrow table; the schema's field names are their attributes."""
    import pyarrow as pa

    rows = list(map(attrgetter(*schema.names), records))
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path, for a file or a folder; when the block ends well, it becomes ``path``.

    A file that is there is replaced, and so is an empty folder by a folder.
    """
    with beside(path) as temporary:
        yield temporary
        settle(temporary, path)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``, which is removed at the end.

    What a process that is gone has left of the same is removed, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left(path.parent, path.name)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
    finally:
        _remove(temporary)


def settle(temporary: Path, path: Path) -> None:
    """Give a finished file or folder its name, once all of it is on the disk."""
    for file in temporary.rglob("*") if temporary.is_dir() else [temporary]:
        if file.is_file():
            _to_disk(file)
    temporary.replace(path)


def remove_left(folder: Path, name: str | None = None) -> None:
    """Remove what processes that are gone have left half-written in a folder, of one name or any.

    Who writes without a process's number in the name does so alone (see locking), and is gone.
    """
    for each in folder.iterdir():
        left = re.fullmatch(r"\.(.+?)(?:\.(\d+))?\.part", each.name)
        if left and name in (None, left[1]) and not (left[2] and _is_at_work(int(left[2]))):
            _remove(each)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, "utf-8")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_at_work(process: int) -> bool:
    """Tell whether another process of this number runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return process != os.getpid()


def _to_disk(file: Path) -> None:
    opened = os.open(file, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _artifact(fields: Any) -> Artifact:
    """Return what a sidecar says. Raises ValueError, KeyError or TypeError if it is none."""
    found = Artifact(
        fields["command"],
        fields["settings"],
        fields["inputs"],
        fields["rows"],
        fields["sha256"],
        fields["notes"],
    )
    if (
        not isinstance(found.settings, dict)
        or not isinstance(found.inputs, dict)
        or not all(isinstance(text, str) for text in found.inputs.values())
        or not isinstance(found.command, str)
        or not isinstance(found.sha256, str)
        or not isinstance(found.rows, int | None)
        or not isinstance(found.notes, dict | None)
    ):
        raise ValueError("a field of another type")
    return found


_HASHED: dict[tuple[int, ...], str] = {}
"""The hashes of files that this process has read or written; see ``_state``."""


def _sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, as they are now; empty if it cannot be read."""
    try:
        state = _state(path)
        if state not in _HASHED:
            _HASHED[state] = file_sha256(path)
        return _HASHED[state]
    except OSError:
        return ""


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written to."""
    about = path.stat()
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.meta.json")


def _plain(settings: Mapping[str, Any]) -> Any:
    """Return the settings as JSON reads them back, so that both sides compare equal."""
    return json.loads(json.dumps(settings, default=str))
