"""Every target on inputs that hypothesis makes, and on those that once broke it."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.inputs import INPUTS
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
EXAMPLES = {"package": 2, "command_line": 8, "server": 8, "search": 20, "rules": 20, "votes": 15}
"""Of what is slower; a longer look is benchmarks/fuzz.py's."""


@pytest.mark.parametrize("name", TARGETS)
def test_holds_whatever_comes(name):
    @settings(
        max_examples=EXAMPLES.get(name, 60),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(INPUTS[name])
    def look(data):
        TARGETS[name](data)

    look()


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_it_once_does_no_more(path):
    TARGETS[path.parent.name](path.read_bytes())
