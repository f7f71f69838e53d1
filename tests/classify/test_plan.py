import json
import random
import shutil
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from classify import cli, pilot
from classify.classification import STORE, classify
from classify.costs import COSTS
from classify.errors import JudgeError
from classify.forecast import (
    METRICS,
    QUESTIONS,
    Member,
    draw,
    forecast,
    frame_of,
    pace,
    shared,
)
from classify.judges import Answer, Completion, JudgeSettings
from classify.judging import open_replay
from classify.pilot import plan
from classify.plan import Terms
from classify.questions import Question
from mining import pipeline as mining
from mining.artifacts import Run
from mining.study import Study, override
from tests.opening import begin

R, D, T, M = Question
NO_TERMS = Terms()


def member(number, unit, prompt, question=R, *, chars=100, promise=0, opens=()):
    return Member(number, unit, prompt, question, chars, 10, promise, frozenset(opens))


def test_equal_units_count_once_and_a_shared_text_counts_in_parts():
    frame = frame_of(
        [
            member(0, "A", "x", opens=[(T, "x"), (M, "x"), (T, "y"), (M, "y")]),
            member(1, "A", "y", D, promise=2),
            member(2, 2, "z", opens=[(T, "z")]),
            member(3, "B", "x", opens=[(T, "x"), (M, "x"), (T, "y"), (M, "y")]),  # a copy of A
            member(4, "B", "y", D, promise=2),
            member(5, "C", "y", D, opens=[(T, "y"), (M, "y")]),
        ]
    )
    assert [unit.numbers for unit in frame.units] == [(0, 1), (2,), (5,)]
    assert [unit.promise for unit in frame.units] == [2, 0, 0]
    assert [unit.texts for unit in frame.units] == [1.5, 1.0, 0.5]
    assert frame.units[0].firsts == {R: 1.0, D: 0.5}
    assert [unit.is_class for unit in frame.units] == [True, False, True]
    assert frame.open_units[T, "y"] == [1, 0, 1]


@pytest.mark.parametrize(
    ("units", "own", "reached", "share"),
    [
        ([1, 0, 0], 0, [0.5, 0, 0], 1.0),
        ([0, 0, 3], 2, [0, 0, 1.0], 1 / 3),
        ([0, 0, 3], 2, [0, 0, 0.5], 1 / 2),
        ([4, 0, 1], 2, [0.0, 0, 1.0], 1.0),  # those that never come to ask it
        ([2, 1, 0], 1, [0.5, 0.2, 0], 1 / 2),
    ],
)
def test_an_ask_is_shared_by_those_that_come_to_ask_it(units, own, reached, share):
    assert shared(units, own, reached) == pytest.approx(share)


def population(units=1500, seed=0):
    """Units of three strata with skewed costs, and what each costs."""
    chance = random.Random(seed)
    members, costs, number = [], {}, 0
    for name in range(units):
        promise = chance.choices([0, 1, 2], [8, 2, 1])[0]
        texts = 1 + int(chance.expovariate(0.5))
        for _ in range(texts):
            chars = 2000 + int(chance.expovariate(0.001))
            members.append(member(number, name, f"p{number}", chars=chars, promise=promise))
            number += 1
        cost = np.zeros((len(QUESTIONS), len(METRICS)))
        votes = sum(5 if chance.random() < 0.3 else 3 for _ in range(texts))
        cost[0] = texts, votes, 700 * texts, 100 * texts, 250 * votes
        if chance.random() < (0.02, 0.3, 0.6)[promise]:
            more = int(texts * chance.expovariate(0.5)) + 1
            cost[2] = more, 4 * more, 700 * more, 100 * more, 1000 * more
        costs[name] = cost
    return frame_of(members).units, costs


def test_a_larger_sample_holds_the_smaller_one_and_every_stratum():
    units, _ = population()
    small, large = draw(units, 100, 1), draw(units, 400, 1)
    assert set(small) < set(large)
    assert small != draw(units, 100, 2)
    for sample, texts in ((small, 100), (large, 400)):
        assert sum(units[p].texts for p in sample) == pytest.approx(texts, rel=0.2)
        assert min(Counter(units[p].promise for p in sample).values()) >= 2
    assert draw(units, 10**6, 1) == list(range(len(units)))


def test_of_a_whole_corpus_the_cost_is_known():
    units, costs = population(50)
    found = forecast(units, costs, draw(units, 10**6, 0))
    estimate = found.of({"votes": 1.0})
    assert (
        estimate.low
        == estimate.value
        == estimate.high
        == sum(c[0, 1] + c[2, 1] for c in costs.values())
    )


