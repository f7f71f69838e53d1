"""A run folder: tables written whole or not at all, each with a sidecar that says how.

An artifact is written to a temporary name and renamed; its ``<name>.meta.json`` comes last.
No sidecar means not done. A sidecar holds no time and no path, so that two runs of the same
study over the same inputs are byte-equal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mining.errors import ArtifactError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a sidecar says: how a file came to be. ``settings`` and ``inputs`` decide staleness."""

    command: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    rows: int | None = None
    sha256: str | None = None
    notes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What a study leaves on disk, under one folder."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return the place of the artifact ``name``, done or not."""
        return self.folder / name

    def sidecar(self, name: str) -> Artifact | None:
        """Return what is known of ``name``, or None where it is not done."""
        path = self.path(name)
        try:
            fields = json.loads(_sidecar(path).read_text("utf-8"))
            if not path.exists():
                return None
            return Artifact(
                fields["command"],
                fields["settings"],
                fields["inputs"],
                fields["rows"],
                fields["sha256"],
                fields["notes"],
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"Expected a sidecar of lossplace at {_sidecar(path)}, found something unreadable "
                f"({error}); delete it and run the command again."
            ) from error

    def is_done(self, name: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
        """Tell whether ``name`` was written from these settings, inputs and this version."""
        found = self.sidecar(name)
        return (
            found is not None
            and found.settings == _plain({**settings, "lossplace": version("lossplace")})
            and found.inputs == inputs
        )

    def sha256(self, name: str) -> str:
        """Return the hash of the finished artifact ``name``, to be another one's input.

        Raises ArtifactError if it is not done.
        """
        found = self.sidecar(name)
        if found is None or found.sha256 is None:
            raise ArtifactError(
                f"Expected {self.path(name)} to be done, found no finished one; "
                f"run the stage that writes it first (`lossplace run` does all)."
            )
        return found.sha256

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
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ArtifactError(
                f"Expected a Parquet table at {self.path(name)}, found a damaged file "
                f"({_first_line(error)}); delete it and run the command again."
            ) from error

    def write(self, name: str, frame: pd.DataFrame, artifact: Artifact) -> None:
        """Write ``frame`` as the table ``name`` (Parquet), then its sidecar."""
        with self.replacing(name, artifact) as (temporary, facts):
            frame.to_parquet(temporary, index=False, compression="zstd")
            facts["rows"] = len(frame)

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
                sidecar.unlink()
                artifact.unlink(missing_ok=True)

    @contextmanager
    def replacing(self, name: str, artifact: Artifact) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Give a temporary path; when the block ends well it becomes ``name``, sidecar last.

        The dictionary given beside it takes ``rows`` and ``notes`` for the sidecar.
        """
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        facts: dict[str, Any] = {"rows": artifact.rows, "notes": artifact.notes}
        try:
            yield temporary, facts
            digest = file_sha256(temporary)
            _sidecar(path).unlink(missing_ok=True)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        fields = {
            "command": artifact.command,
            "inputs": dict(artifact.inputs),
            "notes": facts["notes"],
            "rows": facts["rows"],
            "settings": _plain({**artifact.settings, "lossplace": version("lossplace")}),
            "sha256": digest,
        }
        write_atomically(_sidecar(path), json.dumps(fields, indent=1, sort_keys=True) + "\n")


def table_of(schema: pa.Schema, records: Iterable[Any]) -> pa.Table:
    """Return the records as an Arrow table; the schema's field names are their attributes."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for record in records:
        for name, values in columns.items():
            values.append(getattr(record, name))
    return pa.table(columns, schema=schema)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.meta.json")


def _plain(settings: Mapping[str, Any]) -> Any:
    """Return the settings as JSON reads them back, so that both sides compare equal."""
    return json.loads(json.dumps(settings, default=str))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
