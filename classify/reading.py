"""What a snippet takes, calls and returns, read off its syntax tree. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tree_sitter import Node

from classify.judges.rules import library
from classify.judges.rules.program import Code, Program
from classify.judges.rules.tree import (
    FUNCTION,
    callee_of,
    last_name,
    line_of,
    parameters_of,
    path_of,
    receiver_of,
    text_of,
    walk,
)
from classify.judges.rules.words import names_criterion, names_loss_function, words

_ITSELF = frozenset({"self", "cls"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``path`` as written (``self.G``), ``dotted`` with its imports written out.

    Both are empty where what is called does not start with a name: ``(a - b).sum()``.
    """

    node: Node
    path: str
    dotted: str

    @property
    def name(self) -> str:
        """The bare name of the function or method, empty if it has none."""
        return callee_of(self.node)

    @property
    def receiver(self) -> str:
        """What a method is called on, as written; empty for a plain call."""
        return self.path.rpartition(".")[0]

    @property
    def is_method(self) -> bool:
        """Whether it is called on something, be it an object or a module."""
        return receiver_of(self.node) is not None

    @property
    def line(self) -> int:
        """The 1-based line of the file on which the call begins."""
        return line_of(self.node)


class Reading:
    """The facts of one snippet, functions nested in it included but for ``returns``."""

    def __init__(self, program: Program, code: Code) -> None:
        self.program = program
        self.code = code

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, but for the object or class itself."""
        return tuple(name for name in parameters_of(self.code.node) if name not in _ITSELF)

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every call, in the order of the text."""
        paths = (
            (node, path_of(node.child_by_field_name("function")))
            for node in walk(self.code.node)
            if node.type == "call"
        )
        return tuple(
            Call(node, path, self.program.resolve(self.code, path) if path else "")
            for node, path in paths
        )

    @cached_property
    def returns(self) -> tuple[tuple[Node, ...], ...]:
        """What each ``return`` with a value returns: the elements of a tuple or dictionary."""
        returned = (
            tuple(self._elements(node.named_children[0]))
            for node in walk(self.code.node, into_functions=False)
            if node.type == "return_statement" and node.named_children
        )
        return tuple(elements for elements in returned if elements)  # `return {}` says nothing

    @cached_property
    def assigned(self) -> tuple[tuple[tuple[str, ...], Node], ...]:
        """The names that each assignment binds or changes, with the value, in order."""
        found = []
        for node in walk(self.code.node):
            if node.type in ("assignment", "augmented_assignment"):
                value = node.child_by_field_name("right")
                left = node.child_by_field_name("left")
                if value is not None and left is not None:
                    targets = (
                        left.named_children
                        if left.type in ("pattern_list", "tuple_pattern", "list_pattern")
                        else [left]
                    )
                    found.append((tuple(filter(None, map(path_of, targets))), value))
        return tuple(found)

    @cached_property
    def nested(self) -> frozenset[str]:
        """The names of the functions defined directly in this one."""
        return frozenset(
            text_of(node.child_by_field_name("name"))
            for node in walk(self.code.node, into_functions=False)
            if node.type == FUNCTION and node.start_byte != self.code.node.start_byte
        )

    @property
    def class_name(self) -> str:
        """The name of the innermost class around, empty where there is none."""
        return (self.code.class_key or "").rpartition("::")[2].rpartition(".")[2]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class around and its bases: keys (``path::name``), or dotted names from outside."""
        return self.program.ancestors(self.code.class_key) if self.code.class_key else ()

    def values_of(self, name: str) -> list[Node]:
        """Return all that a name is bound to in here."""
        return [value for names, value in self.assigned if name in names]

    def is_function(self, node: Node, *, deep: bool = True) -> bool:
        """Say whether an expression is a function, or an object that calculates a loss."""
        if node.type == "lambda":
            return True
        if node.type == "call":
            dotted = self.program.resolve(self.code, path_of(node.child_by_field_name("function")))
            name = last_name(dotted.rpartition("::")[2])
            made = library.is_loss_class(dotted) or (
                dotted in self.program.classes and names_criterion(name)
            )
            return made or name == "partial"
        path = path_of(node)
        if not path or node.type not in ("identifier", "attribute"):
            return False
        if path in self.nested or self.program.resolve(self.code, path) in self.program.functions:
            return path not in self.parameters
        return deep and any(self.is_function(v, deep=False) for v in self.values_of(path))

    def from_gradients(self, is_gradient: frozenset[str]) -> tuple[Call | None, frozenset[str]]:
        """Return the first call of one of these names, and the names whose values rest on any."""
        first = next((c for c in self.calls if c.name in is_gradient), None)
        resting: set[str] = set()
        if first is not None:
            for names, value in self.assigned:
                if self.rests_on(value, is_gradient, frozenset(resting)):
                    resting.update(names)
        return first, frozenset(resting)

    def rests_on(self, node: Node, calls: frozenset[str], names: frozenset[str]) -> bool:
        """Say whether an expression uses one of these calls or of these names."""
        return any(
            (each.type == "call" and callee_of(each) in calls)
            or (each.type in ("identifier", "attribute") and path_of(each) in names)
            for each in walk(node)
        )

    def names_loss(self) -> bool:
        """Say whether the snippet is called like a loss, by its own name or its class's."""
        return names_loss_function(self.code.name) or names_criterion(self.class_name)

    def spoken(self) -> frozenset[str]:
        """Return the words of the snippet's own name and its class's."""
        return frozenset((*words(self.code.name), *words(self.class_name)))

    def _elements(self, node: Node) -> Iterator[Node]:
        if node.type in ("expression_list", "tuple"):
            yield from (c for c in node.named_children if c.type != "comment")
            return
        name = text_of(node) if node.type == "identifier" else ""
        tables = [v for v in self.values_of(name) if v.type == "dictionary"] if name else []
        if not tables and node.type != "dictionary":
            yield node
            return
        for pair in (tables or [node])[-1].named_children:
            value = pair.child_by_field_name("value")
            if value is not None:
                yield value
        for names, value in self.assigned:  # terms["kl"] = ...
            if name and any(each.startswith(f"{name}[") for each in names):
                yield value
