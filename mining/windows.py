"""Which pages of a search are asked, one after the other. Pure: requests out, pages in.

GitHub shows the first 1,000 results of a search. ``first_results`` takes those; ``all_results``
divides the query into windows by the instant of creation, and a single second by stars, until
each window shows all that it holds. Both are generators: they give a ``Request``, are sent the
``Page`` that answers it, and return a ``Reading``. What they ask next follows from the pages
before and from nothing else, so that a search goes on from stored pages as if it had not ended.

A repository's creation never changes and GitHub takes and gives it to the second, so that each
repository is in one window. Within a window the pages are asked in the order of the last update,
latest first. Of the orders that GitHub has (there is none by creation), it has the fewest ties:
best match and stars have many, and what is tied may come twice or never as one page follows
another. An update moves a repository to the front, most often one that has been read by then.

A window that shows fewer results than GitHub counts at each of its pages, or one twice and fewer
than it counts at any, has lost some between two pages. It is divided like one that holds too
many, down to windows of one page, which cannot lose any.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from mining.answers import Page, Result
from mining.errors import ServiceError

ATTEMPTS = 3
"""How often at most a page is asked which GitHub calls incomplete."""
LAUNCH = datetime(2007, 10, 1, tzinfo=UTC)
"""GitHub's oldest repository is a few weeks younger."""

_FILL = 0.85
"""Share of the limit that a window is meant to hold. An estimate is off by some ten percent:
windows meant to be full would often hold too many, and a request be lost."""
_NEARLY_FULL = 0.95
"""Up to this share of the limit, what is left of a window is asked in one piece."""
_UNIFORM = 0.1
"""Weight of evenly spread results, beside those seen, in the estimate of where results are."""


class Limits(NamedTuple):
    """What GitHub shows of a search: results in all, and on a page."""

    shown: int = 1000
    per_page: int = 100


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a query: created from ... to, in seconds since 1970, both included.

    ``stars``, where not None, bounds the stars likewise; without an end where that is None.
    """

    start: int
    end: int
    stars: tuple[int, int | None] | None = None

    @property
    def qualifiers(self) -> str:
        """What is added to the query."""
        words = f"created:{_instant(self.start)}..{_instant(self.end)}"
        return words if self.stars is None else f"{words} stars:{self._stars_range}"

    @property
    def name(self) -> str:
        """A name for a folder: the bounds, sorted like the windows."""
        created = f"{_digits(self.start)}-{_digits(self.end)}"
        if self.stars is None:
            return created
        low, high = self.stars
        return f"{created}-stars-{low}-{'up' if high is None else high}"

    @property
    def divisible(self) -> bool:
        """Tell whether there are two windows that make up this one."""
        return self.start < self.end or self.stars is None or self.stars[0] != self.stars[1]

    def holds(self, result: Result) -> bool:
        """Tell whether a result is one of this window."""
        if not self.start <= _created(result) <= self.end:
            return False
        if self.stars is None:
            return True
        low, high = self.stars
        return low <= result.repository.stars and (high is None or result.repository.stars <= high)

    def parts(self, share: float, seen: Sequence[Result], uniform: float) -> tuple[Window, Window]:
        """Divide this window where about ``share`` of its results come before.

        The estimate takes the results ``seen`` for a sample of them, mixed with an even spread
        of the weight ``uniform``: over time, or over the logarithm of stars.
        """
        if self.start < self.end:
            cut = _cut(self.start, self.end, share, [_created(each) for each in seen], uniform)
            return Window(self.start, cut), Window(cut + 1, self.end)
        low, high = self.stars or (0, None)
        stars = [each.repository.stars for each in seen]
        top = max([low + 1, *stars]) if high is None else high
        cut = _cut(low, top, share, stars, uniform, logarithmic=True)
        return (
            Window(self.start, self.end, (low, cut)),
            Window(self.start, self.end, (cut + 1, high)),
        )

    @property
    def _stars_range(self) -> str:
        assert self.stars is not None
        low, high = self.stars
        return f"{low}..{'*' if high is None else high}"


class Request(NamedTuple):
    """A page to ask: its number, of which window (None: the whole query), and which attempt."""

    number: int
    window: Window | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A window that was read to its end: for each page its best attempt.

    ``whole`` tells whether GitHub showed as much as it counted, and called no page incomplete.
    """

    window: Window | None
    pages: tuple[Page, ...]
    whole: bool

    @property
    def total_count(self) -> int:
        """GitHub's count at the last page."""
        return self.pages[-1].total_count


@dataclass(frozen=True, slots=True)
class Reading:
    """A query that was read to its end.

    ``windows`` are those that stand for the query, in order; together they cover it.
    ``total_first`` and ``total_last`` are GitHub's counts for the whole query, before and after.
    """

    windows: tuple[WindowRead, ...]
    total_first: int
    total_last: int


Asking: TypeAlias = Generator[Request, Page, Reading]
_Pages: TypeAlias = Generator[Request, Page, Page]
_Windows: TypeAlias = Generator[Request, Page, list[WindowRead]]


def first_results(limits: Limits = LIMITS) -> Asking:
    """Ask for what GitHub shows of the whole query, in its own order, best match first."""
    first = yield from _page(Request(1))
    read = yield from _read(None, first, limits)
    return Reading((read,), first.total_count, read.total_count)


