"""A bound on what may never end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what ``work`` does, or raise what it raises; TimeoutError after so many seconds.

    It runs in a thread, which is left behind then: nothing else ends a look-up of a name, or a
    read to which a byte comes now and then. It keeps no process from ending.
    """
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"nothing whole within {seconds:g} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # there was no error
