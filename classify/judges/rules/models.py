"""Does a piece of code build a network's layers, or is it a forward pass?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tree_sitter import Node

from classify.judges.rules import library
from classify.judges.rules.definition import Losses
from classify.judges.rules.loops import Training
from classify.judges.rules.program import Code, Program
from classify.judges.rules.tree import (
    arguments_of,
    last_name,
    line_of,
    parameters_of,
    path_of,
    receiver_of,
    text_of,
    walk,
)
from classify.judges.rules.words import names_criterion, names_optimiser, words

_FORWARD = frozenset(
    "forward call __call__ _forward forward_features inference build_graph".split()
)
_PRODUCTS = frozenset(
    "matmul mm dot bmm addmm einsum linear tensordot sparse_tensor_dense_matmul".split()
)
_ACTIVATIONS = frozenset("sigmoid tanh relu softmax leaky_relu elu softplus log_softmax".split())
_RANDOM = frozenset(
    "randn rand normal uniform random_normal truncated_normal random_uniform zeros ones Parameter"
    " Variable get_variable empty random randn_like shared standard_normal glorot xavier_init"
    " xavier tensor FloatTensor Tensor constant".split()
)
_NO_MODEL_WORDS = frozenset(
    "test dataset dataloader loader sampler optimizer metric metrics callback scheduler trainer"
    " solver logger evaluator tokenizer".split()
)
_MAX_CALLS = 3


@dataclass(frozen=True, slots=True)
class Building:
    """Where a network is built or applied: the line, and what happens there."""

    line: int
    what: str


class Networks:
    """Which code of a repository defines networks."""

    def __init__(self, program: Program, losses: Losses, training: Training) -> None:
        self._program = program
        self._losses = losses
        self._training = training
        self._is_module: dict[str, bool] = {}
        self._is_loss: dict[str, bool] = {}

    def definition(self, code: Code) -> Building | None:
        """Return what makes a piece of code the definition of a network, or a forward pass."""
        if code.class_key is None:
            return self.builds(code)
        if self.never_model(code.class_key):
            return None
        if self.is_module(code.class_key):
            return self._of_module(code)
        return self._of_plain_class(code)

    def is_module(self, class_key: str) -> bool:
        """Say whether a class derives from a framework's module."""
        if class_key not in self._is_module:
            self._is_module[class_key] = any(
                "::" not in base and library.is_module_base(base)
                for base in self._program.ancestors(class_key)[1:]
            )
        return self._is_module[class_key]

    def never_model(self, class_key: str) -> bool:
        """Say whether a class is no network whatever its methods compute."""
        if class_key not in self._is_loss:
            outside = [b for b in self._program.ancestors(class_key)[1:] if "::" not in b]
            name = class_key.rpartition("::")[2].rpartition(".")[2]
            module = any(library.is_module_base(b) for b in outside)
            never = any(library.is_never_model(b) for b in outside) and not module
            spoken = bool(_NO_MODEL_WORDS & set(words(name))) and not module
            self._is_loss[class_key] = (
                never or spoken or name.startswith("Test") or self._is_loss_class(class_key, name)
            )
        return self._is_loss[class_key]

    def _is_loss_class(self, class_key: str, name: str) -> bool:
        """Say whether a class only computes a loss: named so or used so, and without weights."""
        outside = self._program.ancestors(class_key)[1:]
        derived = any(library.is_loss_class(b) or b.endswith("._Loss") for b in outside)
        methods = self._program.all_methods(class_key)
        if any(self._holds_network(code) for code in methods):
            return False
        if derived or names_criterion(name):
            return True
        forward = [c for c in methods if c.name in _FORWARD]
        if not self.is_module(class_key) or not forward:
            return False
        held = any(self._held_network(class_key, c) for c in methods)
        return not held and any(self._losses.findings(c) for c in forward)

    def _holds_network(self, code: Code) -> bool:
        """Say whether a method makes layers with weights, or objects of a network's class."""
        for node in walk(code.node):
            if node.type != "call":
                continue
            dotted = self._program.resolve(code, path_of(node.child_by_field_name("function")))
            if library.has_weights(dotted):
                return True
            if dotted in self._program.classes and dotted != code.class_key:
                name = last_name(dotted.rpartition("::")[2])
                if self.is_module(dotted) and not names_criterion(name):
                    return True
        return False

    def _held_network(self, class_key: str, code: Code) -> bool:
        """Say whether a constructor's argument is kept and called: a network from outside."""
        if code.name != "__init__":
            return False
        given = parameters_of(code.node)
        kept = {
            name
            for name in given
            for _, value in self._program.attribute(class_key, name)
            if text_of(value) == name
        }
        return any(
            node.type == "call"
            and path_of(node.child_by_field_name("function")) in {f"self.{n}" for n in kept}
            for method in self._program.all_methods(class_key)
            for node in walk(method.node)
        )

    def _of_module(self, code: Code) -> Building | None:
        if code.name in _FORWARD:
            return Building(line_of(code.node), "is the forward pass of a network")
        if code.name in ("__init__", "setup", "build"):
            return Building(line_of(code.node), "makes the network's parts")
        found = self.builds(code)
        if found is not None:
            return found
        for node in walk(code.node):
            if node.type == "call":
                path = path_of(node.child_by_field_name("function"))
                if last_name(path) in _PRODUCTS or self._applies(code, path):
                    return Building(line_of(node), "applies the network's layers")
        return None

    def _applies(self, code: Code, path: str) -> bool:
        """Say whether a call applies a submodule that the class made."""
        if not path.startswith("self.") or path.count(".") != 1:
            return False
        for where, value in self._program.attribute(code.class_key, last_name(path)):
            if value.type == "call":
                made = path_of(value.child_by_field_name("function"))
                dotted = self._program.resolve(where, made)
                if library.is_layer(dotted):
                    return True
                if dotted in self._program.classes and self.is_module(dotted):
                    return not self.never_model(dotted)
        return False

    def _of_plain_class(self, code: Code) -> Building | None:
        assert code.class_key is not None
        found = self.builds(code)
        if found is not None:
            return found
        applied = _applied_layer(code.node)
        if applied:
            return Building(applied, "applies layers")
        weights = self._weights(code.class_key)
        for node in walk(code.node):
            if node.type == "call":
                name = last_name(path_of(node.child_by_field_name("function")))
                used = {path_of(n) for a in arguments_of(node) for n in walk(a)}
                used.add(path_of(receiver_of(node)))
                if name in _PRODUCTS and used & weights:
                    return Building(line_of(node), "multiplies data with the model's weights")
            elif (
                node.type == "binary_operator"
                and text_of(node.child_by_field_name("operator")) == "@"
            ):
                if {path_of(n) for n in walk(node)} & weights:
                    return Building(line_of(node), "multiplies data with the model's weights")
        if code.name in _FORWARD and self._keeps_networks(code.class_key):
            return Building(line_of(code.node), "is the forward pass of the networks it holds")
        return None

    def _weights(self, class_key: str) -> set[str]:
        """Return the attributes of a class which are set to random or constant arrays."""
        found: set[str] = set()
        for method in self._program.all_methods(class_key):
            for node in walk(method.node):
                if node.type != "assignment":
                    continue
                path = path_of(node.child_by_field_name("left"))
                value = node.child_by_field_name("right")
                if value is not None and path.startswith("self.") and path.count(".") == 1:
                    if any(
                        n.type == "call"
                        and last_name(path_of(n.child_by_field_name("function"))) in _RANDOM
                        for n in walk(value)
                    ):
                        found.add(path)
        return found

    def _keeps_networks(self, class_key: str) -> bool:
        for method in self._program.all_methods(class_key):
            for node in walk(method.node):
                if node.type == "call":
                    dotted = self._program.resolve(
                        method, path_of(node.child_by_field_name("function"))
                    )
                    if dotted in self._program.classes and self.is_module(dotted):
                        return True
        return False

    def builds(self, code: Code) -> Building | None:
        """Return where a function makes layers or weights, itself or by a helper."""
        place = (code.path, code.node.start_byte)
        return self._building.get(place) or self._scan(code)[0]

    @cached_property
    def _building(self) -> dict[tuple[str, int], Building]:
        """The functions which make layers, themselves or through the functions they call."""
        functions = self._program.functions.values()
        scans = {(c.path, c.node.start_byte): self._scan(c) for c in functions}
        found = {place: direct for place, (direct, _) in scans.items() if direct is not None}
        for _ in range(_MAX_CALLS):
            further = {
                place: Building(line, f"calls `{name}`, which makes layers")
                for place, (direct, calls) in scans.items()
                for line, name, target in reversed(calls)
                if direct is None and place not in found and target in found
            }
            found |= further
        return found

    def _scan(self, code: Code) -> tuple[Building | None, list[tuple[int, str, tuple[str, int]]]]:
        """Return where a function makes layers by itself, and the helpers that it calls."""
        calls: list[tuple[int, str, tuple[str, int]]] = []
        for node in walk(code.node):
            if node.type != "call":
                continue
            path = path_of(node.child_by_field_name("function"))
            name = last_name(path)
            if not name or names_optimiser(name):
                continue
            dotted = self._program.resolve(code, path)
            line = line_of(node)
            if library.is_layer(dotted) and _trainable(name, node):
                return Building(line, f"makes a layer or weights by `{name}`"), calls
            if dotted in self._program.classes:
                found = self._by_class(code, dotted, name, line)
                if found is not None:
                    return found, calls
            target = self._helper(code, path, dotted, name)
            if target is not None and not _trains(name):
                calls.append((line, name, (target.path, target.node.start_byte)))
        return None, calls

    def _helper(self, code: Code, path: str, dotted: str, name: str) -> Code | None:
        """Return the function by which another one may make layers.

        A method builds through its own class's methods and through functions that make parts
        of a graph; a plain function only through those that are called like a layer: one that
        has a whole model made is none itself. What returns a module makes no part of a graph.
        """
        if path in (f"self.{name}", f"cls.{name}"):
            return self._program.method(code.class_key, name)
        target = self._program.functions.get(dotted)
        if target is None or target.class_key is not None:
            return None
        if library.names_layer(name):
            return target
        graph = "tf." in text_of(target.node) or "slim." in text_of(target.node)
        return target if code.class_key is not None and graph else None

    def _by_class(self, code: Code, class_key: str, name: str, line: int) -> Building | None:
        """Say whether constructing an object of the repository's class builds a network.

        Modules are put together within modules, and a graph out of classes that make layers;
        an object that merely holds a network built elsewhere is no model.
        """
        around = code.class_key
        if around is None or class_key == around or self.never_model(class_key):
            return None
        if self.is_module(class_key):
            return (
                Building(line, f"builds a network out of `{name}`")
                if self.is_module(around)
                else None
            )
        layered = self._is_layer_class(class_key) or "placeholder(" in text_of(code.node)
        return Building(line, f"builds a network out of `{name}`") if layered else None

    def _is_layer_class(self, class_key: str) -> bool:
        return any(
            "layer" in words(base.rpartition("::")[2])
            for base in self._program.ancestors(class_key)
        )


