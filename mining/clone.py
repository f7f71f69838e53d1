"""A repository as a bare clone: its code at one commit, and nothing else of it.

There is no work tree. Files are read from git's object store, so that no file name, link, case
clash or attribute of a repository ever meets the file system, and git runs no hook and no filter.

A clone is shallow (one commit) and without file contents; then those of the code, and only those,
are fetched in one request. Beside git's own files it holds ``listing`` (``git ls-tree -r -z`` of
the commit), ``sizes`` (``git cat-file --batch-check`` of the code) and ``lossplace.json``.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from mining.artifacts import file_sha256
from mining.corpus import FoundFile, git_blob_sha1, is_code, not_code, printable_path, too_large
from mining.errors import ArtifactError
from mining.git import PATIENCE_S, Git, Limits, RefusedError, UnansweredError, reading_git
from mining.records import Outcome
from mining.untrusted_json import json_of

NOTE, _LISTING, _SIZES = "lossplace.json", "listing", "sizes"
_INSTANTS = ("before", "committed_at")
_REF = "refs/heads/main"
_MAX_LISTING_BYTES = 100_000_000
"""Of ``listing``: about a million files."""

_ALL_COMMITS = f"--depth={2**31 - 1}"
"""What ``--unshallow`` means, also where there is but one commit."""

# without a remote: nothing that reads a clone can come to ask a host for what is not there
_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"


class Commit(NamedTuple):
    """A commit's full hash, and its committer's date; None where that cannot be read."""

    sha1: str
    committed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which state of a repository, and which files of it.

    ``commit`` is a full hash. Without one it is the last commit of the default branch: of all,
    or of those committed before the instant ``before`` (in the branch's own line of commits,
    first parents, so that it is a state in which the branch was).
    """

    commit: str | None = None
    before: datetime | None = None
    notebooks: bool = False


class Held:
    """What is known of a clone, wherever it lies."""

    __slots__ = ()
    commit: Commit
    wanted: Wanted

    def serves(self, wanted: Wanted) -> bool:
        """Tell whether it holds what is wanted, so that nothing needs to be fetched."""
        if wanted.notebooks and not self.wanted.notebooks:
            return False
        if wanted.commit is not None:
            return wanted.commit == self.commit.sha1
        return self.wanted.commit is None and self.wanted.before == wanted.before


