"""What the names of a piece of code hold while its values are followed."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from tree_sitter import Node

from classify.judges.rules import library, values
from classify.judges.rules.evidence import BY_HAND, CONTRAST, Analysis
from classify.judges.rules.program import Code, Program
from classify.judges.rules.shipped_names import listed
from classify.judges.rules.tree import (
    FUNCTION,
    Arguments,
    Statement,
    arguments_of,
    brief,
    callee_of,
    find,
    last_name,
    line_of,
    parameters_of,
    path_of,
    text_of,
)
from classify.judges.rules.values import CONSTANT, LOGGED, Sort, Source, Value
from classify.judges.rules.words import (
    holds_losses,
    is_entry_of_losses,
    measures,
    names_count,
    names_criterion,
    names_divergence,
    names_error,
    names_logged,
    names_loss,
    names_loss_function,
    names_loss_method,
    names_output_delta,
    names_record,
    names_scalar,
    names_scaling,
    names_score,
    names_update,
    names_weight,
    speaks_of_boltzmann,
)

_MAX_MADE_OF = 50
"""So many of the names out of which a name is made are looked for."""


class Names:
    """The values of names, by their paths (``loss``, ``self.loss``, ``losses['kl']``).

    A name that the code does not bind is judged by what the module binds it to, by what the
    class sets the attribute to, and at last by what it says.
    """

    def __init__(
        self,
        program: Program,
        code: Code,
        producers: frozenset[Source],
        around: dict[str, Value],
        analysis: Analysis,
    ) -> None:
        """Take the functions known to return a loss, and the values of the module's names."""
        self.program = program
        self.code = code
        self.producers = producers
        self.analysis = analysis
        self.known = dict(around)
        self.statement = Statement(code.node)
        self._bound_in: dict[str, tuple[int, ...]] = {}
        self._measures = measures(code.name) or measures(code.path.rpartition("/")[2])
        self._deep = program.is_deep(code.path)
        for name, default in parameters_of(code.node).items() if code.node.type == FUNCTION else ():
            self.known.pop(name, None)
            self._bound_in[name] = ()
            if default is not None and default.type in ("integer", "float", "true", "false"):
                # what starts at nothing and is called a loss is one, to which terms are added
                empty = text_of(default) in ("0", "0.", "0.0") and names_loss(name)
                self.known[name] = values.loss(name) if empty else CONSTANT

    @cached_property
    def boltzmann(self) -> bool:
        """Whether the code is that of a (restricted) Boltzmann machine."""
        file = self.code.path.rpartition("/")[2]
        return speaks_of_boltzmann(f"{file} {self.code.qualname} {text_of(self.code.node)}")

    # --- binding --------------------------------------------------------------------------------

    def assign(self, path: str, value: Value, expression: Node, line: int) -> None:
        """Bind a name to the value of an expression by a plain assignment."""
        before = self.known.get(path)
        if before is not None and self.statement.conditional and value.sort is Sort.CONSTANT:
            # `loss = None` in one arm leaves what the other arm gives it
            value = before
        self.contrast(path, value, line)
        self.note_maker(path, value, expression)
        name = last_name(path)
        if names_criterion(name) or (names_loss(name) and expression.type == "dictionary"):
            self.give(expression)
        if before is not None and accumulates(path, expression):
            value = self._accumulated(path, value, line)
        self.bind(path, value, line)

    def augment(self, path: str, operator: str, before: Value, value: Value, line: int) -> None:
        """Bind a name by ``+=`` and its like."""
        self.contrast(path, value, line)
        fresh = before.sort is Sort.CONSTANT and not before.many
        if operator == "+" and value.is_loss and (fresh or self.in_inner_loop(path)):
            self.bind(path, self._accumulated(path, value, line), line)
        else:
            self.bind(path, values.combine(operator, before, value, line), line)

    def bind(self, path: str, value: Value, line: int = 0) -> None:
        """Bind a name, and note if it gets a loss that was calculated here."""
        name, use = last_name(path), f"becomes `{path}`"
        if names_logged(name):
            pass
        elif names_loss(name) and value.sort >= Sort.DATA:
            error = names_error(name)
            measured = names_divergence(name) and (self._measures or not self._deep)
            # an error may be a metric: as a loss it is at least averaged
            averaged = value.averaged and not self._measures
            if not measured and (value.is_loss or not error or averaged):
                self.analysis.use(value, use, line)
            if not error:
                self.analysis.named |= value.sources | value.means
            container = value.many and value.maker in listed("container")
            if value.sort is Sort.DATA and not (value.formula or value.instance or container):
                value = replace(value, sort=Sort.LOSS, maker=value.maker or path)
        elif is_entry_of_losses(path) and (value.is_loss or value.averaged):
            self.analysis.use(value, use, line)
        elif value.sort is Sort.DATA and (
            names_count(name) or (names_scaling(name) and not value.formula)
        ):
            value = CONSTANT
        elif value.is_loss:
            # what losses are put together for shows only where the result is used as a loss
            self.analysis.use(replace(value, combination=0), use, line)
        if value.is_loss and is_entry_of_losses(path):
            self._enter(path, value)
        self.known[path] = value
        self._bound_in[path] = self.statement.loops

    def append(self, path: str, value: Value, line: int) -> None:
        """Put a value into the collection of this name."""
        name = last_name(path)
        if names_loss(name) and not names_logged(name) and value.sort >= Sort.DATA:
            self.analysis.use(value, f"goes into `{path}`", line)
            if value.sort is Sort.DATA:
                value = replace(value, sort=Sort.LOSS, maker=path)
        if value.sort is Sort.LOGGED:
            self.known[path] = LOGGED
            return
        before = self.known.get(path, CONSTANT)
        count = before.each + (max(1, value.each) if not self.in_inner_loop(path) else 0)
        plain = replace(value, combination=0, reduction=0, choice=0) if value.is_loss else value
        both = values.join(before, plain)
        self.known[path] = replace(both, many=True, each=count if value.is_loss else before.each)

    def collect_loss(self, path: str, value: Value, line: int) -> None:
        """Put a loss into a collection by its key; over a loop over losses they add up."""
        before = self.known.get(path, CONSTANT)
        line = line if self.in_inner_loop(path) else 0
        both = replace(values.join(before, value), many=True, each=before.each + 1)
        self.known[path] = replace(both, accumulation=both.accumulation or line)

    def note_maker(self, path: str, value: Value, expression: Node) -> None:
        """Note which loss, or loss function, a name gets in this arm of a branch."""
        if value.sort < Sort.CRITERION or keeps_best(path, expression):
            return
        maker = value.maker + value.instance
        if value.is_loss and expression.type in ("identifier", "attribute", "subscript"):
            named = path_of(expression)
            maker = named if names_loss(last_name(named)) and not path.startswith("return[") else ""
        function = value.sort is Sort.CRITERION
        self.analysis.made(path, self.statement.arms, maker, line_of(expression), function=function)

    def give(self, expression: Node) -> None:
        """Note the functions of the repository that are given where a loss is asked for."""
        waiting = [expression]
        while waiting:
            node = waiting.pop()
            if node.type in ("identifier", "attribute"):
                target = self.resolve(path_of(node))
                if target.startswith("self.") and target.count(".") == 1:
                    method = self.program.method(self.code.class_key, last_name(target))
                    target = method.key if method is not None else ""
                if target in self.program.functions:
                    self.analysis.trained.add((target, -1))
            elif node.type in ("list", "tuple", "dictionary"):
                waiting += node.named_children
            elif node.type == "pair" and (value := node.child_by_field_name("value")) is not None:
                waiting.append(value)
            elif node.type == "call" and callee_of(node) == "partial":
                waiting += arguments_of(node).positional[:1]

    def contrast(self, path: str, value: Value, line: int) -> None:
        """Note the update of a Boltzmann machine by the difference of its two phases."""
        if not value.difference or value.is_loss or not self.boltzmann:
            return
        name = last_name(path)
        kept = "." in path or self.statement.node.type == "augmented_assignment"
        if names_update(name) or (kept and names_weight(name)):
            self.analysis.find(CONTRAST, value.difference, f"becomes `{path}`", line)

    def contrast_returned(self, elements: tuple[Value, ...], line: int) -> None:
        """Note a difference that a function returns for an update: of two phases, an error."""
        found = next((e.difference for e in elements if e.difference and not e.is_loss), 0)
        name = self.code.name
        if found and names_update(name) and self.boltzmann:
            self.analysis.find(CONTRAST, found, "is returned", line)
        elif found and names_output_delta(name):
            self.analysis.find(BY_HAND, found, "is returned", line)

    def in_inner_loop(self, path: str) -> bool:
        """Say whether the statement is in a loop that the name's last binding is not in."""
        loops = self.statement.loops
        return bool(loops) and loops[-1] not in self._bound_in.get(path, ())

    def _accumulated(self, path: str, value: Value, line: int) -> Value:
        """Return a sum of losses over a loop; outside of the loop it is the loss itself."""
        if not value.is_loss or not self.in_inner_loop(path):
            return value
        before = self.known.get(path, value)
        kept = values.join(before, value) if before.is_loss else value
        other = kept.combination if kept.combination != line else 0
        return replace(
            kept,
            sort=Sort.LOSS,
            combination=value.combination or other,
            accumulation=kept.accumulation or line,
            summed=False,
        )

    def _enter(self, path: str, value: Value) -> None:
        """Put an entry's loss into its collection, which may be returned or summed."""
        collection = path.rpartition("['")[0]
        before = self.known.get(collection, CONSTANT)
        if before.many:
            entry = replace(value, combination=0, reduction=0, choice=0, formula=0)
            self.known[collection] = replace(
                values.join(before, entry), many=True, each=before.each + 1
            )

    # --- looking up -----------------------------------------------------------------------------

    def made_of(self, name: str) -> frozenset[str]:
        """Return the names out of which a name is made, also by way of others."""
        bindings = self.program.bindings(self.code.path, self.code.node)
        found: set[str] = set()
        waiting = [name]
        while waiting and len(found) < _MAX_MADE_OF:
            for value in bindings.get(waiting.pop(), ()):
                fresh = dict.fromkeys(text_of(node) for node in find(value, "identifier"))
                waiting += [each for each in fresh if each not in found]
                found |= fresh.keys()
        return frozenset(found)

    def resolve(self, path: str) -> str:
        """Return what a path means here: itself if the code binds its head."""
        if path.partition(".")[0] in self._bound_in or "[" in path or "(" in path:
            return path
        return self.program.resolve(self.code, path)

    def unbound(self, path: str) -> Value:
        """Return what a name holds that this code does not bind."""
        name = last_name(path)
        dotted = self.program.resolve(self.code, path) if "[" not in path else path
        if library.is_loss_function(dotted) or library.is_loss_class(dotted):
            return values.criterion(dotted)
        if (found := self.attribute(path)) is not None:
            return found
        if names_record(path.partition(".")[0].partition("[")[0]) and names_loss(name):
            return LOGGED
        own = path.startswith("self.") and path.count(".") == 1
        if own and names_loss_method(name) and not names_scalar(path):
            method = self.program.method(self.code.class_key, name)
            if method is not None:
                return values.criterion(method.key)
        known = dotted in self.program.functions and (
            names_loss_function(name) or holds_losses(dotted.partition("::")[0])
        )
        if known or names_criterion(name):
            return values.criterion(dotted)
        if names_loss(name):
            return values.loss(path)
        return CONSTANT if names_scalar(path) else Value(product=names_score(name))

    def attribute(self, path: str) -> Value | None:
        """Return what a method of the class sets ``self.name`` to, if that is telling."""
        if not path.startswith("self.") or path.count(".") > 1 or path.endswith("]"):
            return None
        for code, expression in self.program.attribute(self.code.class_key, last_name(path)):
            if expression.type in ("integer", "float"):
                return CONSTANT
            if (found := self._constructed(code, expression)) is not None:
                return found
        return None

    def _constructed(self, code: Code, expression: Node) -> Value | None:
        """Return the loss function, or the object of a class, that an expression constructs."""
        if expression.type != "call":
            return None
        function = expression.child_by_field_name("function")
        path = path_of(function)
        if function is not None and path.endswith(("().cuda", "().to")):
            inner = function.child_by_field_name("object")
            return self._constructed(code, inner) if inner is not None else None
        dotted = self.program.resolve(code, path)
        if library.is_loss_class(dotted):
            return criterion_of(dotted, arguments_of(expression))
        return self.instance(dotted) if dotted in self.program.classes else None

    def instance(self, class_key: str) -> Value:
        """Return an object of a class of the repository."""
        path, _, qualname = class_key.partition("::")
        name = last_name(qualname)
        network = library.names_network(name)
        is_criterion = names_criterion(name) or (holds_losses(path) and not network)
        return values.instance_of(class_key, is_criterion=is_criterion)


