import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.judges.rules.words import _BOLTZMANN, speaks_of_boltzmann

PIECES = st.sampled_from(
    ["rb", "m", "RBM", "Gibbs", "contrastive_", "div", "visib", "le", "cd", "_k", "v_", "bias", "ſ"]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("class RBM:", True), ("cd_k(v)", True), ("encode", False), ("abcd", False), ("vBias", True)],
)
def test_a_text_speaks_of_a_boltzmann_machine(text, expected):
    assert speaks_of_boltzmann(text) is expected


@given(st.lists(PIECES).map("".join))
def test_the_quick_look_before_the_search_changes_nothing(text):
    assert speaks_of_boltzmann(text) is (_BOLTZMANN.search(text) is not None)