@dataclass(frozen=True, slots=True)
class Clone(Held):
    """A clone on disk."""

    folder: Path
    commit: Commit
    wanted: Wanted

    @property
    def size_bytes(self) -> int:
        """The bytes that its folder takes."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


def open_clone(folder: Path) -> Clone | None:
    """Return the clone in a folder, None where there is no folder.

    Raises ArtifactError if the folder is no finished clone.
    """
    if not folder.is_dir():
        return None
    try:
        return Clone(folder, *read_note((folder / NOTE).read_bytes()))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"Expected the clone of a repository at {folder}, found something else ({error}); "
            "delete it and run `lossplace fetch` again."
        ) from error


def read_note(note: bytes) -> tuple[Commit, Wanted]:
    """Return what ``lossplace.json`` says of a clone. Raises ValueError if it is none."""
    try:
        fields = json_of(note.decode("utf-8"))
        before, date = (fields[key] and datetime.fromisoformat(fields[key]) for key in _INSTANTS)
        wanted = Wanted(fields["pinned"], before, fields["notebooks"])
        return Commit(fields["commit"], date), wanted
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def make_clone(git: Git, url: str, folder: Path, wanted: Wanted, limits: Limits) -> Clone:
    """Fetch what is wanted of a repository into ``folder``, which appears when it is whole.

    Raises RefusedError or UnansweredError, or ArtifactError if nothing can be written.
    """
    # names of this attempt's own: another machine may still be at one that is given up
    name = f".{folder.name}.{uuid.uuid4().hex}"
    part, replaced = (folder.with_name(f"{name}.{state}.part") for state in ("new", "old"))
    try:
        revision = wanted.commit or "HEAD"
        if wanted.commit is None and wanted.before is not None:
            revision = _last_before(_Remote(git, url, part, limits), wanted.before)
        remote = _Remote(git, url, part, limits)
        remote.fetch("--depth=1", "--filter=blob:none", f"+{revision}:{_REF}")
        commit = remote.commit()
        _fetch_code(remote, part, notebooks=wanted.notebooks)
        note = {
            "commit": commit.sha1,
            "committed_at": commit.committed_at and commit.committed_at.isoformat(),
            "pinned": wanted.commit,
            "before": wanted.before and wanted.before.isoformat(),
            "notebooks": wanted.notebooks,
            "sha256": {name: file_sha256(part / name) for name in (_LISTING, _SIZES)},
        }
        (part / NOTE).write_text(json.dumps(note, indent=1) + "\n", "utf-8")
        clone = Clone(part, commit, wanted)
        if clone.size_bytes > limits.max_bytes:
            raise RefusedError(f"larger than the limit of {limits.max_bytes} bytes")
        with suppress(FileNotFoundError):  # of another state; whole, or not there under its name
            folder.rename(replaced)
        try:
            part.rename(folder)
        except OSError:
            # another machine came first: one that had been given up
            other = open_clone(folder)
            if other is None or not other.serves(wanted):
                raise
            return other
        return replace(clone, folder=folder)
    finally:
        for left in (part, replaced):
            shutil.rmtree(left, ignore_errors=True)


def files_of_clone(folder: Path, max_file_bytes: int, *, notebooks: bool) -> Iterator[FoundFile]:
    """Give every file of a clone, in git's order; only of code there are bytes and a size.

    Raises ArtifactError if the clone is damaged.
    """
    _check(folder)
    sizes = _sizes(folder)
    files: list[FoundFile | _Entry] = []
    paths: set[str] = set()
    for entry in _entries(folder):
        size = sizes.get(entry.sha1)
        reason = entry.refusal() or ("another file has its name" if entry.path in paths else None)
        paths.add(entry.path)
        if entry.mode in _LINKS:
            reason = f"{_LINKS[entry.mode]}, which is not followed"
            files.append(entry.unread(Outcome.LINK, reason))
        elif not is_code(entry.path, notebooks=notebooks):
            files.append(not_code(entry.path, None, entry.sha1))
        elif reason is not None or size is None:
            files.append(entry.unread(Outcome.UNREADABLE, reason or "not a regular file"))
        elif size > max_file_bytes:
            files.append(too_large(entry.path, size, max_file_bytes, entry.sha1))
        else:
            files.append(entry)
    contents = _contents(folder, [each.sha1 for each in files if isinstance(each, _Entry)])
    for each in files:
        if isinstance(each, _Entry):
            content = next(contents)
            yield FoundFile(each.path, len(content), each.sha1, content)
        else:
            yield each


def commit_of(folder: Path) -> Commit | None:
    """Return the commit that a folder with a ``.git`` of its own is at, else None.

    Reads references and the commit, nothing else, so that nothing which the folder holds is run.
    """
    git_folder = folder / ".git"
    return _commit(git_folder, "HEAD") if git_folder.exists() else None


class _Entry(NamedTuple):
    """A line of ``listing``."""

    mode: str
    sha1: str
    name: bytes

    @property
    def path(self) -> str:
        return printable_path(self.name)

    def is_code(self, *, notebooks: bool) -> bool:
        """Tell whether it is a file whose bytes are wanted."""
        named = is_code(self.path, notebooks=notebooks)
        return named and self.mode.startswith("100") and self.refusal() is None

    def refusal(self) -> str | None:
        parts = self.name.lower().split(b"/")
        if {b"", b".", b"..", b".git"}.isdisjoint(parts):
            return None
        return "its path leads out of the repository, or to git's own files"

    def unread(self, outcome: Outcome, reason: str) -> FoundFile:
        return FoundFile(self.path, None, self.sha1, None, outcome, reason)


_LINKS = {"120000": "a symbolic link", "160000": "a submodule"}


class _Remote:
    """A repository elsewhere, and the bare repository ``folder`` that takes what is fetched."""

    def __init__(self, git: Git, url: str, folder: Path, limits: Limits) -> None:
        """Make the folder."""
        self._git = git
        self._url = url
        self._folder = folder
        self._limits = limits
        shutil.rmtree(folder, ignore_errors=True)
        git("init", "--quiet", "--bare", "--template=", "--", str(folder), limits=limits)

    def __call__(
        self,
        *arguments: str,
        limits: Limits | None = None,
        stdin: Path | None = None,
        stdout: Path | None = None,
    ) -> str:
        """Run git on the folder."""
        return self._git(
            f"--git-dir={self._folder}",
            "-c",
            f"remote.origin.url={self._url}",
            *arguments,
            limits=limits or self._limits,
            stdin=stdin,
            stdout=stdout,
        )

    def fetch(self, *arguments: str, stdin: Path | None = None) -> None:
        """Run ``git fetch``; the last arguments are refspecs, or ``stdin`` holds them."""
        options = [a for a in arguments if a.startswith("--")]
        refspecs = [a for a in arguments if not a.startswith("--")]
        try:
            self(
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--recurse-submodules=no",
                *options,
                "origin",
                *refspecs,
                stdin=stdin,
            )
        except RefusedError as error:
            if "find remote ref HEAD" not in str(error):
                raise
            if not self._git.speaks(self._url, self._limits):
                raise UnansweredError("a web page in place of a repository") from None
            raise RefusedError("empty: it holds no commit") from None

    def listing(self, file: Path) -> None:
        """Write what files the commit has."""
        limits = replace(self._limits, max_bytes=min(self._limits.max_bytes, _MAX_LISTING_BYTES))
        try:
            self("ls-tree", "-r", "-z", "--full-tree", _REF, limits=limits, stdout=file)
        except RefusedError as error:
            raise RefusedError(f"its list of files: {error}") from None

    def commit(self) -> Commit:
        """Return the commit that was fetched."""
        found = _commit(self._folder, _REF)
        if found is None:
            raise UnansweredError("the host did not send the commit")
        return found


def _last_before(remote: _Remote, instant: datetime) -> str:
    """Return the last commit of the default branch before an instant.

    Most repositories rest: their newest commit, asked for alone, is old enough. Of the others
    all commits are fetched, without trees and files.
    """
    last_old = (f"--min-age={math.ceil(instant.timestamp()) - 1}", "--max-count=1")
    only_commits = ("--filter=tree:0", f"+HEAD:{_REF}")
    remote.fetch("--depth=1", *only_commits)
    if not (found := remote("rev-list", *last_old, _REF)):
        remote.fetch(_ALL_COMMITS, *only_commits)
        found = remote("rev-list", "--first-parent", *last_old, _REF)
    if not found:
        raise RefusedError(f"no commit on its default branch before {instant.isoformat()}")
    return found.strip()


def _fetch_code(remote: _Remote, folder: Path, *, notebooks: bool) -> None:
    """Fetch the contents of the code, note what there is, and forget where it came from."""
    remote.listing(folder / _LISTING)
    code = {e.sha1 for e in _entries(folder) if e.is_code(notebooks=notebooks)}
    names = folder / "names"
    names.write_text("".join(f"{sha1}\n" for sha1 in sorted(code)), "ascii")
    if code:
        # how git itself fetches what a blob-less clone lacks, but all at once
        remote.fetch("--filter=blob:none", "--stdin", stdin=names)
    (folder / "config").write_text(_CONFIG, "ascii")
    remote("cat-file", "--batch-check", stdin=names, stdout=folder / _SIZES)
    names.unlink()
    if b" missing\n" in (folder / _SIZES).read_bytes():
        raise UnansweredError("the host did not send all files")


def _entries(folder: Path) -> Iterator[_Entry]:
    for line in (folder / _LISTING).read_bytes().split(b"\0")[:-1]:
        about, _, name = line.partition(b"\t")
        mode, _, sha1 = about.decode("ascii").split(" ")
        yield _Entry(mode, sha1, name)


def _check(folder: Path) -> None:
    """Raise ArtifactError unless a clone's lists are those that were made of it."""
    try:
        noted = json_of((folder / NOTE).read_bytes())["sha256"]
        damaged = [name for name, sha256 in noted.items() if file_sha256(folder / name) != sha256]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        damaged = [NOTE]
    if damaged:
        raise _damaged(folder, damaged[0])


