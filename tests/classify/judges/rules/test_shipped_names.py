"""The names that ship as data."""

import re

import pytest

from classify.judges.rules import library
from classify.judges.rules.shipped_names import listed, operators, paths, pattern


def test_every_role_can_be_read_as_names_or_as_a_pattern() -> None:
    assert "torch" in listed("framework")
    assert pattern("loss class").fullmatch("MSELoss")
    assert operators()["matmul"] == "@"
    assert all(path.is_file() for path in paths())


def test_no_pattern_is_unbounded_at_both_ends_by_nothing() -> None:
    for role in ("layer", "model", "loss function", "loss class", "layer with weights"):
        assert isinstance(pattern(role), re.Pattern)
        assert pattern(role).fullmatch("") is None


@pytest.mark.parametrize(
    ("dotted", "found"),
    [
        ("tensorflow.keras.losses.Poisson", True),
        ("torch.distributions.Poisson", False),
        ("torch.nn.MSELoss", True),
        ("mylib.MSELoss", False),
    ],
)
def test_a_loss_class_is_known_by_its_name_in_its_home(dotted: str, found: bool) -> None:
    assert library.is_loss_class(dotted) is found
