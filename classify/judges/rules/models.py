"""Answers whether a piece of code builds a network's layers, or is a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tree_sitter import Node

from classify.judges.rules import library
from classify.judges.rules.definition import Losses
from classify.judges.rules.program import Code, Program
from classify.judges.rules.shipped_names import listed
from classify.judges.rules.tree import (
    FUNCTION,
    arguments_of,
    callee_of,
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
    names_criterion,
    names_optimiser,
    names_scalar,
    vocabulary,
    words,
)

_FORWARD = listed("forward")
_CONSTRUCTORS = listed("constructs")
_PRODUCTS = listed("product")
_ACTIVATIONS = listed("applied activation")
_ARRAYS = listed("array")
_NO_MODEL = vocabulary(
    "test dataset dataloader loader sampler optimizer metric metrics callback scheduler"
    " logger evaluator tokenizer"
)
_NO_HELPER = vocabulary("train main test run evaluate")
_MAX_CALLS = 3
"""Calls followed from a method down to the layers that a helper makes."""
_Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Building:
    """Where a network is built or applied: the line, and what happens there."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class _Class:
    """What the rules make of a class. ``weights`` are the attributes that hold arrays.

    ``keeps``: it makes objects of a framework's modules, and ``never``: it is no network
    whatever its methods compute.
    """

    module: bool
    never: bool
    keeps: bool
    weights: frozenset[str]


