"""What a standalone loss does besides: the special cases of the study's table 4.4. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

from tree_sitter import Node

from classify.judges.rules.tree import callee_of, last_name, path_of, text_of, walk
from classify.judges.rules.words import names_loss, words
from classify.reading import Reading


class SpecialCase(StrEnum):
    """Of a standalone loss; several may hold at once."""

    MULTIPLE_LOSSES = "multiple_losses"
    """An argument or a setting chooses which of several losses is calculated."""
    EXTRA_METRICS_RETURNED = "extra_metrics_returned"
    """More than the loss is returned."""
    BACKWARD = "backward"
    """The loss is propagated backward, and returned."""
    REGULARIZATION = "regularization"
    """The loss is a penalty on weights, activations or predictions."""
    GRADIENT_RETURNED = "gradient_returned"
    """Loss and gradient are returned."""
    OPTIMIZER_VALUE_RETURNED = "optimizer_value_returned"
    """Loss and updated weights are returned."""


NO_SPECIAL_CASE = "none"
"""What a reader's labels say of a standalone loss that is none of them; nothing, where the reader
was not asked."""


def written(cases: Collection[SpecialCase]) -> str:
    """Return special cases as labels hold them: in the order of the table, with ``;`` between."""
    return ";".join(case for case in SpecialCase if case in cases) or NO_SPECIAL_CASE


def read(text: str) -> frozenset[SpecialCase] | None:
    """Return the special cases that labels hold, None where they say nothing of them.

    Raises ValueError if one is none.
    """
    if text in ("", NO_SPECIAL_CASE):
        return frozenset() if text else None
    return frozenset(SpecialCase(case.strip()) for case in text.split(";"))


_REGULARIZATION = re.compile(
    r"regulari[sz](e|er|ers|ation)|reg|penalt(y|ies)|decay|smoothness|tv|sparsity|orthogonal(ity)?"
)
_HOW_TO_SUM_UP = re.compile(
    r"reduc(e|tion)|averaged?|mean|sum|size|normali[sz]ed?|dim|axis|shape|ndim|len|masks?"
    r"|device|cuda|gpu|verbose|debug|mode|train(ing)?"
)
"""Words of settings that change how a loss is summed up, or where, but not which one it is."""
_REDUCTIONS = frozenset({"mean", "sum", "reduce_mean", "reduce_sum", "average"})


def special_cases(reading: Reading, gradient_calls: frozenset[str]) -> frozenset[SpecialCase]:
    """Return the special cases that hold for a standalone loss.

    ``gradient_calls`` are the names of functions that give gradients.
    """
    found: set[SpecialCase] = set()
    if _chooses(reading):
        found.add(SpecialCase.MULTIPLE_LOSSES)
    if any(c.name == "backward" and c.is_method for c in reading.calls) and reading.returns:
        found.add(SpecialCase.BACKWARD)
    if any(map(_REGULARIZATION.fullmatch, reading.spoken())):
        found.add(SpecialCase.REGULARIZATION)
    _, gradients = reading.from_gradients(gradient_calls)
    for elements in reading.returns:
        resting = [e for e in elements if reading.rests_on(e, gradient_calls, gradients)]
        if not resting:
            if len(elements) > 1:
                found.add(SpecialCase.EXTRA_METRICS_RETURNED)
        elif len(resting) < len(elements):
            updated = any(_subtracts(reading, each, gradients) for each in resting)
            found.add(
                SpecialCase.OPTIMIZER_VALUE_RETURNED if updated else SpecialCase.GRADIENT_RETURNED
            )
    return frozenset(found)


def _subtracts(reading: Reading, element: Node, gradients: frozenset[str]) -> bool:
    """Say whether a value is one minus a gradient: ``w - lr * g``."""
    return any(
        node.type == "binary_operator" and text_of(node.child_by_field_name("operator")) == "-"
        for value in (element, *reading.values_of(path_of(element)))
        for node in walk(value)
        if reading.rests_on(value, frozenset(), gradients)
    )


def _chooses(reading: Reading) -> bool:
    """Say whether a setting chooses among losses: by ``if``, ``match``, or out of a table."""
    for node in walk(reading.code.node):
        if node.type == "if_statement" and _is_choice(
            reading, node.child_by_field_name("condition")
        ):
            arms = [_body(c) for c in (node, *node.named_children) if _body(c) is not None]
            if sum(_calculates(arm) for arm in arms if arm is not None) > 1:
                return True
            if not _has_else(node) and _returns(arms[0]) and _calculates(arms[0]):
                return True  # what follows is the other arm
        elif node.type == "match_statement":
            cases = [c for c in walk(node) if c.type == "case_clause"]
            if sum(_calculates(c) for c in cases) > 1:
                return True
        elif node.type == "subscript":
            table = node.child_by_field_name("value")
            chosen = node.child_by_field_name("subscript")
            if table is not None and table.type == "dictionary" and _is_setting(reading, chosen):
                return True
    return False


def _is_choice(reading: Reading, condition: Node | None) -> bool:
    """Say whether a condition asks for a setting: a parameter, or a name against a string."""
    if condition is None:
        return False
    literal = any(n.type == "string" for n in walk(condition))
    named = [n for n in walk(condition) if n.type in ("identifier", "attribute")]
    settings = [n for n in named if _is_setting(reading, n)]
    return bool(settings) and (
        literal
        or condition.type in ("identifier", "attribute", "not_operator")
        or any(text_of(n).rpartition(".")[2].isupper() for n in named if n.type == "attribute")
    )


def _is_setting(reading: Reading, node: Node | None) -> bool:
    """Say whether a name is set from outside, and not about how a loss is summed up."""
    path = path_of(node)
    if not path or any(map(_HOW_TO_SUM_UP.fullmatch, words(last_name(path)))):
        return False
    return path in reading.parameters or path.startswith("self.") or not reading.values_of(path)


def _calculates(arm: Node | None) -> bool:
    """Say whether an arm calculates a loss, and does not only take a mean or a sum."""
    for node in walk(arm) if arm is not None else ():
        if node.type in ("assignment", "augmented_assignment"):
            value, target = node.child_by_field_name("right"), node.child_by_field_name("left")
            named = names_loss(last_name(path_of(target)))
        elif node.type == "return_statement":
            value, named = (node.named_children[0] if node.named_children else None), True
        else:
            continue
        if value is not None and named and _is_formula(value):
            return True
    return False


def _is_formula(value: Node) -> bool:
    calls = [n for n in walk(value) if n.type == "call"]
    names = {callee_of(call) for call in calls}
    arithmetic = any(n.type in ("binary_operator", "unary_operator") for n in walk(value))
    return arithmetic or bool(names - _REDUCTIONS)


def _body(node: Node) -> Node | None:
    if node.type in ("if_statement", "elif_clause"):
        return node.child_by_field_name("consequence")
    return node.child_by_field_name("body") if node.type == "else_clause" else None


def _has_else(node: Node) -> bool:
    return any(c.type in ("elif_clause", "else_clause") for c in node.named_children)


def _returns(arm: Node | None) -> bool:
    return arm is not None and any(n.type == "return_statement" for n in arm.named_children)
