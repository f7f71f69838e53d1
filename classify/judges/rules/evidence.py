"""What following the values of a piece of code brings to light, as it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field

from classify.judges.rules.values import Sort, Source, Value

CONTRAST = "subtracts one phase's statistics from the other's"
BY_HAND = "is the error by which weights are moved"
_CHOICE = "chooses among losses"
_LATEST = 200
"""Of the places that give a name a loss, so many before each are compared with it."""
Arms = tuple[tuple[int, int], ...]
"""Where a statement stands: in which arm of which branches."""
_Made = tuple[Arms, str, int, bool]
"""Where a name gets what, on which line, and whether that is a loss function."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Evidence that a loss is calculated: what happens on ``line``, and where it is used."""

    what: str
    line: int
    use: str
    used_on: int


def evidence(value: Value, use: str, used_on: int, *, trained: bool) -> Finding | None:
    """Return what shows that a value is a loss which was calculated, if something does.

    Adding up a loss over a loop counts only where the sum is ``trained``: elsewhere it is the
    book-keeping of a report.
    """
    if value.sort is Sort.LOGGED:
        return None
    found = {
        "puts losses together by arithmetic": value.combination,
        _CHOICE: value.choice,
        "reduces an element-wise loss": value.reduction,
        "adds up losses": value.accumulation if trained else 0,
        "calculates a loss by its formula": 0 if value.is_loss else value.formula,
    }
    return next((Finding(w, line, use, used_on or line) for w, line in found.items() if line), None)


@dataclass(slots=True)
class Analysis:
    """What one piece of code does with losses, without its nested functions.

    ``returned`` holds a tuple of values for each return; ``trained``, where the values come from
    that are minimised here; ``named``, of which results the mean is minimised, and which results
    get a loss's name; ``called``, the functions of the repository that are called; ``bound``, what
    names hold in the end.
    """

    findings: list[Finding] = field(default_factory=list)
    returned: list[tuple[int, tuple[Value, ...]]] = field(default_factory=list)
    trained: set[Source] = field(default_factory=set)
    named: set[Source] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    bound: dict[str, Value] = field(default_factory=dict)
    _made: dict[str, list[_Made]] = field(default_factory=dict)

    def use(self, value: Value, use: str, line: int) -> None:
        """Note that a value is used as a loss."""
        if (found := evidence(value, use, line, trained=False)) is not None:
            self.findings.append(found)

    def train(self, value: Value, use: str, line: int) -> None:
        """Note that training minimises a value."""
        if (found := evidence(value, use, line, trained=True)) is not None:
            self.findings.append(found)
        self.trained |= value.sources
        self.named |= value.means

    def find(self, what: str, line: int, use: str, used_on: int) -> None:
        """Note other evidence."""
        self.findings.append(Finding(what, line, use, used_on))

    def made(self, path: str, arms: Arms, maker: str, line: int, *, function: bool) -> None:
        """Note which loss, or loss function, a name gets in which arm of which branch."""
        if maker and maker != path:
            self._made.setdefault(path, []).append((arms, maker, line, function))

    def choices(self) -> None:
        """Find the branches whose arms give a name different losses, or return different ones."""
        for path, made in self._made.items():
            for position, (arms, maker, line, function) in enumerate(made):
                returned = path.startswith("return[")
                if any(
                    maker != other
                    and (
                        _exclude(arms, there)
                        or (returned and there)
                        or (function and also and _within(arms, there))
                    )
                    for there, other, _, also in made[max(0, position - _LATEST) : position]
                ):
                    use = "is returned" if returned else f"becomes `{path}`"
                    self.find(_CHOICE, line, use, line)


def _within(arms: Arms, others: Arms) -> bool:
    """Say whether one place stands in a branch at the other: what it does may be left out."""
    return len(arms) > len(others) and arms[: len(others)] == others


def _exclude(arms: Arms, others: Arms) -> bool:
    """Say whether two places stand in different arms of one branch."""
    there = dict(others)
    return any(there.get(branch, arm) != arm for branch, arm in arms)
