"""Repositories to folders of Python files, by git itself. What it fetches is never run.

A clone is shallow and without file contents; then only ``*.py`` are fetched and written, byte
for byte as committed: no hook, no filter (LFS among them), no submodule, no line-end conversion.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mining.artifacts import Run
from mining.corpus import folder_name
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.progress import track, wait
from mining.records import Dropped

CHECKOUTS = "checkouts"

_JOBS = 4
_ATTEMPTS = 3
_TIMEOUT_S = 600.0
_OLDEST_GIT = (2, 35)
"""The first with ``sparse-checkout set --no-cone``."""

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    # a link stays a link, which reading does not follow; as a file it would pass for Python
    "core.symlinks=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    # a transfer below 1 kB/s for a minute is given up
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
_ENVIRONMENT = {
    "LC_ALL": "C",  # messages are read below
    "GIT_ALLOW_PROTOCOL": "https:file",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GCM_INTERACTIVE": "never",
    "GIT_LFS_SKIP_SMUDGE": "1",
}
_ANOTHER_REPOSITORY = re.compile(
    "GIT_(DIR|WORK_TREE|COMMON_DIR|INDEX_FILE|PREFIX|OBJECT_DIRECTORY|SHALLOW_FILE|NAMESPACE"
    "|ALTERNATE_OBJECT_DIRECTORIES|CONFIG|CONFIG_PARAMETERS|CONFIG_COUNT)"
)
"""Variables that git itself sets for a hook, under which lossplace may run."""

_VERBATIM = "* -filter -text -ident -working-tree-encoding\n"
"""Git attributes which go before those in the repository."""

_UNANSWERED = re.compile(
    r"unable to access (?!.*returned error: 4(?!29))"  # of all statuses only 4xx is an answer
    r"|early EOF|RPC failed|unexpected disconnect|hung up unexpectedly"
)
_LOCAL = re.compile(r"No space left|quota exceeded|Read-only file system|Permission denied")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A repository on disk, at a commit (its full hash)."""

    repository: str
    folder: Path
    commit: str


def fetch_repositories(
    run: Run,
    repositories: Sequence[str],
    clone_url: str,
    wait: Callable[[float, str], None] = wait,
) -> tuple[list[Checkout], list[Dropped]]:
    """Fetch the Python files of each repository into ``checkouts/owner__name`` of the run.

    ``clone_url`` holds ``{repository}`` where ``owner/name`` goes. What is there already is
    kept. A repository that is gone, private or empty is dropped, with git's reason. Both lists
    keep the order of ``repositories``.

    Raises ServiceError if the host does not answer, for this repository nor for another;
    StudyError for a wrong ``clone_url``; ArtifactError if nothing can be written.
    """
    _check_url(clone_url)
    _check_git()
    folder = run.folder.resolve() / CHECKOUTS
    folder.mkdir(parents=True, exist_ok=True)
    git = _Git()
    job = _Job(git, folder, clone_url, wait)
    done: list[Checkout] = []
    dropped: dict[str, str] = {}
    silent: list[str] = []
    answering = next((r for r in repositories if _is_there(folder, r)), None)
    with ThreadPoolExecutor(_JOBS) as pool:
        try:
            for repository, result in zip(
                repositories,
                track(pool.map(job, repositories), "fetching", len(repositories)),
                strict=True,
            ):
                if isinstance(result, Checkout):
                    done.append(result)
                else:
                    dropped[repository] = str(result)
                if not isinstance(result, _UnansweredError):
                    answering = answering or repository
                    continue
                # its own fault, or the network's? another repository can tell
                silent.append(repository)
                if answering is None and len(silent) < _JOBS:
                    continue
                if answering is None or not job.answers(answering):
                    raise _unreachable(clone_url, str(result))
        except BaseException:
            git.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if silent and answering is None:
        raise _unreachable(clone_url, dropped[silent[-1]])
    return done, [Dropped(r, "fetch", reason) for r, reason in dropped.items()]


def commit_of(folder: Path) -> str | None:
    """Return the commit that a folder with a ``.git`` of its own is at, else None.

    Reads a reference and nothing else, so that nothing which the folder holds is run.
    """
    git_folder = folder / ".git"
    if not git_folder.exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "--git-dir", str(git_folder.resolve()), "rev-parse", "-q", "--verify", "HEAD"],
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


class _GitError(Exception):
    """Git could not do it; the text is its reason, in one line."""


class _RefusedError(_GitError):
    """The host answered, but there is nothing to be had."""


class _UnansweredError(_GitError):
    """No answer, or a broken one: the network's fault, or the host's."""


