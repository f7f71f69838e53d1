"""Gradient descent written by hand: ``w -= lr * g`` and ``w = w - lr * g``."""

from __future__ import annotations

from tree_sitter import Node

from classify.judges.rules.tree import find, last_name, path_of, text_of
from classify.judges.rules.words import (
    mentions_loss,
    names_gradient,
    names_rate,
    names_scalar,
)

_TARGETS = ("identifier", "attribute", "subscript")


def step_of(statement: Node) -> Node | None:
    """Return by what an assignment moves a weight: a learning rate times something.

    None for any other statement.
    """
    target, value = statement.child_by_field_name("left"), statement.child_by_field_name("right")
    if target is None or value is None or target.type not in _TARGETS:
        return None
    path = path_of(target)
    if statement.type == "augmented_assignment":
        moves = text_of(statement.child_by_field_name("operator")) in ("+=", "-=")
        step: Node | None = value
    else:
        operator = text_of(value.child_by_field_name("operator"))
        moves = value.type == "binary_operator" and operator in ("+", "-")
        moves = moves and path_of(value.child_by_field_name("left")) == path
        step = value.child_by_field_name("right")
    if not moves or step is None or not path or names_scalar(path):
        return None
    if mentions_loss(last_name(path)) or not find(step, "binary_operator", "call"):
        return None
    names = [text_of(each) for each in find(step, "identifier")]
    by_number = find(step, "float") and any(map(names_gradient, names))
    return step if by_number or any(map(names_rate, names)) else None


def corrects(statement: Node, step: Node) -> bool:
    """Say whether a step moves a value towards another one, as a moving average does."""
    target = path_of(statement.child_by_field_name("left"))
    return any(path_of(node) == target for node in find(step, "identifier", "attribute"))
