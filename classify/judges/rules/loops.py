"""Does a piece of code iterate over data and update parameters?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tree_sitter import Node

from classify.judges.rules import library
from classify.judges.rules.program import Code, Program, assignments
from classify.judges.rules.tree import (
    FUNCTION,
    LOOPS,
    arguments_of,
    last_name,
    line_of,
    parameters_of,
    path_of,
    receiver_of,
    text_of,
    walk,
)
from classify.judges.rules.words import (
    names_optimiser,
    names_scalar,
    names_train_op,
    names_training,
    words,
)

_UPDATING_METHODS = frozenset(
    "train_on_batch partial_fit optimize_parameters apply_gradients apply_gradient".split()
)
_RUNNERS = frozenset("run experimental_run_v2 experimental_run call_for_each_replica".split())
_MODE = ("train", "eval")
_NO_STEP = frozenset(
    "scheduler schedule lr env environment pbar progress profiler prof bar warmup sim sampler"
    " noise diffusion".split()
)
_PARAMETERS = frozenset(
    "param params parameters var vars variables weights grads gradients layers grad tvars"
    " named_parameters trainable_variables trainable_weights param_groups modules".split()
)
_MAX_CALLS = 4
"""Calls followed from a loop down to the update."""
_MAX_FETCHES = 30


@dataclass(frozen=True, slots=True)
class Update:
    """Where parameters are updated: the line, and what happens there."""

    line: int
    what: str


class Training:
    """Which code of a repository updates parameters."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._updates: dict[tuple[str, int], Update | None] = {}

    def loop(self, code: Code) -> tuple[int, Update] | None:
        """Return the line of a loop that trains, with the update in it."""
        for node in walk(code.node):
            if node.type in LOOPS and not _over_parameters(node):
                owner = self._owner(code, node)
                update = self._update_below(owner, node, _MAX_CALLS)
                if update is not None:
                    return line_of(node), update
        return None

    def updates(self, code: Code, calls: int = _MAX_CALLS) -> Update | None:
        """Return an update of parameters within a function or within what it calls."""
        place = (code.path, code.node.start_byte)
        if place not in self._updates:
            self._updates[place] = None  # a cycle of calls updates nothing by itself
            found = self._update_below(code, code.node, calls)
            if found is None and calls < _MAX_CALLS:
                del self._updates[place]  # not looked through to the end
            else:
                self._updates[place] = found
        return self._updates[place]

    def _owner(self, code: Code, node: Node) -> Code:
        """Return the innermost function around a node."""
        owner = code
        for each in self._program.within(code)[1:]:
            if each.node.start_byte <= node.start_byte and node.end_byte <= each.node.end_byte:
                owner = each
        return owner

    def _update_below(self, code: Code, root: Node, calls: int) -> Update | None:
        backward = False
        step = 0
        for node in walk(root, into_functions=root.type in LOOPS):
            if node.type == "call":
                name = last_name(path_of(node.child_by_field_name("function")))
                if name == "backward":
                    backward = True
                elif name == "step" and not _is_schedule(node):
                    receiver = last_name(path_of(receiver_of(node)))
                    if names_optimiser(receiver):
                        return Update(line_of(node), "steps an optimiser")
                    step = step or line_of(node)
                if backward and step:
                    return Update(step, "steps an optimiser")
                found = self._update_by_call(code, node, name, calls)
                if found is not None:
                    return found
            elif node.type in ("augmented_assignment", "assignment") and _descends(node):
                return Update(line_of(node), "changes parameters by hand")
        return None

    def _update_by_call(self, code: Code, node: Node, name: str, calls: int) -> Update | None:
        line = line_of(node)
        path = path_of(node.child_by_field_name("function"))
        given = arguments_of(node)
        if name in _UPDATING_METHODS and receiver_of(node) is not None:
            if name.startswith("apply_") and not self._eager(code):
                return None
            return Update(line, f"calls `{name}`")
        if name == "minimize" and self._eager(code) and receiver_of(node) is not None:
            return Update(line, "minimises")
        if name in ("assign_add", "assign_sub") and any(_names_rate(a) for a in given):
            return Update(line, "changes parameters by hand") if self._eager(code) else None
        if name in _RUNNERS or name in ("eval",):
            for argument in given:
                if self._fetches_update(code, argument):
                    return Update(line, "runs an update")
                target = self._function(code, argument)
                if target is not None and calls and self.updates(target, calls - 1):
                    return Update(line, f"runs `{text_of(argument)}`, which updates parameters")
            receiver = last_name(path_of(receiver_of(node)))
            if name == "run" and names_train_op(receiver) and "feed_dict" in given.named:
                return Update(line, "runs an update")
        if name in _MODE and receiver_of(node) is not None and _is_mode(node):
            return None
        target = self._called(code, node, path)
        if target is not None:
            if calls and self.updates(target, calls - 1) is not None:
                return Update(line, f"calls `{name}`, which updates parameters")
            return None
        candidates = self._program.methods_named.get(name, []) if "." in path else []
        dotted = self._program.resolve(code, path)
        if candidates and calls and not library.is_framework(dotted):
            trains = [c for c in candidates if self.updates(c, calls - 1) is not None]
            if trains and (len(trains) == len(candidates) or names_training(name)):
                return Update(line, f"calls `{name}`, which updates parameters")
            return None
        if names_training(name) and not candidates and _trains_by_name(name, node):
            return Update(line, f"calls `{name}`")
        return None

    def _called(self, code: Code, node: Node, path: str) -> Code | None:
        """Return the function of the repository that a call reaches."""
        name = last_name(path)
        if path in (f"self.{name}", f"cls.{name}") or path == f"super().{name}":
            return self._program.method(code.class_key, name)
        if path and "(" not in path and "[" not in path:
            target = self._program.resolve(code, path)
            if target in self._program.functions:
                return self._program.functions[target]
        receiver = receiver_of(node)
        made = self._made(code, receiver) if receiver is not None else None
        return self._program.method(made, name) if made is not None else None

    def _function(self, code: Code, argument: Node) -> Code | None:
        path = path_of(argument)
        if not path or argument.type not in ("identifier", "attribute"):
            return None
        if path.startswith("self.") and path.count(".") == 1:
            return self._program.method(code.class_key, last_name(path))
        return self._program.functions.get(self._program.resolve(code, path))

    def _made(self, code: Code, receiver: Node) -> str | None:
        """Return the class of the repository that a receiver is an object of."""
        path = path_of(receiver)
        bound: list[tuple[Code, Node]] = []
        if path.startswith("self.") and path.count(".") == 1:
            bound = self._program.attribute(code.class_key, last_name(path))
        elif path.isidentifier():
            bound = [(code, value) for value in self._bound(code, path)]
        for where, value in bound:
            if value.type == "call":
                dotted = self._program.resolve(
                    where, path_of(value.child_by_field_name("function"))
                )
                if dotted in self._program.classes:
                    return dotted
        return None

    def _bound(self, code: Code, name: str) -> list[Node]:
        """Return what a plain name is assigned in a function, else in its module."""
        found = _bound_in(code.node, name)
        if not found and (module := self._program.module(code.path)) is not None:
            found = _bound_in(module, name)
        return found

    def _eager(self, code: Code) -> bool:
        """Say whether gradients are taken at once, as by a tape, and not in a graph."""
        text = text_of(code.node)
        return (
            "GradientTape" in text
            or "backward(" in text
            or "tf.function" in self._program.texts.get(code.path, "")
            or "GradientTape" in self._program.texts.get(code.path, "")
        )

    def _fetches_update(self, code: Code, argument: Node) -> bool:
        """Say whether what a session is told to fetch holds an update of parameters."""
        waiting: list[tuple[Code, Node]] = [(code, argument)]
        for _ in range(_MAX_FETCHES):
            if not waiting:
                return False
            where, node = waiting.pop()
            if node.type in ("identifier", "attribute", "subscript"):
                path = path_of(node)
                if names_train_op(last_name(path)):
                    return True
                if path.isidentifier():
                    waiting += [(where, v) for v in _bound_to(where.node, path)]
                    if path in parameters_of(where.node):
                        waiting += self._passed(where, path)
            elif node.type == "call":
                path = path_of(node.child_by_field_name("function"))
                name = last_name(path)
                if name in ("minimize", "apply_gradients", "assign_add", "assign_sub"):
                    return True
                for target in self._program.methods_named.get(name, [])[:2]:
                    waiting += [
                        (target, n.named_children[0])
                        for n in walk(target.node, into_functions=False)
                        if n.type == "return_statement" and n.named_children
                    ]
            elif node.type in ("list", "tuple", "expression_list", "binary_operator"):
                waiting += [(where, child) for child in node.named_children]
            elif node.type == "dictionary":
                for pair in node.named_children:
                    value = pair.child_by_field_name("value")
                    waiting += [(where, value)] if value is not None else []
        return False

    def _passed(self, code: Code, parameter: str) -> list[tuple[Code, Node]]:
        """Return what the same file passes for a function's parameter."""
        position = list(parameters_of(code.node)).index(parameter)
        root = self._program.module(code.path)
        found: list[tuple[Code, Node]] = []
        for node in walk(root) if root is not None else ():
            if node.type == "call" and path_of(node.child_by_field_name("function")) == code.name:
                value = arguments_of(node).get(position, parameter)
                if value is not None:
                    found.append((Code(code.path, "", None, node), value))
        return found