def _damaged(folder: Path, what: str) -> ArtifactError:
    return ArtifactError(
        f"Expected {what} of the clone {folder} to be as it was fetched, found it damaged; "
        "delete the clone and run `lossplace fetch` again."
    )


def _sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each file whose contents were fetched, by its hash."""
    lines = (line.split(" ") for line in (folder / _SIZES).read_text("ascii").splitlines())
    return {line[0]: int(line[2]) for line in lines if line[1] == "blob"}


def _contents(folder: Path, names: list[str]) -> Iterator[bytes]:
    """Give the contents of the objects named."""
    if not names:
        return
    with tempfile.TemporaryFile() as asked:
        asked.write("".join(f"{name}\n" for name in names).encode("ascii"))
        asked.seek(0)
        with reading_git(folder, "cat-file", "--batch", stdin=asked) as output:
            for name in names:
                found = _object(output)
                # git itself does not look whether an object still has the hash that names it
                if found is None or (len(name) == 40 and git_blob_sha1(found[1]) != name):
                    raise _damaged(folder, f"the file {name}")
                yield found[1]


def _commit(git_folder: Path, revision: str) -> Commit | None:
    with tempfile.TemporaryFile() as asked:
        asked.write(f"{revision}\n".encode("ascii"))
        asked.seek(0)
        asking = ("cat-file", "--batch")
        with reading_git(git_folder, *asking, stdin=asked, timeout_s=PATIENCE_S) as output:
            found = _object(output)
    if found is None:
        return None
    return Commit(found[0], _committed_at(found[1]))


def _object(output: IO[bytes]) -> tuple[str, bytes] | None:
    """Read the next object that ``git cat-file --batch`` prints: its hash and its bytes."""
    about = output.readline().split()
    if len(about) != 3 or not about[2].isdigit():
        return None
    content = output.read(int(about[2]) + 1)[:-1]
    return (about[0].decode("ascii"), content) if len(content) == int(about[2]) else None


def _committed_at(commit: bytes) -> datetime | None:
    found = re.search(rb"^committer .*> (\d+) [+-]\d{4}$", commit.partition(b"\n\n")[0], re.M)
    if found is None:
        return None
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(found[1]), UTC)
    return None
