import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.extract import extract

FOUND = [
    ("function", "def f():\n    pass\n", [("function", "f", 1, 2)]),
    ("async", "async def f():\n    pass\n", [("function", "f", 1, 2)]),
    (
        "decorated: the snippet starts at def",
        "@a\n@b(1)\ndef f():\n    pass\n",
        [("function", "f", 3, 4)],
    ),
    (
        "method and nested class",
        "class A:\n    class B:\n        def m(self): pass\n    def n(self): pass\n",
        [("method", "A.B.m", 3, 3), ("method", "A.n", 4, 4)],
    ),
    (
        "nested function",
        "def f():\n    def g():\n        pass\n",
        [("function", "f", 1, 3), ("function", "f.g", 2, 3)],
    ),
    (
        "function nested in a method is a method",
        "class A:\n    def m(self):\n        def g(): pass\n",
        [("method", "A.m", 2, 3), ("method", "A.m.g", 3, 3)],
    ),
    (
        "class in a function",
        "def f():\n    class A:\n        def m(self): pass\n",
        [("function", "f", 1, 3), ("method", "f.A.m", 3, 3)],
    ),
    (
        "outermost loops only",
        "for a in b:\n    while c:\n        pass\n",
        [("loop", "<loop>", 1, 3)],
    ),
    (
        "loop under if, with and try",
        "if __name__ == '__main__':\n    for a in b: pass\n"
        "with x:\n    while c: pass\n"
        "try:\n    for a in b: pass\nfinally:\n    for a in b: pass\n",
        [
            ("loop", "<loop>", 2, 2),
            ("loop", "<loop>", 4, 4),
            ("loop", "<loop>", 6, 6),
            ("loop", "<loop>", 8, 8),
        ],
    ),
    ("loop in a class body is no snippet", "class A:\n    for i in x: y = i\n", []),
    (
        "function in a loop",
        "for a in b:\n    def f(): pass\n",
        [("loop", "<loop>", 1, 2), ("function", "f", 2, 2)],
    ),
    (
        "loop with else ends with it",
        "for a in b:\n    pass\nelse:\n    x = 1\ny = 2\n",
        [("loop", "<loop>", 1, 4)],
    ),
    ("comprehension and lambda are no snippets", "x = [a for a in b]\nf = lambda: 0\n", []),
    (
        "Python 2",
        "def f(a, (b, c)):\n    print a\n    exec 'x' in d\n    raise E, `a`\n"
        "try:\n    for i in xrange(3): print >>f, i\nexcept A, e:\n    pass\n",
        [("function", "f", 1, 4), ("loop", "<loop>", 6, 6)],
    ),
    ("tabs", "class A:\n\tdef m(self):\n\t\treturn 1\n", [("method", "A.m", 2, 3)]),
    ("no newline at the end", "def f(): return 1", [("function", "f", 1, 1)]),
    ("nothing", "", []),
    ("comments only", "# def f(): pass\n", []),
    (
        "blank lines and comments after the body do not belong to it",
        "def f():\n    return 1\n\n# next\n\nx = 1\n",
        [("function", "f", 1, 2)],
    ),
]


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in FOUND], ids=[c[0] for c in FOUND])
def test_snippets(text, expected):
    found = extract("o/n", "c", "p.py", text)
    assert [(s.kind, s.qualname, s.start_line, s.end_line) for s in found.snippets] == expected


def test_text_is_the_lines_of_the_file():
    text = "class A:\n    @d\n    def m(self):\n        return 1\n"
    (snippet,) = extract("o/n", None, "p.py", text).snippets
    assert snippet.text == "    def m(self):\n        return 1"
    assert snippet.code == "def m(self):\n    return 1"


def test_text_of_a_snippet_that_shares_its_first_line():
    (snippet,) = extract(
        "o/n", None, "p.py", "if x: y = 1; z = 2\nclass A: \n  def f(self): pass\n"
    ).snippets
    assert snippet.text == "  def f(self): pass"
    (snippet,) = extract(
        "o/n", None, "p.py", "class A: x = 1; y = 2\ntry:\n  pass\nexcept: \n  for a in b: pass"
    ).snippets
    assert snippet.start_line == 5