def _bound_in(root: Node, name: str) -> list[Node]:
    return [
        value
        for node in walk(root)
        if node.type == "assignment"
        for bound, value in assignments(node)
        if bound == name
    ]


def _bound_to(root: Node, name: str) -> list[Node]:
    """Return what a name is bound to in a function, taken out of a tuple too."""
    found = _bound_in(root, name)
    for node in walk(root):
        if node.type == "assignment":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            if left is not None and right is not None and right.type == "call":
                if left.type in ("pattern_list", "tuple_pattern") and name in (
                    text_of(c) for c in left.named_children
                ):
                    found.append(right)
        elif node.type == "call":
            path = path_of(node.child_by_field_name("function"))
            if path in (f"{name}.append", f"{name}.extend"):
                found += arguments_of(node).positional
    return found


def _over_parameters(loop: Node) -> bool:
    """Say whether a loop goes over parameters, layers or gradients, and not over data."""
    iterated = loop.child_by_field_name("right")
    if loop.type != "for_statement" or iterated is None:
        return False
    names = {
        word
        for node in walk(iterated)
        if node.type == "identifier"
        for word in (text_of(node), *words(text_of(node))[-1:])
    }
    return bool(names & _PARAMETERS) and not any("loader" in n or "data" in n for n in names)


def _is_schedule(call: Node) -> bool:
    return bool(set(words(path_of(receiver_of(call)))) & _NO_STEP)


