import sys
import textwrap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mining.records import dedent

LINES = st.lists(st.text(" \tab#\x0c\r", max_size=6), max_size=6).map("\n".join)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="textwrap.dedent is another there")
@given(LINES)
@example("    a\n\n\n    b\n  c")
@example("  a\n    ")
@example("\ta\n  b")
def test_dedent_is_that_of_the_standard_library(text):
    assert dedent(text) == textwrap.dedent(text)


@pytest.mark.parametrize(
    ("text", "dedented"),
    [
        ("", ""),
        ("def f():\n    pass", "def f():\n    pass"),
        ("  def f():\n\n    pass", "def f():\n\n  pass"),
        ("  def f():\n  \n    pass", "def f():\n\n  pass"),
        ("  def f(a,\n b):\n    pass", " def f(a,\nb):\n   pass"),
        ("    s = '''\ntext'''", "    s = '''\ntext'''"),
    ],
)
def test_dedent(text, dedented):
    assert dedent(text) == dedented
