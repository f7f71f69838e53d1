"""Kills a command several times over, has it run to its end, and says what differs."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.killing.harness import (
    Command,
    Ended,
    complaints,
    copied,
    differences,
    kill_after,
    kill_at,
    kill_when,
    run,
    start,
    state_of,
    steps,
)
from tests.killing.world import Case, World, stored_votes


@dataclass(frozen=True)
class Stop:
    """A signal right before a step (see harness.kill_at), after a time, or after so many votes.

    ``group``: it goes to the whole process group, as from a terminal.
    """

    number: int
    step: int | str | None = None
    seconds: float | None = None
    votes: int | None = None
    group: bool = False

    def __call__(self, world: World, command: Command, place: Path) -> Ended:
        if self.step is not None:
            return kill_at(command, place, self.step, self.number)
        if self.seconds is not None:
            return kill_after(command, place, self.seconds, self.number, group=self.group)
        assert self.votes is not None
        first, wanted = len(world.model.paid), self.votes
        begun = start(command, place, {})
        return kill_when(
            lambda: len(world.model.paid) >= first + wanted,
            begun,
            place,
            self.number,
            self.group,
        )


@dataclass(frozen=True)
class Whole:
    """What a command does where nothing stops it."""

    ended: Ended
    steps: list[str]
    state: dict[str, str]
    requests: int


@dataclass
class Found:
    """What came of killing a command. What is no count of kills, and no time, ought to be
    nothing, or, of ``repeated``, no more than was under way when it was killed."""

    kills: Counter[str] = field(default_factory=Counter)
    reruns: int = 0
    differed: list[str] = field(default_factory=list)
    """Files that are not as the unbroken run leaves them, and votes that are lost."""
    paid_again: int = 0
    """Votes, clones and pages that were on disk, and were asked for once more."""
    repeated: int = 0
    """Requests, more than those of the unbroken run."""
    outside: int = 0
    """Signals that came before the first line of lossplace, or after its last: Python's to answer."""
    wrong: list[str] = field(default_factory=list)
    """Tracebacks, processes left, exit statuses, missing words."""
    slowest_s: float = 0.0
    """From SIGINT or SIGTERM to the end, where it was not sent from within."""
    outlived_s: float = 0.0
    """How long a process of its own lived on."""


def whole(world: World, case: Case, folder: Path) -> Whole:
    """Run a command unbroken."""
    before = _requests(world)
    place = copied(case.before, folder / "whole")
    ended, done = steps(case.command, place)
    assert ended.status == 0, ended.said
    return Whole(ended, done, state_of(place), _requests(world) - before)


def try_out(
    world: World, case: Case, wanted: Whole, stops: Sequence[Stop], folder: Path, found: Found
) -> None:
    """Run a command, stopped again and again, then to its end; note in ``found`` what differs."""
    asked_before = _requests(world)
    place = copied(case.before, folder / "place")
    for stop in stops:
        paid = _Paid(world, place)
        ended = stop(world, case.command, place)
        world.model.settle()
        found.paid_again += paid.again()
        found.wrong += complaints(ended)
        found.outside += not ended.heeded
        if ended.was_killed:
            found.kills[signal.Signals(stop.number).name] += 1
            if stop.number != signal.SIGKILL and ended.heeded:
                found.slowest_s = max(found.slowest_s, ended.took_s or 0.0)
            found.outlived_s = max(found.outlived_s, ended.outlived_s)
    paid = _Paid(world, place)
    ended = run(case.command, place)
    found.paid_again += paid.again()
    found.reruns += 1
    if ended.status:
        found.wrong.append(f"the rerun ended with {ended.status}: {ended.said[-300:]}")
    found.differed += differences(state_of(place), wanted.state)
    found.repeated += max(0, _requests(world) - asked_before - wanted.requests)


class _Paid:
    """What a place holds that was asked for, and what is asked for from then on."""

    def __init__(self, world: World, place: Path) -> None:
        self._world = world
        run_folder = place / "run"
        with tempfile.TemporaryDirectory() as beside:  # as reading a store may change it
            for file in run_folder.glob("votes.sqlite*"):
                shutil.copy(file, beside)
            self._votes = stored_votes(Path(beside, "votes.sqlite"))
        self._clones = {
            clone.name.removesuffix(".git").replace("__", "/", 1)
            for clone in run_folder.glob("clones/[!.]*.git")
        }
        self._pages = {
            (page.parent.name, page.name) for page in run_folder.glob("search/*/[!.]*.json.zst")
        }
        self._asked = _positions(world)

    def again(self) -> int:
        """Return how much of what is there has been asked for again."""
        model, git, github = self._world.model, self._world.git, self._world.github
        first_vote, first_fetch, first_page = self._asked
        return (
            sum(vote in self._votes for vote in model.paid[first_vote:])
            + sum(
                each.command == "fetch" and each.repository in self._clones
                for each in git.requests[first_fetch:]
            )
            + sum(
                (each.query.lower().replace(" ", "-"), f"page-{each.page}.json.zst") in self._pages
                for each in github.asked[first_page:]
            )
        )


def _positions(world: World) -> tuple[int, int, int]:
    return len(world.model.paid), len(world.git.requests), len(world.github.asked)


def _requests(world: World) -> int:
    return len(world.model.asked) + len(world.git.requests) + len(world.github.asked)
