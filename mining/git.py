"""Git itself, run within limits, steered by nothing but its arguments; and what its words mean."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from mining.errors import ArtifactError, ServiceError

_OLDEST = (2, 32)
"""The first that can be told to read no configuration of the user's."""

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    # a larger object is never held in memory as a whole
    "core.bigFileThreshold=16m",
    "fetch.fsckObjects=false",
    # what is asked for comes, though it belongs to a commit that is there already
    "fetch.negotiationAlgorithm=noop",
    # what comes is one file, to which the size limit applies
    "fetch.unpackLimit=1",
    "gc.auto=0",
    "init.defaultBranch=main",
    "maintenance.auto=false",
    "protocol.version=2",
    "submodule.recurse=false",
    # a transfer below 1 kB/s for a minute is given up
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
_REACHING = r"^(http|credential|url)\.|^core\.(sshcommand|gitproxy)$"
"""What is taken from the user's and the system's configuration: how to reach a host."""

_WITH_PASSWORD = re.compile(
    r"url\.(?P<scheme>https?://)(?P<user>[^/@:]*):(?P<password>[^/@]*)@(?P<rest>.*)\.(?P<name>\w+)"
)

_ENVIRONMENT = {
    "LC_ALL": "C",  # messages are read below
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
}
_ANOTHER_REPOSITORY = re.compile(
    "GIT_(DIR|WORK_TREE|COMMON_DIR|INDEX_FILE|PREFIX|OBJECT_DIRECTORY|SHALLOW_FILE|NAMESPACE"
    "|ALTERNATE_OBJECT_DIRECTORIES|CONFIG|CONFIG_PARAMETERS|CONFIG_COUNT|TRACE.*)"
)
"""Variables that git itself sets for a hook, under which lossplace may run, and its tracing."""

_WITHIN_LIMITS = """\
ulimit -f "$1" || exit
ulimit -v "$2" 2>/dev/null
input=$3
shift 3
exec 3<&0 <"$input"
{ read -r _ <&3; kill -KILL 0; } </dev/null >/dev/null 2>&1 &
"$@" 3<&-
status=$?
kill $!
exit "$status"
"""
"""Runs a command which may write no file of more than $1 blocks, and take no more than $2 KiB of
memory where the system can limit it, with $3 as its input.

Standard input is a pipe that lossplace holds: when it closes, because lossplace ended in
whatever way, the command and all its helpers are killed."""

_REPORT_SIZE = "trap '' XFSZ\n"
"""Has git report a file over the limit, of which it else only says that a helper failed."""

_BLOCK = 512
_MEMORY = 4 * 2**30
_FETCH_MEMORY = 6 * 2**30
PATIENCE_S = 10.0
"""So long git may take to read a commit that is on disk."""
_UNANSWERED = re.compile(
    # of all statuses only 4xx is an answer, and of those neither a limit nor a proxy's word
    r"unable to access (?!.*returned error: 4(?!29|0[78]))"
    r"|early EOF|RPC failed|unexpected disconnect|hung up unexpectedly|did not send all"
    r"|expected flush|protocol error|still expected|length header|response-end packet"
    r"|invalid (ls-refs|server) response|unknown capability|url base from redirection"
    r"|inflate: data stream error|pack signature mismatch|index-pack failed|Out of memory"
    r"|ssh: (connect to|Could not resolve)|kex_exchange_identification"
)
_LOCAL = re.compile(r"No space left|quota exceeded|Read-only file system|Permission denied(?! \()")


class GitError(Exception):
    """Git could not do it; the text is its reason, in one line."""


class RefusedError(GitError):
    """The host answered, but there is nothing to be had."""


class UnansweredError(GitError):
    """No answer, or a broken one: the network's fault, or the host's."""


class SlowError(UnansweredError):
    """The time limit came first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one repository may cost: bytes of any one file, and seconds until ``deadline``."""

    max_bytes: int
    timeout_s: float
    deadline: float

    @classmethod
    def from_now(cls, max_bytes: int, timeout_s: float) -> Limits:
        """Return limits whose time runs from now on."""
        return cls(max_bytes, timeout_s, time.monotonic() + timeout_s)


