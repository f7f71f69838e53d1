import itertools
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.answers import Page, Result
from mining.errors import ServiceError
from mining.records import Repository
from mining.windows import ATTEMPTS, Limits, Request, Window, all_results, first_results

START = int(datetime(2010, 1, 1, tzinfo=UTC).timestamp())
UNTIL = datetime(2020, 1, 1, tzinfo=UTC)
SMALL = Limits(shown=20, per_page=5)


def result(number, second, stars=0):
    created = datetime.fromtimestamp(second, UTC)
    return Result(
        number, Repository(f"o/r{number}", stars, 0, None, created, False, False, 1, None)
    )


def results(*placed):
    """Results created (and with stars) as given; each keeps its place in the server's order."""
    return [
        result(i, *(where if isinstance(where, tuple) else (where,)))
        for i, where in enumerate(placed)
    ]


class Server:
    """Answers requests from a list, in its order; ``spoil`` may change an answer."""

    def __init__(self, found, limits=SMALL, spoil=lambda request, page: page):
        self.found, self.limits, self.spoil, self.asked = found, limits, spoil, []

    def run(self, asking):
        request = next(asking)
        while True:
            self.asked.append(request)
            inside = [r for r in self.found if request.window is None or request.window.holds(r)]
            shown = inside[: self.limits.shown]
            start = (request.number - 1) * self.limits.per_page
            assert start < self.limits.shown, "a page past the limit answers 422"
            places = tuple(shown[start : start + self.limits.per_page])
            page = self.spoil(request, Page(len(inside), False, places))
            try:
                request = asking.send(page)
            except StopIteration as end:
                return end.value


def found_in(reading):
    return {r.repository_id for w in reading.windows for page in w.pages for r in page.places if r}


def assert_covers(windows, whole):
    """Windows side by side, from the first to the last second, and of a second all stars."""
    assert (windows[0].start, windows[-1].end) == (whole.start, whole.end)
    for one, next_one in itertools.pairwise(windows):
        if one.stars and next_one.stars and next_one.start == one.start:
            assert next_one.stars[0] == one.stars[1] + 1
        else:
            assert next_one.start == one.end + 1
            assert one.stars is None or one.stars[1] is None
            assert next_one.stars is None or next_one.stars[0] == 0


@pytest.mark.parametrize(
    ("window", "qualifiers", "name"),
    [
        (
            Window(0, 86399),
            "created:1970-01-01T00:00:00Z..1970-01-01T23:59:59Z",
            "19700101T000000Z-19700101T235959Z",
        ),
        (
            Window(60, 60, (0, 7)),
            "created:1970-01-01T00:01:00Z..1970-01-01T00:01:00Z stars:0..7",
            "19700101T000100Z-19700101T000100Z-stars-0-7",
        ),
        (
            Window(60, 60, (8, None)),
            "created:1970-01-01T00:01:00Z..1970-01-01T00:01:00Z stars:8..*",
            "19700101T000100Z-19700101T000100Z-stars-8-up",
        ),
    ],
)
def test_what_a_window_is_called(window, qualifiers, name):
    assert (window.qualifiers, window.name) == (qualifiers, name)


@pytest.mark.parametrize(
    ("window", "divisible"),
    [
        (Window(0, 1), True),
        (Window(0, 0), True),  # by stars
        (Window(0, 0, (0, None)), True),
        (Window(0, 0, (3, 4)), True),
        (Window(0, 0, (3, 3)), False),
    ],
)
def test_what_is_divisible(window, divisible):
    assert window.divisible is divisible


seconds = st.integers(0, 2**31)


@given(
    st.tuples(seconds, seconds).map(sorted),
    st.one_of(
        st.none(),
        st.integers(0, 10**6).map(lambda low: (low, None)),
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(lambda two: tuple(sorted(two))),
    ),
    st.floats(0.01, 0.99),
    st.lists(st.tuples(seconds, st.integers(0, 10**6)), max_size=5),
    st.floats(0.1, 1.0),
)
def test_the_parts_make_up_the_window(bounds, stars, share, seen, uniform):
    window = Window(*bounds, None if bounds[0] < bounds[1] else stars)
    if window.divisible:
        within = [r for r in results(*seen) if window.holds(r)]
        one, other = window.parts(share, within, uniform)
        assert_covers([one, other], window)
        if window.stars:
            assert (one.stars[0], other.stars[1]) == window.stars
        assert one.start <= one.end
        assert other.start <= other.end


@pytest.mark.parametrize(
    ("found", "pages"), [(0, 1), (1, 1), (5, 1), (6, 2), (20, 4), (21, 4), (400, 4)]
)
def test_the_first_results_are_asked_page_by_page(found, pages):
    server = Server(results(*range(found)))
    reading = server.run(first_results(SMALL))
    assert server.asked == [Request(number) for number in range(1, pages + 1)]
    assert found_in(reading) == set(range(min(20, found)))
    assert reading.windows[0].whole
    assert (reading.total_first, reading.total_last) == (found, found)


@pytest.mark.parametrize("found", [0, 1, 20])
def test_what_fits_is_not_divided(found):
    server = Server(results(*range(START, START + found)))
    reading = server.run(all_results(UNTIL, SMALL))
    assert len(reading.windows) == 1
    assert len(server.asked) == max(1, math.ceil(found / 5))


clustered = st.lists(
    st.tuples(
        st.sampled_from([START, START + 1, START + 5, START + 86400, int(UNTIL.timestamp())])
        | st.integers(START, int(UNTIL.timestamp())),
        st.sampled_from([0, 0, 1, 2, 50]) | st.integers(0, 10**6),
    ),
    max_size=200,
)


