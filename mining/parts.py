"""Parts: what a worker hands over for one repository, until the driver has put all together.

A part is one file, written whole or not at all, under a name that is the hash of all that it
depends on. One that is there is done: a stage that was killed goes on where it was, work lost
with a worker is done again, and nothing counts twice. Workers and driver meet in a folder, which
may be in object storage (any address that fsspec knows).
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from mining.artifacts import Run
from mining.errors import ArtifactError
from mining.storage import Storage
from mining.study import ScaleSettings

_NAME = b"table"
_END = b"lossplace"
"""After the last table, so that no part that is cut is taken for a whole one."""
_SUFFIX = ".arrow"


def part_key(*depends_on: Any) -> str:
    """Return the name of the part that follows from these values (JSON), by this version."""
    text = json.dumps([_version(), *depends_on], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def open_parts(run: Run, scale: ScaleSettings, stage: str) -> Parts:
    """Return where the parts of a stage of a run lie: in its folder, or in the storage named."""
    here = f"{stage}.parts"
    if scale.storage is None:
        return Parts(str(run.path(here).resolve()))
    return Parts((Storage(scale.storage) / run.folder.resolve().name / here).address)


@dataclass(frozen=True)
class Parts:
    """A folder of parts; ``address`` is a path, or any other address that fsspec knows."""

    address: str

    def __contains__(self, key: str) -> bool:
        """Tell whether a part is there, which means that it is whole."""
        return key + _SUFFIX in self._storage

    def keys(self) -> set[str]:
        """Return the names of all parts that are there."""
        found = self._storage.names()
        return {name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)}

    def put(self, key: str, tables: Iterable[tuple[str, pa.Table]]) -> None:
        """Write a part: tables under their names, which may repeat, one in memory at a time.

        Raises ArtifactError where there is no such run: this is another machine then.
        """
        is_local = self._storage.is_local
        if is_local:
            self._make()
        # over a network less is more; a disk of this machine is as fast as the compression
        options = pa.ipc.IpcWriteOptions(compression=None if is_local else "lz4")
        with self._storage.writing(f"{key}{_SUFFIX}") as part, pa.OSFile(str(part), "wb") as file:
            for table_name, table in tables:
                named = table.replace_schema_metadata({_NAME: table_name})
                with pa.ipc.new_stream(file, named.schema, options=options) as stream:
                    stream.write_table(named)
            file.write(_END)

    def get(self, key: str) -> Iterator[tuple[str, pa.Table]]:
        """Give the tables of a part in the order in which they were put.

        Raises ArtifactError if it is not there, though it was put, or is damaged.
        """
        with ExitStack() as stack:
            try:
                file: Any
                if self._storage.is_local:
                    file = pa.OSFile(f"{self._storage.root}/{key}{_SUFFIX}", "rb")
                else:
                    opened: Any = stack.enter_context(self._storage.open(f"{key}{_SUFFIX}"))
                    file = pa.PythonFile(opened, "r")
            except FileNotFoundError:
                raise ArtifactError(
                    f"Expected in {self.address} what a worker left there, found nothing; let all "
                    "machines share the run's folder, or set scale.storage."
                ) from None
            stack.enter_context(file)
            yield from self._tables(file)

    def _tables(self, file: pa.NativeFile) -> Iterator[tuple[str, pa.Table]]:
        try:
            end = file.size() - len(_END)
            file.seek(max(end, 0))
            if file.read() != _END:
                raise pa.ArrowInvalid("no end")
            file.seek(0)
            while file.tell() < end:
                table = pa.ipc.open_stream(file).read_all()
                yield table.schema.metadata[_NAME].decode(), table.replace_schema_metadata()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ArtifactError(
                f"Expected in {self.address} what a worker left there, found a part that is "
                f"damaged; delete {self.address} and run the command again."
            ) from error

    def clear(self) -> None:
        """Remove all parts, and what a killed worker left of one."""
        self._storage.clear()

    def _make(self) -> None:
        folder = Path(self._storage.root)
        try:
            folder.mkdir(exist_ok=True)
        except FileNotFoundError:
            raise ArtifactError(
                f"Expected the run's folder {folder.parent} on {platform.node()}, found none; let "
                "all machines share it, or set scale.storage."
            ) from None

    @cached_property
    def _storage(self) -> Storage:
        return Storage(self.address)


@cache
def _version() -> str:
    return version("lossplace")  # which reads the package's metadata anew each time
