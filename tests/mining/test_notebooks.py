import ast
import json
import re

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from mining.notebooks import Notebook, NotebookError, place_in_cell, read_notebook
from mining.records import Outcome


def notebook(*sources, **more):
    """A notebook of format 4; each source is that of a code cell."""
    cells = [{"cell_type": "code", "source": source, "outputs": []} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | more)


def lines_of(source):
    """The lines which one cell becomes."""
    return read_notebook(notebook(source)).text.split("\n")[1:-1]


def test_cells_are_joined_and_found_again():
    text = json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "source": "# Title"},
                {"cell_type": "code", "source": ["import torch\n", "x = 1"]},
                {"cell_type": "raw", "source": "raw"},
                {"cell_type": "code", "source": "def f():\n    return x\n"},
                {"cell_type": "code", "source": []},
            ]
        }
    )
    found = read_notebook(text)
    assert found.text == (
        "# %% cell 2\nimport torch\nx = 1\n# %% cell 4\ndef f():\n    return x\n# %% cell 5\n\n"
    )
    assert found == Notebook(found.text, ((2, 2), (5, 4), (8, 5)), 0)
    places = [place_in_cell(found.cells, line) for line in (2, 3, 5, 6, 8)]
    assert places == [(2, 1), (2, 2), (4, 1), (4, 2), (5, 1)]


LINES = [
    ("x = 1", "x = 1"),
    ("%matplotlib inline", "pass  # %matplotlib inline"),
    ("!pip install x", "pass  # !pip install x"),
    ("pip install x", "pass  # pip install x"),
    ("?torch.nn", "pass  # ?torch.nn"),
    ("torch.nn?", "pass  # torch.nn?"),
    ("torch.nn??", "pass  # torch.nn??"),
    ("files = !ls", "pass  # files = !ls"),
    ("a, b[0] = %run x.py", "pass  # a, b[0] = %run x.py"),
    ("%time f(x)", "f(x)"),
    ("%time", "pass  # %time"),
    ("if x:\n    !ls\n    %cd ..", "if x:\n    pass  # !ls\n    pass  # %cd .."),
    ("!a \\\n  b \\\n  c\nx = 1", "pass  # !a \\\n#   b \\\n#   c\nx = 1"),
    ("%%time\nx = 1", "# %%time\nx = 1"),
    ("\n%%timeit -n 3\nx = 1", "\n# %%timeit -n 3\nx = 1"),
    ("%%bash\nfor x in *; do\n\ndone", "# %%bash\n# for x in *; do\n\n# done"),
    ("%%html\n<b>", "# %%html\n# <b>"),
    ("%%writefile a.py\nx = 1", "# %%writefile a.py\nx = 1"),
    ("%%writefile a.txt\nx = 1", "# %%writefile a.txt\n# x = 1"),
    # what only looks like it
    ("x = (a\n% b)", "x = (a\n% b)"),
    ("x = a \\\n% b", "x = a \\\n% b"),
    ("'''\n%%bash\n!ls\n'''", "'''\n%%bash\n!ls\n'''"),
    ('x = "\\""\n!ls', 'x = "\\""\npass  # !ls'),
    ("x = '''a''' + \"'\"\n!ls", "x = '''a''' + \"'\"\npass  # !ls"),
    ("x = 1  # it's (not open\n!ls", "x = 1  # it's (not open\npass  # !ls"),
    ("x = 1  # \\\n!ls", "x = 1  # \\\npass  # !ls"),
    ("x = r'\\''\n!ls", "x = r'\\''\npass  # !ls"),
    ("print 'a=%d' % x", "print 'a=%d' % x"),
    ('print "%s = %s" % (a, b)', 'print "%s = %s" % (a, b)'),
    ("x = a if b != c else d", "x = a if b != c else d"),
    ("x %= 3", "x %= 3"),
]


@pytest.mark.parametrize(("source", "expected"), LINES)
def test_what_is_no_python_is_neutralised_line_by_line(source, expected):
    assert lines_of(source) == expected.split("\n")


