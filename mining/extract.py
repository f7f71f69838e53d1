"""A Python file to its snippets, classes and imports. Pure: text in, records out.

One parse by tree-sitter, which reads Python 2 and 3 alike and goes on after an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import tree_sitter_python
from tree_sitter import Language, Node, Parser, Tree

from mining.imports import Import, imports_of
from mining.records import ClassDefinition, Kind, Snippet

PYTHON = Language(tree_sitter_python.language())
_SCOPES = {
    "function_definition": "function",
    "class_definition": "class",
    "for_statement": "loop",
    "while_statement": "loop",
    "import_statement": "import",
    "import_from_statement": "import",
}
_NODE_KINDS = [
    (kind_id, PYTHON.node_kind_for_id(kind_id)) for kind_id in range(PYTHON.node_kind_count)
]  # more than one number may mean a node
_KINDS = {kind_id: _SCOPES[node] for kind_id, node in _NODE_KINDS if node in _SCOPES}
_COMPOUND = {
    *("module", "block", "decorated_definition", "function_definition", "class_definition"),
    *("if_statement", "elif_clause", "else_clause", "for_statement", "while_statement"),
    *("try_statement", "except_clause", "finally_clause", "with_statement"),
    *("match_statement", "case_clause"),
}
"""What holds statements."""
_DEEPEST = 100
"""Levels of indentation that Python itself reads. Each holds the text of all below it once more."""
_COMMENT_LINE = re.compile(rb"^[ \t\f]*#[^\n]*$", re.MULTILINE)
_MANY = 1000
"""Comments or continued lines in a file, below which it is not looked for those that are slow."""
_TOO_MANY = 10_000
"""Continued lines that no one writes, and which take the square of their number after an error."""
_PIECE = 4096
_READ_AGAIN = 50
"""So often the parser may read a file; it reads what people write about twice."""
_OPENED = frozenset(k for k, node in _NODE_KINDS if node in _COMPOUND or node in _SCOPES)


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one file holds, in the order of its text.

    ``broken``: the parser met an error, or scopes are nested too deeply to be read.
    """

    snippets: tuple[Snippet, ...]
    classes: tuple[ClassDefinition, ...]
    imports: tuple[Import, ...]
    broken: bool


class _Scope(NamedTuple):
    """What is around a node: how many functions, classes and loops, and what they are called."""

    depth: int = 0
    qualname: str = ""
    class_qualname: str | None = None


def parse(source: bytes) -> Tree:
    """Return the syntax tree of a file's text, given as UTF-8."""
    if _takes_hours(source):
        source = _without_lookahead(source)
    return Parser(PYTHON).parse(source)


def extract(
    repository: str, commit: str | None, path: str, text: str, tree: Tree | None = None
) -> Extraction:
    r"""Return every function, method and outermost module-level loop of a file, and its classes.

    Nested functions are snippets of their own. A loop counts when no function, class or other
    loop is around it; ``if``, ``with`` and ``try`` may be. ``text`` has ``\n`` line ends, and
    ``tree`` is its syntax tree where that is at hand.
    """
    source = text.encode("utf-8", "replace")
    tree = parse(source) if tree is None else tree
    snippets: list[Snippet] = []
    classes: list[ClassDefinition] = []
    imports: list[Import] = []
    broken = tree.root_node.has_error
    too_deep = False

    def scope_of(kind: str, node: Node, around: _Scope) -> _Scope:
        """Take note of what a node defines, and return the scope that it opens."""
        depth, qualname, class_qualname = around
        if kind == "loop":
            if not depth:
                snippets.append(snippet(node, Kind.LOOP, "<loop>", None))
            return _Scope(depth + 1, qualname, class_qualname)
        name = _name(node)
        qualname = f"{qualname}.{name}" if qualname else name
        if kind == "class":
            lines = node.start_point.row + 1, _end_line(node)
            bases = tuple(base_names(node))
            classes.append(ClassDefinition(repository, path, qualname, *lines, bases))
            return _Scope(depth + 1, qualname, qualname)
        of_class = Kind.FUNCTION if class_qualname is None else Kind.METHOD
        snippets.append(snippet(node, of_class, qualname, class_qualname))
        return _Scope(depth + 1, qualname, class_qualname)

    def snippet(node: Node, kind: Kind, qualname: str, class_qualname: str | None) -> Snippet:
        lines = node.start_point.row + 1, _end_line(node)
        text = _lines(source, node)
        return Snippet(repository, commit, path, *lines, kind, qualname, class_qualname, text)

    # In the order of the text. What is looked for are statements, so that only what holds them is
    # opened, and what holds an error: there a statement may lie anywhere. A query over all nodes
    # takes twice as long, and of a long error the square of its length.
    open_nodes = [(tree.root_node, _Scope())]
    while open_nodes:
        node, scope = open_nodes.pop()
        kind = _KINDS.get(node.kind_id)
        if kind is not None:
            if scope.depth == _DEEPEST:
                too_deep = True
                continue
            if kind == "import":
                imports.extend(imports_of(node, scope.qualname))
                continue
            scope = scope_of(kind, node, scope)
            # most functions hold no other one: their statements need not be looked at
            if scope.depth and not broken and kind != "class" and not _may_define(source, node):
                continue
        open_nodes += [
            (child, scope)
            for child in reversed(node.named_children)
            if child.kind_id in _OPENED or (broken and child.has_error)
        ]
    return Extraction(tuple(snippets), tuple(classes), tuple(imports), broken or too_deep)


