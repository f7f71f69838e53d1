"""Values followed through a piece of code: from where they come about to where they are used.

One pass over the statements in the order of the text. What a name holds is known from what it
was bound to; a name bound elsewhere is judged by what it says. Calls of functions which are not
arithmetic start a new value: nothing flows through a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tree_sitter import Node

from classify.judges.rules import library, values
from classify.judges.rules.library import Does
from classify.judges.rules.program import Code, Program
from classify.judges.rules.tree import (
    CLASS,
    FUNCTION,
    LOOPS,
    Arguments,
    Statement,
    arguments_of,
    callee_of,
    last_name,
    line_of,
    parameters_of,
    path_of,
    receiver_of,
    statements,
    string_of,
    text_of,
    walk,
)
from classify.judges.rules.values import CONSTANT, DATA, LOGGED, Sort, Value
from classify.judges.rules.words import (
    names_criterion,
    names_error,
    names_logged,
    names_loss,
    names_loss_function,
    names_optimiser,
    names_scalar,
    names_size,
    names_weight,
    speaks_of_boltzmann,
)

_MAX_DEPTH = 60
"""Nested expressions that are read; what lies deeper is taken as unknown."""

_FUNCTIONAL_OPERATORS = {
    "matmul": "@",
    "mm": "@",
    "bmm": "@",
    "dot": "@",
    "einsum": "@",
    "inner": "@",
    "add": "+",
    "add_": "+",
    "add_n": "+",
    "sub": "-",
    "subtract": "-",
    "sub_": "-",
    "mul": "*",
    "multiply": "*",
    "mul_": "*",
    "scalar_mul": "*",
    "div": "/",
    "divide": "/",
    "div_": "/",
    "truediv": "/",
    "true_divide": "/",
    "pow": "**",
}
_MINIMISERS = frozenset(
    "minimize minimise compute_gradients optimize_loss create_train_op manual_backward"
    " get_updates".split()
)
_ASSIGNERS = frozenset("assign assign_add assign_sub add_ sub_ copy_ scatter_add".split())
_CONTRAST = "subtracts one phase's statistics from the other's"
_CONTAINERS = frozenset("list dict defaultdict OrderedDict set deque tuple Counter".split())


@dataclass(frozen=True, slots=True)
class Finding:
    """Evidence that a loss is calculated: what happens on ``line``, and where it is used."""

    what: str
    line: int
    use: str
    used_on: int


@dataclass(slots=True)
class Analysis:
    """What one piece of code does with losses, without its nested functions.

    ``returned`` holds a tuple of values for each return. ``trained`` names the functions of the
    repository whose result is minimised here. ``losses`` are the lines where a loss shows.
    """

    findings: list[Finding] = field(default_factory=list)
    returned: list[tuple[int, tuple[Value, ...]]] = field(default_factory=list)
    trained: set[tuple[str, int]] = field(default_factory=set)
    losses: list[int] = field(default_factory=list)
    bound: dict[str, Value] = field(default_factory=dict)


class Flow:
    """One pass over a piece of code."""

    def __init__(
        self,
        program: Program,
        code: Code,
        producers: frozenset[tuple[str, int]] = frozenset(),
        around: dict[str, Value] | None = None,
    ) -> None:
        """Take the functions known to return a loss, and the values of names around."""
        self._program = program
        self._code = code
        self._producers = producers
        self._known = dict(around or {})
        self._bound_in: dict[str, tuple[int, ...]] = {}
        self._loops: tuple[int, ...] = ()
        self._statement = Statement(code.node)
        self._made_in: dict[str, list[tuple[tuple[tuple[int, int], ...], str, int]]] = {}
        self._depth = 0
        self._analysis = Analysis()
        self._boltzmann = speaks_of_boltzmann(
            f"{code.path.rpartition('/')[2]} {code.qualname} {text_of(code.node)}"
        )
        if code.node.type == FUNCTION:
            self._bind_parameters()

    def run(self) -> Analysis:
        """Follow the values and return what was found."""
        for statement in statements(self._code.node):
            self._statement = statement
            self._loops = statement.loops
            self._step(statement)
        self._choices()
        self._analysis.bound = self._known
        return self._analysis

    # --- statements ---------------------------------------------------------------------------

    def _step(self, statement: Statement) -> None:
        node = statement.node
        if node.type in (FUNCTION, CLASS):
            name = text_of(node.child_by_field_name("name"))
            self._known[name] = Value(Sort.CRITERION if names_loss_function(name) else Sort.DATA)
        elif node.type == "return_statement":
            given = node.named_children
            if given:
                elements = self._elements(given[0])
                self._analysis.returned.append((line_of(node), elements))
                if len(elements) == 1:
                    self._note_maker("return", elements[0], given[0])
        elif node.type == "for_statement":
            self._bind_loop(node)
        elif node.type in ("while_statement", "if_statement", "elif_clause"):
            self._value(node.child_by_field_name("condition"))
        elif node.type == "with_statement":
            self._bind_context(node)
        elif node.type == "expression_statement":
            for child in node.named_children:
                self._expression_statement(child)
        elif node.type == "augmented_assignment":
            self._augment(node)
        elif node.type not in LOOPS and node.type.endswith("statement"):
            for child in node.named_children:
                if child.type != "block":
                    self._value(child)

    def _expression_statement(self, node: Node) -> None:
        if node.type == "assignment":
            self._assign(node)
        elif node.type == "augmented_assignment":
            self._augment(node)
        elif node.type == "yield":
            if node.named_children:
                elements = self._elements(node.named_children[0])
                self._analysis.returned.append((line_of(node), elements))
        else:
            self._value(node)

    def _bind_parameters(self) -> None:
        for name, default in parameters_of(self._code.node).items():
            number = default is not None and default.type in ("integer", "float", "true", "false")
            if number and not names_loss(name):
                self._known[name] = CONSTANT

    def _bind_loop(self, node: Node) -> None:
        iterated = self._value(node.child_by_field_name("right"))
        self._loops = (*self._loops, node.id)
        element = replace(iterated, many=False, each=0)
        if iterated.many and iterated.sort is Sort.CONSTANT:
            element = DATA
        names = _names_in(node.child_by_field_name("left"))
        for position, name in enumerate(names):
            index = len(names) > 1 and position == 0
            self._bind(name, CONSTANT if index and iterated.sort == Sort.CONSTANT else element)

    def _bind_context(self, node: Node) -> None:
        for child in node.named_children:
            if child.type != "with_clause":
                continue
            for each in walk(child):
                if each.type == "as_pattern" and len(each.named_children) == 2:
                    self._value(each.named_children[0])
                    for name in _names_in(each.named_children[1]):
                        self._bind(name, DATA)

    def _assign(self, node: Node) -> None:
        targets: list[Node] = []
        value: Node | None = node
        while value is not None and value.type == "assignment":
            left = value.child_by_field_name("left")
            targets += [left] if left is not None else []
            value = value.child_by_field_name("right")
        if value is None:
            return
        if value.type == "yield" or value.type == "augmented_assignment":
            return
        elements = self._elements(value)
        whole = elements[0] if len(elements) == 1 else self._collect(elements)
        for target in targets:
            if target.type in ("identifier", "attribute", "subscript"):
                self._assign_one(target, whole, value)
                continue
            names = [n for n in target.named_children if n.type != "comment"]
            for position, name in enumerate(names):
                if len(elements) == len(names):
                    part = elements[position]
                else:
                    part = replace(whole, sources=_at(whole.sources, position), instance="")
                    if not whole.is_loss or not names_loss(last_name(path_of(name))):
                        part = self._unpacked(part, whole)
                self._assign_one(name, part, value)

    def _unpacked(self, part: Value, whole: Value) -> Value:
        """Return one of several results of a call: a loss only if its name says so."""
        if whole.is_loss and not whole.calculated:
            return Value(Sort.DATA, sources=part.sources)
        return part

    def _assign_one(self, target: Node, value: Value, expression: Node) -> None:
        path = path_of(target)
        if not path:
            return
        if self._statement.conditional and path in self._known:
            before = self._known[path]
            if value.sort == Sort.CONSTANT and before.sort != Sort.CONSTANT:
                value = before
        self._contrast(path, value, line_of(target))
        self._note_maker(path, value, expression)
        if _accumulates(target, expression) and path in self._known:
            value = self._accumulated(path, value, line_of(target))
        self._bind(path, value, line_of(target))

    def _note_maker(self, path: str, value: Value, expression: Node) -> None:
        """Note which loss, or loss function, a name gets in which arm of which branch."""
        if value.sort < Sort.CRITERION:
            return
        maker = value.maker + value.instance
        if expression.type in ("identifier", "attribute", "subscript") and value.is_loss:
            named = path_of(expression)
            maker = named if names_loss(last_name(named)) else ""
        if maker and maker != path:
            place = (self._statement.arms, maker, line_of(expression))
            self._made_in.setdefault(path, []).append(place)

    def _choices(self) -> None:
        """Find branches whose arms give a name different losses."""
        for path, made in self._made_in.items():
            for position, (arms, maker, line) in enumerate(made):
                for other_arms, other_maker, _ in made[:position]:
                    if maker != other_maker and (
                        _exclude(arms, other_arms) or (path == "return" and other_arms)
                    ):
                        self._find("chooses among losses", line, f"becomes `{path}`", line)
                        break

    def _augment(self, node: Node) -> None:
        target, expression = node.child_by_field_name("left"), node.child_by_field_name("right")
        path = path_of(target)
        operator = text_of(node.child_by_field_name("operator")).rstrip("=")
        value = self._value(expression)
        line = line_of(node)
        if target is None or not path:
            return
        self._contrast(path, value, line)
        before = self._value(target)
        if operator == "+" and value.is_loss and value.sort is not Sort.LOGGED:
            if before.sort is Sort.CONSTANT or self._in_inner_loop(path):
                self._bind(path, self._accumulated(path, value, line), line)
                return
        after = values.combine(operator, before, value, line)
        if self._in_inner_loop(path) and before.sort is Sort.LOGGED:
            after = LOGGED
        self._bind(path, after, line)

    def _accumulated(self, path: str, value: Value, line: int) -> Value:
        """Return a sum of losses over a loop; outside of the loop it is the loss itself."""
        if not self._in_inner_loop(path) or not value.is_loss:
            return value
        before = self._known.get(path, value)
        kept = values.join(before, value) if before.is_loss else value
        own = kept.combination if kept.combination not in (0, line) else 0
        return replace(
            kept,
            sort=Sort.LOSS,
            combination=value.combination or own,
            accumulation=kept.accumulation or line,
            summed=False,
        )

    def _in_inner_loop(self, path: str) -> bool:
        bound_in = self._bound_in.get(path, ())
        return len(self._loops) > len(bound_in)

    def _contrast(self, path: str, value: Value, line: int) -> None:
        """Note a parameter's update by the difference of two statistics, in a Boltzmann machine."""
        if not (self._boltzmann and value.difference) or value.is_loss:
            return
        name = last_name(path).lower()
        updated = any(w in name for w in ("upd", "grad", "delta", "new_")) or name[:2] in (
            "dw",
            "dv",
            "dh",
            "db",
        )
        kept = "." in path or self._statement.node.type == "augmented_assignment"
        if updated or (kept and names_weight(last_name(path))):
            self._find(_CONTRAST, value.difference, f"becomes `{path}`", line)

    # --- binding and uses -----------------------------------------------------------------------

    def _bind(self, path: str, value: Value, line: int = 0) -> None:
        name = last_name(path)
        if names_loss(name) and not names_logged(name) and value.sort >= Sort.DATA:
            self._use(value, f"becomes `{path}`", line, strong=False, error=names_error(name))
            if value.sort is Sort.DATA and not value.formula and not value.instance:
                if not (value.many and value.maker in _CONTAINERS):
                    value = replace(value, sort=Sort.LOSS, maker=value.maker or path)
        elif value.is_loss and (value.reduction or value.choice) and not names_logged(name):
            # arithmetic between losses is telling only where the result is used as a loss
            bare = replace(value, combination=0)
            self._use(bare, f"becomes `{path}`", line, strong=False)
        if value.is_loss and line:
            self._analysis.losses.append(line)
        self._known[path] = value
        self._bound_in[path] = self._loops

    def _use(self, value: Value, use: str, line: int, *, strong: bool, error: bool = False) -> None:
        """Note what a use as a loss shows. ``strong``: training minimises the value."""
        if value.sort is Sort.LOGGED:
            return
        if value.combination:
            self._find("puts losses together by arithmetic", value.combination, use, line)
        elif value.choice:
            self._find("chooses among losses", value.choice, use, line)
        elif value.reduction:
            self._find("reduces an element-wise loss", value.reduction, use, line)
        elif strong and value.accumulation:
            self._find("adds up losses", value.accumulation, use, line)
        elif value.formula and (not value.is_loss) and (not error or value.averaged or strong):
            self._find("calculates a loss by its formula", value.formula, use, line)
        if strong and line:
            self._analysis.losses.append(line)

    def _find(self, what: str, line: int, use: str, used_on: int) -> None:
        self._analysis.findings.append(Finding(what, line, use, used_on or line))

    # --- expressions ----------------------------------------------------------------------------

    def _elements(self, node: Node) -> tuple[Value, ...]:
        """Return the values of a tuple, or the one value of anything else."""
        if node.type in ("expression_list", "tuple"):
            return tuple(self._value(c) for c in node.named_children if c.type != "comment")
        if node.type == "parenthesized_expression" and node.named_children:
            return self._elements(node.named_children[0]) if self._depth < _MAX_DEPTH else (DATA,)
        return (self._value(node),)

    def _collect(self, elements: tuple[Value, ...]) -> Value:
        joined = CONSTANT
        for element in elements:
            joined = values.join(joined, element)
        count = sum(max(1, e.each) for e in elements if e.is_loss)
        return replace(joined, many=True, each=count, averaged=False, instance="")

    def _value(self, node: Node | None) -> Value:
        if node is None or self._depth >= _MAX_DEPTH:
            return DATA
        self._depth += 1
        try:
            return self._evaluate(node)
        finally:
            self._depth -= 1

    def _evaluate(self, node: Node) -> Value:
        match node.type:
            case "identifier" | "attribute" | "subscript":
                return self._named(node)
            case "integer" | "float" | "true" | "false" | "none" | "string":
                return CONSTANT
            case "concatenated_string" | "ellipsis":
                return CONSTANT
            case "call":
                return self._call(node)
            case "binary_operator":
                left = self._value(node.child_by_field_name("left"))
                right = self._value(node.child_by_field_name("right"))
                operator = text_of(node.child_by_field_name("operator"))
                return self._binary(operator, left, right, line_of(node))
            case "unary_operator":
                value = self._value(node.child_by_field_name("argument"))
                return values.negate(value, line_of(node)) if text_of(node)[:1] == "-" else value
            case "parenthesized_expression" | "await" | "expression_list" | "tuple" | "list":
                parts = [c for c in node.named_children if c.type != "comment"]
                if len(parts) == 1 and node.type in ("parenthesized_expression", "await"):
                    return self._value(parts[0])
                return self._collect(tuple(self._value(c) for c in parts))
            case "conditional_expression":
                return self._conditional_value(node)
            case "boolean_operator":
                return values.join(
                    self._value(node.child_by_field_name("left")),
                    self._value(node.child_by_field_name("right")),
                )
            case "dictionary":
                return self._dictionary(node)
            case "list_comprehension" | "generator_expression" | "set_comprehension":
                return self._comprehension(node)
            case "lambda":
                return self._lambda(node)
            case "named_expression":
                value = self._value(node.child_by_field_name("value"))
                self._bind(path_of(node.child_by_field_name("name")), value, line_of(node))
                return value
            case "list_splat" | "dictionary_splat" | "keyword_argument":
                return self._value(node.named_children[-1]) if node.named_children else DATA
            case "comparison_operator" | "not_operator":
                for child in node.named_children:
                    self._value(child)
                return DATA
        return DATA

    def _binary(self, operator: str, left: Value, right: Value, line: int) -> Value:
        if left.many and left.is_loss and right.many and operator == "+":  # lists put together
            return replace(values.join(left, right), many=True, each=left.each + right.each)
        return values.combine(operator, left, right, line)

    def _named(self, node: Node) -> Value:
        path = path_of(node)
        if not path:
            return self._below(node)
        if path in self._known:
            return self._known[path]
        name = last_name(path)
        if node.type == "attribute":
            if name in ("shape", "size", "dtype", "device", "ndim", "pi"):
                return CONSTANT
            base = self._below(node)
            if name == "data" and base.is_loss:
                return LOGGED
            if base.sort is Sort.LOGGED or name in ("T", "mT", "data", "grad"):
                return base
        elif node.type == "subscript":
            base = self._below(node)
            if not string_of(node.child_by_field_name("subscript")):
                return replace(base, instance="", each=0, many=False)
            if base.sort is Sort.LOGGED:
                return base
        dotted = self._program.resolve(self._code, path) if path.count("[") == 0 else path
        if library.is_loss_function(dotted) or library.is_loss_class(dotted):
            return Value(Sort.CRITERION, maker=dotted)
        if path.startswith("self.") and path.count(".") == 1 and node.type == "attribute":
            found = self._attribute(name)
            if found is not None:
                return found
        if names_criterion(name) or dotted in self._program.functions and names_loss_function(name):
            return Value(Sort.CRITERION, maker=dotted)
        if names_loss(name):
            return Value(Sort.LOSS, maker=path)
        if names_scalar(path):
            return CONSTANT
        return DATA

    def _below(self, node: Node) -> Value:
        for name in ("object", "value"):
            below = node.child_by_field_name(name)
            if below is not None:
                return self._value(below)
        return DATA

    def _attribute(self, name: str) -> Value | None:
        """Return what a method of the class sets ``self.name`` to, if that is telling."""
        for code, expression in self._program.attribute(self._code.class_key, name):
            if expression.type in ("integer", "float"):
                return CONSTANT
            if expression.type == "call":
                made = self._made(code, expression)
                if made is not None:
                    return made
        return None

    def _made(self, code: Code, call: Node) -> Value | None:
        """Return the loss function or object that a call constructs, if it is one."""
        function = call.child_by_field_name("function")
        path = path_of(function)
        if path.endswith((".cuda", ".to")) and function is not None:  # nn.MSELoss().cuda()
            inner = function.child_by_field_name("object")
            if inner is not None and inner.type == "call":
                return self._made(code, inner)
        dotted = self._program.resolve(code, path)
        if library.is_loss_class(dotted):
            return _criterion(dotted, arguments_of(call))
        if dotted in self._program.classes:
            is_loss = names_criterion(last_name(dotted.rpartition("::")[2]))
            return Value(Sort.CRITERION if is_loss else Sort.DATA, instance=dotted, maker=dotted)
        return None

    def _conditional_value(self, node: Node) -> Value:
        parts = [c for c in node.named_children if c.type != "comment"]
        if len(parts) != 3:
            return DATA
        first, _, second = (self._value(part) for part in parts)
        joined = values.join(first, second)
        if first.is_loss and second.is_loss and differ(first, second):
            return replace(joined, choice=line_of(node))
        if first.sort is second.sort is Sort.CRITERION and differ(first, second):
            return replace(joined, choice=line_of(node))
        return joined

    def _dictionary(self, node: Node) -> Value:
        found: list[Value] = []
        for pair in node.named_children:
            if pair.type != "pair":
                continue
            value = self._value(pair.child_by_field_name("value"))
            found.append(value)
            key = last_name(f"[{string_of(pair.child_by_field_name('key'))}]")
            if key and names_loss(key):
                self._use(value, f"becomes '{key}'", line_of(pair), strong=False)
        return replace(self._collect(tuple(found)), maker="dict")

    def _comprehension(self, node: Node) -> Value:
        before = dict(self._known)
        for clause in node.named_children:
            if clause.type == "for_in_clause":
                iterated = self._value(clause.child_by_field_name("right"))
                for name in _names_in(clause.child_by_field_name("left")):
                    self._known[name] = replace(iterated, many=False, each=0)
        value = self._value(node.child_by_field_name("body"))
        self._known = before
        return replace(value, many=True, each=0)

    def _lambda(self, node: Node) -> Value:
        before = dict(self._known)
        for name in parameters_of(node):
            self._known.pop(name, None)
        value = self._value(node.child_by_field_name("body"))
        self._known = before
        return value

    # --- calls ----------------------------------------------------------------------------------

    def _call(self, node: Node) -> Value:
        given = arguments_of(node)
        path = path_of(node.child_by_field_name("function"))
        name = callee_of(node)
        receiver = receiver_of(node)
        line = line_of(node)
        on = self._value(receiver) if receiver is not None else DATA
        passed = [self._value(a) for a in given]
        head = path.partition(".")[0]
        dotted = path if head in self._known else self._program.resolve(self._code, path)
        self._minimised(node, name, on, given, passed)
        if on.sort in (Sort.CRITERION, Sort.DATA) and (on.instance or on.sort is Sort.CRITERION):
            if name in ("cuda", "to", "eval", "train", "double", "float", "half"):
                return on
            if on.sort is Sort.CRITERION:  # criterion.compute(...), F.mse_loss as a value's method
                return self._from_call(node, path, dotted, passed)
        plain = "(" not in path and "[" not in path
        if receiver is None or (plain and library.is_framework(dotted)):
            if "::" not in dotted and (
                found := self._framework(node, dotted, name, given, passed)
            ):
                return found
        elif (found := self._on_value(name, on, passed, line)) is not None:
            return found
        return self._from_call(node, path, dotted, passed)

    def _framework(
        self, node: Node, dotted: str, name: str, given: Arguments, passed: list[Value]
    ) -> Value | None:
        """Return the result of a framework's function or of a builtin."""
        line = line_of(node)
        if path_known := self._known.get(dotted):
            if path_known.sort is Sort.CRITERION or path_known.instance:
                return None
        if library.is_loss_function(dotted):
            if name == "l2_loss" and passed and passed[0].difference:
                return replace(values.reduce(passed[0], line), formula=passed[0].formula or line)
            unreduced = _unreduced(given)
            return values.loss(
                dotted,
                elementwise=unreduced or (library.is_elementwise(dotted) and not _reduced(given)),
                summed=_summed(given),
            )
        if library.is_loss_class(dotted):
            return _criterion(dotted, given)
        first = passed[0] if passed else DATA
        if name == "float" and dotted == name:
            return LOGGED if first.sort >= Sort.CRITERION else first
        if name == "sum" and dotted == name:
            return values.add_up(first, line) if first.is_loss else values.reduce(first, line)
        action = library.does(name)
        if action is None or (dotted == name and not _is_builtin(name, dotted)):
            return None
        if action is Does.KEEPS and name == "partial":
            return replace(first, many=False)
        if name in ("zip", "enumerate"):
            return replace(self._collect(tuple(passed)), each=0)
        if action in (Does.COMBINES, Does.SUBTRACTS) and len(passed) >= 2:
            operator = _FUNCTIONAL_OPERATORS.get(name, "*")
            return values.combine(operator, passed[-2], passed[-1], line)
        if action is Does.TRANSFORMS and len(passed) >= 2 and name in _FUNCTIONAL_OPERATORS:
            return values.combine("**", passed[0], passed[1], line)
        if action is Does.TRANSFORMS and len(passed) >= 2 and name in _OF_TWO:
            return values.combine("-", passed[0], passed[1], line)
        if name == "stop_gradient":
            return LOGGED if first.is_loss or first.formula else DATA
        if name in ("where", "gather", "boolean_mask") and len(passed) >= 2:
            return replace(values.join(passed[-1], passed[-2]), instance="")
        if name in ("maximum", "minimum", "max", "min") and len(passed) >= 2:
            joined = values.join(passed[0], passed[1])
            return values.activate(
                replace(joined, shifted=first.shifted or passed[1].shifted), line
            )
        return self._apply(action, first, line)

    def _on_value(self, name: str, on: Value, passed: list[Value], line: int) -> Value | None:
        """Return the result of a tensor's or a collection's method."""
        if on.instance:
            return None
        if on.sort is Sort.CRITERION:
            return None
        action = library.does(name)
        if action is None:
            return None
        if action is Does.LOGS:
            return (
                LOGGED if name in ("item", "run", "asscalar") or on.sort >= Sort.CRITERION else on
            )
        if action in (Does.COMBINES, Does.SUBTRACTS) and passed:
            return values.combine(_FUNCTIONAL_OPERATORS.get(name, "*"), on, passed[0], line)
        if name == "pow" and passed:
            return values.combine("**", on, passed[0], line)
        if name == "detach" and on.is_loss:
            return LOGGED
        if name == "scale" and passed:  # scaler.scale(loss)
            return passed[0]
        if name in ("get", "pop") and not on.is_loss:
            return None
        return self._apply(action, on, line)

    def _apply(self, action: Does, value: Value, line: int) -> Value:
        match action:
            case Does.KEEPS:
                return replace(value, instance="")
            case Does.ACTIVATES:
                return values.activate(replace(value, instance=""), line)
            case Does.REDUCES:
                return values.reduce(replace(value, instance=""), line)
            case Does.SUMS:
                return values.add_up(replace(value, each=max(value.each, 2)), line)
            case Does.TRANSFORMS:
                return values.transform(replace(value, instance=""), line)
            case Does.MEASURES:
                return CONSTANT
            case Does.LOGS:
                return LOGGED if value.sort >= Sort.CRITERION else value
        return value

    def _from_call(self, node: Node, path: str, dotted: str, passed: list[Value]) -> Value:
        """Return the result of a call that is no known arithmetic."""
        name = callee_of(node)
        known = self._known.get(path) if path else None
        if known is not None and known.sort is Sort.CRITERION and not known.instance:
            elementwise = known.many
            return values.loss(known.maker or path, elementwise=elementwise, summed=known.summed)
        if known is None and path.startswith("self.") and path.count(".") == 1:
            attribute = self._attribute(name)
            if attribute is not None and attribute.sort is Sort.CRITERION:
                if not attribute.instance:
                    return values.loss(
                        attribute.maker, elementwise=attribute.many, summed=attribute.summed
                    )
                known = attribute
        if name in ("append", "add", "extend", "update", "insert"):
            self._collected(node, passed)
            return DATA
        target = self._target(node, path, dotted, known)
        if target in self._program.classes:
            criterion = names_criterion(target.rpartition("::")[2].rpartition(".")[2])
            return Value(Sort.CRITERION if criterion else Sort.DATA, instance=target, maker=target)
        sources = frozenset({(target, -1)}) if target in self._program.functions else frozenset()
        if (target, -1) in self._producers or (target, 0) in self._producers:
            return Value(Sort.LOSS, sources=sources, maker=target)
        called = path.endswith("()")  # nn.MSELoss()(x, y), get_loss(...)(x, y)
        if known is not None and known.sort is Sort.CRITERION:
            return Value(Sort.LOSS, sources=sources, maker=known.maker)
        if names_loss_function(name) or (called and names_criterion(name)):
            if names_criterion(name) and not called and not _lower_call(name):
                return Value(Sort.CRITERION, maker=dotted)
            if names_criterion(name) and not called and target in self._program.functions:
                return Value(Sort.CRITERION, maker=dotted)
            if names_optimiser(name):
                return DATA
            return Value(Sort.LOSS, sources=sources, maker=dotted)
        if name in _CONTAINERS:
            return Value(Sort.DATA, many=True, maker=name)
        if name[:1].isupper():
            return Value(Sort.DATA, instance="object", maker=name)
        if names_size(name):
            return CONSTANT
        return Value(Sort.DATA, sources=sources)

    def _target(self, node: Node, path: str, dotted: str, known: Value | None) -> str:
        """Return the key of the function or class of the repository that a call reaches."""
        if known is not None and known.instance:
            for name in ("forward", "__call__", "call"):
                if (method := self._program.method(known.instance, name)) is not None:
                    return method.key
        if "::" in dotted:
            return dotted
        name = last_name(path)
        if path in (f"self.{name}", f"cls.{name}"):
            method = self._program.method(self._code.class_key, name)
            return method.key if method is not None else ""
        receiver = receiver_of(node)
        on = self._value(receiver) if receiver is not None else DATA
        if on.instance and (method := self._program.method(on.instance, name)) is not None:
            return method.key
        return ""

    def _collected(self, node: Node, passed: list[Value]) -> None:
        """Put a value into the collection whose method was called."""
        receiver = receiver_of(node)
        path = path_of(receiver)
        if not path or not passed or receiver is None:
            return
        value = passed[-1]
        name = last_name(path)
        if names_loss(name) and not names_logged(name) and value.sort >= Sort.DATA:
            self._use(value, f"goes into `{path}`", line_of(node), strong=False)
        before = self._known.get(path, CONSTANT)
        if names_loss(name) and value.sort is Sort.DATA:
            value = replace(value, sort=Sort.LOSS, maker=path)
        if value.sort is Sort.LOGGED:
            self._known[path] = LOGGED
        elif value.sort is Sort.DATA and not value.is_loss:
            self._known[path] = replace(values.join(before, value), many=True)
        elif value.is_loss:
            bare = replace(value, combination=0, reduction=0, choice=0)
            count = before.each + (0 if self._in_inner_loop(path) else max(1, value.each))
            self._known[path] = replace(values.join(before, bare), many=True, each=count)

    def _minimised(
        self, node: Node, name: str, on: Value, given: Arguments, passed: list[Value]
    ) -> None:
        """Note the value that training minimises by this call, if it is such a call."""
        line = line_of(node)
        first = passed[0] if passed else None
        keyword = given.named.get("loss") or given.named.get("total_loss")
        if name == "backward":
            plain = first is not None and given.positional and not on.is_loss
            value = first if plain and first is not None else on
            if value.sort is Sort.CONSTANT:
                return
            self._train(value, "is propagated backward", line)
        elif name in _MINIMISERS:
            value = self._value(keyword) if keyword is not None else first
            if value is not None:
                self._train(value, "is minimised", line)
        elif name in ("gradient", "gradients", "grad", "get_gradients", "jacobian") and first:
            if len(passed) >= 2 and (first.is_loss or (first.formula and first.averaged)):
                self._use(first, "is differentiated", line, strong=name != "grad")
        elif name == "add_loss" and first is not None:
            self._use(first, "is added to the model's losses", line, strong=True)
        elif name == "add_to_collection" and len(passed) >= 2 and given.positional:
            if names_loss(last_name(f"[{string_of(given.positional[0])}]")) or "LOSSES" in text_of(
                given.positional[0]
            ):
                self._use(passed[1], "joins a collection of losses", line, strong=True)
        elif keyword is not None and name.endswith("Spec"):
            self._train(self._value(keyword), "is given to the estimator", line)
        elif name in _ASSIGNERS:
            target = path_of(receiver_of(node))
            difference = next((p.difference for p in passed if p.difference), 0)
            if difference and self._boltzmann and not on.is_loss:
                self._find(_CONTRAST, difference, f"updates `{target}`", line)
        for key, argument in given.named.items():
            if argument.type == "conditional_expression" and names_criterion(key):
                self._choose_function(argument)

    def _choose_function(self, node: Node) -> None:
        parts = [c for c in node.named_children if c.type != "comment"]
        arms = {text_of(parts[0]), text_of(parts[2])} if len(parts) == 3 else set()
        if len(arms) == 2 and all(a.isidentifier() or a == "None" for a in arms):
            self._find("chooses among loss functions", line_of(node), "is used", line_of(node))

    def _train(self, value: Value, use: str, line: int) -> None:
        self._use(value, use, line, strong=True)
        self._analysis.trained |= value.sources


