"""What is seen of a classification while it runs. All on standard error.

On a terminal: a bar with the share of the snippets that are decided and the time left, votes and
tokens a second, and a table of the placements so far. Elsewhere: a line now and then.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from classify.ask import Progress
from classify.judges import Completion
from classify.metrics import UNPLACED
from classify.placement import Category, Placement
from mining.progress import duration, say

_SECONDS_BETWEEN_LINES = 5.0
_WINDOW_S = 60.0
"""Rates are those of the last minute, so that a slow start does not weigh on them for ever."""
_SAMPLE_EVERY_S = 1.0


@dataclass(slots=True)
class Seen:
    """What has come so far, of ``total`` snippets; a Progress that shows nothing by itself."""

    total: int
    doing: str = "classifying"
    clock: Callable[[], float] = time.monotonic
    decided: Counter[str] = field(default_factory=Counter)
    votes: int = 0
    tokens: int = 0
    errors: int = 0
    _samples: deque[tuple[float, int, int, int]] = field(default_factory=deque)

    def answered(self, completion: Completion) -> None:
        """Take note of an answer, or an error, of the judge."""
        self.errors += completion.error is not None
        self.votes += len(completion.answers)
        self.tokens += completion.prompt_tokens + sum(a.output_tokens for a in completion.answers)
        self._sample()

    def placed(self, placement: Placement) -> None:
        """Take note of a snippet's end."""
        self.decided[placement.category.value if placement.category else UNPLACED] += 1
        self._sample()

    def added(self, votes: int, placed: Mapping[str, int]) -> None:
        """Take note of many answers at once, and of ends: how many snippets are placed where."""
        self.votes += votes
        self.decided.update(placed)
        self._sample()

    @property
    def done(self) -> int:
        """How many snippets have come to an end."""
        return self.decided.total()

    def line(self) -> str:
        """Say how far it is, how fast, and how long it takes."""
        parts = [f"{self.doing}: {self.done} of {self.total} snippets decided"]
        parts += [part for part in self._pace() if part]
        if self.errors:
            parts.append(f"errors: {self.errors}")
        return ", ".join(parts)

    def _pace(self) -> tuple[str, str, str]:
        """Return votes and tokens a second, and the time left; empty where nothing is known."""
        if not self._samples:
            return "", "", ""
        then, done, votes, tokens = self._samples[0]
        elapsed = self.clock() - then
        if elapsed <= 0:
            return "", "", ""
        decided = (self.done - done) / elapsed
        return (
            f"{(self.votes - votes) / elapsed:,.1f} votes/s" if self.votes else "",
            f"{(self.tokens - tokens) / elapsed:,.0f} tokens/s" if self.tokens else "",
            f"{duration((self.total - self.done) / decided)} left" if decided else "",
        )

    def _sample(self) -> None:
        now = self.clock()
        if self._samples and now - self._samples[-1][0] < _SAMPLE_EVERY_S:
            return
        self._samples.append((now, self.done, self.votes, self.tokens))
        while len(self._samples) > 2 and now - self._samples[1][0] > _WINDOW_S:
            self._samples.popleft()

    def __rich__(self) -> Group:
        """Return the bar, the rates, and the placements so far."""
        share = self.done / self.total if self.total else 1.0
        bar = Table.grid(padding=(0, 1))
        votes, tokens, left = self._pace()
        bar.add_row(
            self.doing,
            ProgressBar(total=max(1, self.total), completed=self.done, width=30),
            f"{share:.1%}",
            f"{self.done:,} of {self.total:,} snippets",
            left,
        )
        rates = Table.grid(padding=(0, 3))
        rates.add_row(
            f"{self.votes:,} votes {votes and f'({votes})'}",
            f"{self.tokens:,} tokens {tokens and f'({tokens})'}",
            Text(f"errors: {self.errors:,}", style="red") if self.errors else "",
        )
        placements = Table.grid(padding=(0, 2))
        for name in (*(category.value for category in Category), UNPLACED):
            count = self.decided[name]
            part = f"{count / self.done:.1%}" if self.done else ""
            placements.add_row(f"  {name}", Text(f"{count:,}", justify="right"), part)
        return Group(bar, rates, placements)


class _Lines:
    """The same as plain lines, at most one every five seconds, and one at the end."""

    def __init__(self, seen: Seen, out: Callable[[str], None]) -> None:
        self.seen = seen
        self._out = out
        self._last = seen.clock()

    def answered(self, completion: Completion) -> None:
        self.seen.answered(completion)
        self._say()

    def placed(self, placement: Placement) -> None:
        self.seen.placed(placement)
        self._say()

    def added(self, votes: int, placed: Mapping[str, int]) -> None:
        self.seen.added(votes, placed)
        self._say()

    def _say(self) -> None:
        if self.seen.clock() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = self.seen.clock()
            self._out(self.seen.line())


@contextmanager
def watch(total: int, doing: str = "classifying") -> Iterator[Progress]:
    """Give what takes note of ``total`` snippets' progress, and show it while the block runs."""
    seen = Seen(total, doing)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with Live(seen, console=Console(stderr=True), refresh_per_second=4):
            yield seen
    else:
        with plain(seen, say) as lines:
            yield lines


@contextmanager
def plain(seen: Seen, out: Callable[[str], None]) -> Iterator[Progress]:
    """Show progress as plain lines."""
    started = seen.clock()
    yield _Lines(seen, out)
    out(f"{seen.line()}; took {duration(seen.clock() - started)}")
