"""Who does the work on many repositories: one protocol, which implementers do not inherit.

``processes`` are those of this machine; ``ray`` is a cluster. Work goes out by the repository, and
what comes of it is left as a part (see mining.parts), so that results here are small.
"""

from __future__ import annotations

import pickle
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from mining.study import ScaleSettings

T = TypeVar("T")
R = TypeVar("R")

_EARLY = 2.0
"""So many times longer than expected an item may take, and yet not be waited for alone."""

NO_SURVIVOR = "no process that worked on it survived"
"""Why an item is lost, by any engine, so that what is written of it is equal."""


class Engine(Protocol):
    """Anything that does the same work on many items."""

    def map(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        lost: Callable[[T, str], R],
        expected_s: Callable[[T], float] = lambda _: 0.0,
    ) -> Generator[R]:
        """Do ``work`` on each item; give the results in the order of the items.

        ``expected_s`` says roughly how many seconds of a core an item takes, where that is known.
        Work whose worker dies is done again; if that one dies too, ``lost`` makes the result, of
        the item and the reason. What ``work`` raises is raised here, and ends everything. Both
        ``work`` and items are pickled. Closing the iterator stops the workers.
        """
        ...


def open_engine(settings: ScaleSettings, at_once: int | None = None) -> Engine:
    """Return the engine that a study names. Nothing is started before there is work.

    ``at_once`` items are worked on at a time where this is not what the settings say of workers.
    Raises StudyError where its package is missing.
    """
    if settings.engine == "ray":
        from mining.engines.ray import RayCluster

        return RayCluster(settings, at_once)
    from mining.engines.processes import Processes

    return Processes(at_once or settings.workers)


def begin_order(expected_s: Sequence[float], workers: int) -> list[int]:
    """Return the items' numbers in an order in which all workers end at about the same time.

    That of the items, so that results need not wait for their turn, but for the largest: it is
    begun once what is left would not keep the other workers busy for as long as it takes.
    """
    left = sum(expected_s)
    largest = sorted(range(len(expected_s)), key=lambda number: -expected_s[number])
    waiting = deque(largest)
    order: dict[int, None] = {}
    for number in range(len(expected_s)):
        while waiting and (
            waiting[0] in order or _EARLY * expected_s[waiting[0]] * workers >= left
        ):
            first = waiting.popleft()
            if first not in order:
                order[first] = None
                left -= expected_s[first]
        if number not in order:
            order[number] = None
            left -= expected_s[number]
    return list(order)


def portable(error: Exception) -> Exception:
    """Return an error that can be pickled, with its traceback as a note."""
    try:
        copied: Exception = pickle.loads(pickle.dumps(error))
    except Exception:
        copied = RuntimeError(f"{type(error).__name__}: {error}")
    copied.add_note(traceback.format_exc())
    return copied