class Networks:
    """Which code of a repository defines networks."""

    def __init__(self, program: Program, losses: Losses, *, interprocedural: bool = True) -> None:
        """Take the code; unless ``interprocedural``, no function that is called is looked into."""
        self._program = program
        self._interprocedural = interprocedural
        self._losses = losses
        self._classes: dict[str, _Class] = {}

    def definition(self, code: Code) -> Building | None:
        """Return what makes a piece of code the definition of a network, or a forward pass."""
        if code.class_key is None:
            return self._builds(code)
        around = self._class(code.class_key)
        if around.never:
            return None
        return self._of_module(code) if around.module else self._of_plain_class(code, around)

    # --- classes --------------------------------------------------------------------------------

    def _class(self, class_key: str) -> _Class:
        if class_key not in self._classes:
            module = self._is_module(class_key)
            self._classes[class_key] = _Class(
                module,
                self._never_model(class_key, module),
                any(self._makes(code, modules=True) for code in self._methods(class_key)),
                frozenset(name for code in self._methods(class_key) for name in _arrays_in(code)),
            )
        return self._classes[class_key]

    def _methods(self, class_key: str) -> list[Code]:
        return self._program.all_methods(class_key)

    def _is_module(self, class_key: str) -> bool:
        """Say whether a class derives from a framework's module."""
        outside = self._program.ancestors(class_key)[1:]
        return any("::" not in base and library.is_module_base(base) for base in outside)

    def _never_model(self, class_key: str, module: bool) -> bool:
        """Say whether a class is no network: a data set, a test, a trainer, a loss."""
        name = _class_name(class_key)
        outside = [b for b in self._program.ancestors(class_key)[1:] if "::" not in b]
        if not module and (
            any(library.is_never_model(base) for base in outside)
            or _NO_MODEL & set(words(name))
            or name.startswith("Test")
        ):
            return True
        return self._is_loss(class_key, name, outside, module)

    def _is_loss(self, class_key: str, name: str, outside: list[str], module: bool) -> bool:
        """Say whether a class only computes a loss: called or used so, and without weights."""
        methods = self._methods(class_key)
        if any(self._makes(code, modules=False) for code in methods):
            return False
        if names_criterion(name) or any(library.is_loss_class(base) for base in outside):
            return True
        forward = [code for code in methods if code.name in _FORWARD]
        if not module or self._applies_argument(class_key, methods):
            return False
        return any(self._losses.findings(code) for code in forward)

    def _makes(self, code: Code, *, modules: bool) -> bool:
        """Say whether a method makes objects of modules; without ``modules``, layers too."""
        for call in _calls_in(code.node):
            dotted = self._program.resolve(code, path_of(call.child_by_field_name("function")))
            if not modules and (library.has_weights(dotted) or library.names_network(dotted)):
                return True
            inside = dotted in self._program.classes and dotted != code.class_key
            if inside and self._is_module(dotted) and not names_criterion(_class_name(dotted)):
                return True
        return False

    def _applies_argument(self, class_key: str, methods: list[Code]) -> bool:
        """Say whether the class keeps what its constructor is given and calls it: a network."""
        kept = {
            f"self.{name}"
            for code in methods
            if code.name == "__init__"
            for name in parameters_of(code.node)
            for _, value in self._program.attribute(class_key, name)
            if text_of(value) == name
        }
        return bool(kept) and any(
            path_of(call.child_by_field_name("function")) in kept
            for code in methods
            for call in _calls_in(code.node)
        )

    # --- methods --------------------------------------------------------------------------------

    def _of_module(self, code: Code) -> Building | None:
        if code.name in _FORWARD:
            return Building(line_of(code.node), "is the forward pass of a network")
        if code.name in _CONSTRUCTORS:
            return Building(line_of(code.node), "makes the network's parts")
        if (found := self._builds(code)) is not None:
            return found
        for call in _calls_in(code.node):
            if callee_of(call) in _PRODUCTS or self._applies(code, call):
                return Building(line_of(call), "applies the network's layers")
        return None

    def _applies(self, code: Code, call: Node) -> bool:
        """Say whether a call applies a part that the module made."""
        path = path_of(call.child_by_field_name("function"))
        if not path.startswith("self.") or path.count(".") != 1:
            return False
        for where, value in self._program.attribute(code.class_key, last_name(path)):
            made = path_of(value.child_by_field_name("function")) if value.type == "call" else ""
            dotted = self._program.resolve(where, made) if made else ""
            if library.is_layer(dotted):
                return True
            if dotted in self._program.classes and self._is_module(dotted):
                return not self._class(dotted).never
        return False

    def _of_plain_class(self, code: Code, around: _Class) -> Building | None:
        if (found := self._builds(code)) is not None:
            return found
        if line := _applied_layer(code.node):
            return Building(line, "applies layers")
        if line := _applied_weights(code.node, around.weights):
            return Building(line, "multiplies data with the model's weights")
        if code.name == "forward" or (code.name in _FORWARD and around.keeps):
            return Building(line_of(code.node), "is the forward pass of the networks it holds")
        return None

    # --- layers ---------------------------------------------------------------------------------

    def _builds(self, code: Code) -> Building | None:
        """Return where a function makes layers or weights, itself or by a helper."""
        return self._building.get(_place(code)) or self._scan(code)[0]

    @cached_property
    def _building(self) -> dict[_Place, Building]:
        """The functions which make layers, themselves or through the functions they call."""
        if not self._interprocedural:
            return {}
        scans = {_place(code): self._scan(code) for code in self._program.functions.values()}
        found = {place: direct for place, (direct, _) in scans.items() if direct is not None}
        for _ in range(_MAX_CALLS):
            found |= {
                place: Building(line, f"calls `{name}`, which makes layers")
                for place, (direct, calls) in scans.items()
                for line, name, target in reversed(calls)
                if direct is None and place not in found and target in found
            }
        return found

    def _scan(self, code: Code) -> tuple[Building | None, list[tuple[int, str, _Place]]]:
        """Return where a function makes layers by itself, and the helpers that it calls."""
        calls: list[tuple[int, str, _Place]] = []
        for call in _calls_in(code.node):
            path = path_of(call.child_by_field_name("function"))
            name, line = last_name(path), line_of(call)
            if not name or names_optimiser(name):
                continue
            dotted = self._program.resolve(code, path)
            if library.is_layer(dotted) and _trainable(name, call):
                return Building(line, f"makes a layer or weights by `{name}`"), calls
            if dotted in self._program.classes and self._puts_together(code, dotted):
                return Building(line, f"builds a network out of `{name}`"), calls
            target = self._helper(code, path, dotted)
            if target is not None and not _NO_HELPER & set(words(name)):
                calls.append((line, name, _place(target)))
        return None, calls

    def _helper(self, code: Code, path: str, dotted: str) -> Code | None:
        """Return the function by which another one may make layers.

        A method builds through its own class's methods, and through functions that make parts of
        a graph; a plain function only through those that are called like a layer. One that has a
        whole model made elsewhere builds none.
        """
        name = last_name(path)
        if path in (f"self.{name}", f"cls.{name}"):
            return self._program.method(code.class_key, name)
        target = self._program.functions.get(dotted)
        if target is None or target.class_key is not None:
            return None
        if library.names_layer(name):
            return target
        graph = "tf." in text_of(target.node) or "slim." in text_of(target.node)
        return target if code.class_key is not None and graph else None

    def _puts_together(self, code: Code, class_key: str) -> bool:
        """Say whether making an object of the repository's class builds a network.

        Modules are put together within modules, and a graph out of classes that make layers; an
        object that merely holds a network built elsewhere is no model.
        """
        around = code.class_key
        if around is None or class_key == around or names_criterion(_class_name(class_key)):
            return False
        if self._is_module(class_key):
            return self._is_module(around)
        layered = any("layer" in words(base) for base in self._program.ancestors(class_key))
        return layered or "placeholder(" in text_of(code.node)


