"""Reading a syntax tree: names, arguments and statements, without recursion over the tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from tree_sitter import Node, Query, QueryCursor

from mining.extract import PYTHON

FUNCTION = "function_definition"
CLASS = "class_definition"
LOOPS = frozenset({"for_statement", "while_statement"})
_ALTERNATIVES = frozenset({"elif_clause", "else_clause", "except_clause", "finally_clause"})
_MAX_CHAIN = 40
"""Links of ``a.b[0].c()`` that are read; longer chains are no names."""

_MAX_LEVELS = 10_000
"""Levels of a tree that are searched: below 65,535 a search takes the square of the depth."""
_BRIEF_BYTES = 2000
"""Of an expression that is longer, the text is not searched: such ones may lie in each other."""


def line_of(node: Node) -> int:
    """Return the 1-based line on which a node begins."""
    return node.start_point.row + 1


def text_of(node: Node | None) -> str:
    """Return a node's source, empty for no node."""
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def brief(node: Node | None) -> str:
    """Return a node's source if it is as short as what people write there, else nothing."""
    if node is None or node.end_byte - node.start_byte > _BRIEF_BYTES:
        return ""
    return text_of(node)


@lru_cache(1 << 16)
def path_of(node: Node | None) -> str:
    """Return what an expression is called: ``self.G``, ``losses['kl']``, ``nets[].loss``.

    A call within shows as ``()``, an index that is not a string as ``[]``; empty where the
    expression does not start with a name.
    """
    parts: list[str] = []
    for _ in range(_MAX_CHAIN):
        if node is None:
            return ""
        kind = node.type
        if kind == "identifier":
            parts.append(text_of(node))
            return "".join(reversed(parts))
        if kind == "attribute":
            parts.append("." + text_of(node.child_by_field_name("attribute")))
            node = node.child_by_field_name("object")
        elif kind == "subscript":
            parts.append(f"[{string_of(node.child_by_field_name('subscript'))}]")
            node = node.child_by_field_name("value")
        elif kind == "call":
            parts.append("()")
            node = node.child_by_field_name("function")
        elif kind == "parenthesized_expression":
            node = node.named_children[0] if node.named_children else None
        else:
            return ""
    return ""


def string_of(node: Node | None) -> str:
    """Return a plain string literal with single quotes, empty for anything else."""
    if node is None or node.type != "string":
        return ""
    content = "".join(text_of(c) for c in node.named_children if c.type == "string_content")
    return f"'{content}'"


def last_name(path: str) -> str:
    """Return the last name of a path: ``loss`` of ``self.model.loss``, ``kl`` of ``out['kl']``."""
    if path.endswith("']"):
        return path[path.rfind("['") + 2 : -2]
    return path.replace("[]", "").replace("()", "").rpartition(".")[2]


def callee_of(call: Node) -> str:
    """Return the bare name of the function or method that is called, empty if it has none."""
    function = call.child_by_field_name("function")
    if function is not None and function.type == "attribute":
        return text_of(function.child_by_field_name("attribute"))
    return text_of(function) if function is not None and function.type == "identifier" else ""


def receiver_of(call: Node) -> Node | None:
    """Return what a method is called on, None for a plain call."""
    function = call.child_by_field_name("function")
    if function is None or function.type != "attribute":
        return None
    return function.child_by_field_name("object")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call is given: positional values in order, and named ones."""

    positional: tuple[Node, ...]
    named: dict[str, Node]

    def get(self, position: int, *names: str) -> Node | None:
        """Return the argument of one of these names, else the one at ``position``."""
        for name in names:
            if name in self.named:
                return self.named[name]
        return self.positional[position] if position < len(self.positional) else None

    def __iter__(self) -> Iterator[Node]:
        """Give all values, named ones last."""
        yield from self.positional
        yield from self.named.values()


def arguments_of(call: Node) -> Arguments:
    """Return a call's arguments; splats count as positional."""
    given = call.child_by_field_name("arguments")
    if given is None:
        return Arguments((), {})
    if given.type != "argument_list":  # f(x for x in xs)
        return Arguments((given,), {})
    positional: list[Node] = []
    named: dict[str, Node] = {}
    for child in given.named_children:
        if child.type == "keyword_argument":
            value = child.child_by_field_name("value")
            if value is not None:
                named[text_of(child.child_by_field_name("name"))] = value
        elif child.type != "comment":
            positional.append(child)
    return Arguments(tuple(positional), named)


