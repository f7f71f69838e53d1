"""What is open for the judge in classify.judges.ray, as a data set that Ray reads.

Requests are in rows of pickled bytes, a few to a row. Only imported where Ray is there; the engine
is elsewhere, so that who hands requests on need not load it.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pyarrow as pa
import ray
from ray.data import DataContext, Datasource, ReadTask
from ray.data.block import BlockMetadata

from classify.judges import Request

COLUMN = "__data"
"""Where a processor of Ray keeps its columns."""

Numbered = dict[int, Request]


class Open:
    """The requests that are open, in blocks; an actor.

    A block that was given is given again alike, since Ray makes what was lost with a worker anew
    by asking for all blocks from the first on; only what was answered by then is left out.
    """

    def __init__(self, together: int) -> None:
        """``together``: requests in a block, at most; it does not wait until there are so many."""
        self._together = together
        self._waiting: deque[tuple[int, Request]] = deque()
        self._blocks: list[Numbered] = []
        self._block_of: dict[int, Numbered] = {}
        self._changed = asyncio.Condition()
        self._engines: list[Any] = []

    async def add(self, requests: Numbered, answered: Sequence[int]) -> None:
        """Open requests, and forget those that are answered."""
        for number in answered:
            del self._block_of.pop(number)[number]
        async with self._changed:
            self._waiting.extend(requests.items())
            self._changed.notify_all()

    async def block(self, place: int) -> Numbered:
        """Wait for a block."""
        async with self._changed:
            await self._changed.wait_for(lambda: place < len(self._blocks) or self._waiting)
            if place == len(self._blocks):
                most = min(self._together, len(self._waiting))
                block = dict(self._waiting.popleft() for _ in range(most))
                self._blocks.append(block)
                self._block_of.update(dict.fromkeys(block, block))
            return self._blocks[place]

    async def meet(self, engine: Any) -> None:
        """Note an actor with an engine. Ray Data alone would keep it until nobody knows of it."""
        self._engines.append(engine)

    async def engines(self) -> list[Any]:
        """Return the actors with engines."""
        return self._engines


class OpenRequests(Datasource):
    """A data set of what is open, which ends with the actor that holds it."""

    def __init__(self, opened: Any) -> None:
        """Take the actor that holds them."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._opened = opened

    def estimate_inmemory_data_size(self) -> int | None:
        """Return nothing, since nobody knows."""
        return None

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002
        per_task_row_limit: int | None = None,  # noqa: ARG002
        data_context: DataContext | None = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        """Return the one task that hands the blocks on."""
        opened = self._opened

        def blocks() -> Iterator[pa.Table]:
            for place in count():
                block = ray.get(opened.block.remote(place))
                yield pa.table({COLUMN: [{"requests": pickle.dumps(block)}]})

        return [ReadTask(blocks, BlockMetadata(None, None, None, None))]
