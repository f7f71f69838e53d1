"""Several servers with one model: who is asked next, how many requests each takes at once.

The number follows TCP's congestion control (Jacobson 1988): it grows while replies come, halves
once for each burst of refusals or timeouts, and starts from one after a server was away.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
from openai import AsyncOpenAI, OpenAIError

from classify.judges.replies import Facts, Fault, fault, retry_after

RETRIES = 4
"""How often a request is tried again after a failure that may pass."""
PATIENCE = 12
"""How often it is tried again by servers that only ask for less at once."""
FIRST_WAIT_S = 0.5
TIMES_GONE = 8
"""How often in a row every server may be out of reach, some 90 s in all, before it is over."""
LONGEST_WAIT_S = 60.0
"""The longest wait before another try, also where a server asks for a longer one."""

T = TypeVar("T")


class NoServerError(Exception):
    """No server is left that is there, and knows the key and the model; says what the last said."""


class Server:
    """A client of one server, with what has been learnt of it. Times are of ``time.monotonic``."""

    def __init__(self, client: AsyncOpenAI, most: int) -> None:
        self.client = client
        self.facts: Facts | None = None
        """What it told of itself, once it was asked."""
        self.one_by_one = False
        """Whether it gives one draw at a time only."""
        self.times_gone = 0
        """How often in a row it was out of reach."""
        self.shut = False
        """Whether it is not asked any more, as it knows neither the key nor the model."""
        self.error: Exception | None = None
        """The last one for which it was not asked for a while, or not any more."""
        self.under_way = 0
        self.not_before = 0.0
        self._most = most
        self._limit = float(most)
        self._fast_until = float(most)
        self._answered = False
        self._cut_at = 0.0

    @property
    def room(self) -> int:
        """How many further requests it may be given."""
        return int(self._limit) - self.under_way

    def replied(self) -> None:
        """Learn that it answers: quickly up to half of what was too much, then carefully."""
        self._answered = True
        self.times_gone = 0
        growth = 1 if self._limit < self._fast_until else 1 / self._limit
        self._limit = min(self._limit + growth, self._most)

    def failed(self, error: Exception, kind: Fault, asked_at: float) -> None:
        """Learn from an error in place of a reply to what was asked at a certain time."""
        now = time.monotonic()
        if kind is Fault.SHUT and not self._answered:
            self.shut, self.error = True, error
        elif kind is Fault.GONE:
            if asked_at >= self._cut_at:  # one failure, however many requests it hit
                self.times_gone += 1
                self.error = error
                self._lower(1.0, now)
                self.not_before = now + waiting(self.times_gone)
        elif kind in (Fault.BUSY, Fault.SLOW):
            if asked_at >= self._cut_at:
                self._lower(self._limit / 2, now)
            pause = retry_after(error)
            if kind is Fault.BUSY and pause is not None:
                self.not_before = max(self.not_before, now + min(pause, LONGEST_WAIT_S))

    def _lower(self, limit: float, now: float) -> None:
        self._fast_until = max(self._limit / 2, 1.0)
        self._limit = max(limit, 1.0)
        self._cut_at = now


class Servers:
    """Gives each request to the server that has the most room, and again to another if it fails."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.all = servers
        self._changed = anyio.Event()

    async def ask(self, put: Callable[[Server], Awaitable[T]]) -> T:
        """Return what ``put`` gets from a server; it is called anew after what may pass.

        Raises NoServerError, or the last error once the patience is spent.
        """
        tries = waits = 0
        while True:
            server = await self._free()
            asked_at = time.monotonic()
            try:
                reply = await put(server)
            except OpenAIError as error:
                kind = fault(error)
                server.failed(error, kind, asked_at)
                waits += kind is Fault.BUSY
                tries += kind in (Fault.SLOW, Fault.BROKEN)
                final = kind is Fault.FINAL or (kind is Fault.SHUT and not server.shut)
                if final or waits > PATIENCE or tries > RETRIES:
                    raise
                pause = retry_after(error)
            else:
                server.replied()
                return reply
            finally:
                server.under_way -= 1
                self._notify()
            if kind in (Fault.BUSY, Fault.SLOW, Fault.BROKEN):
                await anyio.sleep(
                    waiting(tries + waits) if pause is None else min(pause, LONGEST_WAIT_S)
                )

    async def _free(self) -> Server:
        """Wait for a server that has room, and take a place there."""
        while True:
            now = time.monotonic()
            open_ones = [server for server in self.all if not server.shut]
            if all(server.times_gone > TIMES_GONE for server in open_ones):
                raise NoServerError from next(s.error for s in self.all if s.error is not None)
            free = [s for s in open_ones if s.room > 0 and s.not_before <= now]
            if free:
                best = max(free, key=lambda server: server.room)
                best.under_way += 1
                return best
            pauses = [s.not_before - now for s in open_ones if s.not_before > now]
            with anyio.move_on_after(min(pauses, default=None)):
                await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def waiting(times: int) -> float:
    """Return seconds to wait before another try: twice as long each time, with jitter."""
    longest = min(FIRST_WAIT_S * 2 ** (times - 1), LONGEST_WAIT_S)
    return random.uniform(longest / 2, longest)