def all_results(until: datetime, limits: Limits = LIMITS) -> Asking:
    """Ask for all results that were created up to an instant.

    The count of the whole is asked once more at the end: it tells of results that no window
    had, whatever the reason.

    Raises ServiceError if the pages do not keep to the windows.
    """
    whole = Window(int(LAUNCH.timestamp()), int(until.timestamp()))
    first = yield from _page(Request(1, whole), limits)
    windows = yield from _take(whole, first, limits, _UNIFORM)
    if windows[0].window == whole:
        return Reading(tuple(windows), first.total_count, windows[0].total_count)
    last = yield from _page(Request(1, whole, ATTEMPTS + 1))
    return Reading(tuple(windows), first.total_count, last.total_count)


def _take(window: Window, first: Page, limits: Limits, uniform: float) -> _Windows:
    """Read a window of which the first page is there; divide it if it does not show all."""
    seen: list[Page] = [first]
    too_many = first.total_count > limits.shown and any(first.places)
    if not too_many or not window.divisible:
        read = yield from _read(window, first, limits)
        found = sum(len(page.places) for page in read.pages)
        if read.whole or not window.divisible or found <= limits.per_page:
            return [read]
        seen = list(read.pages)
    results = [place for page in seen for place in page.places if place is not None]
    return (yield from _divide(window, first.total_count, results, limits, uniform))


def _divide(
    window: Window, total: int, seen: Sequence[Result], limits: Limits, uniform: float
) -> _Windows:
    """Read a window piece by piece, from its start; ``total`` results are expected in it."""
    windows: list[WindowRead] = []
    rest: Window | None = window
    while rest is not None:
        pieces = math.ceil(total / (_FILL * limits.shown))
        if rest is window:
            pieces = max(2, pieces)
        elif total <= _NEARLY_FULL * limits.shown:
            pieces = 1
        piece, rest = rest, None
        if pieces > 1 and piece.divisible:
            within = [each for each in seen if piece.holds(each)]
            piece, rest = piece.parts(1 / pieces, within, uniform)
        first = yield from _page(Request(1, piece), limits)
        # too many speak against the sample within this piece, very few against it from here on
        doubtful, too_many = min(1.0, 2 * uniform), first.total_count > limits.shown
        windows += yield from _take(piece, first, limits, doubtful if too_many else uniform)
        if first.total_count < total / pieces / 4:
            uniform = doubtful
        elif not too_many:
            uniform = max(_UNIFORM, uniform / 2)
        total = max(0, total - first.total_count)
    return windows


def _page(request: Request, counted: Limits | None = None) -> _Pages:
    """Ask a page, and again while GitHub calls it incomplete; return the best attempt.

    ``counted``: a page that shows no more than that there are too many results is good enough.
    """
    best = yield request
    _check(best, request.window)
    for attempt in range(request.attempt + 1, request.attempt + ATTEMPTS):
        if not best.incomplete or (counted and best.total_count > counted.shown):
            break
        page = yield request._replace(attempt=attempt)
        _check(page, request.window)
        if not page.incomplete or len(page.places) > len(best.places):
            best = page
    return best


def _read(
    window: Window | None, first: Page, limits: Limits
) -> Generator[Request, Page, WindowRead]:
    pages = [first]
    while not _is_last(pages[-1], len(pages), limits):
        pages.append((yield from _page(Request(len(pages) + 1, window))))
    places = [place for page in pages for place in page.places]
    results = [place.repository_id for place in places if place is not None]
    found = len(set(results)) + len(places) - len(results)
    # a count may drift by itself; but what moved and came twice was in the place of another
    counts = [page.total_count for page in pages]
    counted = min(counts) if found == len(places) else max(counts)
    whole = (
        found >= min(limits.shown, counted)
        and (window is None or pages[-1].total_count <= limits.shown)
        and not any(page.incomplete for page in pages)
    )
    return WindowRead(window, tuple(pages), whole)


def _is_last(page: Page, number: int, limits: Limits) -> bool:
    """Tell whether no page follows: by the count, since GitHub's pages may lack results."""
    return not page.places or number * limits.per_page >= min(limits.shown, page.total_count)


def _check(page: Page, window: Window | None) -> None:
    """Refuse pages of a server that is blind to windows: dividing would never end."""
    results = [place for place in page.places if place is not None]
    if window and 2 * sum(map(window.holds, results)) < len(results):
        raise ServiceError(
            f"Expected only repositories of {window.qualifiers!r}, found others: this server does "
            'not know these qualifiers; set search.population to "first-1000".'
        )


def _cut(
    low: int,
    high: int,
    share: float,
    seen: Sequence[int],
    uniform: float,
    logarithmic: bool = False,
) -> int:
    """Return the least place in [low, high) up to which lies ``share`` of the results."""
    ordered = sorted(seen)
    scale = math.log1p if logarithmic else float

    def before(place: int) -> float:
        even = scale(place + 1 - low) / scale(high + 1 - low)
        if not ordered:
            return even
        return (1 - uniform) * bisect_right(ordered, place) / len(ordered) + uniform * even

    first, last = low, high - 1
    while first < last:
        middle = (first + last) // 2
        if before(middle) >= share:
            last = middle
        else:
            first = middle + 1
    return first


def _created(result: Result) -> int:
    return int(result.repository.created_at.timestamp())


def _instant(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digits(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
