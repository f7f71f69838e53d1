"""What the text of one function shows of layers: arrays, products, activations, parts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from tree_sitter import Node

from classify.judges.rules.program import Code
from classify.judges.rules.shipped_names import listed
from classify.judges.rules.tree import (
    FUNCTION,
    arguments_of,
    brief,
    callee_of,
    find,
    last_name,
    line_of,
    parameters_of,
    path_of,
    receiver_of,
    text_of,
)
from classify.judges.rules.words import names_scalar, words

PRODUCTS = listed("product")
"""Functions that multiply data with weights."""
_ACTIVATIONS = listed("applied activation")
_ARRAYS = listed("array")
_HELD = ("attribute", "subscript")
"""What an array is kept as: ``self.w``, ``self.vars['w']``."""


def calls_in(node: Node) -> list[Node]:
    """Return the calls in a piece of code, in the order of the text."""
    return find(node, "call")


def arrays_in(code: Code) -> set[str]:
    """Return the attributes which a method sets to an array that it makes."""
    found: set[str] = set()
    for node in find(code.node, "assignment"):
        path = path_of(node.child_by_field_name("left"))
        value = node.child_by_field_name("right")
        if value is None or not path.startswith("self.") or path.count(".") > 1:
            continue
        if any(callee_of(call) in _ARRAYS for call in calls_in(value)):
            found.add(path)
    return found


def applied_weights(node: Node, weights: frozenset[str]) -> int:
    """Return the line on which data are multiplied with one of these attributes, 0 for none."""
    held = find(node, *_HELD) if weights else ()
    uses = [each.start_byte for each in held if path_of(each) in weights]
    for each in find(node, "call", "binary_operator") if uses else ():
        for operand in _operands(each):
            first = bisect_left(uses, operand.start_byte)
            if uses[first : first + 1] and uses[first] < operand.end_byte:
                return line_of(each)
    return 0


def multiplied(node: Node) -> frozenset[str]:
    """Return the attributes of the class that stand in what is multiplied with data."""
    operands = [o for each in find(node, "call", "binary_operator") for o in _operands(each)]
    waiting = sorted((operand.start_byte, operand.end_byte) for operand in operands)[::-1]
    found: set[str] = set()
    end = 0
    for attribute in find(node, *_HELD) if waiting else ():
        while waiting and waiting[-1][0] <= attribute.start_byte:
            end = max(end, waiting.pop()[1])
        if attribute.start_byte < end:
            found.add(path_of(attribute))
    return frozenset(name for name in found if name.startswith("self."))


def _operands(node: Node) -> list[Node]:
    """Return what a call or an operator multiplies; nothing for another one."""
    if node.type == "call" and callee_of(node) in PRODUCTS:
        receiver = receiver_of(node)
        return [*arguments_of(node), *([receiver] if receiver is not None else [])]
    matrix = node.type == "binary_operator" and text_of(node.child_by_field_name("operator")) == "@"
    return [node] if matrix else []


def applied_layer(node: Node) -> int:
    """Return the line of an activation of a product, or of the layers of a list; 0 for none."""
    ends: dict[int, int] = {}  # of the products, by their starts the nearest
    for each in calls_in(node):
        if callee_of(each) in PRODUCTS:
            start, end = each.start_byte, each.end_byte
            ends[start] = min(end, ends.get(start, end))
    starts = sorted(ends)
    for each in find(node, "call", "for_statement"):
        if each.type == "call" and callee_of(each) in _ACTIVATIONS:
            start, end = each.start_byte, each.end_byte
            after = bisect_right(starts, start)
            inside = after < len(starts) and starts[after] < end
            if inside or ends.get(start, end + 1) <= end:
                return line_of(each)
        elif each.type == "for_statement":
            iterated = path_of(each.child_by_field_name("right"))
            layers = {"layers", "blocks"} & set(words(last_name(iterated)))
            element = text_of(each.child_by_field_name("left"))
            for inner in calls_in(each) if iterated.startswith("self.") and layers else ():
                if text_of(inner.child_by_field_name("function")) == element:
                    return line_of(inner)
    return 0


def trainable(name: str, call: Node) -> bool:
    """Say whether a call makes something that training changes."""
    given = arguments_of(call)
    if text_of(given.named.get("trainable")) == "False":
        return False
    if name in ("Variable", "get_variable") and any("step" in brief(a) for a in given):
        return False
    if name == "get_variable" and _reused(call):
        return False
    first = given.get(0, "initial_value")
    if name != "Variable" or first is None:
        return True
    if callee_of(first) == "initialized_value":  # an optimiser's memory of another variable
        return False
    return first.type not in ("integer", "float", "false", "true") and not (
        names_scalar(path_of(first))
    )


def takes_network(function: Node) -> bool:
    """Say whether a method is given the network that it calls."""
    called = {path_of(c.child_by_field_name("function")) for c in calls_in(function)}
    return not called.isdisjoint({"model", "net", "network"} & parameters_of(function).keys())


def only_raises(function: Node) -> bool:
    """Say whether a method is there only to forbid that it is called."""
    body = function.child_by_field_name("body")
    parts = body.named_children if body is not None else []
    told = [p for p in parts if p.type != "comment" and p.named_children[:1] != []]
    return [p.type for p in told if not _is_docstring(p)] == ["raise_statement"]


def _is_docstring(statement: Node) -> bool:
    return statement.type == "expression_statement" and statement.named_children[0].type == "string"


def _reused(call: Node) -> bool:
    """Say whether a variable is got again that was made elsewhere."""
    around = call.parent
    while around is not None and around.type != FUNCTION:
        if around.type == "with_statement":
            heads = [c for c in around.named_children if c.type == "with_clause"]
            if any("reuse=True" in "".join(brief(head).split()) for head in heads):
                return True
        around = around.parent
    return False
