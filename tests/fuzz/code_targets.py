"""What must hold of other people's code, whatever its bytes: extraction, notebooks, rules, outlines.

Each function takes bytes and raises where something does not hold; see targets.py.
"""

import io
import json
import re

from tree_sitter import Query, QueryCursor

from classify.judges.rules import rule
from classify.judges.shortening import shortened
from classify.questions import Question
from mining.code import RepositoryCode
from mining.decode import decode
from mining.extract import PYTHON, extract, parse
from mining.notebooks import NotebookError, place_in_cell, read_notebook
from mining.records import Kind

MOST_SNIPPETS = 12
"""Of a file, whose every question is put to the rules; more would only make a run slower."""
_DEFINITIONS = Query(PYTHON, "(function_definition) @function (class_definition) @class")
_IDENTIFIERS = Query(PYTHON, "(identifier) @identifier")
_LOCALS = Query(PYTHON, "(assignment left: (identifier) @local)")
_SEPARATOR = b"\n#--- file\n"


def extraction(data: bytes) -> None:
    """Every snippet's text is in its file at its lines, and no definition is lost."""
    decoded = decode(data)
    if decoded is None:
        return
    text = decoded.text
    assert not {"\r", "\0"} & set(text)
    text.encode("utf-8")
    found = extract("o/n", None, "a.py", text)
    assert found == extract("o/n", None, "a.py", text)
    lines = text.split("\n")
    for snippet in found.snippets:
        assert 1 <= snippet.start_line <= snippet.end_line <= len(lines)
        at_its_lines = "\n".join(lines[snippet.start_line - 1 : snippet.end_line])
        assert snippet.text in at_its_lines
        before, _, after = at_its_lines.partition(snippet.text)
        assert "\n" not in before, "it starts in its first line"
        assert "\n" not in after, "it ends in its last line"
        assert len(snippet.snippet_id) == 16
    for each in found.classes:
        assert 1 <= each.start_line <= each.end_line <= len(lines)
    tree = parse(text.encode())
    there = QueryCursor(_DEFINITIONS).captures(tree.root_node)
    functions = [s for s in found.snippets if s.kind is not Kind.LOOP]
    assert len(functions) == len(there.get("function", ()))
    assert len(found.classes) == len(there.get("class", ()))
    if not found.broken:
        below = extract("o/n", None, "a.py", f"# one more line\n{text}")
        assert [_moved(s, 1) for s in found.snippets] == [_moved(s, 0) for s in below.snippets]


def _moved(snippet, lines):
    return (
        snippet.start_line + lines,
        snippet.end_line + lines,
        snippet.kind,
        snippet.qualname,
        snippet.class_qualname,
        snippet.text,
    )


def notebook(data: bytes) -> None:
    """Any JSON is a notebook or none; each line of a code cell is one line of the joined text."""
    try:
        found = read_notebook(data.decode("utf-8", "replace"))
    except NotebookError:
        return
    lines = found.text.split("\n")
    assert found.unreadable <= len(found.cells)
    cells = json.loads(data.decode("utf-8", "replace")).get("cells")
    ends = [first for first, _ in found.cells[1:]] + [len(lines) + 1]
    for (first, number), end in zip(found.cells, ends[: len(found.cells)], strict=True):
        assert lines[first - 2] == f"# %% cell {number}"
        if cells is not None and isinstance(source := cells[number - 1].get("source"), str):
            plain = io.StringIO(source, newline=None).read().removesuffix("\n")
            assert plain.count("\n") == end - 2 - first
        for line in range(first, end - 1):
            assert place_in_cell(found.cells, line) == (number, line - first + 1)
    for snippet in extract("o/n", None, "a.ipynb", found.text).snippets:
        number, line = place_in_cell(found.cells, snippet.start_line)
        (first,) = [first for first, n in found.cells if n == number]
        assert first + line - 1 == snippet.start_line
    extraction(found.text.encode())


def rules(data: bytes) -> None:
    """The rules never raise, name lines of the file, and say the same twice.

    What a local variable is called that speaks of nothing is nothing to them.
    """
    code = _code(data)
    said = _rulings(code)
    assert said == _rulings(_code(data)), "the same code gets the same answers"
    for path, text in code.texts.items():
        for name in _renamable(text):
            both = [
                _rulings(
                    RepositoryCode("o/n", None, {**code.texts, path: _renamed(text, name, to)})
                )
                for to in ("qwx", "vbj")
            ]
            assert both[0] == both[1], f"the local {name} of {path}"
            break


def _code(data):
    decoded = [decode(part) for part in data.split(_SEPARATOR)]
    names = ("pkg/__init__.py", "a.py", "pkg/b.py", "c.py")
    return RepositoryCode(
        "o/n", None, {path: d.text for path, d in zip(names, decoded, strict=False) if d}
    )


def _rulings(code):
    said = []
    for path, extraction in code.extractions.items():
        last = code.texts[path].count("\n") + 1
        for snippet in extraction.snippets[:MOST_SNIPPETS]:
            for question in Question:
                for bases in ("follow", "ignore"):
                    ruling = rule(question, snippet, code, bases=bases)
                    assert ruling.lines
                    assert all(1 <= line <= last for line in ruling.lines)
                    assert ruling.reason.isprintable()
                    said.append((snippet.qualname, question, bases, ruling.decision, ruling.lines))
    return said


def _renamable(text):
    """Give names that are assigned and used, and stand nowhere else than as a variable."""
    source = text.encode()
    tree = parse(source)
    if tree.root_node.has_error:
        return
    identifiers = QueryCursor(_IDENTIFIERS).captures(tree.root_node).get("identifier", ())
    elsewhere = {
        node.text
        for node in identifiers
        if node.parent.type not in _AS_VARIABLES
        or node.parent.child_by_field_name("attribute") == node
        or node.parent.child_by_field_name("name") == node
    }
    for node in QueryCursor(_LOCALS).captures(tree.root_node).get("local", ()):
        around = node.parent
        while around is not None and around.type != "function_definition":
            around = around.parent
        name = node.text.decode()
        # a name in a string may be meant by it
        once = len(re.findall(rf"\b{re.escape(name)}\b", text))
        everywhere = once == sum(each.text == node.text for each in identifiers)
        if around is not None and node.text not in elsewhere and everywhere:
            yield name


_AS_VARIABLES = frozenset(
    {"assignment", "binary_operator", "return_statement", "expression_statement", "call"}
    | {"argument_list", "attribute", "subscript", "parenthesized_expression"}
)


def _renamed(text, name, to):
    return re.sub(rf"\b{re.escape(name)}\b", to, text)


def shortening(data: bytes) -> None:
    """Each shorter version is shorter, and holds nothing but lines of the code and counted gaps."""
    decoded = decode(data)
    code = "" if decoded is None else decoded.text
    lines = code.split("\n")
    for asked in ("outline", "head_and_tail"):
        before = None
        for number, version in enumerate(shortened(code, asked, 0.5)):
            shown = version.code.split("\n")
            kept = [
                line
                for part in filter(None, version.kept.split(","))
                for line in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)
            ]
            assert kept == sorted(set(kept))
            assert len(kept) + version.left_out == len(lines)
            gaps = [
                re.fullmatch(r"\s*# \.\.\. lines left out here: (\d+) \.\.\.", s) for s in shown
            ]
            assert sum(int(gap[1]) for gap in gaps if gap) >= version.left_out
            rest = iter(shown)
            assert all(lines[line - 1] in rest for line in kept), "in their order"
            size = len(kept)
            if before is not None and (asked == "head_and_tail" or number > 1):
                assert size < before
            before = size