_OF_TWO = frozenset("cdist pairwise_distance dist squared_difference cosine_similarity".split())
_BUILTINS = frozenset(
    "len range int abs min max sum enumerate zip list tuple dict reversed".split()
)


def differ(first: Value, second: Value) -> bool:
    """Say whether two losses or loss functions come from different makers."""
    return first.maker != second.maker or first.instance != second.instance


def _is_builtin(name: str, dotted: str) -> bool:
    return name in _BUILTINS or dotted != name or name in _IMPORTED


_IMPORTED = frozenset(
    "rearrange reduce repeat einsum partial log exp square sqrt norm Variable isinstance bool"
    " round pow softplus relu sigmoid softmax mean_flat meanflat shape_list".split()
)


def _criterion(dotted: str, given: Arguments) -> Value:
    """Return a loss function; ``many`` says that it gives one value for each element."""
    return Value(Sort.CRITERION, maker=dotted, many=_unreduced(given), summed=_summed(given))


def _unreduced(given: Arguments) -> bool:
    reduction, reduce = given.named.get("reduction"), given.named.get("reduce")
    return text_of(reduction).strip("'\"").rpartition(".")[2].lower() == "none" or (
        text_of(reduce) == "False"
    )


def _reduced(given: Arguments) -> bool:
    return "reduction" in given.named and not _unreduced(given)