@pytest.mark.parametrize("weights", [{"votes": 1.0}, {"prompt_tokens": 2.0, "output_tokens": 6.0}])
def test_the_interval_holds_the_true_cost_about_nine_times_in_ten(weights):
    units, costs = population()
    true = sum(
        weight * cost[:, METRICS.index(name)].sum()
        for cost in costs.values()
        for name, weight in weights.items()
    )
    held = []
    values = []
    for seed in range(200):
        sample = draw(units, 300, seed)
        estimate = forecast(units, {p: costs[p] for p in sample}, sample).of(weights)
        held.append(estimate.low <= true <= estimate.high)
        values.append(estimate.value)
    assert 0.84 <= np.mean(held) <= 0.96
    assert np.mean(values) == pytest.approx(true, rel=0.01)


def test_what_is_certain_has_no_interval():
    units, costs = population()
    sample = draw(units, 300, 0)
    found = forecast(units, {p: costs[p] for p in sample}, sample)
    asks = found.of({"asks": 1.0}, R)
    assert asks.low == pytest.approx(asks.high) == pytest.approx(sum(u.texts for u in units))


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [
        ([], None),
        ([(0, 90)], None),
        ([(0, 90), (1, 10), (3, 20)], 10.0),
        ([(0, 90), (1, 10), (1000, 90), (1002, 20)], 10.0),  # without the break
    ],
)
def test_the_rate_is_that_of_the_time_at_work(seconds, rate):
    answered = [
        (f"2026-01-01T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z", n) for s, n in seconds
    ]
    assert pace(answered) == rate


def test_without_a_pilot_nothing_is_asked_and_nothing_written(judged, model):
    study, run = judged
    planned = plan(study, run, NO_TERMS, pilot=0)
    assert not model.votes
    assert not run.path(STORE).exists()
    counted = planned.counted
    assert (counted.snippets, counted.texts, counted.decided) == (7, 6, 0)
    assert counted.least == {R: 4, D: 2, T: 0, M: 0}
    assert counted.most == {R: 4, D: 6, T: 5, M: 3}
    assert planned.votes == (3, 7)
    assert planned.forecast is None
    assert list(planned.lines())[-1].startswith("least: ")


SAVINGS = [
    {},
    {"equal_code": False},
    {"class_once": False, "stop_at_yes": False},
    {"early_stop": False, "rules_gate": True},
]


@pytest.mark.parametrize("savings", SAVINGS)
def test_a_pilot_of_everything_costs_what_the_run_costs(judged, model, savings):
    study, run = judged
    study = override(study, savings=savings)
    planned = plan(study, run, NO_TERMS, pilot=1000)
    asked = Counter(model.votes)
    assert planned.pilot.votes == planned.forecast.of({"votes": 1.0}).value == asked.total()
    spent = classify(study, run)
    assert (spent.asks, model.votes) == (0, asked)
    costs = run.read(COSTS).set_index("question")
    for name in ("asks", "votes", "prompt_tokens", "output_tokens"):
        for question in costs.index:
            estimate = planned.forecast.of({name: 1.0}, Question(question))
            assert estimate.low == estimate.high == costs.loc[question, name]
    again = plan(study, run, NO_TERMS, pilot=1000)
    assert (again.pilot.asked, model.votes) == (0, asked)
    assert [to_pay.value for _, _, to_pay in again.bill()] == pytest.approx(
        [0.0] * len(list(again.bill()))
    )


