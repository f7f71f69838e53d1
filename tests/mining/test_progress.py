import contextlib
import io
import os
import pty
import sys
import threading

import pytest

from mining.progress import duration, say, track, wait, with_lines


class Clock:
    """Moves only when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def lines_of(seconds_per_item, total, count=None):
    """The lines for items that take so many seconds each."""
    clock, lines = Clock(), []
    items = seconds_per_item[: count if count is not None else len(seconds_per_item)]
    for seconds in with_lines(items, "reading", total, lines.append, clock):
        clock.now += seconds
    return lines


@pytest.mark.parametrize(
    ("seconds_per_item", "total", "expected"),
    [
        ([], 0, ["reading: 0 of 0 in 0 s"]),
        ([0.1] * 3, 3, ["reading: 3 of 3 in 0 s"]),
        (
            [4.0] * 4,
            4,
            [
                "reading: 2 of 4, 15.0/min, 8 s left",
                "reading: 4 of 4, 15.0/min, 0 s left",
                "reading: 4 of 4 in 16 s",
            ],
        ),
        (
            [0.25] * 30,
            None,
            ["reading: 20, 4.0/s", "reading: 30 in 8 s"],
        ),
        (
            [70.0],
            100,
            [
                "reading: 1 of 100, 0.9/min, 1 h 55 min left",
                "reading: 1 of 100 in 1 min 10 s",
            ],
        ),
    ],
)
def test_lines_come_at_most_every_five_seconds_and_at_the_end(seconds_per_item, total, expected):
    assert lines_of(seconds_per_item, total) == expected


def test_a_loop_left_early_has_no_last_line():
    lines = []
    for _ in with_lines("abc", "reading", 3, lines.append, Clock()):
        break
    assert lines == []


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds, expected):
    assert duration(seconds) == expected


def test_plain_lines_where_there_is_no_terminal(capsys):
    assert list(track(["a", "b"], "fetching")) == ["a", "b"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("fetching: 2 of 2 in ")


def read_to_end(descriptor, chunks):
    with contextlib.suppress(OSError):  # how a terminal says that its other side is closed
        while chunk := os.read(descriptor, 4096):
            chunks.append(chunk)


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_bar_on_a_terminal(monkeypatch, term):
    ours, theirs = pty.openpty()
    chunks = []
    reader = threading.Thread(target=read_to_end, args=(ours, chunks))
    reader.start()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "120")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for _ in track(range(3), "fetching [all]"):
            say("a word in between")
    reader.join()
    os.close(ours)
    shown = b"".join(chunks).decode()
    assert "fetching [all]" in shown
    assert shown.count("a word in between") == 3
    assert ("━" in shown and "3/3" in shown) == (term == "xterm")
    assert ("3 of 3 in" in shown) == (term == "dumb")


def test_a_wait_says_why(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    wait(0.001, "The limit is reached")
    assert shown.getvalue() == "The limit is reached; waiting 0 s\n"
