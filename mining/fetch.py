"""The code of many repositories, by git itself, several at a time. None of it is ever run."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from mining.artifacts import Run
from mining.clone import Clone, Wanted
from mining.clones import Clones, StoredClone, open_clones
from mining.engines import Engine, open_engine
from mining.errors import ServiceError, StudyError
from mining.git import Git, GitError, Limits, RefusedError, SlowError, UnansweredError, check_git
from mining.progress import track, wait
from mining.records import Dropped
from mining.study import CorpusSettings, ScaleSettings

T = TypeVar("T")
R = TypeVar("R")

_ATTEMPTS = 3
_ANSWER_S = 60.0
"""For the question whether a host answers at all."""
_PROTOCOLS = ("https", "ssh", "file")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"[A-Za-z0-9_-]+/(?!\.{1,2}$)[A-Za-z0-9_.-]+")


def fetch_repositories(
    run: Run,
    repositories: Mapping[str, str | None],
    settings: CorpusSettings,
    wait: Callable[[float, str], None] = wait,
    *,
    scale: ScaleSettings,
) -> tuple[dict[str, Clone | StoredClone], list[Dropped]]:
    """Fetch the code of each repository, and return the clones and what could not be had.

    ``repositories`` gives each one's commit (a full hash), or None for the one that the settings
    mean. A clone that is there already and holds what is wanted is kept. A repository that is
    gone, private, empty or over a limit is dropped, with the reason. Both keep the order.
    ``scale`` says whether a cluster fetches, each repository on one of its machines.

    Raises ServiceError if the host does not answer, for this repository nor for another;
    StudyError for a wrong ``clone_url``; ArtifactError if nothing can be written, or another
    process fetches into this run.
    """
    protocols = _checked_protocols(settings.clone_url)
    check_git()
    git = Git(protocols)
    clones = open_clones(run, scale)
    clones.prepare()
    job = _Job(git, clones, settings, wait)
    engine = _engine(git, settings, scale)
    done: dict[str, Clone | StoredClone] = {}
    dropped: dict[str, str] = {}
    silent: list[str] = []
    there = clones.names()
    answering = next((name for name in repositories if clones.name(name) in there), None)
    with run.alone(), closing(engine.map(job, list(repositories.items()), _lost)) as results:
        for repository, result in zip(
            repositories, track(results, "fetching", len(repositories)), strict=True
        ):
            if isinstance(result, GitError):
                dropped[repository] = str(result)
            else:
                done[repository] = result
            if not isinstance(result, UnansweredError):
                answering = answering or repository
                continue
            # its own fault, or the network's? another repository can tell
            silent.append(repository)
            if answering is None and len(silent) < settings.jobs:
                continue
            if answering is None or not all(engine.map(job.answers, [answering], _silent)):
                raise _unreachable(settings.clone_url, str(result))
    if silent and answering is None:
        raise _unreachable(settings.clone_url, dropped[silent[-1]])
    return done, [Dropped(r, "fetch", reason) for r, reason in dropped.items()]


@dataclass(frozen=True, slots=True)
class _Job:
    """Fetches one repository, in any thread or on any machine."""

    git: Git
    clones: Clones
    settings: CorpusSettings
    wait: Callable[[float, str], None]

    def __call__(self, wanted: tuple[str, str | None]) -> Clone | StoredClone | GitError:
        """Return the clone of a repository (and commit), old or new, or what prevented it."""
        repository, commit = wanted
        if not _NAME.fullmatch(repository):
            return RefusedError("not a repository's name")
        limits = self._limits(self.settings.timeout_s)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._clone(repository, commit, limits)
            except SlowError as error:
                return RefusedError(str(error)) if self.answers(repository) else error
            except UnansweredError as error:
                if attempt == _ATTEMPTS or self.git.stopped:
                    return error
                self.wait(4.0**attempt, f"{repository} was not fetched ({error})")
            except RefusedError as error:
                return error
        raise AssertionError("the last attempt returns")

    def answers(self, repository: str) -> bool:
        """Tell whether the host answers for a repository, be it with a refusal."""
        limits = self._limits(min(self.settings.timeout_s, _ANSWER_S))
        try:
            return self.git.speaks(self._url(repository), limits)
        except UnansweredError:
            return False
        except RefusedError:
            return True

    def _clone(self, repository: str, commit: str | None, limits: Limits) -> Clone | StoredClone:
        wanted = Wanted(commit, self.settings.as_of, self.settings.notebooks)
        clone = self.clones.find(repository)
        if clone is None or not clone.serves(wanted):
            return self.clones.make(self.git, self._url(repository), repository, wanted, limits)
        if clone.size_bytes > limits.max_bytes:
            raise RefusedError(f"larger than the limit of {limits.max_bytes} bytes")
        return clone

    def _limits(self, timeout_s: float) -> Limits:
        return Limits.from_now(self.settings.max_repository_bytes, timeout_s)

    def _url(self, repository: str) -> str:
        return self.settings.clone_url.replace("{repository}", repository)


@dataclass(frozen=True, slots=True)
class _Threads:
    """An engine of threads: one that fetches does little but wait for a host and for git."""

    git: Git
    count: int

    def map(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        lost: Callable[[T, str], R],  # noqa: ARG002, since no thread dies
        expected_s: Callable[[T], float] = lambda _: 0.0,  # noqa: ARG002, nobody knows
    ) -> Generator[R]:
        """Do the work; see Engine."""
        with ThreadPoolExecutor(self.count) as pool:
            try:
                yield from pool.map(work, items)
            except BaseException:
                self.git.stop()
                pool.shutdown(cancel_futures=True)
                raise


def _engine(git: Git, settings: CorpusSettings, scale: ScaleSettings) -> Engine:
    if scale.engine == "ray":
        return open_engine(scale, at_once=settings.jobs)
    return _Threads(git, settings.jobs)


def _lost(_: tuple[str, str | None], reason: str) -> GitError:
    return RefusedError(reason)


def _silent(_repository: str, _reason: str) -> bool:
    return False


def _unreachable(clone_url: str, reason: str) -> ServiceError:
    return ServiceError(
        f"Expected to fetch repositories from {clone_url}, found that it does not answer "
        f"({reason}); check the network and run the command again: what is fetched stays."
    )


def _checked_protocols(clone_url: str) -> Sequence[str]:
    """Return the protocols by which a template's repositories may be fetched."""
    try:
        address = urlsplit(clone_url)
        host = address.hostname
    except ValueError:
        address, host = urlsplit(""), None
    protocols = (*_PROTOCOLS, "http") if host in _LOOPBACK else _PROTOCOLS
    if address.scheme not in protocols or "{repository}" not in clone_url:
        raise StudyError(
            "Expected corpus.clone_url such as https://github.com/{repository}.git, found "
            f"{clone_url!r}; it begins with https://, ssh:// or file://, and names {{repository}}."
        )
    return protocols
