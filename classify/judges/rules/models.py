"""Answers whether a piece of code builds a network's layers, or is a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tree_sitter import Node

from classify.judges.rules import library
from classify.judges.rules.definition import Losses
from classify.judges.rules.layers import (
    PRODUCTS,
    applied_layer,
    applied_weights,
    arrays_in,
    calls_in,
    multiplied,
    only_raises,
    takes_network,
    trainable,
)
from classify.judges.rules.program import Code, Program
from classify.judges.rules.shipped_names import listed
from classify.judges.rules.tree import (
    callee_of,
    last_name,
    line_of,
    parameters_of,
    path_of,
    text_of,
)
from classify.judges.rules.words import (
    names_criterion,
    names_optimiser,
    vocabulary,
    words,
)

_FORWARD = listed("forward")
_CONSTRUCTORS = listed("constructs")
_NO_MODEL = vocabulary(
    "test dataset dataloader loader sampler optimizer metric metrics callback scheduler"
    " logger evaluator tokenizer trainer"
)
_NO_HELPER = vocabulary("train main test run evaluate")
_MAX_CALLS = 3
"""Calls followed from a method down to the layers that a helper makes."""
_INIT = frozenset({"__init__"})
_MAX_ARRAYS = 200
"""Attributes of a class that are known to hold arrays."""
_Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Building:
    """Where a network is built or applied: the line, and what happens there."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class _Class:
    """What the rules make of a class.

    ``weights`` are the attributes that hold arrays; ``applied``: some method multiplies data with
    them. ``keeps``: it makes objects of a framework's modules; ``never``: it is no network whatever
    its methods compute; ``bare``: it has neither parts nor a forward pass, only heirs may.
    """

    module: bool
    never: bool
    bare: bool
    keeps: bool
    weights: frozenset[str]
    applied: bool


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the methods of one class make: layers, objects of modules, arrays; and what they use.

    ``layers`` also holds where ``modules`` does; ``multiplied`` and ``called`` are attributes.
    """

    layers: bool
    modules: bool
    arrays: frozenset[str]
    multiplied: frozenset[str]
    called: frozenset[str]


class Networks:
    """Which code of a repository defines networks."""

    def __init__(self, program: Program, losses: Losses, *, interprocedural: bool = True) -> None:
        """Take the code; unless ``interprocedural``, no function that is called is looked into."""
        self._program = program
        self._interprocedural = interprocedural
        self._losses = losses
        self._classes: dict[str, _Class] = {}
        self._made: dict[_Place, tuple[bool, bool]] = {}
        self._defined: dict[str, bool] = {}
        self._of_all_heirs: dict[str, bool] = {}
        self._parts: dict[str, _Parts] = {}
        self._graphs: dict[_Place, tuple[bool, bool]] = {}

    def definition(self, code: Code) -> Building | None:
        """Return what makes a piece of code the definition of a network, or a forward pass."""
        if code.class_key is None:
            return self._builds(code)
        around = self._class(code.class_key)
        if around.never:
            return None
        if around.module:
            return self._of_module(code, around)
        return self._of_plain_class(code, around) or self._of_heirs(code, code.class_key)

    # --- classes --------------------------------------------------------------------------------

    def _class(self, class_key: str) -> _Class:
        if class_key not in self._classes:
            module = self._is_module(class_key)
            parts = self._parts_of(class_key)
            keeps = any(each.modules for each in parts)
            weights = frozenset(name for each in parts for name in each.arrays)
            self._classes[class_key] = _Class(
                module,
                self._never_model(class_key, module),
                module and not keeps and self._is_bare(class_key),
                keeps,
                weights,
                any(not each.multiplied.isdisjoint(weights) for each in parts),
            )
        return self._classes[class_key]

    def _methods(self, class_key: str, names: frozenset[str]) -> list[Code]:
        """Return the methods of some names of a class and of its bases."""
        own = [self._program.methods_of.get(k, {}) for k in self._program.ancestors(class_key)]
        return [each[name] for each in own for name in names if name in each]

    def _parts_of(self, class_key: str) -> list[_Parts]:
        """Return what a class and each of its bases makes; a base is looked at once for all."""
        keys = self._program.ancestors(class_key)
        for key in keys:
            if key not in self._parts:
                own = self._program.methods_of.get(key, {}).values()
                self._parts[key] = _Parts(
                    any(self._makes(code, modules=False) for code in own),
                    any(self._makes(code, modules=True) for code in own),
                    frozenset(sorted({n for c in own for n in arrays_in(c)})[:_MAX_ARRAYS]),
                    frozenset(name for code in own for name in multiplied(code.node)),
                    frozenset(name for code in own for name in _called(code.node)),
                )
        return [self._parts[key] for key in keys]

    def _is_module(self, class_key: str) -> bool:
        """Say whether a class derives from a framework's module."""
        outside = self._program.ancestors(class_key)[1:]
        return any("::" not in base and library.is_module_base(base) for base in outside)

    def _is_bare(self, class_key: str) -> bool:
        """Say whether a module that others derive from has no forward pass and no layers.

        What it gives them does not make them networks: losses derive from it as well.
        """
        bases = {last_name(base) for base in self._program.ancestors(class_key) if "::" not in base}
        plain = bases & {"Module", "Layer"}
        return (
            bool(plain and self._program.heirs(class_key))
            and not self._methods(class_key, _FORWARD)
            and not any(each.layers for each in self._parts_of(class_key))
        )

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
        if module and words(name)[-1:] == ("trainer",):
            return not any(each.layers for each in self._parts_of(class_key))
        return self._is_loss(class_key, name, outside, module)

    def _is_loss(self, class_key: str, name: str, outside: list[str], module: bool) -> bool:
        """Say whether a class only computes a loss: called or used so, and without weights."""
        parts = self._methods(class_key, _CONSTRUCTORS)
        if any(self._makes(code, modules=False) for code in parts):
            return False
        if names_criterion(name) or any(library.is_loss_class(base) for base in outside):
            return True
        if not module or self._applies_argument(class_key):
            return False
        return any(self._losses.findings(code) for code in self._methods(class_key, _FORWARD))

    def _makes(self, code: Code, *, modules: bool) -> bool:
        """Say whether a method makes objects of modules; without ``modules``, layers too."""
        if _place(code) not in self._made:
            self._made[_place(code)] = self._parts_made(code)
        layers, of_modules = self._made[_place(code)]
        return of_modules or (layers and not modules)

    def _parts_made(self, code: Code) -> tuple[bool, bool]:
        """Say whether a method makes layers, and objects of the repository's modules."""
        layers = False
        for call in calls_in(code.node):
            dotted = self._program.resolve(code, path_of(call.child_by_field_name("function")))
            layers = layers or library.has_weights(dotted) or library.names_network(dotted)
            inside = dotted in self._program.classes and dotted != code.class_key
            if inside and self._is_module(dotted) and not names_criterion(_class_name(dotted)):
                return layers, True
        return layers, False

    def _applies_argument(self, class_key: str) -> bool:
        """Say whether the class keeps what its constructor is given and calls it: a network."""
        kept = {
            f"self.{name}"
            for code in self._methods(class_key, _INIT)
            for name in parameters_of(code.node)
            for _, value in self._program.attribute(class_key, name)
            if text_of(value) == name
        }
        return any(not each.called.isdisjoint(kept) for each in self._parts_of(class_key))

    # --- methods --------------------------------------------------------------------------------

    def _of_module(self, code: Code, around: _Class) -> Building | None:
        if around.bare:
            return None
        if code.name in _FORWARD:
            return Building(line_of(code.node), "is the forward pass of a network")
        if code.name in _CONSTRUCTORS:
            return Building(line_of(code.node), "makes the network's parts")
        if (found := self._builds(code)) is not None:
            return found
        for call in calls_in(code.node):
            if callee_of(call) in PRODUCTS or self._applies(code, call):
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
        if code.name in _CONSTRUCTORS and arrays_in(code) and around.applied:
            return Building(line_of(code.node), "makes the model's weights")
        if code.name in _CONSTRUCTORS and self._has_model_base(code):
            return Building(line_of(code.node), "makes a model, by the name of its base class")
        if line := applied_layer(code.node):
            return Building(line, "applies layers")
        if line := applied_weights(code.node, around.weights):
            return Building(line, "multiplies data with the model's weights")
        if only_raises(code.node) or takes_network(code.node):
            return None
        if code.name == "forward" or (code.name in _FORWARD and around.keeps):
            return Building(line_of(code.node), "is the forward pass of the networks it holds")
        return None

    def _has_model_base(self, code: Code) -> bool:
        """Say whether a class derives from the repository's own base class of models, or is it."""
        bases = [key for key in self._program.ancestors(code.class_key or "") if "::" in key]
        return any(
            words(_class_name(key))[-1:] == ("model",) and self._program.heirs(key) for key in bases
        )

    def _of_heirs(self, code: Code, class_key: str) -> Building | None:
        """Return where a base class of networks calculates their loss."""
        if class_key not in self._of_all_heirs:
            heirs = self._program.heirs(class_key)
            self._of_all_heirs[class_key] = bool(heirs) and all(map(self._defines, heirs))
        if not self._of_all_heirs[class_key]:
            return None
        found = self._losses.findings(code)
        return Building(found[0].line, "is the loss of networks that derive") if found else None

    def _defines(self, class_key: str) -> bool:
        """Say whether a class defines a network by methods of its own."""
        if class_key not in self._defined:
            own = self._program.methods_of.get(class_key, {}).values()
            around = self._class(class_key)
            of = self._of_module if around.module else self._of_plain_class
            found = not around.never and any(of(code, around) is not None for code in own)
            self._defined[class_key] = found
        return self._defined[class_key]

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
        for call in calls_in(code.node):
            path = path_of(call.child_by_field_name("function"))
            name, line = last_name(path), line_of(call)
            if not name or names_optimiser(name):
                continue
            dotted = self._program.resolve(code, path)
            if library.is_layer(dotted) and trainable(name, call):
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
        return target if code.class_key is not None and self._in_graph(target)[0] else None

    def _in_graph(self, code: Code) -> tuple[bool, bool]:
        """Say whether a function makes parts of a graph, and whether placeholders for its data."""
        if _place(code) not in self._graphs:
            text = text_of(code.node)
            self._graphs[_place(code)] = "tf." in text or "slim." in text, "placeholder(" in text
        return self._graphs[_place(code)]

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
        return layered or self._in_graph(code)[1]


def _called(node: Node) -> list[str]:
    """Return the attributes of its object that a method calls."""
    paths = (path_of(call.child_by_field_name("function")) for call in calls_in(node))
    return [path for path in paths if path.startswith("self.")]


def _place(code: Code) -> _Place:
    return code.path, code.node.start_byte


def _class_name(class_key: str) -> str:
    return last_name(class_key.rpartition("::")[2])