class Git:
    """Runs git, in any thread; ``stop`` ends what is running."""

    def __init__(self, protocols: Sequence[str]) -> None:
        """Take the transport protocols that may be used."""
        self._protocols = ":".join(protocols)
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Callable[[Sequence[str]], Git], tuple[Sequence[str]]]:
        """Let another machine use the git that it has itself, if that will do."""
        return _git_of_here, (self._protocols.split(":"),)

    def __call__(
        self,
        *arguments: str,
        limits: Limits,
        stdin: Path | None = None,
        stdout: Path | None = None,
        trace: Path | None = None,
    ) -> str:
        """Run git to its end; ``stdin`` and ``stdout`` are files, ``trace`` takes the packets.

        Raises RefusedError or UnansweredError, or ArtifactError if nothing can be written.
        """
        blocks = -(-limits.max_bytes // _BLOCK)
        # what prints without looking at errors must be ended by the signal
        script = _WITHIN_LIMITS if stdout else _REPORT_SIZE + _WITHIN_LIMITS
        # git holds what is no pack in memory, packs are mapped into it
        memory = (_FETCH_MEMORY + 2 * limits.max_bytes) // 1024
        command = ["sh", "-c", script, "sh", str(blocks), str(memory), str(stdin or os.devnull)]
        with ExitStack() as stack:
            output = stack.enter_context(stdout.open("wb")) if stdout else subprocess.PIPE
            command += _git(arguments)
            process = stack.enter_context(self._started(command, output, trace))
            try:
                printed, said = process.communicate(timeout=limits.deadline - time.monotonic())
            except subprocess.TimeoutExpired:
                raise SlowError(f"not fetched within {limits.timeout_s:g} s") from None
            finally:
                _end(process)
        if process.returncode:
            if process.returncode == 128 + signal.SIGXFSZ:
                said = "File too large"
            raise _failure(said, limits)
        return printed or ""

    def speaks(self, url: str, limits: Limits) -> bool:
        """Tell whether git answers at an address, and not just any web server.

        By its oldest protocol git takes every web page, such as that of a network which wants a
        login, for a repository without a commit; only the newer ones send packets. Raises as a
        call does.
        """
        with tempfile.TemporaryDirectory(prefix="lossplace-") as folder:
            trace = Path(folder, "trace")
            printed = self("ls-remote", "--quiet", url, "HEAD", limits=limits, trace=trace)
            return bool(printed) or (trace.exists() and b" packet: " in trace.read_bytes())

    def stop(self) -> None:
        """End what is running, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _end(process)

    @property
    def stopped(self) -> bool:
        """Whether it starts nothing more."""
        return self._stopped

    @contextmanager
    def _started(
        self, command: Sequence[str], stdout: IO[bytes] | int, trace: Path | None
    ) -> Iterator[subprocess.Popen[str]]:
        theirs, ours = os.pipe()
        try:
            with self._lock:
                if self._stopped:
                    raise UnansweredError("stopped")
                process = subprocess.Popen(
                    command,
                    env=self._environment | ({"GIT_TRACE_PACKET": str(trace)} if trace else {}),
                    stdin=theirs,
                    stdout=stdout,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    # a group of its own, so that git's helpers can be ended with it
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                with process:
                    yield process
            finally:
                with self._lock:
                    self._running.discard(process)
        finally:
            os.close(theirs)
            os.close(ours)

    @cached_property
    def _environment(self) -> dict[str, str]:
        return {
            **_environment(),
            **_reaching_settings(),
            "GIT_ALLOW_PROTOCOL": self._protocols,
        }


def _git_of_here(protocols: Sequence[str]) -> Git:
    check_git()
    return Git(protocols)


def check_git() -> None:
    """Raise ServiceError unless there is a git that is new enough."""
    wanted = ".".join(map(str, _OLDEST))
    try:
        said = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServiceError(
            f"Expected git {wanted} or newer, found none that runs ({error}); install git."
        ) from error
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or tuple(map(int, found.groups())) < _OLDEST:
        raise ServiceError(
            f"Expected git {wanted} or newer, found {said.strip()!r}; install a newer git."
        )


@contextmanager
def reading_git(
    git_folder: Path, *arguments: str, stdin: IO[bytes], timeout_s: float | None = None
) -> Iterator[IO[bytes]]:
    """Give what git prints about a repository on disk. It reaches no network and runs nothing.

    The process is ended with the block, or after ``timeout_s``: what lies there may be a pipe, or
    without an end. What it says on standard error is lost.
    """
    with subprocess.Popen(
        _git(["--git-dir", str(git_folder.resolve()), *arguments]),
        env={**_environment(), "GIT_ALLOW_PROTOCOL": "none"},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        if timeout_s is not None and sys.platform == "linux":
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        timer = None if timeout_s is None else threading.Timer(timeout_s, process.kill)
        try:
            if timer is not None:
                timer.start()
            yield process.stdout
        finally:
            if timer is not None:
                timer.cancel()
            process.kill()


def _git(arguments: Sequence[str]) -> list[str]:
    return ["git", *(part for s in _SETTINGS for part in ("-c", s)), *arguments]


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not _ANOTHER_REPOSITORY.fullmatch(k)}
    return kept | _ENVIRONMENT


def _reaching_settings() -> dict[str, str]:
    """Return how the user reaches hosts, as variables: no process list shows their values."""
    environment = {k: v for k, v in os.environ.items() if not _ANOTHER_REPOSITORY.fullmatch(k)}
    found = subprocess.run(
        ["git", "config", "--null", "--get-regexp", _REACHING],
        cwd="/",  # in no repository
        env=environment,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    ).stdout
    pairs = [entry.partition("\n")[::2] for entry in found.split("\0") if entry]
    settings = list(dict.fromkeys(setting for pair in pairs for setting in _unshown(*pair)))
    if any(key.lower().endswith(".extraheader") for key, _ in settings):
        # git sends such a header, and a login may be in it, also to where a host says to go
        settings.append(("http.followRedirects", "false"))
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _unshown(key: str, value: str) -> Iterator[tuple[str, str]]:
    """Give a setting without a password in an address, and what sends the password instead.

    Git hands addresses to its helpers as arguments, which everybody on the machine can read.
    """
    found = _WITH_PASSWORD.fullmatch(key)
    if found is None:
        yield key, value
        return
    base = found["scheme"] + found["rest"]
    login = ":".join(map(unquote, (found["user"], found["password"])))
    yield f"url.{base}.{found['name']}", value
    yield f"http.{base}.extraheader", f"Authorization: Basic {b64encode(login.encode()).decode()}"


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _failure(said: str, limits: Limits) -> GitError | ArtifactError:
    """Return what git's words mean."""
    reason = _reason(said)
    # neither a repository's name nor what its host says may be taken for git's own words
    lines = (line for line in said.splitlines() if not line.startswith("remote:"))
    own_words = re.sub("'[^']*'", "", "\n".join(lines))
    if _LOCAL.search(own_words):
        return ArtifactError(
            f"Expected git to write a clone, found that it cannot ({reason}); "
            "make room in the run folder and run the command again."
        )
    if "File too large" in own_words:
        return RefusedError(f"larger than the limit of {limits.max_bytes} bytes")
    if "could not read Username" in own_words:
        return RefusedError("not found, or private: the host asks for a login")
    return UnansweredError(reason) if _UNANSWERED.search(own_words) else RefusedError(reason)


def _reason(said: str) -> str:
    """Return the first line that says why, without what a hostile host may put in it."""
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in said.splitlines()]
    telling = [x for x in lines if x and not x.startswith(("warning:", "hint:", "Cloning into"))]
    first = (telling or ["git gave no reason"])[0]
    return re.sub(r"^((fatal|error|remote|ERROR): *)+", "", first)[:200]