def _place(code: Code) -> _Place:
    return code.path, code.node.start_byte


def _class_name(class_key: str) -> str:
    return last_name(class_key.rpartition("::")[2])


def _calls_in(node: Node) -> list[Node]:
    return find(node, "call")


def _arrays_in(code: Code) -> set[str]:
    """Return the attributes which a method sets to an array that it makes."""
    found: set[str] = set()
    for node in find(code.node, "assignment"):
        path = path_of(node.child_by_field_name("left"))
        value = node.child_by_field_name("right")
        if value is None or not path.startswith("self.") or path.count(".") > 1:
            continue
        if any(callee_of(call) in _ARRAYS for call in _calls_in(value)):
            found.add(path)
    return found


def _applied_weights(node: Node, weights: frozenset[str]) -> int:
    """Return the line on which data are multiplied with one of these attributes, 0 for none."""
    for each in find(node, "call", "binary_operator") if weights else ():
        if each.type == "call" and callee_of(each) in _PRODUCTS:
            operands = [*arguments_of(each), receiver_of(each)]
        elif each.type == "binary_operator" and (
            text_of(each.child_by_field_name("operator")) == "@"
        ):
            operands = [each]
        else:
            continue
        if any(path_of(n) in weights for o in operands if o is not None for n in walk(o)):
            return line_of(each)
    return 0


def _applied_layer(node: Node) -> int:
    """Return the line of an activation of a product, or of the layers of a list; 0 for none."""
    for each in find(node, "call", "for_statement"):
        if each.type == "call" and callee_of(each) in _ACTIVATIONS:
            if any(callee_of(inner) in _PRODUCTS for inner in _calls_in(each)):
                return line_of(each)
        elif each.type == "for_statement":
            iterated = path_of(each.child_by_field_name("right"))
            layers = {"layers", "blocks"} & set(words(last_name(iterated)))
            element = text_of(each.child_by_field_name("left"))
            for inner in _calls_in(each) if iterated.startswith("self.") and layers else ():
                if text_of(inner.child_by_field_name("function")) == element:
                    return line_of(inner)
    return 0


def _trainable(name: str, call: Node) -> bool:
    """Say whether a call makes something that training changes."""
    given = arguments_of(call)
    if text_of(given.named.get("trainable")) == "False":
        return False
    if name in ("Variable", "get_variable") and any("step" in text_of(a) for a in given):
        return False
    if name == "get_variable" and _reused(call):
        return False
    first = given.get(0, "initial_value")
    if name != "Variable" or first is None:
        return True
    return first.type not in ("integer", "float", "false", "true") and not (
        names_scalar(path_of(first))
    )


def _reused(call: Node) -> bool:
    """Say whether a variable is got again that was made elsewhere."""
    around = call.parent
    while around is not None and around.type != FUNCTION:
        if around.type == "with_statement":
            heads = [c for c in around.named_children if c.type == "with_clause"]
            if any("reuse=True" in "".join(text_of(head).split()) for head in heads):
                return True
        around = around.parent
    return False
