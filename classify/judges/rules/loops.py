"""Answers whether a piece of code iterates over data and updates parameters."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from tree_sitter import Node

from classify.judges.rules import library
from classify.judges.rules.descent import step_of
from classify.judges.rules.program import Code, Program
from classify.judges.rules.shipped_names import listed
from classify.judges.rules.tree import (
    CLASS,
    FUNCTION,
    LOOPS,
    arguments_of,
    brief,
    find,
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
    names_rate,
    names_train_op,
    names_training,
    names_weight,
    vocabulary,
    words,
)

_UPDATING_METHODS = listed("updates")
_RUNNERS = listed("runs")
_TELLING = ("call", "assignment", "augmented_assignment")
"""Statements and expressions by which parameters may be updated."""
_MODE = listed("mode")
_NO_STEP = vocabulary(
    "scheduler schedule lr env environment pbar progress profiler prof bar warmup sim sampler"
    " noise diffusion"
)
_PARAMETERS = vocabulary(
    "param params parameters var vars variables weights grads gradients layers grad tvars"
    " named_parameters trainable_variables trainable_weights param_groups modules"
)
_GRAPH = re.compile(r"\bSession\(|\bplaceholder\(")
_MAX_CALLS = 6
"""Calls followed from a loop down to the update."""
_MAX_FETCHES = 30
"""Expressions looked through for the update among what a session is told to fetch."""

_MAX_NODES = 50
"""Parts of an argument in which a learning rate is looked for: arguments may lie in each other."""


@dataclass(frozen=True, slots=True)
class Update:
    """Where parameters are updated: the line, and what happens there."""

    line: int
    what: str


_Targets = tuple[int, bool]
"""The functions that a call may reach, by their tuple, and whether all of them must update."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of functions of the repository; it updates if one of them does, or only if all do."""

    line: int
    what: str
    targets: tuple[Code, ...]
    all_of_them: bool


