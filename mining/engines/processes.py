"""Work by several processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_ALONE_S = 1.0
"""So long this process works by itself: to start others takes half as long."""

_AHEAD = 1000
"""So many items may be done before the first one that is not; bounds what is held here."""

_ATTEMPTS = 2

# not multiprocessing.Process, which would import the main module anew: a user's own script
_COMMAND = "from mining.engines.processes import serve; serve({0}, {1})"


class Processes:
    """An engine of this machine's processes, ``workers`` of them, or one for each core.

    With one worker, and for the first ``alone_s`` seconds with several, this process does the
    work itself; then there is nobody to outlive an item that kills.
    """

    def __init__(self, workers: int | None = None, alone_s: float = _ALONE_S) -> None:
        self._workers = workers or len(os.sched_getaffinity(0))
        self._alone_s = alone_s

    def map(
        self, work: Callable[[T], R], items: Sequence[T], lost: Callable[[T, str], R]
    ) -> Generator[R]:
        """Do the work; see Engine."""
        end = time.monotonic() + self._alone_s
        done = 0
        while done < len(items) and (self._workers == 1 or time.monotonic() < end):
            yield work(items[done])
            done += 1
        if done < len(items):
            with _Pool(work, min(self._workers, len(items) - done)) as pool:
                yield from pool.map(items[done:], lost)


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, the pipe to it, and the number of the item that it works on.

    ``life`` is never written to: its end tells the process that this one has ended.
    """

    process: subprocess.Popen[bytes]
    pipe: Connection
    life: Connection
    item: int | None = None


class _Pool:
    """Worker processes, each given one item at a time."""

    def __init__(self, work: Callable[[Any], Any], workers: int) -> None:
        self._work = work
        self._workers = [self._start() for _ in range(workers)]

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            self._end(worker)

    def map(self, items: Sequence[T], lost: Callable[[T, str], R]) -> Generator[R]:
        """Give the results in order; see Engine."""
        results: dict[int, R] = {}
        deaths: Counter[int] = Counter()
        suspects: deque[int] = deque()  # whose worker died; each is tried again with none beside
        first_new = 0
        for number in range(len(items)):
            while number not in results:
                for worker in self._workers:
                    busy = {each.item for each in self._workers if each.item is not None}
                    if worker.item is not None or busy & deaths.keys():
                        continue
                    if suspects and not busy:
                        self._give(worker, suspects.popleft(), items)
                    elif not suspects and first_new < min(len(items), number + _AHEAD):
                        self._give(worker, first_new, items)
                        first_new += 1
                for worker in self._ready():
                    item, worker.item = worker.item, None
                    assert item is not None
                    try:
                        results[item] = _received(worker.pipe)
                    except EOFError:
                        reason = self._replace(worker)
                        deaths[item] += 1
                        if deaths[item] < _ATTEMPTS:
                            suspects.append(item)
                        else:
                            results[item] = lost(items[item], reason)
                    else:
                        del deaths[item]
            yield results.pop(number)

    def _give(self, worker: _Worker, number: int, items: Sequence[Any]) -> None:
        worker.item = number
        with suppress(BrokenPipeError):  # it has died, and its end of the pipe will say so
            worker.pipe.send(items[number])

    def _ready(self) -> list[_Worker]:
        """Wait until a worker has a result, or has died."""
        by_pipe = {each.pipe: each for each in self._workers if each.item is not None}
        return [by_pipe[pipe] for pipe in wait(list(by_pipe)) if isinstance(pipe, Connection)]

    def _start(self) -> _Worker:
        pipe, its_pipe = Pipe()
        its_life, life = Pipe(duplex=False)
        ends = its_pipe.fileno(), its_life.fileno()
        # Ctrl-C on a terminal reaches every process: only this one is to act on it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND.format(*ends)],
                pass_fds=ends,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        its_pipe.close()
        its_life.close()
        with suppress(BrokenPipeError):
            pipe.send(self._work)
        return _Worker(process, pipe, life)

    def _end(self, worker: _Worker) -> int:
        worker.pipe.close()
        worker.life.close()
        return worker.process.wait()

    def _replace(self, worker: _Worker) -> str:
        """Start another process in place of one that died, and say how it did."""
        status = self._end(worker)
        self._workers[self._workers.index(worker)] = self._start()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return f"the process that worked on it ended {how}, twice"


def serve(pipe: int, life: int) -> None:
    """Do the work that comes through a pipe (file descriptors), until it or the parent ends."""
    threading.Thread(target=_end_with, args=(Connection(life),), daemon=True).start()
    connection = Connection(pipe)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        work = connection.recv()
        while True:
            item = connection.recv()
            try:
                result = (True, work(item))
            except Exception as error:
                error.add_note(traceback.format_exc())
                result = (False, error)
            connection.send(result)


def _end_with(life: Connection) -> None:
    with suppress(EOFError, OSError):
        life.recv()
    os._exit(1)


def _received(pipe: Connection) -> Any:
    """Return a result, or raise what was raised in its place; EOFError if the worker died."""
    try:
        ended_well, result = pipe.recv()
    except ConnectionResetError as error:
        raise EOFError from error
    if not ended_well:
        raise result
    return result