def parameters_of(function: Node) -> dict[str, Node | None]:
    """Return the names of a function's or lambda's parameters, with their defaults."""
    found: dict[str, Node | None] = {}
    given = function.child_by_field_name("parameters")
    for child in given.named_children if given is not None else ():
        name = child.child_by_field_name("name")
        if child.type == "identifier":
            found[text_of(child)] = None
        elif name is not None:
            found[text_of(name)] = child.child_by_field_name("value")
        elif child.named_children:
            found[text_of(child.named_children[0])] = None
    return found


def walk(node: Node, *, into_functions: bool = True) -> Iterator[Node]:
    """Give a node and all named nodes below it, in the order of the text.

    Without ``into_functions`` the bodies of nested functions and classes are left out.
    """
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        if into_functions or current is node or current.type not in (FUNCTION, CLASS):
            waiting += current.named_children[::-1]


def find(node: Node, *types: str, into_functions: bool = True) -> list[Node]:
    """Return the nodes of some types at and below a node, in the order of the text.

    As ``walk``, but the search runs inside of tree-sitter.
    """
    if into_functions:
        return _found(node, types)
    found: list[Node] = []
    end = 0
    for each in _found(node, (*types, FUNCTION, CLASS)):
        if each.start_byte < end:
            continue
        if each.type in (FUNCTION, CLASS) and each != node:
            end = each.end_byte
        if each.type in types:
            found.append(each)
    return found


def _found(node: Node, types: tuple[str, ...]) -> list[Node]:
    cursor = QueryCursor(_query(types))
    cursor.set_max_start_depth(_MAX_LEVELS)
    found = cursor.captures(node).get("found", [])
    return sorted(found, key=lambda each: (each.start_byte, -each.end_byte))


@cache
def _query(types: tuple[str, ...]) -> Query:
    return Query(PYTHON, " ".join(f"({each}) @found" for each in types))


@dataclass(frozen=True, slots=True)
class Statement:
    """A simple statement, or the head of a compound one, and what is around it.

    ``loops`` are the ids of the loops around, outermost first, within the walked node.
    ``arms`` says in which arm of which ``if`` it stands; ``conditional``, whether it may be
    left out at all.
    """

    node: Node
    loops: tuple[int, ...] = ()
    arms: tuple[tuple[int, int], ...] = ()
    conditional: bool = False


def statements(root: Node) -> Iterator[Statement]:
    """Give the statements of a function's, loop's or module's body in order.

    Nested functions and classes come as one statement each: their bodies are read on their own.
    """
    waiting = [Statement(root)]
    while waiting:
        current = waiting.pop()
        node = current.node
        if node.type == "decorated_definition":
            inner = node.child_by_field_name("definition")
            waiting += [replace(current, node=inner)] if inner is not None else []
            continue
        blocks = _blocks(node)
        opens = node is root or not (node.type in (FUNCTION, CLASS) or not blocks)
        if node.type in ("block", "module"):
            blocks = [c for c in node.named_children if c.type != "comment"]
        elif not opens or node.type not in (FUNCTION, CLASS):
            yield current
        if opens or node.type in ("block", "module"):
            waiting.extend(reversed([_inside(current, n, b) for n, b in enumerate(blocks)]))


def _inside(around: Statement, position: int, block: Node) -> Statement:
    """Return a part of a compound statement, with what is then around it."""
    node = around.node
    loops, arms, conditional = around.loops, around.arms, around.conditional
    if node.type in LOOPS:
        loops = (*loops, node.id)
    elif node.type == "if_statement":
        arms, conditional = (*arms, (node.id, position)), True
    elif node.type in ("try_statement", "match_statement"):
        conditional = True
    return Statement(block, loops, arms, conditional)


def _blocks(node: Node) -> list[Node]:
    """Return the bodies and alternatives of a compound statement, none for a simple one."""
    return [c for c in node.named_children if c.type == "block" or c.type in _ALTERNATIVES]


def targets_of(assignment: Node) -> tuple[list[Node], Node | None]:
    """Return what ``a = b = value`` binds, and the value; None where there is none.

    Of a longer chain than any is written, what stands first is bound to no known value.
    """
    targets: list[Node] = []
    value: Node | None = assignment
    while value is not None and value.type == "assignment":
        if len(targets) == _MAX_CHAIN:
            return targets, None
        left = value.child_by_field_name("left")
        targets += [left] if left is not None else []
        value = value.child_by_field_name("right")
    return targets, value


def names_in(target: Node | None) -> list[str]:
    """Return the names that a loop's, comprehension's or context's target binds."""
    if target is None:
        return []
    if target.type in ("identifier", "attribute", "subscript"):
        return [path_of(target)]
    return [text_of(node) for node in walk(target) if node.type == "identifier"]