class StandIn:
    """Votes by what is in the code, and now and then otherwise, the same for a prompt and draw."""

    settings = JudgeSettings("openai", {"model": "stand-in"}, "stand-in")

    def __init__(self):
        self.asked = Counter()

    def answer(self, requests):
        for request in filter(None, requests):
            [(_, text)] = request.messages
            truth = f"yes to {request.ask.question}" in text
            answers = []
            for draw_number in range(request.first_draw, request.first_draw + request.draws):
                self.asked[text, draw_number] += 1
                says = random.Random(f"{text}{draw_number}")
                vote = truth != (says.random() < 0.1)
                answers.append(Answer(f"Decision: {vote}", "stop", 100 + says.randrange(100)))
            yield Completion(request, tuple(answers), len(text) // 4)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """A run of some 300 snippets, a fifth of which speaks of losses."""
    folder = tmp_path_factory.mktemp("synthetic")
    chance = random.Random(0)
    for repository in range(12):
        lines = []
        for name in range(12):
            of_class = chance.random() < 0.4
            lines += [f"class C{name}:"] if of_class else []
            losses = chance.random() < 0.3
            for method in range(chance.choice([1, 2, 4, 8]) if of_class else 1):
                said = [
                    f"yes to {question}"
                    for question, share in ((R, 0.5), (D, 0.5), (T, 0.2), (M, 0.3))
                    if chance.random() < (share if losses else share / 10)
                ]
                word = "loss" if losses and chance.random() < 0.8 else "data"
                code = [
                    f"def {word}_{name}_{method}(x):",
                    *[f"    x.step({repository}, {i})" for i in range(chance.randrange(1, 30))],
                    f"    for y in x: '''{' and '.join(said)}'''",
                ]
                lines += [("    " if of_class else "") + line for line in code]
        place = folder / "corpus" / f"o__r{repository}" / "m.py"
        place.parent.mkdir(parents=True)
        place.write_text("\n".join(lines) + "\n")
    study = override(
        Study(name="s"),
        corpus={"local": folder / "corpus"},
        judge={"kind": "openai", "model": "stand-in", "spare_votes": 0},
    )
    run = Run(folder / "run")
    mining.fetch(*begin(study, run))
    mining.extract(study, run)
    return study, run


@pytest.fixture
def stand_in(monkeypatch):
    judge = StandIn()

    def open_judge(study, corpus, _):
        return replace(open_replay(study, corpus, judge.settings), judge=judge)

    monkeypatch.setattr("classify.classification.open_judge", open_judge)
    monkeypatch.setattr(pilot, "open_judge", open_judge)
    return judge


def test_a_pilot_foretells_a_run_which_does_not_pay_for_it_again(synthetic, stand_in, tmp_path):
    study, run = synthetic
    whole = Run(tmp_path / "whole")
    shutil.copytree(run.folder, whole.folder)
    classify(study, whole)
    true = whole.read(COSTS).sum(numeric_only=True)
    held, off = Counter(), []
    for seed in range(15):
        run.path(STORE).unlink(missing_ok=True)
        stand_in.asked.clear()
        found = plan(study, run, NO_TERMS, pilot=80, seed=seed).forecast
        for name in ("asks", "votes", "prompt_tokens", "output_tokens"):
            estimate = found.of({name: 1.0})
            held[name] += estimate.low <= true[name] <= estimate.high
            off.append(estimate.value / true[name] - 1)
    assert all(times >= 11 for times in held.values()), held
    assert abs(np.mean(off)) < 0.03
    before = Counter(stand_in.asked)
    assert 0 < before.total() < 0.5 * true["votes"]
    plan(study, run, NO_TERMS, pilot=80, seed=14)
    plan(study, run, NO_TERMS, pilot=40, seed=14)
    assert stand_in.asked == before
    classify(study, run)
    assert set(stand_in.asked.values()) == {1}
    assert stand_in.asked.total() == true["votes"]


def test_a_judge_out_of_reach_is_an_error(judged):
    study, run = judged
    gone = override(study, judge={"base_url": "http://127.0.0.1:9/v1"})
    with pytest.raises(JudgeError, match="found none that answers"):
        plan(gone, run, NO_TERMS, pilot=5)


def test_the_rules_cost_nothing(judged):
    study, run = judged
    planned = plan(override(study, judge={"kind": "rules"}), run, NO_TERMS, pilot=5)
    assert list(planned.lines()) == [
        "plan: 7 snippets in 2 repositories, 6 distinct texts; judge rules",
        "no model is asked: it costs nothing but the time of this machine",
    ]


def test_hours_and_money_follow_the_terms(judged):
    study, run = judged
    terms = Terms(4, 2.0, price_per_gpu_hour=3.0, price_in=10.0, price_out=20.0)
    planned = plan(study, run, terms, pilot=1000)
    bill = {name: in_all.value for name, in_all, _ in planned.bill()}
    assert bill["hours"] == pytest.approx(bill["output_tokens"] / 2 / 3600)
    assert bill["gpu_hours"] == pytest.approx(4 * bill["hours"])
    assert bill["money_for_gpus"] == pytest.approx(3 * bill["gpu_hours"])
    tokens = (10 * bill["prompt_tokens"] + 20 * bill["output_tokens"]) / 1e6
    assert bill["money_for_tokens"] == pytest.approx(tokens)


def test_the_command_prints_a_table_or_json(judged, monkeypatch, capsys):
    study, run = judged
    begin(study, run)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lossplace", "plan", str(run.folder), *arguments])
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        return capsys.readouterr().out

    table = call("--pilot", "3", "--tokens-per-second", "100", "--price-out", "2")
    assert "still to pay" in table
    assert "money for tokens" in table
    assert "output tokens/s given" in table
    found = json.loads(call("--pilot", "3", "--json"))
    assert found["pilot"]["asked"] == 0
    assert set(found["by_question"]) == {question.value for question in Question}
    estimate = found["in_all"]["votes"]
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert "forecast" not in json.loads(call("--pilot", "0", "--json"))
