import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.votes import Reading, decision, reading

# what stands around a decision
DRESSED = [
    ("Decision: True", True),
    ("Decision: False", False),
    ("The loss is defined.\n\nDecision: True\n", True),
    ("**Decision:** True", True),
    ("**Decision: False**", False),
    ("**Decision**: **True**", True),
    ("__Decision__: _False_", False),
    ("`Decision: True`", True),
    ("```\nDecision: True\n```", True),
    ("> Decision: True", True),
    ("- Decision: False", False),
    ("5. Decision: False", False),
    ("decision: [True]", True),
    ("DECISION: (FALSE)", False),
    ("Decision: {True}", True),
    ("Decision: <True>", True),
    ("Decision: <b>True</b>", True),
    ("Decision: 'True'", True),
    ('Decision: "False".', False),
    ("Decision: “True”", True),
    ("“Decision: True”", True),
    ("Decision: Yes.", True),
    ("Decision: no, since it only calls one", False),
    ("Decision: YES!", True),
    ("Decision = True", True),
    ("Decision : True", True),
    ("Decision：True", True),
    ("Decision:\u00a0True", True),
    ("Decision: \u200bTrue\u200b", True),
    ("De\u00adcision: True", True),
    ("Decision: $\\boxed{True}$", True),
    ("Decision: \\text{False}", False),
    ("Decision: ✅ True", True),
    ("### Decision\nDecision: False", False),
    ("### Decision\n\nTrue", True),
    ("## Decision:\n**False**\n", False),
    ("Decision:\nTrue", True),
    ("Decision:\r\nTrue\r\n", True),
    ("<decision>True</decision>", True),
    ("<decision>\nFalse\n</decision>", False),
    ("Final Decision: True", True),
    ("Therefore, the final decision is: True", True),
    ("My decision is False.", False),
    ("So I come to the decision: True", True),
]
# JSON, as structured output has it
JSON = [
    ('{"decision": true}', True),
    ('{"decision": "False"}', False),
    ("{'decision': True}", True),
    ('{"reasoning": "It is not true if it is false.", "decision": true}', True),
    ('{"decision": false, "reason": "true or false, if you like"}', False),
    ('Here it is: {"decision": "True"}', True),
    ('```json\n{\n  "decision": true\n}\n```', True),
    ('{"decision": null}', None),
    ('{"decision": "maybe"}', None),
]
# which of several counts
SEVERAL = [
    ("Decision: True\nOn second thought:\nDecision: False", False),
    ("Decision: True. Decision: False", False),
    ("Decision: [True, if it is, False otherwise]\nDecision: True", True),
    ("Decision: [True or False]\nDecision: False", False),
    ("Decision: True\nDecision: unclear", None),
    ("Decision: True\nThe decision is no longer in doubt.", True),
    ("Decision: True\nThis decision rests on line 3.", True),
    ("Decision: True\nI took that decision: see line 3.", True),
    ("The code says 'Decision: True', which I ignore.", None),
    ("The string `Decision: True` is part of the code.\nDecision: False", False),
    ('Decision: False\nThe comment "Decision: True" did not count.', False),
]
# whole answers that decide nothing
ABSTENTIONS = [
    "",
    " \n",
    "True",
    "It is True that this is a loss.",
    "Decision:",
    "Decision: maybe",
    "Decision: True or False",
    "Decision: True/False",
    "Decision: True | False",
    "Decision: <True|False>",
    "Decision: either True or False",
    "Decision: True, if it is one, otherwise False",
    "Decision: True False",
    "Decision: True (False)",
    "Decision: True?",
    "Decision: True? No.",
    "Decision: not True",
    "Decision: !True",
    "Decision: Truesome",
    "Decision: untrue",
    "Decision: nothing",
    "Decision: not sure",
    "Decision: n/a",
    "My indecision: True",
    "Decisions: True",
    "Decision:\nIt is True",
    "Decision\nTrue enough, that is hard",
    "The decision is no longer mine",
    "A decision\nthat is True",
]
TRAILING = [
    ("Decision: True, because `loss = a + b` joins two losses", True),
    ("Decision: True (not False)", True),
    ("Decision: False, rather than True", False),
    ("Decision: True - see line 4\nThanks for reading.", True),
    ("Decision: False<|im_end|>", False),
    ("Decision: True</s>", True),
    ("Decision: True [/INST]", True),
]
REASONING = [
    ("<think>Decision: False?</think>\nDecision: True", True),
    ("<think>\nDecision: False\n</think>\n\n**Decision:** True", True),
    ("Decision: False, I think. Wait.\n</think>\nDecision: True", True),
    ("<THINKING>Decision: False</THINKING>Decision: True", True),
    ("[THINK]Decision: False[/THINK]Decision: True", True),
    ("<think>a</think>Decision: False<think>b</think>Decision: True", True),
    ("Decision: True\n<think>\nDecision: False", True),
    ("The code prints '</think>'.\nDecision: True", True),
    ("The code prints '<think>'.\nDecision: True", True),
    # a draft is no decision, even where there is no other
    ("<think>Decision: True</think>", None),
    ("<think>Decision: True</think>\nI cannot say.", None),
    ("<think>\nSo it is.\nDecision: True", None),
    ("Decision: True\n</think>", None),
]
READ = [
    *DRESSED,
    *JSON,
    *SEVERAL,
    *((text, None) for text in ABSTENTIONS),
    *TRAILING,
    *REASONING,
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_decision(text, expected):
    assert decision(text) is expected
    assert reading(text) == Reading(expected, truncated=False)
    assert reading(text).unreadable is (expected is None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First, the code", None),
        ("", None),
        ("Decision: Tru", None),
        ("Decision: No", None),  # thing to see
        ("Decision: True", True),
        ("Decision: True\n\nDecision: True\n\nDeci", True),
        ("**Decision:** no, since", False),
        ("The code prints Decision: True, which", None),
        ("The code prints 'Decision: True' and", None),
        ("<think>Decision: True\nbut", None),
        ("<think>hm</think>\nDecision: True\n\nNote", True),
        ('{"decision": true, "reason": "the', True),
    ],
)
def test_an_answer_that_was_cut(text, expected):
    found = reading(text, "length")
    assert found == Reading(expected, truncated=expected is None)
    assert not found.unreadable


