"""Real processes, killed at steps that matter: all is as if nothing had been.

`python benchmarks/kills.py` does the same at random, a hundred times for each command.
"""

import shutil
import sys
import threading
from dataclasses import replace
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from tests.killing.harness import (
    Command,
    Ended,
    complaints,
    copied,
    differences,
    kill_when,
    run,
    start,
    state_of,
)
from tests.killing.trials import Found, Stop, try_out, whole
from tests.killing.world import World
from tests.mining.github_server import primary_limit

STOPS = [
    Stop(SIGINT, "os.rename run/search/pytorch-cnn/.page-1."),
    Stop(SIGKILL, "os.rename run/clones/.o__two.git."),
    Stop(SIGKILL, "open run/.snippets.parquet.meta.json."),
    Stop(SIGKILL, votes=5),
    Stop(SIGINT, votes=9, group=True),
    Stop(SIGTERM, "os.rename run/.placements.parquet."),
]
"""One after the other, each on what the one before has left."""

ODD = {
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C",
    "LANGUAGE": "tr",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",  # so that Python itself knows nothing but ASCII
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("kills") / "world") as opened:
        opened.build({"run"})
        yield opened


@pytest.fixture(scope="module")
def unbroken(world, tmp_path_factory):
    """What the command leaves where nothing stops it, and the place in which it has left that."""
    folder = tmp_path_factory.mktemp("unbroken")
    return whole(world, world.cases["run"], folder), folder / "whole"


@pytest.mark.timeout(900)
def test_six_kills_in_another_place_and_language_leave_no_trace(world, unbroken, tmp_path):
    case, found = world.cases["run"], Found()
    case = replace(
        case, command=replace(case.command, environment={**case.command.environment, **ODD})
    )
    try_out(world, case, unbroken[0], STOPS, tmp_path, found)
    assert (found.differed, found.wrong, found.paid_again) == ([], [], 0)
    assert found.kills == {"SIGKILL": 3, "SIGINT": 2, "SIGTERM": 1}
    # what was under way: a page, some of git's greetings, as many prompts as are asked at once
    assert found.repeated < 40


def extracted(unbroken, tmp_path):
    """Return a place with an extracted run that nobody has judged."""
    place = copied(unbroken[1], tmp_path / "place")
    for name in ("votes.sqlite", "placements.parquet.meta.json"):
        (place / "run" / name).unlink()
    return place


def told(ended: Ended, number: int, kept: str) -> None:
    """It ended by the signal, said what is kept and how to go on, and left nobody behind."""
    assert ended.heeded
    assert ended.status == 128 + number, ended.said
    assert f"{kept} is kept" in ended.said
    assert not complaints(ended)


def test_ctrl_c_ends_the_wait_for_an_answer(world, unbroken, tmp_path):
    place = extracted(unbroken, tmp_path)
    command = Command("classify", ["classify", world.model_study, "--run-dir", "run"])
    hang = threading.Event()
    world.model.before = lambda votes: hang.wait(60)
    try:
        begun = start(command, place, {})
        ended = kill_when(lambda: world.model.at_once == 2, begun, place, SIGINT, group=True)
    finally:
        hang.set()
        world.model.before = lambda votes: None
    told(ended, SIGINT, "every vote that came")


def test_sigterm_ends_the_wait_for_a_rate_limit(world, tmp_path):
    (tmp_path / "place").mkdir()
    command = world.cases["run"].command
    asked = len(world.github.asked)
    world.github.faults.append(primary_limit(reset_in=600))
    begun = start(command, tmp_path / "place", {})
    ended = kill_when(lambda: len(world.github.asked) > asked, begun, tmp_path / "place", SIGTERM)
    world.github.faults.clear()
    told(ended, SIGTERM, "every page, repository and vote that came")


def test_a_signal_that_lossplace_never_heard_is_told_apart(tmp_path):
    """As those are that come before its first line."""
    (tmp_path / "place").mkdir()
    program = (sys.executable, "-c", "import time; open('on', 'w').close(); time.sleep(60)")
    begun = start(Command("sleep", []), tmp_path / "place", {}, program)
    ended = kill_when((tmp_path / "place/on").exists, begun, tmp_path / "place", SIGINT)
    assert (ended.status, ended.heeded) == (-SIGINT, False)
    assert "KeyboardInterrupt" in ended.said
    assert not complaints(ended)


def test_ctrl_c_ends_git(world, unbroken, tmp_path):
    place = copied(unbroken[1], tmp_path / "place")
    shutil.rmtree(place / "run" / "clones")
    (place / "run" / "corpus.parquet.meta.json").unlink()
    command = Command("fetch", ["fetch", world.model_study, "--run-dir", "run"])
    world.git.bytes_per_s = 1.0
    try:
        begun = start(command, place, {})
        ended = kill_when(
            lambda: list((place / "run/clones").glob(".*.part")), begun, place, SIGINT, group=True
        )
    finally:
        world.git.bytes_per_s = None
    told(ended, SIGINT, "every repository that was fetched")


def test_a_clock_that_jumps_changes_nothing(world, unbroken, tmp_path):
    """A day back, a day on, each time that it is read."""
    place = extracted(unbroken, tmp_path)
    command = Command("classify", ["classify", world.model_study, "--run-dir", "run"])
    ended = run(command, place, jumps=[0, -86_400, 86_400, 0.5])
    assert ended.status == 0, ended.said
    assert differences(state_of(place), unbroken[0].state) == []
