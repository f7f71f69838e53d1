"""Starts a command of lossplace as a process, kills it, and compares what its next try leaves.

A *place* is a folder in which a command runs: the run is ``run`` in it, and beside it lies what
else a command reads or writes. ``state_of`` says what a place holds, as far as it must not depend
on when it was made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.killing.warm import Fork, Warm

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "classify")
OF_WHEN = {"votes.sqlite": ("answered_at", "failed_at")}
_MARK = "LOSSPLACE_MARK"
_PATIENCE_S = 30
NOW = 1_700_000_000
"""The time at which every process lives, since a search notes when it was made."""


@dataclass(frozen=True)
class Ended:
    """How a process ended. ``took_s``: from the signal to the end, where one was sent from here."""

    status: int
    said: str
    ran_s: float
    took_s: float | None = None
    outlived_s: float = 0.0
    """How long its last child lived on."""
    survivors: tuple[int, ...] = ()
    heeded: bool = True
    """Whether lossplace's own lines ran when the signal came; else Python answers it its way."""

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it."""
        return self.status < 0 or self.status in (128 + signal.SIGINT, 128 + signal.SIGTERM)


@dataclass
class Command:
    """A command of lossplace; ``arguments`` are given in its place.

    ``keys`` says what is typed in a place as it is: lines of stdin.
    """

    name: str
    arguments: Sequence[str]
    keys: Callable[[Path], str] = lambda _: ""
    environment: Mapping[str, str] = field(default_factory=dict)
    warm: Warm | None = None
    """What forks it, where it is not to be started as a program."""


@dataclass(frozen=True)
class Started:
    """A command's process; ``mark`` stands in its environment, and in that of its children."""

    process: subprocess.Popen[bytes] | Fork
    mark: str

    def heeds(self) -> bool:
        """Return whether lossplace itself answers signals by now, and still does.

        Its first lines have SIGTERM caught, which Python by itself never does.
        """
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = status.partition("SigCgt:")[2].split()[0]
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def start(
    command: Command,
    place: Path,
    steered: Mapping[str, object],
    program: Sequence[str] = PROGRAM,
) -> Started:
    """Start a command in a session of its own; what it says goes to files beside the place."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/killing/child"), str(ROOT)]),
        "LOSSPLACE_STEERED": json.dumps({"now": NOW, "jumps": [0], **steered}),
        "NO_PROXY": "127.0.0.1",
        _MARK: uuid.uuid4().hex,
        **command.environment,
    }
    said = place.with_name(f"{place.name}.said")
    if command.warm is not None:
        fork = command.warm(command.arguments, place, environment, said, command.keys(place))
        return Started(fork, environment[_MARK])
    with said.open("wb") as out:
        process = subprocess.Popen(
            [*program, *command.arguments],
            cwd=place,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(command.keys(place).encode())
    process.stdin.close()
    return Started(process, environment[_MARK])


def end(command: Started, place: Path, started: float) -> Ended:
    """Wait for a command's end, and for that of its children for a while."""
    status = command.process.wait()
    ended = time.monotonic()
    outlived_s = 0.0
    while (left := survivors(command.mark)) and outlived_s < _PATIENCE_S:
        time.sleep(0.01)
        outlived_s = time.monotonic() - ended
    said = place.with_name(f"{place.name}.said").read_text("utf-8", "replace")
    return Ended(status, said, ended - started, None, outlived_s, left)