class Training:
    """Which code of a repository updates parameters."""

    def __init__(self, program: Program, *, interprocedural: bool = True) -> None:
        """Take the code; unless ``interprocedural``, no call in a loop is looked into."""
        self._program = program
        self._interprocedural = interprocedural
        self._put_in: dict[tuple[str, int], dict[str, list[Node]]] = {}
        self._returned: dict[tuple[str, int], list[tuple[Code, Node]]] = {}
        self._called_in: dict[str, dict[str, list[Node]]] = {}

    def loop(self, code: Code) -> tuple[int, Update] | None:
        """Return the line of a loop that trains, with the update in it."""
        for owner in self._program.within(code):
            waiting = [owner.node]
            while waiting:
                node = waiting.pop()
                if node.type in LOOPS and not _over_parameters(node):
                    direct, calls = self._scan(owner, node)
                    update = direct or self._through(calls, self._updating, {})
                    if update is not None:
                        return line_of(node), update
                    continue  # what the loop does not hold, no loop inside of it holds
                if node is owner.node or node.type not in (FUNCTION, CLASS):
                    waiting.extend(reversed(node.named_children))
        return None

    def update(self, code: Code) -> Update | None:
        """Return an update of parameters in a piece of code, in a loop or not."""
        return self._scan(code, code.node)[0]

    @cached_property
    def _updating(self) -> dict[tuple[str, int], Update]:
        """The functions which update parameters, themselves or through the functions they call."""
        if not self._interprocedural:
            return {}
        scans = [(_place(c), self._scan(c, c.node)) for c in self._program.functions.values()]
        found = {place: direct for place, (direct, _) in scans if direct is not None}
        for _ in range(_MAX_CALLS):
            decided: dict[_Targets, bool] = {}
            further = {
                place: update
                for place, (_, calls) in scans
                if place not in found
                and (update := self._through(calls, found, decided)) is not None
            }
            if not further:
                break
            found |= further
        return found

    def _through(
        self,
        calls: list[_Call],
        updating: dict[tuple[str, int], Update],
        decided: dict[_Targets, bool],
    ) -> Update | None:
        """Return the update by one of the calls; ``decided`` keeps which of them update."""
        for call in calls:
            # as many calls may reach as many functions of one name
            targets = id(call.targets), call.all_of_them
            if targets not in decided:
                decide = all if call.all_of_them else any
                decided[targets] = decide(_place(target) in updating for target in call.targets)
            if decided[targets]:
                return Update(call.line, f"{call.what}, which updates parameters")
        return None

    def _scan(self, code: Code, root: Node) -> tuple[Update | None, list[_Call]]:
        """Return an update below a node, and the calls by which there may be one."""
        backward = False
        step = 0
        calls: list[_Call] = []
        for node in find(root, *_TELLING, into_functions=root.type in LOOPS):
            if node.type == "call":
                name = last_name(path_of(node.child_by_field_name("function")))
                if name == "backward":
                    backward = True
                elif name == "step" and not _is_schedule(node):
                    if names_optimiser(last_name(path_of(receiver_of(node)))):
                        return Update(line_of(node), "steps an optimiser"), calls
                    step = step or line_of(node)
                if backward and step:
                    return Update(step, "steps an optimiser"), calls
                direct = self._direct(code, node, name)
                if direct is not None:
                    return direct, calls
                calls += self._calls(code, node, name)
            elif step_of(node) is not None:
                return Update(line_of(node), "changes parameters by hand"), calls
        return None, calls

    def _direct(self, code: Code, node: Node, name: str) -> Update | None:
        """Return the update that a call is by itself."""
        line = line_of(node)
        receiver = receiver_of(node)
        if self._trains_unseen(code, node, name):
            return Update(line, f"calls `{name}`")
        if receiver is None:
            return None
        given = arguments_of(node)
        if name in _UPDATING_METHODS:
            return Update(line, f"calls `{name}`")
        if name == "update" and "optim" in path_of(receiver).lower():
            return Update(line, "updates by an optimiser")
        if name in ("minimize", "apply_gradients", "apply_gradient") and self._eager(code):
            return Update(line, f"calls `{name}`")
        if name in ("assign_add", "assign_sub", "add_", "sub_"):
            weight = name.startswith("assign") and names_weight(last_name(path_of(receiver)))
            by_hand = weight or any(_names_rate(a) for a in given)
            if by_hand and (name.endswith("_") or self._eager(code)):
                return Update(line, "changes parameters by hand")
        if name in _RUNNERS | {"eval"}:
            if any(self._fetches_update(code, argument) for argument in given):
                return Update(line, "runs an update")
            if "feed_dict" in given.named and names_train_op(last_name(path_of(receiver))):
                return Update(line, "runs an update")
        return None

    def _trains_unseen(self, code: Code, node: Node, name: str) -> bool:
        """Say whether a function trains by its name whose body is not in the repository."""
        if not names_training(name) or name in self._program.methods_named or _is_mode(node):
            return False
        if receiver_of(node) is not None:
            return name != "fit"
        return self._program.resolve(code, name) == name

    def _calls(self, code: Code, node: Node, name: str) -> list[_Call]:
        """Return the functions of the repository that a call reaches, if it reaches any."""
        line = line_of(node)
        path = path_of(node.child_by_field_name("function"))
        found = [
            _Call(line, f"runs `{target.name}`", (target,), True)
            for argument in arguments_of(node)
            if (target := self._function(code, argument)) is not None
        ]
        if receiver_of(node) is not None and name in _MODE and _is_mode(node):
            return found
        what = f"calls `{name}`"
        if (target := self._called(code, node, path)) is not None:
            return [*found, _Call(line, what, self._program.overriding(target), False)]
        if "." in path and not library.is_framework(self._program.resolve(code, path)):
            candidates = self._program.methods_named.get(name, ())
            if candidates:
                found.append(_Call(line, what, candidates, not names_training(name)))
        return found

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
        """Return the function of the repository that is passed on, to be called."""
        if argument.type == "identifier":
            return self._program.functions.get(self._program.resolve(code, text_of(argument)))
        path = path_of(argument)
        if argument.type != "attribute" or "(" in path or "[" in path:
            return None
        if path.startswith("self.") and path.count(".") == 1:
            return self._program.method(code.class_key, last_name(path))
        holder = argument.child_by_field_name("object")
        made = self._made(code, holder) if holder is not None else None
        return self._program.method(made, last_name(path)) if made is not None else None

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
        found = self._program.bindings(code.path, code.node).get(name, [])
        if not found and (module := self._program.module(code.path)) is not None:
            found = self._program.bindings(code.path, module).get(name, [])
        return found

    def _eager(self, code: Code) -> bool:
        """Say whether operations run at once, rather than in a graph's session."""
        text = self._program.texts.get(code.path, "")
        if _GRAPH.search(text):
            return "GradientTape" in text
        return "GradientTape" in text or not self._in_graphs

    @cached_property
    def _in_graphs(self) -> bool:
        return any(_GRAPH.search(text) for text in self._program.texts.values())

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
                if path.startswith("self.") and path.count(".") == 1:
                    waiting += self._program.attribute(where.class_key, last_name(path))
                if path.isidentifier():
                    waiting += [(where, v) for v in self._bound_to(where, path)]
                    if path in parameters_of(where.node):
                        waiting += self._passed(where, path)
            elif node.type == "call":
                path = path_of(node.child_by_field_name("function"))
                name = last_name(path)
                if name in ("minimize", "apply_gradients", "assign_add", "assign_sub"):
                    return True
                for target in self._program.methods_named.get(name, ())[:2]:
                    waiting += self._returns(target)
            elif node.type in ("list", "tuple", "expression_list", "binary_operator"):
                waiting += [(where, child) for child in node.named_children]
            elif node.type == "dictionary":
                for pair in node.named_children:
                    value = pair.child_by_field_name("value")
                    waiting += [(where, value)] if value is not None else []
        return False

    def _bound_to(self, code: Code, name: str) -> list[Node]:
        """Return what a name is bound to in a function, out of a tuple or by appending too."""
        bound = self._program.bindings(code.path, code.node).get(name, [])
        if _place(code) not in self._put_in:
            self._put_in[_place(code)] = _put_in(code.node)
        return [*bound, *self._put_in[_place(code)].get(name, [])][-_MAX_FETCHES:]

    def _returns(self, code: Code) -> list[tuple[Code, Node]]:
        """Return what a function may return, as far as it is looked at."""
        if _place(code) not in self._returned:
            found = find(code.node, "return_statement", into_functions=False)
            given = [(code, each.named_children[0]) for each in found if each.named_children]
            self._returned[_place(code)] = given[-_MAX_FETCHES:]
        return self._returned[_place(code)]

    def _passed(self, code: Code, parameter: str) -> list[tuple[Code, Node]]:
        """Return what the same file passes for a function's parameter."""
        position = list(parameters_of(code.node)).index(parameter)
        if code.path not in self._called_in:
            root = self._program.module(code.path)
            calls: defaultdict[str, list[Node]] = defaultdict(list)
            for node in find(root, "call") if root is not None else ():
                calls[path_of(node.child_by_field_name("function"))].append(node)
            self._called_in[code.path] = calls
        found: list[tuple[Code, Node]] = []
        for node in self._called_in[code.path].get(code.name, [])[-_MAX_FETCHES:]:
            value = arguments_of(node).get(position, parameter)
            if value is not None:
                found.append((Code(code.path, "", None, node), value))
        return found


