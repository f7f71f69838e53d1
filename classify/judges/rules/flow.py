"""Values followed through a piece of code: from where they come about to where they are used.

One pass over the statements in the order of the text. What a name holds is known from what it
was bound to. A call that is not known as arithmetic gives a new value: no loss's formula flows
through a network.
"""

from __future__ import annotations

from dataclasses import replace

from tree_sitter import Node

from classify.judges.rules import values
from classify.judges.rules.calls import Call
from classify.judges.rules.descent import corrects, step_of
from classify.judges.rules.evidence import BY_HAND, Analysis
from classify.judges.rules.names import Names
from classify.judges.rules.program import Code, Program
from classify.judges.rules.tree import (
    CLASS,
    FUNCTION,
    LOOPS,
    arguments_of,
    last_name,
    line_of,
    names_in,
    parameters_of,
    path_of,
    receiver_of,
    statements,
    string_of,
    targets_of,
    text_of,
    walk,
)
from classify.judges.rules.values import CONSTANT, DATA, LOGGED, Sort, Source, Value
from classify.judges.rules.words import (
    holds_losses,
    names_gradient,
    names_log_probability,
    names_loss,
    names_loss_function,
    returns_loss,
    vocabulary,
)

_MAX_DEPTH = 60
"""Nested expressions that are read; what lies deeper is taken as unknown."""
_LITERALS = vocabulary("integer float true false none string concatenated_string ellipsis")
_MEASURES = vocabulary("shape size dtype device ndim pi")


def follow(
    program: Program,
    code: Code,
    producers: frozenset[Source] = frozenset(),
    around: dict[str, Value] | None = None,
) -> Analysis:
    """Follow the values of a piece of code, its nested functions left out.

    ``producers`` are the functions known to return a loss; ``around`` are the values of the
    names of its module.
    """
    analysis = Analysis()
    names = Names(program, code, producers, around or {}, analysis)
    flow = _Flow(names, analysis)
    for statement in statements(code.node):
        names.statement = statement
        flow.step(statement.node)
    analysis.choices()
    analysis.bound = names.known
    return analysis


