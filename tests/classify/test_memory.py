"""What stays in memory of prompts that are answered: nothing that can be had from the store."""

import gc
import random
from collections import Counter, deque
from contextlib import nullcontext

import pytest

from classify.ask import Ballots, Subject, place_all
from classify.judges import Answer, Completion, JudgeSettings, Request
from classify.judges.openai import OpenAIJudge
from classify.placement import Placement, place
from classify.questions import Ask
from classify.stopping import Tally, VotingRule
from classify.store import Store, Vote
from classify.subjects import Rows
from mining.records import Kind, Snippet
from mining.study import JudgeStudySettings
from tests.classify.judges.llm_server import LLMServer, completion

AT_ONCE = 8
OF_PROMPTS = (Snippet, Ask, Request, Answer, Completion, Vote, Subject, Placement)
REMEMBERED = 50


class Window:
    """Answers as a server does: several prompts under way, any of them first."""

    def __init__(self):
        self.settings = JudgeSettings("scripted", {}, "test")
        self._chance = random.Random(0)

    def answer(self, requests):
        under_way = deque()
        for request in requests:
            if request is not None:
                under_way.append(request)
            if request is None or len(under_way) >= AT_ONCE:
                under_way.rotate(self._chance.randrange(AT_ONCE))
                yield self._complete(under_way.popleft())
        while under_way:
            yield self._complete(under_way.popleft())

    def _complete(self, request):
        if self._chance.random() < 0.02:
            return Completion(request, error="too long", refused=True)
        says = [self._chance.random() < 0.4 for _ in range(request.draws)]
        return Completion(request, tuple(Answer(f"Decision: {s}", "stop", 9) for s in says), 90)


def served():
    return OpenAIJudge(
        JudgeStudySettings(kind="openai", base_url=SERVER.base_url, model="m", concurrency=AT_ONCE)
    )


def says(body):
    return completion(
        ["Decision: True" if len(SERVER.asked) % 3 else "Decision: False"] * body["n"]
    )


SERVER = LLMServer(says)


def subjects(count):
    """Give methods of one class each, made when they are wanted."""
    for number in range(count):
        each = Snippet("o/n", None, "p.py", number, number, Kind.METHOD, "C.f", "C", f"# {number}")
        yield Subject(number, lambda v, s=each: place(s, [s], v, lambda _: False))


def alive():
    gc.collect()
    counts = Counter(map(type, gc.get_objects()))
    named = {each.__name__: counts[each] for each in OF_PROMPTS}
    tasks = sum(n for kind, n in counts.items() if kind.__name__ in ("Task", "Future"))
    return {**named, "tasks": tasks, "tallies": counts[Tally]}


@pytest.mark.parametrize(("judge", "count"), [(Window, 400), (served, 60)])
def test_what_was_answered_is_let_go(tmp_path, monkeypatch, judge, count):
    monkeypatch.setattr("classify.ask._MOST_REMEMBERED", REMEMBERED)
    late = {}
    with SERVER if judge is served else nullcontext(), Store(tmp_path / "v.sqlite") as store:
        messages = lambda ask: (("user", f"{ask.question}: {ask.snippet.code}"),)  # noqa: E731
        ballots = Ballots(store, judge(), messages, VotingRule(5))
        rows = Rows(count, ballots)
        before = alive()

        def put(number, placement, risk):
            rows.put(number, placement, risk)
            if number == count - 2 * AT_ONCE:
                late.update(alive())
                assert len(ballots.prompts) <= 2 * REMEMBERED
                assert len(ballots._decided) <= 2 * REMEMBERED

        place_all(subjects(count), ballots, put)
        assert ballots.spent.asks > count
    for name, most in late.items():
        assert most - before[name] <= 4 * AT_ONCE, name