def _put_in(node: Node) -> dict[str, list[Node]]:
    """Return the calls that names get one result of, and what is put into them as collections."""
    found: defaultdict[str, list[Node]] = defaultdict(list)
    for each in find(node, "assignment", "call"):
        if each.type == "assignment":
            left, right = each.child_by_field_name("left"), each.child_by_field_name("right")
            if left is None or right is None or right.type != "call":
                continue
            if left.type in ("pattern_list", "tuple_pattern"):
                for name in left.named_children:
                    found[text_of(name)].append(right)
        else:
            path = path_of(each.child_by_field_name("function"))
            if path.endswith((".append", ".extend")):
                found[path.rpartition(".")[0]] += arguments_of(each).positional
    return found


def _place(code: Code) -> tuple[str, int]:
    return code.path, code.node.start_byte


def _over_parameters(loop: Node) -> bool:
    """Say whether a loop goes over parameters, layers or gradients, and not over data."""
    iterated = loop.child_by_field_name("right")
    if loop.type != "for_statement" or iterated is None:
        return False
    names = {
        word
        for node in walk(iterated)
        if node.type in ("identifier", "string_content")
        for word in (text_of(node), *words(text_of(node))[-1:])
    }
    return bool(names & _PARAMETERS) and not any("loader" in n or "data" in n for n in names)


def _is_schedule(call: Node) -> bool:
    return bool(set(words(path_of(receiver_of(call)))) & _NO_STEP)


def _is_mode(call: Node) -> bool:
    """Say whether ``model.train()`` only sets a mode."""
    given = list(arguments_of(call))
    if len(given) > 1:
        return False
    return all(
        a.type in ("true", "false", "comparison_operator")
        or words(brief(a))[-1:] in (("train",), ("training",), ("mode",))
        for a in given
    )


def _names_rate(node: Node) -> bool:
    near = islice(walk(node), _MAX_NODES)
    return any(each.type == "identifier" and names_rate(text_of(each)) for each in near)