def _trainable(name: str, call: Node) -> bool:
    """Say whether a call makes something that training changes."""
    flag = arguments_of(call).named.get("trainable")
    if text_of(flag) == "False":
        return False
    given = text_of(call.child_by_field_name("arguments"))
    return not (name in ("Variable", "get_variable") and "global_step" in given)


def _applied_layer(node: Node) -> int:
    """Return the line of an activation of a product, or of the layers of a list, 0 for none."""
    for each in walk(node):
        if (
            each.type == "call"
            and last_name(path_of(each.child_by_field_name("function"))) in _ACTIVATIONS
        ):
            for inner in walk(each):
                if (
                    inner.type == "call"
                    and last_name(path_of(inner.child_by_field_name("function"))) in _PRODUCTS
                ):
                    return line_of(each)
        elif each.type == "for_statement":
            iterated = path_of(each.child_by_field_name("right"))
            if iterated.startswith("self.") and set(words(last_name(iterated))) & {
                "layers",
                "blocks",
            }:
                element = text_of(each.child_by_field_name("left"))
                for inner in walk(each):
                    if (
                        inner.type == "call"
                        and text_of(inner.child_by_field_name("function")) == element
                    ):
                        return line_of(inner)
    return 0


def _trains(name: str) -> bool:
    return bool({"train", "main", "test", "run", "evaluate"} & set(words(name)))