def _summed(given: Arguments) -> bool:
    reduction = text_of(given.named.get("reduction")).strip("'\"").rpartition(".")[2].lower()
    return reduction == "sum" or text_of(given.named.get("size_average")) == "False"


def _accumulates(target: Node, expression: Node) -> bool:
    """Say whether ``x = x + ...`` is assigned."""
    path = path_of(target)
    while expression.type in ("binary_operator", "parenthesized_expression"):
        inner = expression.child_by_field_name("left")
        if expression.type == "parenthesized_expression":
            inner = expression.named_children[0] if expression.named_children else None
        if inner is None:
            return False
        expression = inner
    return bool(path) and path_of(expression) == path


def _exclude(arms: tuple[tuple[int, int], ...], others: tuple[tuple[int, int], ...]) -> bool:
    """Say whether two places stand in different arms of one branch."""
    return any(
        branch == other and arm != other_arm for branch, arm in arms for other, other_arm in others
    )


def _at(sources: frozenset[tuple[str, int]], position: int) -> frozenset[tuple[str, int]]:
    return frozenset((key, position if at < 0 else at) for key, at in sources)


def _lower_call(name: str) -> bool:
    """Say whether a name is that of a plain function, not of a class."""
    return not name[:1].isupper()


def _names_in(node: Node | None) -> list[str]:
    """Return the names that a loop's or comprehension's target binds."""
    if node is None:
        return []
    if node.type in ("identifier", "attribute", "subscript"):
        return [path_of(node)]
    return [text_of(n) for n in walk(node) if n.type == "identifier"]
