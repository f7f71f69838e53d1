"""Where machines meet that share no disk: object storage, or any address that fsspec knows.

Files there are put whole or not at all. Credentials come from the environment of each machine, as
the backend's own tools read them (for ``s3://``: ``AWS_ACCESS_KEY_ID`` and the rest, a profile, or
the machine's role; ``AWS_ENDPOINT_URL`` for what is not Amazon's).
"""

from __future__ import annotations

import io
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from mining.artifacts import settle
from mining.errors import LossplaceError, ServiceError, StudyError, first_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60}},
}
"""By protocol: bounded waits, where a backend's own are long."""


@dataclass(frozen=True)
class Storage:
    """A folder of files; ``address`` is a path, or an address such as ``s3://bucket/prefix``.

    Its methods raise StudyError for an address that nothing is known of, and ServiceError if what
    is there cannot be reached.
    """

    address: str

    def __truediv__(self, name: str) -> Storage:
        return Storage(f"{self.address.rstrip('/')}/{name}")

    def check(self) -> None:
        """Write a file and remove it, so that what is wrong shows before there is work."""
        name = f".{uuid.uuid4().hex}.check"
        with _reaching(self.address, is_there=False):
            self._make()
            self._files.pipe_file(self._path(name), b"lossplace")
            self._files.rm_file(self._path(name))

    def names(self) -> set[str]:
        """Return the names of the files that are there, whole."""
        with _reaching(self.address), suppress(FileNotFoundError):
            found = {PurePosixPath(each).name for each in self._files.ls(self.root, detail=False)}
            return {name for name in found if not name.startswith(".")}
        return set()

    def __contains__(self, name: str) -> bool:
        with _reaching(self.address):
            return bool(self._files.exists(self._path(name)))

    def put(self, file: Path, name: str) -> None:
        """Copy a file of this machine there."""
        with _reaching(self.address, is_there=False):
            if self.is_local:
                with self.writing(name) as there:
                    shutil.copyfile(file, there)
            else:  # an object appears when it is whole
                self._files.put_file(str(file), self._path(name))

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a place on this machine; a file written there is put if the block ends well.

        What the block raises is left as it is, and so is what a full disk raises.
        """
        if not self.is_local:
            with tempfile.TemporaryDirectory(prefix="lossplace-") as scratch:
                file = Path(scratch, "file")
                yield file
                self.put(file, name)
            return
        self._make()
        temporary = Path(self._path(f".{name}.{uuid.uuid4().hex}.part"))
        try:
            yield temporary
            settle(temporary, Path(self._path(name)))
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for reading. Raises FileNotFoundError if it is not there."""
        with _reaching(self.address):
            file = self._files.open(self._path(name), "rb")
        with file, io.BufferedReader(_Reading(self.address, file)) as reading:
            yield reading

    def get(self, name: str, file: Path) -> None:
        """Copy a file from there to this machine. Raises FileNotFoundError if it is not there."""
        with _reaching(self.address):
            self._files.get_file(self._path(name), str(file))

    def size(self, name: str) -> int:
        """Return the bytes of a file. Raises FileNotFoundError if it is not there."""
        with _reaching(self.address):
            return int(self._files.size(self._path(name)))

    def clear(self) -> None:
        """Remove the folder with all that is in it."""
        with _reaching(self.address), suppress(FileNotFoundError):
            self._files.rm(self.root, recursive=True)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, or one that is mounted here."""
        with _reaching(self.address):
            protocol = self._files.protocol
        return "file" in ([protocol] if isinstance(protocol, str) else protocol)

    def _make(self) -> None:
        if self.is_local:
            self._files.makedirs(self.root, exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    @property
    def root(self) -> str:
        """The address as its backend has it; of a folder, the path."""
        with _reaching(self.address):
            return self._opened[1].rstrip("/")

    @property
    def _files(self) -> AbstractFileSystem:
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        protocol = self.address.partition("://")[0] if "://" in self.address else "file"
        # what another machine has put meanwhile must be seen
        options = {"use_listings_cache": False, **_OPTIONS.get(protocol, {})}
        files, root = url_to_fs(self.address, **options)
        return files, str(root)

    def __getstate__(self) -> dict[str, str]:
        return {"address": self.address}


class _Reading(io.RawIOBase):
    """A file in storage that says in one sentence why it cannot be read."""

    def __init__(self, address: str, file: IO[bytes]) -> None:
        self._address = address
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _reaching(self._address, is_there=False):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def _reaching(address: str, *, is_there: bool = True) -> Iterator[None]:
    """Say in one sentence what a backend means.

    FileNotFoundError is for the caller, unless it can only mean that the bucket is not there.
    """
    try:
        yield
    except LossplaceError:
        raise
    except (ImportError, ValueError) as error:
        raise StudyError(
            f"Expected scale.storage such as s3://bucket/prefix, found {address} "
            f"({first_line(error)}); `pip install 'lossplace[ray]'` has what s3:// needs."
        ) from error
    except Exception as error:  # each backend raises its own
        if is_there and isinstance(error, FileNotFoundError):
            raise
        raise ServiceError(
            f"Expected to read and write {address}, found that it cannot be done "
            f"({first_line(error)}); check the address, the network and the credentials in the "
            "environment, and run the command again: what is done stays."
        ) from error
