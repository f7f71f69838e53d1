"""What frameworks' own functions and classes do, by their dotted names."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from classify.judges.rules.shipped_names import listed, pattern, ready_made_losses
from classify.judges.rules.words import REMEMBERED, words

_MAX_LENGTH = 150
"""Characters of a dotted name; no framework has longer ones, and the patterns stay fast."""


class Does(Enum):
    """What a framework's function does with the values it is given."""

    KEEPS = "keeps"
    """Changes shape, type or place, or picks out of a value."""
    ACTIVATES = "activates"
    """An activation of a network: keeps the value, and makes a hinge of a shifted one."""
    REDUCES = "reduces"
    SUMS = "sums"
    """Adds up the elements of a collection."""
    TRANSFORMS = "transforms"
    """A non-linear function of one value, as loss formulas are made of."""
    SUBTRACTS = "subtracts"
    COMBINES = "combines"
    """Arithmetic between two values."""
    MEASURES = "measures"
    """A size or another number which training does not change."""
    LOGS = "logs"
    """Turns a tensor into a number outside of the graph."""


_DOES = {name: action for action in Does for name in listed(action.value)}


@lru_cache(REMEMBERED)
def does(name: str) -> Does | None:
    """Return what a framework's function or a tensor's method of this name does."""
    return _DOES.get(name)


@lru_cache(REMEMBERED)
def is_bare(name: str) -> bool:
    """Say whether a function of this name is known even where no import tells its home."""
    return name in listed("builtin")


@lru_cache(REMEMBERED)
def is_framework(dotted: str) -> bool:
    """Say whether a dotted name belongs to a numerical framework."""
    head = dotted.partition(".")[0]
    if "(" in dotted or "[" in dotted:  # a method of what a call returns
        return False
    return head in listed("framework") or head in listed("numeric")


@lru_cache(REMEMBERED)
def is_loss_function(dotted: str) -> bool:
    """Say whether a dotted name is a framework's ready-made loss function."""
    last = dotted.rpartition(".")[2]
    return _is_ready_made(dotted, "function") and not last[:1].isupper()


@lru_cache(REMEMBERED)
def is_loss_class(dotted: str) -> bool:
    """Say whether a dotted name is a framework's loss class (``torch.nn.MSELoss``)."""
    return _is_ready_made(dotted, "class")


@lru_cache(REMEMBERED)
def is_elementwise(dotted: str) -> bool:
    """Say whether a loss function gives one value for each example or element, unreduced."""
    last = dotted.rpartition(".")[2]
    if pattern("Keras loss").fullmatch(last) and "torch" not in dotted:
        return True
    if pattern("unreduced loss home").fullmatch(dotted):
        return True
    if "losses" in dotted.split(".")[:-1] or dotted.startswith("torch"):
        return False
    return pattern("unreduced loss").fullmatch(last) is not None


@lru_cache(REMEMBERED)
def is_layer(dotted: str) -> bool:
    """Say whether calling a dotted name makes a layer, a weight or a graph's layer operation."""
    if len(dotted) > _MAX_LENGTH or dotted.endswith("DataParallel"):
        return False
    if is_loss_class(dotted) or is_loss_function(dotted):
        return False
    return bool(pattern("layer").fullmatch(dotted) or pattern("model").fullmatch(dotted))


@lru_cache(REMEMBERED)
def has_weights(dotted: str) -> bool:
    """Say whether a layer holds weights; activations, pooling and containers do not."""
    ready = bool(pattern("model").fullmatch(dotted))
    weighted = pattern("layer with weights").fullmatch(dotted.rpartition(".")[2])
    return ready or (is_layer(dotted) and bool(weighted))


@lru_cache(REMEMBERED)
def names_network(dotted: str) -> bool:
    """Say whether a class from elsewhere is called like a network (``PatchDiscriminator``)."""
    name = dotted.rpartition(".")[2]
    return name[:1].isupper() and not listed("network word").isdisjoint(words(name))


@lru_cache(REMEMBERED)
def names_layer(name: str) -> bool:
    """Say whether a function is called like a layer: ``conv2d``, ``linear``, ``lrelu_block``."""
    return bool(pattern("layer word").search(name.lower()))


@lru_cache(REMEMBERED)
def is_module_base(dotted: str) -> bool:
    """Say whether a class from outside the repository is a network's base class."""
    return dotted.rpartition(".")[2] in listed("network base")


@lru_cache(REMEMBERED)
def is_never_model(dotted: str) -> bool:
    """Say whether subclasses of an outside class are no networks, whatever they compute."""
    last = dotted.rpartition(".")[2]
    return last in listed("other base") or last.endswith(tuple(listed("other base ending")))


def _in_framework(dotted: str) -> bool:
    return not listed("framework").isdisjoint(dotted.split(".")[:-1])


_FORMS = {"function": "function", "class": "constructor"}
"""What data/loss_functions.csv calls a loss function, and a loss class."""


def _is_ready_made(dotted: str, what: str) -> bool:
    home, _, name = dotted.rpartition(".")
    listed = (home.rpartition(".")[2], name) in ready_made_losses(_FORMS[what])
    named = listed or pattern(f"loss {what}").fullmatch(name) is not None
    return bool(home) and named and _in_framework(dotted)