class _Flow:
    """One pass over the statements."""

    def __init__(self, names: Names, analysis: Analysis) -> None:
        self._names = names
        self._analysis = analysis
        self._depth = 0

    # --- statements -----------------------------------------------------------------------------

    def step(self, node: Node) -> None:
        """Follow the values of one statement, or of the head of a compound one."""
        if node.type in (FUNCTION, CLASS):
            name = text_of(node.child_by_field_name("name"))
            is_loss = node.type == FUNCTION and (
                names_loss_function(name) or holds_losses(self._names.code.path)
            )
            self._names.known[name] = values.criterion(name) if is_loss else DATA
        elif node.type == "return_statement":
            self._return(node)
        elif node.type == "for_statement":
            self._bind_elements(node)
        elif node.type in ("while_statement", "if_statement", "elif_clause"):
            self._value(node.child_by_field_name("condition"))
        elif node.type == "with_statement":
            self._bind_context(node)
        elif node.type == "expression_statement":
            for child in node.named_children:
                self._expression(child)
        elif node.type not in LOOPS and node.type.endswith("statement"):
            for child in node.named_children:
                if child.type != "block":
                    self._value(child)

    def _expression(self, node: Node) -> None:
        if node.type in ("assignment", "augmented_assignment"):
            self._descend(node)
        if node.type == "assignment":
            self._assign(node)
        elif node.type == "augmented_assignment":
            target, value = node.child_by_field_name("left"), node.child_by_field_name("right")
            if target is not None and (path := path_of(target)):
                operator = text_of(node.child_by_field_name("operator")).removesuffix("=")
                given, before = self._value(value), self._value(target)
                self._names.augment(path, operator, before, given, line_of(node))
        elif node.type == "yield":
            self._return(node)
        else:
            self._value(node)

    def _descend(self, node: Node) -> None:
        """Note the error that moves a weight by its gradient, derived by hand."""
        if (step := step_of(node)) is None or corrects(node, step):
            return
        value = self._value(step)
        if value.difference and not value.is_loss:
            path = path_of(node.child_by_field_name("left"))
            self._analysis.find(BY_HAND, value.difference, f"moves `{path}`", line_of(node))

    def _return(self, node: Node) -> None:
        if node.named_children:
            given = node.named_children[0]
            elements = self._elements(given)
            self._analysis.returned.append((line_of(node), elements))
            parts = [given] if len(elements) == 1 else _parts(_bare(given))
            for position, (element, part) in enumerate(zip(elements, parts, strict=True)):
                if element.is_loss:  # what is added to a loss is one
                    self._analysis.named |= element.sources
                self._names.note_maker(f"return[{position}]", element, part)
                if returns_loss(self._names.code.name):
                    self._names.give(part)
            self._names.contrast_returned(elements, line_of(node))
            descends = any(names_gradient(path_of(part)) for part in parts)
            for element in elements if descends and len(parts) > 1 else ():
                if element.is_loss:
                    self._analysis.train(element, "is returned with gradients", line_of(node))
            if self._names.code.name == "training_step":
                self._analysis.train(elements[0], "is minimised by the trainer", line_of(node))

    def _assign(self, node: Node) -> None:
        targets, expression = targets_of(node)
        if expression is None or expression.type in ("yield", "augmented_assignment"):
            return
        elements = self._elements(expression)
        whole = elements[0] if len(elements) == 1 else values.collect(elements)
        for target in targets:
            if target.type in ("identifier", "attribute", "subscript"):
                self._assign_one(target, whole, expression)
                continue
            parts = [n for n in target.named_children if n.type != "comment"]
            for position, part in enumerate(parts):
                if len(elements) == len(parts):
                    value = elements[position]
                else:
                    is_loss = names_loss(last_name(path_of(part)))
                    value = values.part_of(whole, position, named_loss=is_loss)
                self._assign_one(part, value, expression)

    def _assign_one(self, target: Node, value: Value, expression: Node) -> None:
        if path := path_of(target):
            self._names.assign(path, value, expression, line_of(target))

    def _bind_elements(self, node: Node) -> None:
        """Bind the names of a ``for`` loop, which stand inside of the loop."""
        iterated = self._value(node.child_by_field_name("right"))
        around = self._names.statement
        self._names.statement = replace(around, loops=(*around.loops, node.id))
        for name in names_in(node.child_by_field_name("left")):
            self._names.bind(name, values.element_of(iterated))
        self._names.statement = around

    def _bind_context(self, node: Node) -> None:
        for child in node.named_children:
            for each in walk(child) if child.type == "with_clause" else ():
                if each.type == "as_pattern" and len(each.named_children) == 2:
                    self._value(each.named_children[0])
                    for name in names_in(each.named_children[1]):
                        self._names.bind(name, DATA)

    # --- expressions ----------------------------------------------------------------------------

    def _elements(self, node: Node) -> tuple[Value, ...]:
        """Return the values of a tuple, or the one value of anything else."""
        node = _bare(node)
        if node.type in ("expression_list", "tuple"):
            return tuple(self._value(child) for child in _parts(node))
        return (self._value(node),)

    def _value(self, node: Node | None) -> Value:
        if node is None or self._depth >= _MAX_DEPTH:
            return DATA
        self._depth += 1
        try:
            return self._evaluate(node)
        finally:
            self._depth -= 1

    def _evaluate(self, node: Node) -> Value:
        if node.type in _LITERALS:
            return CONSTANT
        match node.type:
            case "identifier" | "attribute" | "subscript":
                return self._named(node)
            case "call":
                return self._call(node)
            case "binary_operator" | "boolean_operator":
                left = self._value(node.child_by_field_name("left"))
                right = self._value(node.child_by_field_name("right"))
                if node.type == "boolean_operator":
                    return values.join(left, right)
                operator = text_of(node.child_by_field_name("operator"))
                return values.combine(operator, left, right, line_of(node))
            case "unary_operator":
                argument = node.child_by_field_name("argument")
                value = self._value(argument)
                minus = text_of(node.child_by_field_name("operator")) == "-"
                if minus and names_log_probability(last_name(path_of(argument))):
                    value = replace(value, product=True)
                return values.negate(value, line_of(node)) if minus else value
            case "parenthesized_expression" | "await":
                return self._value(node.named_children[0]) if node.named_children else DATA
            case "expression_list" | "tuple" | "list" | "set":
                return values.collect(self._value(child) for child in _parts(node))
            case "conditional_expression":
                return self._conditional(node)
            case "dictionary":
                return self._dictionary(node)
            case (
                "list_comprehension"
                | "generator_expression"
                | "set_comprehension"
                | "dictionary_comprehension"
            ):
                return self._comprehension(node)
            case "pair":
                return self._value(node.child_by_field_name("value"))
            case "lambda":
                return self._lambda(node)
            case "named_expression":
                # `if (error := ...) > 1` only asks for the number
                value = self._value(node.child_by_field_name("value"))
                self._names.known[path_of(node.child_by_field_name("name"))] = value
                return value
            case "list_splat" | "dictionary_splat":
                return self._value(node.named_children[-1]) if node.named_children else DATA
        for child in _parts(node):  # a comparison and the like: nothing known of its value
            self._value(child)
        return DATA

    def _named(self, node: Node) -> Value:
        """Return the value of a name, an attribute or an element."""
        path = path_of(node)
        known = self._names.known.get(path) if path else None
        if known is not None:
            return known
        if node.type == "identifier":
            return self._names.unbound(path)
        attribute = node.type == "attribute"
        name = last_name(path)
        if attribute and name in _MEASURES:
            return CONSTANT
        base = self._value(node.child_by_field_name("object" if attribute else "value"))
        if base.sort is Sort.LOGGED or (attribute and name == "data" and base.is_loss):
            return LOGGED
        if attribute and name in ("T", "mT", "data", "grad"):
            return base
        if not attribute and not string_of(node.child_by_field_name("subscript")):
            chosen = line_of(node) if base.sort is Sort.CRITERION and base.each > 1 else 0
            return replace(base, instance="", each=0, many=False, choice=base.choice or chosen)
        return self._names.unbound(path) if path else DATA

    def _call(self, node: Node) -> Value:
        receiver, given = receiver_of(node), arguments_of(node)
        function = node.child_by_field_name("function")
        if receiver is not None:
            on = self._value(receiver)
        elif function is not None and function.type in ("call", "subscript"):
            on = self._value(function)  # nn.MSELoss()(x, y), LOSSES[name](x, y)
        else:
            on = DATA
        passed = [self._value(argument) for argument in given]
        return Call(self._names, node, given, on, passed).result()

    def _conditional(self, node: Node) -> Value:
        parts = _parts(node)
        if len(parts) != 3:
            return DATA
        first, _, second = (self._value(part) for part in parts)
        joined = values.join(first, second)
        return replace(joined, choice=line_of(node)) if values.differ(first, second) else joined

    def _dictionary(self, node: Node) -> Value:
        found: list[Value] = []
        for pair in node.named_children:
            value = self._value(pair.child_by_field_name("value"))
            key = last_name(f"[{string_of(pair.child_by_field_name('key'))}]")
            if key and names_loss(key):
                self._analysis.use(value, f"becomes '{key}'", line_of(pair))
            found.append(value)
        return replace(values.collect(found), maker="dict")

    def _comprehension(self, node: Node) -> Value:
        before = dict(self._names.known)
        for clause in node.named_children:
            if clause.type == "for_in_clause":
                iterated = self._value(clause.child_by_field_name("right"))
                for name in names_in(clause.child_by_field_name("left")):
                    self._names.known[name] = values.element_of(iterated)
        value = self._value(node.child_by_field_name("body"))
        self._names.known = before
        return replace(value, many=True, each=0)

    def _lambda(self, node: Node) -> Value:
        before = dict(self._names.known)
        for name in parameters_of(node):
            self._names.known.pop(name, None)
        value = self._value(node.child_by_field_name("body"))
        self._names.known = before
        return value


def _bare(node: Node) -> Node:
    """Return what stands in parentheses."""
    for _ in range(_MAX_DEPTH):
        if node.type != "parenthesized_expression" or not node.named_children:
            break
        node = node.named_children[0]
    return node


def _parts(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type != "comment"]
