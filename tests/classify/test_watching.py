import io

import pytest
from rich.console import Console

from classify.judges import Answer, Completion, Request
from classify.placement import Category, Placement
from classify.questions import Ask, Question
from classify.watching import Seen, plain
from mining.records import Kind, Snippet

SNIPPET = Snippet("o/n", None, "p.py", 1, 1, Kind.FUNCTION, "f", None, "x")
REQUEST = Request(Ask(Question.LOSS_RELATED, SNIPPET), (("user", "?"),), 0, 3)
ANSWER = Completion(REQUEST, (Answer("Decision: True", "stop", 40),) * 3, 80)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def work(progress, clock, seconds, each=2.0):
    """A snippet, with an answer, every two seconds."""
    for _ in range(int(seconds / each)):
        clock.now += each
        progress.answered(ANSWER)
        progress.placed(Placement(SNIPPET, Category.NO_LOSS, {}))


def test_lines_where_there_is_no_terminal(clock):
    said = []
    with plain(Seen(20, clock=clock), said.append) as progress:
        work(progress, clock, 20)
        progress.answered(Completion(REQUEST, error="timeout"))
    assert said == [
        "classifying: 2 of 20 snippets decided, 1.5 votes/s, 100 tokens/s, 36 s left",
        "classifying: 5 of 20 snippets decided, 1.5 votes/s, 100 tokens/s, 30 s left",
        "classifying: 8 of 20 snippets decided, 1.5 votes/s, 100 tokens/s, 24 s left",
        "classifying: 10 of 20 snippets decided, 1.5 votes/s, 100 tokens/s, 18 s left, errors: 1;"
        " took 20 s",
    ]


def test_rates_forget_a_slow_start(clock):
    seen = Seen(1_000, clock=clock)
    work(seen, clock, 1_000, each=100.0)
    work(seen, clock, 100, each=2.0)
    assert "1.5 votes/s" in seen.line()


def test_many_snippets_at_once_count_as_one_by_one(clock):
    said = []
    with plain(Seen(300, clock=clock), said.append) as progress:
        for _ in range(2):
            clock.now += 100  # longer than the rates look back
            progress.added(40, {"no_loss": 90, "unplaced": 10})
    assert said[:2] == [
        "classifying: 100 of 300 snippets decided",
        "classifying: 200 of 300 snippets decided, 0.4 votes/s, 1 min 40 s left",
    ]


def test_nothing_has_come_yet(clock):
    assert Seen(20, clock=clock).line() == "classifying: 0 of 20 snippets decided"


def test_what_a_terminal_shows(clock):
    seen = Seen(20, clock=clock)
    work(seen, clock, 20)
    seen.placed(Placement(SNIPPET, None, {}))
    console = Console(file=io.StringIO(), width=100)
    console.print(seen)
    shown = console.file.getvalue()
    for part in (
        "55.0% 11 of 20 snippets 15 s left",
        "30 votes (1.5 votes/s)",
        "2,000 tokens (100 tokens/s)",
        "no_loss               10  90.9%",
        "unplaced               1  9.1%",
    ):
        assert part in shown