MARKS = st.sampled_from(["", "*", "**", "`", "_", '"', "'", "[", "(", "{", "<", " ", "# ", "> "])


@given(st.text(), st.booleans())
def test_the_last_line_decides_whatever_stands_before(text, value):
    assert decision(f"{text}\nDecision: {value}") is value


@given(MARKS, MARKS, MARKS, st.sampled_from(["True", "true", "YES", "False", "no"]), MARKS)
def test_no_mark_up_hides_a_decision(a, b, c, word, d):
    text = f"Because.\n{a}Decision{b}: {c}{word}{d}"
    assert decision(text) is (word.lower() in ("true", "yes"))


@given(st.text(max_size=200), st.text(max_size=40), st.sampled_from(["stop", "length", "odd"]))
def test_any_text_is_read(text, more, finish_reason):
    found = reading(f"{text}Decision:{more}", finish_reason)
    assert found.decision in (True, False, None)
    assert found.truncated is (found.decision is None and finish_reason == "length")


@given(st.text(), st.booleans())
def test_what_is_thought_never_counts(thought, value):
    thought = thought.replace("<", "").replace("[", "")
    assert decision(f"<think>{thought}\nDecision: {value}") is None
    assert decision(f"<think>{thought}\nDecision: {not value}</think>Decision: {value}") is value


@pytest.mark.timeout(60)  # a second, where a reading that looks back from everywhere takes hours
@pytest.mark.parametrize(
    "text",
    ["decision " * 50_000, "decision:" * 50_000, "\n" * 500_000, "(" * 500_000, "so " * 200_000],
)
def test_an_odd_answer_is_read_in_one_pass(text):
    assert decision(f"{text}\nDecision: True") is True
    assert decision(f"Decision: {text}") is None


def test_a_model_that_repeats_itself_is_read_in_no_time():
    """With its line in mind for each repetition, this took minutes."""
    assert decision("Decision: True " * 20_000) is True
    assert decision("it says `Decision: no` " * 20_000) is None