def _is_mode(call: Node) -> bool:
    """Say whether ``model.train()`` only sets a mode."""
    given = list(arguments_of(call))
    return not given or (len(given) == 1 and given[0].type in ("true", "false", "identifier"))


def _trains_by_name(name: str, call: Node) -> bool:
    return receiver_of(call) is not None or name not in ("fit", "learn")


def _names_rate(node: Node) -> bool:
    return any(
        n.type == "identifier" and re.search(r"lr|learning_rate|alpha|eta|rate", text_of(n))
        for n in walk(node)
    )


def _descends(node: Node) -> bool:
    """Say whether a statement moves a weight by a learning rate times something."""
    target, value = node.child_by_field_name("left"), node.child_by_field_name("right")
    if target is None or value is None or target.type not in ("identifier", "attribute", "subscript"):
        return False
    path = path_of(target)
    name = last_name(path)
    if not path or names_scalar(path):
        return False
    if node.type == "augmented_assignment":
        operator = text_of(node.child_by_field_name("operator"))
        moves = operator in ("+=", "-=")
    else:
        moves = value.type == "binary_operator" and path_of(
            value.child_by_field_name("left")
        ) == path and text_of(value.child_by_field_name("operator")) in ("+", "-")
    if not moves or "loss" in name or "cost" in name:
        return False
    rate = any(
        n.type == "identifier" and text_of(n) in _RATES for n in walk(value)
    )
    return rate and any(n.type == "binary_operator" or n.type == "call" for n in walk(value))


_RATES = frozenset("lr learning_rate alpha eta step_size rate lrate learn_rate epsilon_w".split())

__all__ = ["FUNCTION", "Training", "Update"]