@given(clustered)
def test_everything_that_can_be_told_apart_is_found_once(placed):
    server = Server(results(*placed))
    reading = server.run(all_results(UNTIL, SMALL))
    assert_covers([w.window for w in reading.windows], server.asked[0].window)
    pages = [r.repository_id for w in reading.windows for page in w.pages for r in page.places]
    assert len(pages) == len(set(pages))
    crowds = {where for where in placed if placed.count(where) > SMALL.shown}
    assert len(pages) == sum(
        SMALL.shown if where in crowds else placed.count(where) for where in set(placed)
    )
    unfinished = [w.window for w in reading.windows if not w.whole]
    assert {(w.start, w.stars[0]) for w in unfinished} == crowds
    assert len(server.asked) == len(set(server.asked))
    assert len(server.asked) <= 20 + 10 * len(placed)


def test_a_crowded_second_is_divided_by_stars():
    placed = [(START + 77, stars) for stars in (*[0] * 15, *[1] * 9, *range(100, 130), 90_000)]
    reading = Server(results(*placed)).run(all_results(UNTIL, SMALL))
    assert found_in(reading) == set(range(len(placed)))
    assert all(w.whole for w in reading.windows)


def test_what_cannot_be_divided_is_read_as_far_as_it_is_shown():
    reading = Server(results(*[(START, 0)] * 50, START + 9)).run(all_results(UNTIL, SMALL))
    (crowd,) = [w for w in reading.windows if not w.whole]
    assert crowd.window == Window(START, START, (0, 0))
    assert len(found_in(reading)) == 21
    assert reading.total_last == 51


@pytest.mark.parametrize("order", ["created", "newest", "stars"])
def test_requests_stay_near_the_least(order):
    """Whatever the order, of which the results on the first page are a bad sample or a good one."""
    days = [START + i * 3600 for i in range(4000)] + [START + 86400 * 99 + i for i in range(2000)]
    placed = results(*[(second, (i * 7919) % 500) for i, second in enumerate(days)])
    keys = {
        "created": lambda r: r.repository.created_at,
        "newest": lambda r: -r.repository.created_at.timestamp(),
        "stars": lambda r: -r.repository.stars,
    }
    server = Server(sorted(placed, key=keys[order]), Limits())
    reading = server.run(all_results(UNTIL))
    assert found_in(reading) == set(range(6000))
    assert len(server.asked) < 60 * (1.25 if order == "stars" else 1.7)


@pytest.mark.parametrize(
    ("stays", "attempts", "whole"), [(1, 2, True), (2, 3, True), (9, 3, False)]
)
@pytest.mark.parametrize("asks", [first_results, lambda limits: all_results(UNTIL, limits)])
def test_an_incomplete_page_is_asked_again(stays, attempts, whole, asks):
    def spoil(request, page):
        incomplete = request.attempt <= stays
        return Page(page.total_count, incomplete, page.places[: 1 if incomplete else None])

    server = Server(results(START, START + 1, START + 2), spoil=spoil)
    reading = server.run(asks(SMALL))
    assert [request.attempt for request in server.asked] == list(range(1, attempts + 1))
    assert [w.whole for w in reading.windows] == [whole]
    assert len(found_in(reading)) == (3 if whole else 1)


def test_a_count_that_was_cut_short_does_not_hide_the_rest():
    """GitHub counts what it found before it ran out of time: here half of more than ten."""

    def spoil(request, page):
        if page.total_count > 10:
            return Page(page.total_count // 2, True, page.places)
        return page

    server = Server(results(*range(START, START + 86400 * 30, 86400)), spoil=spoil)
    assert len(found_in(server.run(all_results(UNTIL, SMALL)))) == 30


@pytest.mark.parametrize("counted", [18, 17])
def test_what_moved_between_two_pages_is_found_in_smaller_windows(counted):
    """One comes twice, and pushed another out; also where the count happens to hide it."""
    found = results(*range(START, START + 18))

    def spoil(request, page):
        if request.number == 2 and page.total_count == 18:
            return Page(counted, False, (found[4], *page.places[1:]))  # and not found[5]
        return page

    server = Server(found, spoil=spoil)
    reading = server.run(all_results(UNTIL, SMALL))
    assert found_in(reading) == set(range(18))
    assert len(reading.windows) > 1
    assert all(w.whole for w in reading.windows)


def test_a_count_that_drifts_divides_nothing():
    """As long as each page agrees with what came, more or fewer counted means no loss."""
    found = results(*range(START, START + 18))
    counts = itertools.cycle([18, 19, 17, 18])

    def spoil(request, page):
        return Page(next(counts), False, page.places)

    reading = Server(found, spoil=spoil).run(all_results(UNTIL, SMALL))
    assert len(reading.windows) == 1
    assert reading.windows[0].whole


@given(st.integers(0, 10**6))
def test_a_server_that_only_counts_is_left(total):
    """It counts the same everywhere and shows nothing: that must end."""
    server = Server([], spoil=lambda request, page: Page(total, False, ()))
    reading = server.run(all_results(UNTIL, SMALL))
    assert [w.whole for w in reading.windows] == [total == 0]
    assert len(server.asked) == 1


def test_a_server_that_is_blind_to_windows_is_an_error():
    everything = Page(5000, False, tuple(results(*range(START, START + 5))))
    server = Server([], spoil=lambda request, page: everything)
    with pytest.raises(ServiceError, match="does not know these qualifiers"):
        server.run(all_results(UNTIL, SMALL))
    assert len(server.asked) < 100


def test_the_count_is_asked_once_more_at_the_end():
    server = Server(results(*range(START, START + 60)))
    reading = server.run(all_results(UNTIL, SMALL))
    whole = server.asked[0].window
    assert server.asked[-1] == Request(1, whole, ATTEMPTS + 1)
    assert (reading.total_first, reading.total_last) == (60, 60)
