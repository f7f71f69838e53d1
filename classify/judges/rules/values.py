"""What the rules know of a value: whether it is a loss, and by which arithmetic it came about.

Lines are 1-based in the file; 0 says that there is no such evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

Source = tuple[str, int]
"""A function of the repository by its key, and the position in the tuple that it returned.

The position is -1 for the whole of what it returned.
"""

_MAX_SOURCES = 100
"""Calls that a value is known to come from: a sum of more is followed no further back."""
_MAX_POSITION = 50
"""Results of one call that are told apart."""


class Sort(IntEnum):
    """What a value is, the less telling first."""

    CONSTANT = 0
    """A number that is set: a literal, a size, a hyperparameter."""
    LOGGED = 1
    """A number taken out of the graph for a report; no training through it."""
    DATA = 2
    """A tensor, or anything else that is not known."""
    CRITERION = 3
    """A loss function itself."""
    LOSS = 4
    """The value of a loss."""
    ELEMENTWISE = 5
    """A ready-made loss before its reduction: one value for each element or example."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value with the evidence of how it was calculated within the code at hand.

    ``formula``: arithmetic among data. ``combination``: arithmetic between a loss and another
    loss, a mask or weights. ``reduction``: the mean or sum of a ready-made element-wise loss.
    ``accumulation``: losses added up over a loop. ``choice``: a branch chose among losses.
    ``difference``: a subtraction among data, as in contrastive divergence.
    ``shifted``, ``averaged`` and ``negated`` are steps of formulas which are none by themselves.
    ``sources`` are the calls which it came from; ``instance``, the class that it is an object of;
    ``maker`` tells one loss from another. ``many``: a collection; ``each``: how many losses it is
    known to hold. ``summed``: a ready-made loss that was told to sum and not to average.
    ``product``: a matrix product of data, or a critic's score. ``means``: the calls of whose
    results it is the mean or the sum. ``smoothed``: targets that are spread by hand.
    """

    sort: Sort = Sort.DATA
    formula: int = 0
    combination: int = 0
    reduction: int = 0
    accumulation: int = 0
    choice: int = 0
    difference: int = 0
    shifted: bool = False
    averaged: bool = False
    negated: bool = False
    sources: frozenset[Source] = frozenset()
    instance: str = ""
    maker: str = ""
    many: bool = False
    each: int = 0
    summed: bool = False
    product: bool = False
    means: frozenset[Source] = frozenset()
    smoothed: int = 0

    @property
    def is_loss(self) -> bool:
        """Whether it is the value of a loss, reduced or not."""
        return self.sort >= Sort.LOSS

    @property
    def calculated(self) -> int:
        """The line that shows a loss to be calculated here, wherever the value goes."""
        return self.combination or self.reduction or self.choice


CONSTANT = Value(Sort.CONSTANT)
LOGGED = Value(Sort.LOGGED)
DATA = Value()


def loss(maker: str, *, elementwise: bool = False, summed: bool = False) -> Value:
    """Return a loss that was obtained ready-made."""
    return Value(Sort.ELEMENTWISE if elementwise else Sort.LOSS, maker=maker, summed=summed)


def criterion(maker: str, *, elementwise: bool = False, summed: bool = False) -> Value:
    """Return a loss function; ``many`` says that it gives one value for each element."""
    return Value(Sort.CRITERION, maker=maker, many=elementwise, summed=summed)


def instance_of(class_key: str, *, is_criterion: bool) -> Value:
    """Return an object of a class of the repository."""
    sort = Sort.CRITERION if is_criterion else Sort.DATA
    return Value(sort, instance=class_key, maker=class_key)


def collect(elements: Iterable[Value]) -> Value:
    """Return a collection of values, which knows how many losses it holds."""
    joined, count = CONSTANT, 0
    for element in elements:
        joined = join(joined, element)
        count += max(1, element.each) if element.sort >= Sort.CRITERION else 0
    return replace(joined, many=True, each=count, averaged=False, instance="")


def element_of(value: Value) -> Value:
    """Return what iterating over a value gives; of an empty list, what it is filled with later."""
    if value.many and value.sort is Sort.CONSTANT:
        return DATA
    return replace(value, many=False, each=0, instance="")


def part_of(value: Value, position: int, *, named_loss: bool) -> Value:
    """Return one of several results of a call: it is a loss only if its name says so."""
    if position >= _MAX_POSITION:
        position = -1
    sources = frozenset((key, position if at < 0 else at) for key, at in value.sources)
    if value.is_loss and not value.calculated and not named_loss:
        return Value(Sort.DATA, sources=sources)
    return replace(value, sources=sources, instance="")


def differ(first: Value, second: Value) -> bool:
    """Say whether two losses, or two loss functions, are different ones."""
    both = (first.is_loss and second.is_loss) or first.sort is second.sort is Sort.CRITERION
    return both and (first.maker, first.instance) != (second.maker, second.instance)


def bare(value: Value) -> Value:
    """Return a value without the evidence, which other code has given."""
    return Value(
        value.sort,
        instance=value.instance,
        maker=value.maker,
        many=value.many,
        summed=value.summed,
    )


def join(first: Value, second: Value) -> Value:
    """Return what a value is that may be either: the more telling sort, all evidence."""
    high, low = (first, second) if first.sort >= second.sort else (second, first)
    return replace(
        high,
        formula=high.formula or low.formula,
        combination=high.combination or low.combination,
        reduction=high.reduction or low.reduction,
        accumulation=high.accumulation or low.accumulation,
        choice=high.choice or low.choice,
        difference=high.difference or low.difference,
        sources=_united(first.sources, second.sources),
        instance=high.instance or low.instance,
        each=max(high.each, low.each),
        smoothed=high.smoothed or low.smoothed,
    )


def combine(operator: str, left: Value, right: Value, line: int) -> Value:
    """Return ``left operator right``. ``operator`` is one of ``+ - * / ** @`` and the like."""
    if operator == "+" and (_is_list(left) or _is_list(right)):
        return replace(join(left, right), many=True, each=left.each + right.each)
    for one, other in ((left, right), (right, left)):
        if one.sort is Sort.CONSTANT:
            return _with_constant(operator, other, line, exponent=one is right)
    if Sort.LOGGED in (left.sort, right.sort):
        # a copy without gradient, put to a loss that was calculated, leaves it one
        calculated = (value for value in (left, right) if value.is_loss and value.calculated)
        return next(calculated, LOGGED)
    joined = replace(_plain(join(left, right)), averaged=left.averaged and right.averaged)
    if left.is_loss or right.is_loss:
        # a loss put together with another one, or weighed and masked by data
        if operator != "+":
            sources = _united(_loss_sources(left), _loss_sources(right))
            joined = replace(joined, sources=sources)
        return replace(joined, sort=Sort.LOSS, combination=joined.combination or line)
    if operator == "@":  # the layer of a network, or similarities which a loss may sum
        return Value(Sort.DATA, product=True, difference=joined.difference)
    if operator in ("//", "%", "|", "&", "^", "<<", ">>"):
        return Value(Sort.DATA)
    kept = joined.sources if operator == "+" else frozenset()
    difference = line if operator == "-" else joined.difference
    return replace(
        joined,
        sort=Sort.DATA,
        formula=joined.formula or line,
        difference=difference,
        sources=kept,
    )


def _united(first: frozenset[Source], second: frozenset[Source]) -> frozenset[Source]:
    both = first | second
    return both if len(both) <= _MAX_SOURCES else first or second


def _loss_sources(value: Value) -> frozenset[Source]:
    return value.sources if value.is_loss else frozenset()


def _with_constant(operator: str, other: Value, line: int, exponent: bool) -> Value:
    if other.sort <= Sort.LOGGED or operator in ("%", "//"):
        return other
    if other.is_loss:
        if operator == "/" and exponent and other.summed:  # the mean by hand
            other = replace(other, reduction=other.reduction or line, summed=False)
        return replace(other, many=False)
    if operator == "**" and exponent:
        return transform(other, line)
    if operator in ("+", "-"):
        return replace(_plain(other), shifted=True, averaged=other.averaged)
    return replace(other, many=False, instance="", shifted=False)


def negate(value: Value, line: int) -> Value:
    """Return ``-value``: the negated mean of a network's output is a loss by itself.

    So is a negated log-probability, or a negated product.
    """
    if value.sort is not Sort.DATA:
        return value
    formula = value.formula or (line if value.averaged or value.product else 0)
    return replace(value, negated=True, formula=formula, sources=frozenset())


def transform(value: Value, line: int) -> Value:
    """Return a non-linear function of a value, as in ``log(p)`` or ``(a - b) ** 2``."""
    if value.sort is not Sort.DATA:
        return value
    return replace(value, formula=value.formula or line, sources=frozenset())


def activate(value: Value, line: int) -> Value:
    """Return an activation of a value; of ``1 - x`` it is a hinge."""
    if value.sort is Sort.DATA and value.shifted:
        return replace(value, formula=value.formula or line, sources=frozenset())
    return value


def reduce(value: Value, line: int) -> Value:
    """Return the mean or sum of a value."""
    if value.many and value.is_loss:
        return add_up(value, line)
    if value.sort is Sort.ELEMENTWISE:
        return replace(value, sort=Sort.LOSS, reduction=value.reduction or line)
    if value.sort is Sort.DATA:
        formula = value.formula or (line if value.negated or value.product else 0)
        return replace(
            value,
            averaged=True,
            formula=formula,
            many=False,
            sources=frozenset(),
            means=_united(value.means, value.sources),
        )
    return value


def add_up(value: Value, line: int) -> Value:
    """Return the sum over a collection of losses."""
    if not value.is_loss:
        return replace(value, many=False)
    if value.each > 1:
        return replace(value, sort=Sort.LOSS, many=False, combination=value.combination or line)
    return replace(value, sort=Sort.LOSS, many=False, accumulation=value.accumulation or line)


def _is_list(value: Value) -> bool:
    """Say whether a value is a list, as ``layer.losses`` is where nothing else is known of it."""
    plural = value.is_loss and value.maker.endswith("losses") and not value.maker.endswith("()")
    untouched = not (value.calculated or value.accumulation or value.sources)
    return value.many or (plural and untouched)


def _plain(value: Value) -> Value:
    return replace(
        value,
        averaged=False,
        negated=False,
        shifted=False,
        many=False,
        instance="",
        each=0,
        summed=False,
        product=False,
        means=frozenset(),
    )