def survivors(mark: str) -> tuple[int, ...]:
    """Return the processes that have a mark in their environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{_MARK}={mark}".encode() in each.read_bytes():
                found.append(int(each.parent.name))
        except OSError:  # it has ended meanwhile, or is somebody else's
            pass
    return tuple(found)


def run(command: Command, place: Path, **steered: object) -> Ended:
    """Run a command to its end, or to where it is ``steered``; see child/sitecustomize.py."""
    started = time.monotonic()
    return end(start(command, place, steered), place, started)


def steps(command: Command, place: Path) -> tuple[Ended, list[str]]:
    """Run a command, and return what it did to files, step by step."""
    log = place.with_name(f"{place.name}.steps")
    log.unlink(missing_ok=True)
    ended = run(command, place, folder=str(place), log=str(log))
    return ended, log.read_text().splitlines() if log.exists() else []


def kill_at(command: Command, place: Path, step: int | str, number: int) -> Ended:
    """Run a command that gets a signal right before a step: the n-th, or the first that begins so."""
    log = place.with_name(f"{place.name}.steps")
    return run(command, place, folder=str(place), log=str(log), at=step, signal=int(number))


def kill_after(
    command: Command, place: Path, seconds: float, number: int, *, group: bool = False
) -> Ended:
    """Run a command that gets a signal after a time; its whole ``group`` as from a terminal."""
    started = time.monotonic()
    begun = start(command, place, {})
    return kill_when(lambda: time.monotonic() > started + seconds, begun, place, number, group)


def kill_when(
    ready: Callable[[], bool],
    command: Started,
    place: Path,
    number: int,
    group: bool = False,
) -> Ended:
    """Send a signal to a command's process once something is so, unless it ends before."""
    started = time.monotonic()
    while not ready():
        if command.process.poll() is not None:
            return end(command, place, started)
        time.sleep(0.002)
    heeded = command.heeds()
    sent = time.monotonic()
    if group:
        os.killpg(command.process.pid, number)
    else:
        command.process.send_signal(number)
    ended = end(command, place, started)
    return replace(ended, took_s=started + ended.ran_s - sent, heeded=heeded)


def state_of(place: Path) -> dict[str, str]:
    """Return a hash of each file's content below a place; leftovers and locks under their names.

    Of a store of votes it is that of its rows, without the time. Of a clone only what lossplace
    reads of it counts, since git packs as it likes.
    """
    return dict(_states(place))


def _states(place: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.name == ".lock":
            yield name, path.read_text()
        elif path.is_dir():
            yield f"{name}/", ""
        elif any(part.endswith(".git") for part in path.relative_to(place).parts[:-1]):
            if path.name in ("lossplace.json", "listing", "sizes"):
                yield name, hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name in OF_WHEN:
            yield name, hashlib.sha256(repr(rows_of(path)).encode()).hexdigest()
        else:
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(database: Path) -> list[tuple[object, ...]]:
    """Return all rows of a store of votes, but for the time and for numbers of its own making."""
    rows: list[tuple[object, ...]] = []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        names = [n for (n,) in opened.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for name in sorted(names):
            columns = [row[1] for row in opened.execute(f'PRAGMA table_info("{name}")')]
            kept = [c for c in columns if c not in (*OF_WHEN[database.name], "provenance_id")]
            listed = ", ".join(f'"{column}"' for column in kept)
            rows += sorted((name, *row) for row in opened.execute(f'SELECT {listed} FROM "{name}"'))
    return rows


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the names of what differs, with a word on how."""
    return [
        f"{name}: {'missing' if name not in found else 'left' if name not in wanted else 'other'}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]


def copied(place: Path, target: Path) -> Path:
    """Return a fresh copy of a place."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(place, target, symlinks=True)
    return target


def complaints(ended: Ended) -> list[str]:
    """Return what is wrong with how a killed process ended; nothing if all is well."""
    wrong = []
    if ended.survivors:
        wrong.append(f"{len(ended.survivors)} processes of its own did not end")
    if not ended.heeded:
        return wrong
    if "Traceback" in ended.said or "Exception ignored" in ended.said:
        wrong.append("a traceback")
    if ended.status not in (0, -signal.SIGKILL) and ended.status < 128:
        wrong.append(f"exit status {ended.status}")
    if ended.status > 128 and "Run the same command again" not in ended.said:
        wrong.append("did not say how to go on")
    return wrong
