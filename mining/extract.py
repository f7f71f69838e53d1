"""A Python file to its snippets, classes and imports. Pure: text in, records out.

One parse by tree-sitter, which reads Python 2 and 3 alike and goes on after an error.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter_python
from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

from mining.imports import Import, imports_of
from mining.records import ClassDefinition, Kind, Snippet

PYTHON = Language(tree_sitter_python.language())
_SCOPES = Query(
    PYTHON,
    """
    (function_definition) @function
    (class_definition) @class
    (for_statement) @loop
    (while_statement) @loop
    (import_statement) @import
    (import_from_statement) @import
    """,
)


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one file holds, in the order of its text. ``broken``: the parser met an error."""

    snippets: tuple[Snippet, ...]
    classes: tuple[ClassDefinition, ...]
    imports: tuple[Import, ...]
    broken: bool


@dataclass(frozen=True, slots=True)
class _Scope:
    """A function, class or loop that is open at the point reached in the text."""

    kind: str
    end_byte: int
    qualname: str
    class_qualname: str | None


def parse(source: bytes) -> Tree:
    """Return the syntax tree of a file's text, given as UTF-8."""
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
    line_starts = _line_starts(source)
    open_scopes: list[_Scope] = []
    for kind, node in _scopes(tree):
        while open_scopes and open_scopes[-1].end_byte <= node.start_byte:
            open_scopes.pop()
        around = open_scopes[-1] if open_scopes else None
        if kind == "import":
            imports.extend(imports_of(node, around.qualname if around else ""))
            continue
        name = _name(node) if kind != "loop" else ""
        named = [s for s in open_scopes if s.kind != "loop"]
        qualname = f"{named[-1].qualname}.{name}" if named else name
        class_qualname = named[-1].class_qualname if named else None
        if kind == "class":
            classes.append(
                ClassDefinition(
                    repository,
                    path,
                    qualname,
                    node.start_point.row + 1,
                    _end_line(node),
                    tuple(base_names(node)),
                )
            )
            class_qualname = qualname
        elif kind == "function" or around is None:
            snippet_kind = (
                Kind.LOOP
                if kind == "loop"
                else Kind.METHOD
                if class_qualname is not None
                else Kind.FUNCTION
            )
            snippets.append(
                Snippet(
                    repository,
                    commit,
                    path,
                    node.start_point.row + 1,
                    _end_line(node),
                    snippet_kind,
                    "<loop>" if kind == "loop" else qualname,
                    class_qualname,
                    _lines(source, node, line_starts),
                )
            )
        open_scopes.append(_Scope(kind, node.end_byte, qualname, class_qualname))
    return Extraction(tuple(snippets), tuple(classes), tuple(imports), tree.root_node.has_error)


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


def _scopes(tree: Tree) -> list[tuple[str, Node]]:
    """Return the captured nodes in the order of the text, outer before inner."""
    captures = QueryCursor(_SCOPES).captures(tree.root_node)
    found = [(kind, node) for kind, nodes in captures.items() for node in nodes]
    found.sort(key=lambda pair: (pair[1].start_byte, -pair[1].end_byte))
    return found


def _name(node: Node) -> str:
    name = node.child_by_field_name("name")
    return text_of(name) if name is not None else "<unnamed>"


def _end_line(node: Node) -> int:
    # a node which ends at the start of a line ends with the line before
    end = node.end_point
    return max(node.start_point.row, end.row - (end.column == 0)) + 1


def _line_starts(source: bytes) -> list[int]:
    starts = [0]
    position = source.find(b"\n")
    while position >= 0:
        starts.append(position + 1)
        position = source.find(b"\n", position + 1)
    return starts


def _lines(source: bytes, node: Node, line_starts: list[int]) -> str:
    """Return a node's text from the start of its first line, if only white space precedes it."""
    line_start = line_starts[bisect_right(line_starts, node.start_byte) - 1]
    indentation = source[line_start : node.start_byte]
    start = line_start if not indentation.strip() else node.start_byte
    return source[start : node.end_byte].decode("utf-8", "replace").rstrip("\n")
