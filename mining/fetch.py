"""The code of many repositories, by git itself, several at a time. None of it is ever run."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mining.artifacts import Run
from mining.clone import Clone, Wanted, make_clone, open_clone
from mining.corpus import folder_name
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.git import Git, GitError, Limits, RefusedError, SlowError, UnansweredError, check_git
from mining.progress import track, wait
from mining.records import Dropped
from mining.study import CorpusSettings

CLONES = "clones"

_ATTEMPTS = 3
_PROTOCOLS = ("https", "ssh", "file")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"[A-Za-z0-9_-]+/(?!\.{1,2}$)[A-Za-z0-9_.-]+")


def clone_folder(run: Run, repository: str) -> Path:
    """Return where a repository's clone is, or will be: ``clones/owner__name.git`` of the run."""
    return run.path(CLONES).resolve() / f"{folder_name(repository)}.git"


def fetch_repositories(
    run: Run,
    repositories: Mapping[str, str | None],
    settings: CorpusSettings,
    wait: Callable[[float, str], None] = wait,
) -> tuple[dict[str, Clone], list[Dropped]]:
    """Fetch the code of each repository, and return the clones and what could not be had.

    ``repositories`` gives each one's commit (a full hash), or None for the one that the settings
    mean. A clone that is there already and holds what is wanted is kept. A repository that is
    gone, private, empty or over a limit is dropped, with the reason. Both keep the order.

    Raises ServiceError if the host does not answer, for this repository nor for another;
    StudyError for a wrong ``clone_url``; ArtifactError if nothing can be written, or another
    process fetches into this run.
    """
    protocols = _checked_protocols(settings.clone_url)
    check_git()
    run.path(CLONES).mkdir(parents=True, exist_ok=True)
    git = Git(protocols)
    job = _Job(git, run, settings, wait)
    done: dict[str, Clone] = {}
    dropped: dict[str, str] = {}
    silent: list[str] = []
    answering = next((name for name in repositories if job.is_there(name)), None)
    with _alone(run.path(CLONES)), ThreadPoolExecutor(settings.jobs) as pool:
        try:
            for repository, result in zip(
                repositories,
                track(pool.map(job, *_columns(repositories)), "fetching", len(repositories)),
                strict=True,
            ):
                if isinstance(result, Clone):
                    done[repository] = result
                else:
                    dropped[repository] = str(result)
                if not isinstance(result, UnansweredError):
                    answering = answering or repository
                    continue
                # its own fault, or the network's? another repository can tell
                silent.append(repository)
                if answering is None and len(silent) < settings.jobs:
                    continue
                if answering is None or not job.answers(answering):
                    raise _unreachable(settings.clone_url, str(result))
        except BaseException:
            git.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if silent and answering is None:
        raise _unreachable(settings.clone_url, dropped[silent[-1]])
    return done, [Dropped(r, "fetch", reason) for r, reason in dropped.items()]


class _Job:
    """Fetches one repository at a time, in any thread."""

    def __init__(
        self, git: Git, run: Run, settings: CorpusSettings, wait: Callable[[float, str], None]
    ) -> None:
        self._git = git
        self._run = run
        self._settings = settings
        self._wait = wait

    def __call__(self, repository: str, commit: str | None) -> Clone | GitError:
        """Return the clone, old or new, or what prevented it."""
        if not _NAME.fullmatch(repository):
            return RefusedError("not a repository's name")
        wanted = Wanted(commit, self._settings.as_of, self._settings.notebooks)
        folder = clone_folder(self._run, repository)
        url = self._url(repository)
        limits = self._limits()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                clone = open_clone(folder)
                if clone is None or not clone.serves(wanted):
                    clone = make_clone(self._git, url, folder, wanted, limits)
                elif clone.size_bytes > limits.max_bytes:
                    raise RefusedError(f"larger than the limit of {limits.max_bytes} bytes")
                return clone
            except SlowError as error:
                return RefusedError(str(error)) if self.answers(repository) else error
            except UnansweredError as error:
                if attempt == _ATTEMPTS:
                    return error
                self._wait(4.0**attempt, f"{repository} was not fetched ({error})")
            except RefusedError as error:
                return error
        raise AssertionError("the last attempt returns")

    def is_there(self, repository: str) -> bool:
        """Tell whether a clone is there, whatever it holds."""
        named = _NAME.fullmatch(repository)
        return named is not None and clone_folder(self._run, repository).is_dir()

    def answers(self, repository: str) -> bool:
        """Tell whether the host answers for a repository, be it with a refusal."""
        try:
            self._git("ls-remote", "--quiet", self._url(repository), "HEAD", limits=self._limits())
        except UnansweredError:
            return False
        except RefusedError:
            pass
        return True

    def _limits(self) -> Limits:
        return Limits.from_now(self._settings.max_repository_bytes, self._settings.timeout_s)

    def _url(self, repository: str) -> str:
        return self._settings.clone_url.replace("{repository}", repository)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; the system lets go when this one ends."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtifactError(
                f"Expected to fetch into {folder} alone, found another lossplace at work there; "
                "wait for its end, or choose another folder with --run-dir."
            ) from None
        for left in folder.glob(".*.part"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield


def _columns(repositories: Mapping[str, str | None]) -> tuple[list[str], list[str | None]]:
    return list(repositories), list(repositories.values())


def _unreachable(clone_url: str, reason: str) -> ServiceError:
    return ServiceError(
        f"Expected to fetch repositories from {clone_url}, found that it does not answer "
        f"({reason}); check the network and run the command again: what is fetched stays."
    )


def _checked_protocols(clone_url: str) -> Sequence[str]:
    """Return the protocols by which a template's repositories may be fetched."""
    try:
        address = urlsplit(clone_url)
        host, password = address.hostname, address.password
    except ValueError:
        address, host, password = urlsplit(""), None, None
    protocols = (*_PROTOCOLS, "http") if host in _LOOPBACK else _PROTOCOLS
    if address.scheme not in protocols or "{repository}" not in clone_url:
        raise StudyError(
            "Expected corpus.clone_url such as https://github.com/{repository}.git, found "
            f"{clone_url!r}; it begins with https://, ssh:// or file://, and names {{repository}}."
        )
    if password is not None:
        raise StudyError(
            "Expected corpus.clone_url without a password, found one; "
            "keep it in git's credential helper (git help credentials), where no artifact shows it."
        )
    return protocols
