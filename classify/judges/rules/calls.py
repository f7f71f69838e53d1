"""What calls make of the values that they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tree_sitter import Node

from classify.judges.rules import library, values
from classify.judges.rules.evidence import CONTRAST
from classify.judges.rules.library import Does
from classify.judges.rules.names import (
    Names,
    criterion_of,
    is_summed,
    is_unreduced,
)
from classify.judges.rules.shipped_names import listed, operators
from classify.judges.rules.tree import (
    Arguments,
    callee_of,
    last_name,
    line_of,
    path_of,
    receiver_of,
    string_of,
    text_of,
)
from classify.judges.rules.values import CONSTANT, DATA, LOGGED, Sort, Value
from classify.judges.rules.words import (
    names_criterion,
    names_critic,
    names_logged,
    names_loss,
    names_loss_function,
    names_optimiser,
    names_record,
    names_size,
)

_FORWARD = ("forward", "__call__", "call")


class Call:
    """A call, with the values that it is given."""

    def __init__(
        self, names: Names, node: Node, given: Arguments, on: Value, passed: Sequence[Value]
    ) -> None:
        """Take the value of the receiver, and those of the arguments in order."""
        self._names = names
        self._given = given
        self._on = on
        self._passed = passed
        self._first = passed[0] if passed else DATA
        self._line = line_of(node)
        self._name = callee_of(node)
        self._path = path_of(node.child_by_field_name("function"))
        self._receiver = receiver_of(node)
        self._dotted = names.resolve(self._path)

    def result(self) -> Value:
        """Return the call's value, once what it does with losses is noted."""
        self._note()
        value = self._result()
        # a ready-made loss against targets that are spread by hand
        smoothed = next((p.smoothed for p in self._passed if p.smoothed), 0)
        return (
            replace(value, combination=value.combination or smoothed)
            if (value.is_loss and smoothed)
            else value
        )

    def _result(self) -> Value:
        on = self._on
        if on.sort is Sort.CRITERION or on.instance:
            if self._name in ("cuda", "to", "eval", "train", "double", "float", "half"):
                return on
            return self._of_function()
        if name_of_update := self._adds_to_losses():
            self._names.collect_loss(name_of_update, self._first, self._line)
            return DATA
        if self._fills_list():
            self._names.append(path_of(self._receiver), self._passed[-1], self._line)
            return DATA
        if self._receiver is None or library.is_framework(self._dotted):
            # a repository's own `log` or `mean_flat` does what its name says
            own = "::" in self._dotted and not library.is_bare(self._name)
            found = None if own else self._of_framework()
        else:
            found = self._of_method()
        if found is not None and self._name == "log_softmax":
            return replace(found, product=True)
        return found if found is not None else self._of_function()

    def _fills_list(self) -> bool:
        listing = self._name in ("append", "extend", "insert")
        return bool(
            (listing or (self._name == "add" and self._on.many))
            and self._passed
            and path_of(self._receiver)
        )

    def _adds_to_losses(self) -> str:
        """Return the path of the losses' collection that a call adds a loss to, or nothing."""
        path = path_of(self._receiver)
        adds = self._name == "update" and self._on.many and names_loss(last_name(path))
        return path if adds and self._passed and self._first.is_loss else ""

    # --- what the call does with losses ---------------------------------------------------------

    def _note(self) -> None:
        """Note which value training minimises, if it is by this call."""
        analysis, first = self._names.analysis, self._first
        loss = self._named("loss", "total_loss")
        if self._name == "backward" and self._receiver is not None:
            analysis.train(self._propagated(), "is propagated backward", self._line)
        elif self._name in listed("minimises") and (self._passed or loss is not None):
            analysis.train(loss or first, "is minimised", self._line)
        elif self._name in listed("differentiates") and len(self._passed) >= 2:
            if first.is_loss or (first.formula and first.averaged):
                analysis.train(replace(first, sources=frozenset()), "is differentiated", self._line)
        elif self._name == "add_loss":
            analysis.train(first, "is added to the model's losses", self._line)
        elif self._name == "add_to_collection" and len(self._passed) >= 2:
            name = self._given.get(0, "name")
            if names_loss(last_name(f"[{string_of(name)}]")) or "LOSSES" in text_of(name):
                analysis.train(self._passed[1], "joins a collection of losses", self._line)
        elif self._name.endswith("Spec") and loss is not None:
            analysis.train(loss, "is given to the estimator", self._line)
        elif self._name in listed("assigns") and self._names.boltzmann and not self._on.is_loss:
            difference = max((p.difference for p in self._passed), default=0)
            if difference:
                target = f"updates `{path_of(self._receiver)}`"
                analysis.find(CONTRAST, difference, target, self._line)
        position = len(self._given.positional)
        for (key, argument), value in zip(
            self._given.named.items(), self._passed[position:], strict=True
        ):
            if names_loss(key) and not names_logged(key) and (value.is_loss or value.averaged):
                analysis.use(value, f"is given as `{key}`", self._line)
            if argument.type == "conditional_expression" and names_criterion(key):
                self._choose(argument)
            elif names_criterion(key) or key == "loss":
                self._names.give(argument)

    def _propagated(self) -> Value:
        """Return the loss of ``loss.backward()`` or of ``engine.backward(loss)``.

        What a tensor is given is the gradient that arrives at it: ``y.backward(g)`` has no loss,
        unless ``y`` is a loss or one number, and ``g`` its sign or its weight.
        """
        if not self._given.positional or self._on.is_loss or self._on.averaged:
            return self._on
        return self._first if self._first.is_loss or self._first.averaged else CONSTANT

    def _named(self, *keys: str) -> Value | None:
        """Return the value of a named argument."""
        position = len(self._given.positional)
        for key, value in zip(self._given.named, self._passed[position:], strict=True):
            if key in keys:
                return value
        return None

    def _choose(self, argument: Node) -> None:
        """Note a loss function that is given only under a condition."""
        parts = [c for c in argument.named_children if c.type != "comment"]
        if len(parts) == 3 and all(p.type in ("identifier", "none") for p in (parts[0], parts[2])):
            line = line_of(argument)
            self._names.analysis.find("chooses among loss functions", line, "is used", line)

    # --- results --------------------------------------------------------------------------------

    def _of_framework(self) -> Value | None:
        """Return the result of a framework's function or of a builtin."""
        name, first, line = self._name, self._first, self._line
        known = self._names.known.get(self._path)
        if known is not None and (known.sort is Sort.CRITERION or known.instance):
            return None
        if library.is_loss_function(self._dotted):
            return self._ready_made()
        if library.is_loss_class(self._dotted):
            return criterion_of(self._dotted, self._given)
        builtin = self._dotted == name or "::" in self._dotted
        if builtin and name == "float":
            return LOGGED if first.sort >= Sort.CRITERION else first
        if builtin and name == "sum":
            return values.add_up(first, line) if first.is_loss else values.reduce(first, line)
        action = library.does(name)
        if action is None or (builtin and not library.is_bare(name)):
            return None
        if name in ("zip", "enumerate"):
            return replace(values.collect(self._passed), each=0)
        if name in ("negative", "neg"):
            return values.negate(first, line)
        if name == "stop_gradient":
            return LOGGED if first.is_loss or first.difference else DATA
        if action is Does.KEEPS and self._leads_with_number():
            return max(self._passed, key=lambda value: value.sort)
        if len(self._passed) >= 2:
            if name in operators():
                left, right = self._passed[-2:] if name == "einsum" else self._passed[:2]
                return values.combine(operators()[name], left, right, line)
            if name in ("where", "boolean_mask"):
                left, right = self._passed[-2:]
                choice = line if name == "where" and values.differ(left, right) else 0
                joined = values.join(left, right)
                return replace(joined, instance="", choice=joined.choice or choice)
            if name in ("maximum", "minimum", "max", "min"):
                second = self._passed[1]
                nearer = first.sort is second.sort is Sort.DATA  # what two distributions share
                first = replace(
                    values.join(first, second),
                    shifted=first.shifted or second.shifted,
                    formula=first.formula or second.formula or (line if nearer else 0),
                )
        return _apply(action, first, line)

    def _leads_with_number(self) -> bool:
        """Say whether the axis comes first, as in early TensorFlow: ``tf.concat(1, [x, y])``."""
        leading = self._given.get(0)
        return leading is not None and leading.type == "integer" and len(self._passed) > 1

    def _ready_made(self) -> Value:
        """Return the value of a framework's loss function."""
        first = self._first
        distance = first.difference or first.shifted
        if self._name == "l2_loss" and distance:  # half the squared distance of two
            return replace(values.reduce(first, self._line), formula=first.formula or self._line)
        reduced = "reduction" in self._given.named or not library.is_elementwise(self._dotted)
        result = values.loss(
            self._dotted,
            elementwise=is_unreduced(self._given) or not reduced,
            summed=is_summed(self._given),
        )
        return replace(result, combination=self._line if self._weighed_by_prediction() else 0)

    def _weighed_by_prediction(self) -> bool:
        """Say whether a ready-made loss is weighed by a formula of the prediction that it gets."""
        weight, prediction = self._given.get(2, "weight", "weights"), self._given.get(0, "input")
        if weight is None or weight.type != "identifier" or prediction is None:
            return False
        name = text_of(prediction)
        return self._names.known.get(text_of(weight), DATA).formula > 0 and (
            name in self._names.made_of(text_of(weight))
        )

    def _of_method(self) -> Value | None:
        """Return the result of a tensor's or a collection's method."""
        name, on, line = self._name, self._on, self._line
        action = library.does(name)
        if name == "get" and names_record(last_name(path_of(self._receiver))):
            return LOGGED
        if action is None or (name in ("get", "pop") and not on.is_loss):
            return None
        if action is Does.LOGS:
            # a formula whose value leaves the graph may be a loss's, but no error to descend on
            outside = name == "run" or on.sort >= Sort.CRITERION
            if not outside and name == "item" and not (on.formula or on.averaged):
                return CONSTANT
            return LOGGED if outside else replace(on, averaged=False)
        if name in operators() and self._passed:
            return values.combine(operators()[name], on, self._first, line)
        if name in ("scatter_", "scatter") and len(self._passed) == 3:
            return self._smoothed()
        if name == "detach" and on.is_loss:
            return LOGGED
        if name in ("masked_fill", "masked_fill_") and on.is_loss:
            return self._masked()
        if name == "scale" and self._passed:  # scaler.scale(loss).backward()
            return self._first
        if name in ("neg", "negative"):
            return values.negate(on, line)
        return _apply(action, on, line)

    def _smoothed(self) -> Value:
        """Return targets into which something is scattered: smoothed, unless it is a plain one."""
        spread = [*self._given][2].type not in ("integer", "float")
        value = replace(self._on, smoothed=self._on.smoothed or (self._line if spread else 0))
        if self._name.endswith("_") and (path := path_of(self._receiver)):
            self._names.known[path] = value
        return value

    def _masked(self) -> Value:
        """Return a loss some elements of which are left out by hand."""
        value = replace(self._on, combination=self._on.combination or self._line)
        if self._name.endswith("_") and (path := path_of(self._receiver)):
            self._names.known[path] = value
        return value

    def _of_function(self) -> Value:
        """Return the result of a call that is no known arithmetic: a value of its own."""
        name, path, program = self._name, self._path, self._names.program
        function = self._names.known.get(path) or self._names.attribute(path)
        if function is None and self._on.sort is Sort.CRITERION and path.endswith(("()", "[]")):
            function = self._on
        if function is not None and function.sort is Sort.CRITERION and not function.instance:
            maker = function.maker or path
            result = values.loss(maker, elementwise=function.many, summed=function.summed)
            return replace(result, choice=function.choice)
        target = self._target(function)
        if target in program.classes:
            return self._names.instance(target)
        # what a function makes of a loss that it is given, a mean or a copy, is no loss of its own
        makes = target in program.functions and not any(p.is_loss for p in self._passed)
        sources = frozenset({(target, -1)}) if makes else frozenset()
        self._names.analysis.called.add(target)
        if {(target, -1), (target, 0)} & self._names.producers:
            return replace(values.loss(target), sources=sources)
        if self._passed and program.averages(target):
            return values.reduce(self._first, self._line)
        if function is not None and function.sort is Sort.CRITERION:
            return replace(values.loss(function.maker), sources=sources)
        called = path.endswith("()")  # nn.MSELoss()(x, y)
        last = name or last_name(path)
        made = names_criterion(last) and (last[:1].isupper() or target in program.functions)
        if made and not called:
            return values.criterion(self._dotted)
        if (names_loss_function(last) or (called and names_criterion(last))) and not (
            names_optimiser(last)
        ):
            return replace(values.loss(self._dotted + "()"), sources=sources)
        if name in listed("container"):
            return Value(Sort.DATA, many=True, maker=name)
        if names_critic(name):
            return Value(Sort.DATA, sources=sources, product=True)
        if name[:1].isupper() and not name.isupper():  # D(x) is a network more often than a class
            return Value(Sort.DATA, instance="object", maker=name)
        return CONSTANT if names_size(name) else Value(Sort.DATA, sources=sources)

    def _target(self, function: Value | None) -> str:
        """Return the key of the function or class of the repository that is called, or nothing."""
        program, name = self._names.program, self._name
        if function is not None and function.instance:
            return self._method(function.instance, *_FORWARD)
        if "::" in self._dotted:
            return self._dotted
        if self._path in (f"self.{name}", f"cls.{name}") or self._path == f"super().{name}":
            return self._method(self._names.code.class_key, name)
        if self._receiver is None and self._path.endswith("()") and self._on.instance:
            return self._method(self._on.instance, *_FORWARD)
        return self._method(self._on.instance, name) if self._on.instance in program.classes else ""

    def _method(self, class_key: str | None, *names: str) -> str:
        found = (self._names.program.method(class_key, name) for name in names)
        return next((code.key for code in found if code is not None), "")


def _apply(action: Does, value: Value, line: int) -> Value:
    """Return what a known function of one value makes of it."""
    value = replace(value, instance="")
    match action:
        case Does.ACTIVATES:
            return values.activate(value, line)
        case Does.REDUCES:
            return values.reduce(value, line)
        case Does.SUMS:
            return values.add_up(replace(value, each=max(value.each, 2)), line)
        case Does.TRANSFORMS:
            return values.transform(value, line)
        case Does.MEASURES:
            return CONSTANT
        case Does.LOGS:
            return LOGGED if value.sort >= Sort.CRITERION else value
    return value
