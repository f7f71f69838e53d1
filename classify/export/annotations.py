"""What readers said in a labelling tool, as its export holds it, turned into readings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from classify.gold import KEY
from classify.placement import Category
from classify.readings import PARTS, Readings, readings_of
from classify.special_cases import read
from classify.types import UnknownType

NOT_IN_GOLD = frozenset({"text", "where", "permalink", "license"})
"""What a tool shows of a snippet, and gold does not keep."""
_MOST_LINES = 10**9 - 1
"""As in gold.line_number."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """One snippet in an export: what describes it, and what each reader said, by readings.PARTS.

    A reader may come up more than once.
    """

    about: Mapping[str, Any]
    said: Sequence[tuple[str, Mapping[str, str]]]


def read_annotations(
    exported: Sequence[Any], what: str, annotated: Callable[[Mapping[str, Any]], Annotated]
) -> Readings:
    """Read every item of an export; those that nobody labelled are left out.

    ``annotated`` reads one, and ``what`` is what the tool calls it. Raises ValueError, which
    says what is wrong with which.
    """
    about: dict[tuple[Any, ...], dict[str, Any]] = {}
    said: dict[str, dict[tuple[Any, ...], Mapping[str, str]]] = {}
    for number, item in enumerate(exported, 1):
        try:
            found = annotated(item)
            where = [str(found.about[name]) for name in KEY[:2]]
            line = int(found.about[KEY[2]])
            if not 1 <= line <= _MOST_LINES:
                raise ValueError(f"{KEY[2]} {line}")
            key = (*where, line)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{what} {number} has no {error}") from None
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{what} {number}: {error}") from None
        if key in about:
            raise ValueError(f"{what} {number} is about the snippet of another one")
        readers: dict[str, Mapping[str, str]] = {}
        for reader, parts in found.said:
            wrong = _wrong(parts)
            if wrong:
                raise ValueError(f"{what} {number} has the {wrong}")
            names = (reader, *(f"{reader}_{times}" for times in range(2, len(found.said) + 1)))
            readers[next(name for name in names if name not in readers)] = parts
        if not any(parts.get("label") for parts in readers.values()):
            continue
        about[key] = {
            name: value
            for name, value in found.about.items()
            if name not in NOT_IN_GOLD and name not in KEY and value is not None
        }
        for reader, parts in readers.items():
            said.setdefault(reader, {})[key] = parts
    index = pd.MultiIndex.from_tuples(list(about), names=KEY)
    return readings_of(pd.DataFrame(list(about.values()), index=index, dtype=object), said)


def _wrong(parts: Mapping[str, str]) -> str | None:
    """Say what is no answer that a labelling tool of ours offers; None if all are."""
    for part, known in zip(PARTS, (Category, UnknownType), strict=False):
        value = parts.get(part, "")
        if value and value not in list(known):
            return f"{part} {value!r}"
    try:
        read(parts.get("special_cases", ""))
    except ValueError:
        return f"special_cases {parts['special_cases']!r}"
    return None
