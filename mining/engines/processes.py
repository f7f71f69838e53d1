"""Work by several processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Container, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from mining.engines import NO_SURVIVOR, begin_order, portable
from mining.errors import ServiceError
from mining.progress import say

T = TypeVar("T")
R = TypeVar("R")

_ALONE_S = 1.0
"""Work that this process does by itself: to start others takes half as long."""

_AHEAD = 1000
"""So many results may wait for an earlier one; bounds what is held here."""

_QUEUED = 2
"""Items that a worker has, so that it need not wait until the results are asked for."""

_ATTEMPTS = 2

_UNFIT = 1
"""The status with which Python itself ends, at an error that nobody catches."""

# not multiprocessing.Process, which would import the main module anew: a user's own script
_COMMAND = "from mining.engines.processes import serve; serve({0}, {1})"


class Processes:
    """An engine of this machine's processes, ``workers`` of them, or one for each core.

    With one worker, or where no more than ``alone_s`` seconds of work are expected and for as long
    with several, this process does the work itself; then there is nobody to outlive an item that
    kills.
    """

    def __init__(self, workers: int | None = None, alone_s: float = _ALONE_S) -> None:
        self._workers = workers or len(os.sched_getaffinity(0))
        self._alone_s = alone_s

    def map(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        lost: Callable[[T, str], R],
        expected_s: Callable[[T], float] = lambda _: 0.0,
    ) -> Generator[R]:
        """Do the work; see Engine."""
        expected = list(map(expected_s, items))
        is_little = sum(expected) <= self._alone_s
        end = time.monotonic() + (self._alone_s if is_little else 0)
        done = 0
        while done < len(items) and (self._workers == 1 or time.monotonic() < end):
            yield work(items[done])
            done += 1
        if done < len(items):
            order = begin_order(expected[done:], self._workers)
            with _Pool(work, min(self._workers, len(items) - done)) as pool:
                yield from pool.map(items[done:], lost, order)


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, the pipe to it, and the numbers of its items: the first is worked on.

    ``life`` is never written to: its end tells the process that this one has ended.
    """

    process: subprocess.Popen[bytes]
    pipe: Connection
    life: Connection
    items: deque[int] = field(default_factory=deque)


class _Pool:
    """Worker processes, each given a few items at a time."""

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

    def map(
        self, items: Sequence[T], lost: Callable[[T, str], R], order: Iterable[int]
    ) -> Generator[R]:
        """Give the results in the order of the items, which are begun in another; see Engine."""
        results: dict[int, R] = {}
        waiting = deque(order)
        suspects: deque[int] = deque()  # whose worker died; each is tried again with none beside
        deaths: Counter[int] = Counter()
        for number in range(len(items)):
            while number not in results:
                while worker := self._free(suspects, deaths):
                    if suspects:
                        self._give(worker, suspects.popleft(), items)
                    elif waiting and len(results) < _AHEAD:
                        self._give(worker, waiting.popleft(), items)
                    else:
                        break
                for worker in self._ready():
                    item = worker.items.popleft()
                    try:
                        results[item] = _received(worker.pipe)
                    except EOFError:
                        waiting.extendleft(reversed(worker.items))
                        self._replace(worker)
                        deaths[item] += 1
                        if deaths[item] < _ATTEMPTS:
                            suspects.append(item)
                        else:
                            results[item] = lost(items[item], NO_SURVIVOR)
                    else:
                        del deaths[item]
            yield results.pop(number)

    def _free(self, suspects: Collection[int], deaths: Container[int]) -> _Worker | None:
        """Return a worker that can be given an item, if there is one."""
        worker = min(self._workers, key=lambda each: len(each.items))
        under_way = [item for each in self._workers for item in each.items]
        alone = suspects or any(item in deaths for item in under_way)
        if len(worker.items) == _QUEUED or (alone and under_way):
            return None
        return worker

    def _give(self, worker: _Worker, number: int, items: Sequence[Any]) -> None:
        worker.items.append(number)
        with suppress(BrokenPipeError):  # it has died, and its end of the pipe will say so
            worker.pipe.send(items[number])

    def _ready(self) -> list[_Worker]:
        """Wait until a worker has a result, or has died."""
        by_pipe = {each.pipe: each for each in self._workers if each.items}
        return [by_pipe[pipe] for pipe in wait(list(by_pipe)) if isinstance(pipe, Connection)]

    def _start(self) -> _Worker:
        pipe, its_pipe = Pipe()
        its_life, life = Pipe(duplex=False)
        ends = its_pipe.fileno(), its_life.fileno()
        # Ctrl-C on a terminal reaches every process: only this one is to act on it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                # -P: the current folder, which may be a repository under study, has no modules
                [sys.executable, "-P", "-c", _COMMAND.format(*ends)],
                pass_fds=ends,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": _module_path()},
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

    def _replace(self, worker: _Worker) -> None:
        """Start another process in place of one that died, and say how it did.

        Raises ServiceError if none could do the work.
        """
        status = self._end(worker)
        if status == _UNFIT:
            raise ServiceError(
                "Expected worker processes that can do the work, found one that ended with status "
                f"{status} (see above); mend that and run the command again: what is done stays."
            )
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        say(f"a worker process ended {how}; another one takes its place")
        self._workers[self._workers.index(worker)] = self._start()


def _module_path() -> str:
    """Return where a worker finds modules: where this process does, wherever each of them is."""
    return os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path if folder)


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
                result = (False, portable(error))
            connection.send(result)


def _end_with(life: Connection) -> None:
    with suppress(EOFError, OSError):
        life.recv()
    os._exit(1)


def _received(pipe: Connection) -> Any:
    """Return a result, or raise what was raised in its place; EOFError if the worker died."""
    try:
        ended_well, result = pipe.recv()
    except OSError as error:  # also where it died within a message
        raise EOFError from error
    if not ended_well:
        raise result
    return result
