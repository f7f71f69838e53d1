"""Where the clones of a run lie: in its folder, or in storage, as one tar file each.

An archive holds the bare clone as ``mining.clone`` makes it, ``lossplace.json`` first, so that
what it is can be read without all of it. Equal clones make equal archives.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias

from mining.artifacts import Run
from mining.clone import NOTE, Clone, Commit, Held, Wanted, make_clone, open_clone, read_note
from mining.corpus import folder_name
from mining.errors import ArtifactError
from mining.git import Git, Limits
from mining.storage import Storage
from mining.study import ScaleSettings

CLONES = "clones"


@dataclass(frozen=True, slots=True)
class StoredClone(Held):
    """A clone in storage."""

    storage: Storage
    name: str
    size_bytes: int
    commit: Commit
    wanted: Wanted

    @contextmanager
    def unpacked(self) -> Iterator[Clone]:
        """Give it as a clone on this machine's disk, for as long as the block lasts.

        Raises ArtifactError if it is not there any more, or is another by now.
        """
        with tempfile.TemporaryDirectory(prefix="lossplace-") as scratch:
            archive, folder = Path(scratch, "archive"), Path(scratch, "clone")
            try:
                self.storage.get(self.name, archive)
                _unpack(archive, folder)
                clone = open_clone(folder)
            except (FileNotFoundError, tarfile.TarError, ValueError) as error:
                raise _damaged(self.storage, self.name, error) from error
            if clone is None or clone.commit != self.commit:
                raise _damaged(self.storage, self.name, "another commit")
            yield clone


Place: TypeAlias = Path | Clone | StoredClone
"""Where the files of a repository are: in a folder of a local corpus, or in a clone."""


class Clones(Protocol):
    """The clones of a run; can be pickled."""

    def prepare(self) -> None:
        """Make sure that clones can be put there. Raises ServiceError for what is out of reach."""
        ...

    def names(self) -> set[str]:
        """Return the file names of all that are there: compare with ``name``."""
        ...

    def name(self, repository: str) -> str:
        """Return under which name a repository's clone is, or will be."""
        ...

    def find(self, repository: str) -> Clone | StoredClone | None:
        """Return a repository's clone; None if there is none. ArtifactError: it is no clone."""
        ...

    def make(
        self, git: Git, url: str, repository: str, wanted: Wanted, limits: Limits
    ) -> Clone | StoredClone:
        """Fetch a repository; see make_clone."""
        ...


def open_clones(run: Run, scale: ScaleSettings) -> Clones:
    """Return where the clones of a run lie."""
    if scale.storage is None:
        return ClonesInFolder(run.path(CLONES).resolve())
    storage = Storage(scale.storage) / run.folder.resolve().name / CLONES
    return ClonesInStorage(storage)


@dataclass(frozen=True, slots=True)
class ClonesInFolder:
    """Clones in the folder of a run, ``owner__name.git`` each."""

    folder: Path

    def prepare(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:
        """Return the names of the clones that are there."""
        if not self.folder.is_dir():
            return set()
        return {path.name for path in self.folder.iterdir() if path.is_dir()}

    def name(self, repository: str) -> str:
        """Return the name of a repository's clone."""
        return f"{folder_name(repository)}.git"

    def find(self, repository: str) -> Clone | None:
        """Return a repository's clone, if it is there."""
        return open_clone(self.folder / self.name(repository))

    def make(self, git: Git, url: str, repository: str, wanted: Wanted, limits: Limits) -> Clone:
        """Fetch a repository.

        Raises ArtifactError, too, where the folder is missing: this is another machine then.
        """
        if not self.folder.is_dir():
            raise ArtifactError(
                f"Expected the folder {self.folder} on each machine that fetches, found none on "
                "one; run in a folder that all share, or set scale.storage."
            )
        return make_clone(git, url, self.folder / self.name(repository), wanted, limits)


@dataclass(frozen=True, slots=True)
class ClonesInStorage:
    """Clones in storage, ``owner__name.tar`` each."""

    storage: Storage

    def prepare(self) -> None:
        """Try to write there."""
        self.storage.check()

    def names(self) -> set[str]:
        """Return the names of the archives that are there."""
        return self.storage.names()

    def name(self, repository: str) -> str:
        """Return the name of a repository's archive."""
        return f"{folder_name(repository)}.tar"

    def find(self, repository: str) -> StoredClone | None:
        """Return a repository's clone, if it is there; only the begin of its archive is read."""
        name = self.name(repository)
        try:
            with self.storage.open(name) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                first = archive.next()
                note = first and first.name == NOTE and archive.extractfile(first)
                if not note:
                    raise ValueError(f"no {NOTE} in it")
                commit, wanted = read_note(note.read(1_000_000))
            return StoredClone(self.storage, name, self.storage.size(name), commit, wanted)
        except FileNotFoundError:
            return None
        except (tarfile.TarError, ValueError) as error:
            raise _damaged(self.storage, name, error) from error

    def make(
        self, git: Git, url: str, repository: str, wanted: Wanted, limits: Limits
    ) -> StoredClone:
        """Fetch a repository onto this machine's disk, and put it into storage as a whole."""
        name = self.name(repository)
        with tempfile.TemporaryDirectory(prefix="lossplace-") as scratch:
            clone = make_clone(git, url, Path(scratch, "clone"), wanted, limits)
            archive = Path(scratch, "archive")
            _pack(clone, archive)
            self.storage.put(archive, name)
            return StoredClone(
                self.storage, name, archive.stat().st_size, clone.commit, clone.wanted
            )


def _pack(clone: Clone, archive: Path) -> None:
    """Write a clone as a tar file that says nothing of when and by whom."""
    paths = sorted(clone.folder.rglob("*"), key=lambda path: (path.name != NOTE, path.as_posix()))
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            entry = tarfile.TarInfo(path.relative_to(clone.folder).as_posix())
            if path.is_dir():
                entry.type = tarfile.DIRTYPE
                entry.mode = 0o755
                tar.addfile(entry)
            elif path.is_file():
                entry.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(entry, file)


def _unpack(archive: Path, folder: Path) -> None:
    """Write what an archive holds below a new folder; ValueError for what leads out of it."""
    folder.mkdir()
    with tarfile.open(archive, "r:") as tar:
        for entry in tar:
            path = PurePosixPath(entry.name)
            if path.is_absolute() or ".." in path.parts or not (entry.isdir() or entry.isfile()):
                raise ValueError(f"an entry {entry.name!r} that is no file of a clone")
            if entry.isdir():
                (folder / path).mkdir(parents=True, exist_ok=True)
                continue
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(entry) or io.BytesIO()
            with content, (folder / path).open("wb") as file:
                while part := content.read(1 << 20):
                    file.write(part)


def _damaged(storage: Storage, name: str, found: object) -> ArtifactError:
    return ArtifactError(
        f"Expected the clone of a repository at {storage.address}/{name}, found something else "
        f"({found}); delete it and run `lossplace fetch` again."
    )
