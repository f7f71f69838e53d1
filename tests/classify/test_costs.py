import pandas as pd
import pytest

from classify.costs import COLUMNS, PrintedAsks, cost_line, costs_of
from classify.placement import Category, Placement, Verdict
from classify.questions import Question
from classify.store import Cost
from mining.records import Kind, Snippet

R, D, T, M = Question


def snippet(text, kind=Kind.FUNCTION):
    return Snippet("o/n", None, "p.py", 1, 1, kind, "f", None, text)


def placed(subject, *asked):
    return Placement(subject, Category.NO_LOSS, dict.fromkeys(asked, Verdict.YES))


def cost(question, subject, votes=3, requests=1, prompt_tokens=100, output_tokens=60):
    code = subject.code_sha256
    return Cost(
        f"{question}{code}", question, code, 9, votes, requests, prompt_tokens, output_tokens
    )


def by_question(frame):
    return frame.set_index("question").to_dict("index")


METHOD, OTHER = snippet("a" * 10, Kind.METHOD), snippet("b" * 30, Kind.METHOD)
ASKS = [
    # what was decided, what is asked first, and the printed algorithm's asks of each question
    (placed(METHOD), R, {R: 1}),
    (placed(METHOD), D, {D: 1}),
    (placed(METHOD, R), R, {R: 1}),
    (placed(METHOD, R, D), R, {R: 1, D: 1}),
    (placed(METHOD, D, T, M), D, {D: 1, T: 2, M: 2}),
    (placed(snippet("f"), D, T), D, {D: 1, T: 1}),
    (placed(snippet("l", Kind.LOOP), R, D), R, {R: 1, D: 1}),
]


@pytest.mark.parametrize(("placement", "first", "expected"), ASKS)
def test_the_printed_algorithm_asks_all_of_a_class(placement, first, expected):
    printed = PrintedAsks()
    printed.add(placement, first, [METHOD, OTHER])
    costs = by_question(costs_of(printed, [], votes=5))
    assert {Question(q): row["printed_asks"] for q, row in costs.items()} == expected
    assert {Question(q): row["printed_votes"] for q, row in costs.items()} == {
        q: 5 * times for q, times in expected.items()
    }


def test_tokens_of_what_was_asked_are_known_and_of_the_rest_estimated():
    printed = PrintedAsks()
    long = snippet("c" * 50, Kind.METHOD)
    for subject in (METHOD, METHOD, OTHER, long):
        printed.add(placed(subject), R)
    paid = [
        cost(R, METHOD, votes=3, prompt_tokens=100, output_tokens=60),
        cost(R, OTHER, votes=5, requests=2, prompt_tokens=240, output_tokens=100),
    ]
    [row] = costs_of(printed, paid, votes=5).to_dict("records")
    assert row == {
        "question": "loss_related",
        "asks": 2,
        "votes": 8,
        "prompt_tokens": 340,
        "output_tokens": 160,
        "printed_asks": 4,
        "printed_votes": 20,
        # twice 100, once 120, and on the line through (10, 100) and (30, 120) at 50: 140
        "printed_prompt_tokens": 200 + 120 + 140,
        "printed_output_tokens": 4 * 5 * 20,
        "printed_estimated": 1,
    }


def test_a_question_that_was_never_asked_costs_what_the_others_do():
    printed = PrintedAsks()
    for subject in (METHOD, OTHER):
        printed.add(placed(subject, D), R)
    paid = [cost(D, METHOD, prompt_tokens=100), cost(D, OTHER, prompt_tokens=120)]
    related = by_question(costs_of(printed, paid, votes=5))["loss_related"]
    assert (related["asks"], related["printed_asks"], related["printed_estimated"]) == (0, 2, 2)
    assert related["printed_prompt_tokens"] == 220
    assert related["printed_output_tokens"] == 2 * 5 * 20


def test_where_nothing_is_known_there_is_no_row():
    assert costs_of(PrintedAsks(), [], 5).empty
    assert list(costs_of(PrintedAsks(), [], 5).columns) == list(COLUMNS)


def test_one_line_says_what_was_saved():
    frame = pd.DataFrame(
        [("loss_related", 2, 6, 200, 100, 4, 20, 500, 1_000, 1)], columns=list(COLUMNS)
    )
    assert cost_line(frame) == (
        "paid in all: 2 asks, 6 votes, 300 tokens; as printed: 4 asks, 20 votes, about 1,500 "
        "tokens (3.3 times as many votes, 5.0 times as many tokens)"
    )
    rules = frame.assign(prompt_tokens=0, output_tokens=0, printed_estimated=0)
    assert "tokens" not in cost_line(rules)
