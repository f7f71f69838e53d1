"""How far a long stage is: a bar on a terminal, plain lines elsewhere. All on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

T = TypeVar("T")

_SECONDS_BETWEEN_LINES = 5.0


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Give the items one by one and show how many are done, how fast, and the time left.

    ``total`` is taken from the items' length where it is not given. An item counts as done when
    the next one is asked for.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _with_bar(items, label, total)
    return with_lines(items, label, total, say, time.monotonic)


def say(text: str) -> None:
    """Write a line on standard error; a bar that is shown stays below it."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def wait(seconds: float, why: str) -> None:
    """Say why, and sleep; each minute say what is left."""
    say(f"{why}; waiting {duration(seconds)}")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 60:
        time.sleep(60)
        say(f"{why}; {duration(left - 60)} left")
    time.sleep(max(0.0, left))


def duration(seconds: float) -> str:
    """Return a time span as a reader takes it in: ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def with_lines(
    items: Iterable[T],
    label: str,
    total: int | None,
    out: Callable[[str], None],
    clock: Callable[[], float],
) -> Iterator[T]:
    """Give the items; ``out`` takes a line at most every five seconds, and one at the end."""
    started = last = clock()
    done = 0
    for item in items:
        yield item
        done += 1
        now = clock()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            out(f"{label}: {_count(done, total)}, {_pace(done, total, now - started)}")
    out(f"{label}: {_count(done, total)} in {duration(clock() - started)}")


def _with_bar(items: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _PaceColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            progress.advance(task)


class _PaceColumn(ProgressColumn):
    """Rate and time left, in the words of the plain lines."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(_pace(int(task.completed), total, task.elapsed or 0.0))


def _count(done: int, total: int | None) -> str:
    return f"{done}" if total is None else f"{done} of {total}"


def _pace(done: int, total: int | None, elapsed_s: float) -> str:
    if not done or elapsed_s <= 0:
        return "just begun"
    per_second = done / elapsed_s
    rate = f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.1f}/min"
    if total is None:
        return rate
    return f"{rate}, {duration((total - done) / per_second)} left"
