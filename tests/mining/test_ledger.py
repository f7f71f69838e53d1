from datetime import UTC, datetime

import pytest

from mining.answers import Page, Result
from mining.ledger import COLUMNS, Answers, ledger, ledger_lines
from mining.records import Repository
from mining.windows import ATTEMPTS, Limits, Reading, Request, Window, WindowRead

SMALL = Limits(shown=4, per_page=2)
LEFT, RIGHT, BOTH = Window(0, 4), Window(5, 9), Window(0, 9)


def page(total, *numbers, incomplete=False):
    """A page of repositories by their numbers; None is a place without a public one."""
    return Page(total, incomplete, tuple(n if n is None else repository(n) for n in numbers))


def repository(number):
    created = datetime(2020, 1, 1, tzinfo=UTC)
    return Result(number, Repository(f"o/r{number}", 0, 0, None, created, False, False, 1, None))


def first(*pages, whole=True):
    """A query of which the first results were asked, each page once."""
    read = WindowRead(None, pages, whole)
    asked = tuple((Request(number), each) for number, each in enumerate(pages, 1))
    return Answers("CNN", asked, Reading((read,), pages[0].total_count, pages[-1].total_count))


def divided(left, right, counted, last, retried=()):
    """A query of two windows, with what was asked before and after them."""
    windows = (WindowRead(LEFT, (left,), True), WindowRead(RIGHT, (right,), not right.incomplete))
    pages = (
        (Request(1, BOTH), counted),
        (Request(1, LEFT), left),
        *((Request(1, RIGHT, attempt), each) for attempt, each in enumerate((*retried, right), 1)),
        (Request(1, BOTH, ATTEMPTS + 1), last),
    )
    return Answers("CNN", pages, Reading(windows, counted.total_count, last.total_count))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (first(page(0)), {"expected": 0, "unique": 0, "gap_percent": 0, "pages": 1, "windows": 1}),
        (first(page(2, 1, 2)), {"expected": 2, "unique": 2, "gap_percent": 0, "pages_least": 1}),
        # of more than GitHub shows, only that much is expected
        (first(page(99, 1, 2), page(99, 3, 4)), {"expected": 4, "unique": 4, "gap_percent": 0}),
        # as the answer moved, one came twice and one never
        (
            first(page(4, 1, 2), page(4, 2, 3), whole=False),
            {
                "results": 4,
                "duplicates": 1,
                "unique": 3,
                "gap_percent": 25,
                "windows_unfinished": 1,
            },
        ),
        # what is withheld is no gap
        (
            first(page(3, 1, None), page(3, 3)),
            {"withheld": 1, "unique": 2, "results": 3, "gap_percent": 0},
        ),
        # the count that was seen last is what is expected
        (
            first(page(3, 1, 2), page(2)),
            {"total_count_first": 3, "total_count_last": 2, "expected": 2, "gap_percent": 0},
        ),
        (
            divided(page(1, 1), page(2, 2, 3), page(5, 1), page(4, 1)),
            {
                "windows": 2,
                "windows_divided": 1,
                "pages": 4,
                "pages_least": 2,
                "retries": 0,
                "results": 3,
                "unique": 3,
                "duplicates": 0,
                "total_count_first": 5,
                "expected": 4,
                "gap_percent": 25,
            },
        ),
        # what was only seen before the window was divided is not lost
        (
            divided(page(1, 1), page(2, 2, 3), page(5, 9), page(4, 9)),
            {"results": 3, "unique": 4, "gap_percent": 0},
        ),
        (
            divided(
                page(1, 1),
                page(2, 2, incomplete=True),
                page(3, 1),
                page(3, 1),
                [page(2, 3, incomplete=True)],
            ),
            {"pages_incomplete": 2, "retries": 1, "windows_unfinished": 1, "unique": 3, "pages": 5},
        ),
    ],
)
def test_a_row(answers, expected):
    (row,) = ledger([answers], SMALL).to_dict("records")
    assert {name: row[name] for name in expected} == expected
    assert row["query"] == "CNN"


def test_columns_have_the_same_types_with_and_without_rows():
    empty, full = ledger([]), ledger([first(page(0))])
    assert list(full.columns) == list(COLUMNS)
    assert full.dtypes.equals(empty.dtypes)


def test_the_lines_say_what_a_reader_must_know():
    table = ledger([first(page(4, 1, 2), page(5, 2, 3), whole=False), first(page(2, 1, 2))], SMALL)
    heading, one, other = ledger_lines(table)
    assert one.split() == ["CNN", "4", "to", "5", "1", "1", "2", "0", "0", "3", "1", "25.00", "%"]
    assert other.split() == ["CNN", "2", "1", "0", "1", "0", "0", "2", "0", "0.00", "%"]
    assert len(heading) == len(one) == len(other)
    assert heading.split()[:3] == ["query", "total", "windows"]