def criterion_of(dotted: str, given: Arguments) -> Value:
    """Return the loss function that a loss class makes of its arguments."""
    return values.criterion(dotted, elementwise=is_unreduced(given), summed=is_summed(given))


def is_unreduced(given: Arguments) -> bool:
    """Say whether a loss is told to give one value for each element."""
    return _reduction(given) == "none" or text_of(given.named.get("reduce")) == "False"


def is_summed(given: Arguments) -> bool:
    """Say whether a loss is told to sum."""
    return _reduction(given) == "sum" or text_of(given.named.get("size_average")) == "False"


def _reduction(given: Arguments) -> str:
    return text_of(given.named.get("reduction")).strip("'\"").rpartition(".")[2].lower()


def keeps_best(path: str, expression: Node) -> bool:
    """Say whether ``if loss < best: best = loss`` keeps one of two numbers that it compared."""
    kept = path_of(expression)
    around = expression.parent
    while kept and around is not None and around.type != FUNCTION:
        if around.type in ("if_statement", "elif_clause"):
            condition = around.child_by_field_name("condition")
            is_brief = condition is not None and brief(condition)
            compared = find(condition, "comparison_operator") if condition and is_brief else ()
            if any({kept, path} <= {path_of(n) for n in c.named_children} for c in compared):
                return True
        around = around.parent
    return False


def accumulates(path: str, expression: Node | None) -> bool:
    """Say whether an expression is ``path + ...``."""
    inside = False
    while expression is not None:
        if expression.type == "binary_operator":
            expression, inside = expression.child_by_field_name("left"), True
        elif expression.type == "parenthesized_expression" and expression.named_children:
            expression = expression.named_children[0]
        else:
            return inside and path_of(expression) == path
    return False