def base_names(class_node: Node) -> Iterator[str]:
    """Give the dotted names of the bases in a class statement, as written.

    ``with_metaclass(Meta, Base)`` gives ``Base``; a base computed otherwise has no name.
    """
    arguments = class_node.child_by_field_name("superclasses")
    for argument in arguments.named_children if arguments else ():
        if argument.type in ("identifier", "attribute"):
            yield text_of(argument)
        elif argument.type == "subscript":  # Generic[T], Model[Config]
            value = argument.child_by_field_name("value")
            if value is not None and value.type in ("identifier", "attribute"):
                yield text_of(value)
        elif argument.type == "call":
            function = argument.child_by_field_name("function")
            inner = argument.child_by_field_name("arguments")
            if function and inner and text_of(function).endswith("with_metaclass"):
                yield from (
                    text_of(a)
                    for a in inner.named_children[1:]
                    if a.type in ("identifier", "attribute")
                )


def text_of(node: Node) -> str:
    """Return a node's source without white space, as a dotted name may hold line breaks."""
    return "".join((node.text or b"").decode("utf-8", "replace").split())


def _name(node: Node) -> str:
    name = node.child_by_field_name("name")
    return text_of(name) if name is not None else "<unnamed>"


def _takes_hours(source: bytes) -> bool:
    """Tell whether the parser reads the same bytes over and over.

    It looks ahead over comments and continued lines, from each of them anew, which of many in a
    row takes the square of their number. What it asks for is counted, not the time that it takes,
    so that every machine says the same.
    """
    # to count one character is many times as fast as to count two
    continued = source.count(b"\\\n") if source.count(b"\\") >= _MANY else 0
    if continued >= _TOO_MANY:
        return True
    if source.count(b"#") < _MANY and continued < _MANY:
        return False
    asked = 0
    most = 1000 + _READ_AGAIN * len(source) // _PIECE

    def piece(start: int, _: object) -> bytes:
        nonlocal asked
        asked += 1
        return source[start : start + _PIECE] if asked <= most else b""

    Parser(PYTHON).parse(piece)
    return asked > most


def _without_lookahead(source: bytes) -> bytes:
    """Return a text of equal length without what the parser looks ahead over."""
    without_comments = _COMMENT_LINE.sub(lambda found: b" " * len(found[0]), source)
    return without_comments.replace(b"\\\n", b" \n")


def _may_define(source: bytes, node: Node) -> bool:
    """Tell whether a function or loop may hold a function, class or import: it has the word."""
    start, end = node.start_byte + len("def"), node.end_byte
    return (
        source.find(b"def", start, end) >= 0
        or source.find(b"class", start, end) >= 0
        or source.find(b"import", start, end) >= 0
    )


def _end_line(node: Node) -> int:
    # a node which ends at the start of a line ends with the line before
    end = node.end_point
    return max(node.start_point.row, end.row - (end.column == 0)) + 1


def _lines(source: bytes, node: Node) -> str:
    """Return a node's text from the start of its first line, if only white space precedes it."""
    start = node.start_byte
    line_start = start - node.start_point.column
    if not source[line_start:start].strip():
        start = line_start
    return source[start : node.end_byte].decode("utf-8", "replace").rstrip("\n")