def test_equal_code_at_different_depths_has_one_hash_and_two_ids():
    found = extract(
        "o/n", None, "p.py", "def f():\n    return 1\nclass A:\n    def f():\n        return 1\n"
    ).snippets
    assert len({s.code_sha256 for s in found}) == 1
    assert len({s.snippet_id for s in found}) == 2


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f(:\n    pass\ndef g():\n    return 2\n", {"g"}),
        ("def f():\n    return (1\n\ndef g():\n    return 2\n", {"f"}),
    ],
)
def test_broken_files_give_what_can_be_read(text, names):
    found = extract("o/n", None, "p.py", text)
    assert found.broken
    assert names <= {s.qualname for s in found.snippets}


BASES = [
    ("class A: pass", ()),
    ("class A(): pass", ()),
    ("class A(B, c.D): pass", ("B", "c.D")),
    ("class A(B, metaclass=M): pass", ("B",)),
    ("class A(Generic[T], nn.Module): pass", ("Generic", "nn.Module")),
    ("class A(six.with_metaclass(M, B)): pass", ("B",)),
    ("class A(namedtuple('A', 'x y')): pass", ()),
]


@pytest.mark.parametrize(("text", "bases"), BASES)
def test_bases(text, bases):
    (found,) = extract("o/n", None, "p.py", text).classes
    assert found.bases == bases


IMPORTS = [
    ("import a.b", [("a", "a", 0)]),
    ("import a.b as c", [("c", "a.b", 0)]),
    ("import a, b as c", [("a", "a", 0), ("c", "b", 0)]),
    ("from a.b import c, d as e", [("c", "a.b.c", 0), ("e", "a.b.d", 0)]),
    ("from . import c", [("c", "c", 1)]),
    ("from ..a import (b,\n  c)", [("b", "a.b", 2), ("c", "a.c", 2)]),
    ("from a import *", [("*", "a", 0)]),
    ("from .a import *", [("*", "a", 1)]),
]


@pytest.mark.parametrize(("text", "expected"), IMPORTS)
def test_imports(text, expected):
    found = extract("o/n", None, "p.py", text).imports
    assert [(i.local, i.target, i.level) for i in found] == expected
    (inner, *_) = extract("o/n", None, "p.py", "def f():\n    " + text).imports
    assert inner.scope == "f"


def test_deep_nesting_does_not_overflow():
    depth = 5_000
    text = "x = " + "(" * depth + ")" * depth + "\nfor a in b: pass\n"
    assert extract("o/n", None, "p.py", text).snippets is not None
    blocks = "".join(" " * i + "if x:\n" for i in range(1_000))
    text = blocks + " " * 1_000 + "for a in b: pass\n"
    assert [s.kind for s in extract("o/n", None, "p.py", text).snippets] == ["loop"]


LINES = st.lists(
    st.sampled_from(
        [
            "def f(x):",
            "class A(B):",
            "for i in x:",
            "while True:",
            "if __name__ == '__main__':",
            "    def m(self):",
            "        return x",
            "    pass",
            "\tx = (",
            "print x",
            "'''",
            ")",
            "",
            "é = '\u2028'",
            "@d",
            "async def g():",
        ]
    ),
    max_size=30,
)


@given(LINES)
def test_every_snippet_stands_in_its_file_at_its_lines(lines):
    text = "\n".join(lines)
    file_lines = text.split("\n")
    for snippet in extract("o/n", None, "p.py", text).snippets:
        at = file_lines[snippet.start_line - 1 : snippet.end_line]
        assert at[0].endswith(snippet.text.split("\n")[0])
        assert [line.rstrip() for line in snippet.text.split("\n")[1:]] == [
            line.rstrip() for line in at[1:]
        ]
        first_word = snippet.text.split()[0].rstrip(":")
        assert first_word in {"def", "for", "while", "async"}


@given(st.text())
def test_any_text_is_extracted(text):
    extract("o/n", None, "p.py", text)