class _Git:
    """Runs git; ``stop`` ends what is running, from any thread."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, *arguments: str) -> None:
        """Run git to its end. Raises _RefusedError or _UnansweredError, or ArtifactError."""
        command = ["git", *(part for s in _SETTINGS for part in ("-c", s)), *arguments]
        with self._lock:
            if self._stopped:
                raise _UnansweredError("stopped")
            # a session of its own, so that git's helpers can be ended with it
            process = subprocess.Popen(
                command,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
        try:
            with process:
                try:
                    _, said = process.communicate(timeout=_TIMEOUT_S)
                finally:
                    _end(process)
        except subprocess.TimeoutExpired:
            raise _RefusedError(f"not fetched within {_TIMEOUT_S:.0f} s") from None
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode:
            raise _failure(said)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                _end(process)


class _Job:
    """Fetches one repository at a time, in any thread."""

    def __init__(
        self, git: _Git, folder: Path, clone_url: str, wait: Callable[[float, str], None]
    ) -> None:
        self._git = git
        self._folder = folder
        self._clone_url = clone_url
        self._wait = wait

    def __call__(self, repository: str) -> Checkout | _GitError:
        """Return the checkout, old or new, or what prevented it."""
        if not _NAME.fullmatch(repository):
            return _RefusedError("not a repository's name")
        folder = self._folder / folder_name(repository)
        if folder.is_dir():
            return Checkout(repository, folder, _commit(folder))
        temporary = self._folder / f".{folder.name}.part"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                shutil.rmtree(temporary, ignore_errors=True)
                self._clone(self._url(repository), temporary)
                commit = _commit(temporary)
                temporary.rename(folder)
                return Checkout(repository, folder, commit)
            except _UnansweredError as error:
                if attempt == _ATTEMPTS:
                    return error
                self._wait(4.0**attempt, f"{repository} was not fetched ({error})")
            except _RefusedError as error:
                return error
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        raise AssertionError("the last attempt returns")

    def answers(self, repository: str) -> bool:
        """Tell whether the host answers for a repository, be it with a refusal."""
        try:
            self._git("ls-remote", "--quiet", self._url(repository), "HEAD")
        except _UnansweredError:
            return False
        except _RefusedError:
            pass
        return True

    def _url(self, repository: str) -> str:
        return self._clone_url.replace("{repository}", repository)

    def _clone(self, url: str, folder: Path) -> None:
        self._git(
            "clone",
            "--quiet",
            "--depth=1",
            "--filter=blob:none",
            "--no-checkout",
            "--no-tags",
            "--no-recurse-submodules",
            "--template=",
            "--",
            url,
            str(folder),
        )
        if commit_of(folder) is None:
            raise _RefusedError("empty: it holds no commit")
        attributes = folder / ".git" / "info" / "attributes"
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text(_VERBATIM)
        self._git("-C", str(folder), "sparse-checkout", "set", "--no-cone", "*.py")
        self._git("-C", str(folder), "checkout", "--quiet")


_NAME = re.compile(r"[A-Za-z0-9_-]+/(?!\.{1,2}$)[A-Za-z0-9_.-]+")


def _is_there(folder: Path, repository: str) -> bool:
    return bool(_NAME.fullmatch(repository)) and (folder / folder_name(repository)).is_dir()


def _commit(folder: Path) -> str:
    commit = commit_of(folder)
    if commit is None:
        raise ArtifactError(
            f"Expected a checkout of a repository at {folder}, found a folder without a commit; "
            "delete it and run the command again."
        )
    return commit


def _failure(said: str) -> _GitError | ArtifactError:
    """Return what git's words mean."""
    reason = _reason(said)
    # neither a repository's name nor what its host says may be taken for git's own words
    lines = (line for line in said.splitlines() if not line.startswith("remote:"))
    own_words = re.sub("'[^']*'", "", "\n".join(lines))
    if _LOCAL.search(own_words):
        return ArtifactError(
            f"Expected git to write a checkout, found that it cannot ({reason}); "
            "make room in the run folder and run the command again."
        )
    if "could not read Username" in own_words:
        return _RefusedError("not found, or private: the host asks for a login")
    return _UnansweredError(reason) if _UNANSWERED.search(own_words) else _RefusedError(reason)


def _reason(said: str) -> str:
    """Return the first line that says why, without what a hostile host may put in it."""
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in said.splitlines()]
    telling = [x for x in lines if x and not x.startswith(("warning:", "hint:", "Cloning into"))]
    first = (telling or ["git gave no reason"])[0]
    return re.sub(r"^((fatal|error|remote|ERROR): *)+", "", first)[:200]


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not _ANOTHER_REPOSITORY.fullmatch(k)}
    return kept | _ENVIRONMENT


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _unreachable(clone_url: str, reason: str) -> ServiceError:
    return ServiceError(
        f"Expected to fetch repositories from {clone_url}, found that it does not answer "
        f"({reason}); check the network and run the command again: what is fetched stays."
    )


def _check_url(clone_url: str) -> None:
    if not clone_url.startswith(("https://", "file://")) or "{repository}" not in clone_url:
        raise StudyError(
            "Expected corpus.clone_url such as https://github.com/{repository}.git, "
            f"found {clone_url!r}; it begins with https:// and names {{repository}}."
        )


def _check_git() -> None:
    wanted = ".".join(map(str, _OLDEST_GIT))
    try:
        said = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServiceError(
            f"Expected git {wanted} or newer, found none that runs ({error}); install git."
        ) from error
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or tuple(map(int, found.groups())) < _OLDEST_GIT:
        raise ServiceError(
            f"Expected git {wanted} or newer, found {said.strip()!r}; install a newer git."
        )
