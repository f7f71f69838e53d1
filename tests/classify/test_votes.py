import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.placement import Verdict
from classify.votes import decision, majority

DECISIONS = [
    ("Decision: True", True),
    ("Decision: False", False),
    ("The loss is defined.\n\nDecision: True\n", True),
    ("**Decision:** True", True),
    ("**Decision: False**", False),
    ("`Decision: True`", True),
    ("decision: [True]", True),
    ("Decision: Yes.", True),
    ("Decision: no, since it only calls one", False),
    ("Decision = True", True),
    ("### Decision\nDecision: False", False),
    ("Decision: True\nOn second thought:\nDecision: False", False),
    ("Decision: [True, if it is, False otherwise]\nDecision: True", True),
    ("", None),
    ("True", None),
    ("It is True that this is a loss.", None),
    ("Decision:", None),
    ("Decision: maybe", None),
    ("Decision: True\nDecision: unclear", None),
    ("Decision: True or False", None),
    ("Decision: Truesome", None),
    ("Decision: not sure", None),
    ("My indecision: True", None),
    ("Decision:\nTrue", True),
    ("Decision:\nIt is True", None),
]


@pytest.mark.parametrize(("text", "expected"), DECISIONS)
def test_decision(text, expected):
    assert decision(text) is expected


@given(st.text(), st.booleans())
def test_the_last_line_decides_whatever_stands_before(text, value):
    assert decision(f"{text}\nDecision: {value}") is value


@given(st.text())
def test_any_text_is_read(text):
    assert decision(text) in (True, False, None)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([], Verdict.NONE),
        ([None, None], Verdict.NONE),
        ([True, False], Verdict.NONE),
        ([True, False, None], Verdict.NONE),
        ([True, None, None, None, None], Verdict.YES),
        ([True, True, False, False, False], Verdict.NO),
    ],
)
def test_majority(votes, expected):
    assert majority(votes) is expected


@given(st.lists(st.sampled_from([True, False, None])))
def test_majority_is_symmetric_and_blind_to_order_and_abstentions(votes):
    found = majority(votes)
    assert majority(reversed(votes)) is found
    assert majority([*votes, None]) is found
    flipped = {Verdict.YES: Verdict.NO, Verdict.NO: Verdict.YES, Verdict.NONE: Verdict.NONE}
    assert majority([None if v is None else not v for v in votes]) is flipped[found]