@pytest.mark.parametrize(
    "source", [s for s, _ in LINES if not re.search("print|^pip|%%(html|bash|w)", s)]
)
def test_ipython_takes_the_same_for_python(source):
    """What it would run parses, and so does what we make of it, to as many statements."""
    theirs = ast.parse(TransformerManager().transform_cell(source))
    ours = ast.parse("\n".join(lines_of(source)))
    if not source.lstrip().startswith("%%"):
        assert len(ours.body) == len(theirs.body)


@pytest.mark.parametrize("source", ["f(", "x = '''", "def f(a,\n", '"""\n"'])
def test_a_cell_that_ends_within_a_statement_spoils_no_other(source):
    found = read_notebook(notebook("def g(): pass", source, "def h(): pass"))
    assert found.unreadable == 1
    assert [n.name for n in ast.parse(found.text).body] == ["g", "h"]


@pytest.mark.parametrize("version", [2, 3])
def test_older_formats(version):
    sources = ["import a\n!ls", "def f():\n    pass"]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    old = nbformat.convert(nbformat.v4.new_notebook(cells=cells), 3)
    if version == 2:
        old["nbformat"] = 2
        for cell in old.worksheets[0].cells:
            cell.pop("metadata", None)
    assert "worksheets" in old
    assert read_notebook(json.dumps(old)) == read_notebook(notebook(*sources))


def test_the_oldest_format():
    text = json.dumps({"cells": [{"cell_type": "code", "code": "x = 1"}]})
    assert read_notebook(text).text == "# %% cell 1\nx = 1\n"


@pytest.mark.parametrize(
    ("text", "outcome", "reason"),
    [
        ("", Outcome.UNDECODABLE, "not the JSON"),
        ("{", Outcome.UNDECODABLE, "not the JSON"),
        ("[" * 100_000, Outcome.UNDECODABLE, "nested too deeply"),
        ("[]", Outcome.UNDECODABLE, "no object"),
        ("{}", Outcome.UNDECODABLE, "no list of cells"),
        ('{"cells": 1}', Outcome.UNDECODABLE, "no list of cells"),
        ('{"worksheets": []}', Outcome.UNDECODABLE, "no list of cells"),
        (
            notebook("x", metadata={"kernelspec": {"language": "R"}}),
            Outcome.NOT_PYTHON,
            "a notebook in 'R'",
        ),
        (
            notebook("x", metadata={"language_info": {"name": "julia"}}),
            Outcome.NOT_PYTHON,
            "a notebook in 'julia'",
        ),
    ],
)
def test_what_is_no_notebook_of_python(text, outcome, reason):
    with pytest.raises(NotebookError, match=reason) as caught:
        read_notebook(text)
    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    "cell",
    [
        1,
        None,
        "x",
        {},
        {"cell_type": "code"},
        {"cell_type": "code", "source": 1},
        {"cell_type": []},
    ],
)
def test_a_damaged_cell_is_passed_over(cell):
    text = json.dumps({"cells": [cell, {"cell_type": "code", "source": [None, "x = 1"]}]})
    assert read_notebook(text).text.endswith("# %% cell 2\nx = 1\n")


def test_text_that_could_not_be_stored():
    text = notebook("a\r\nb\rc\x00\ud800")
    assert read_notebook(text).text == "# %% cell 1\na\nb\nc\ufffd?\n"


@given(st.lists(st.text("x(['\"\\\n%!? #:=a", max_size=40), max_size=4))
def test_every_line_of_every_cell_is_found_again(sources):
    found = read_notebook(notebook(*sources))
    lines = found.text.split("\n")
    for number, source in enumerate(sources, start=1):
        for line, text in enumerate(source.removesuffix("\n").split("\n"), start=1):
            place = next(p for n, p in enumerate(found.cells) if p[1] == number)[0] + line - 1
            assert place_in_cell(found.cells, place) == (number, line)
            assert text.removeprefix("%time").strip() in lines[place - 1]
