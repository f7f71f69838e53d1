"""What several readers said of snippets: where they differ, and the gold they make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from classify.placement import Category
from classify.rendering import Table
from classify.special_cases import read, written
from classify.types import STANDALONE

PARTS = ("label", "unknown_type", "special_cases", "note")
"""What a reader says of a snippet, as columns of a labels file."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What several readers said of the same snippets.

    All frames have the snippets' keys (gold.KEY) as index, in the order of the files.
    ``about`` holds the columns that describe a snippet, the others one column a reader, missing
    where a reader gave none: a label, a type of loss_unknown, its special cases, a note.
    """

    about: pd.DataFrame
    labels: pd.DataFrame
    types: pd.DataFrame
    special_cases: pd.DataFrame
    notes: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Settled:
    """What settles a snippet on which readers differ."""

    label: str
    unknown_type: str = ""
    special_cases: str = ""

    def __str__(self) -> str:
        """Return what is settled as one phrase."""
        return _phrase(self.label, self.unknown_type, self.special_cases)


def readings_of(
    about: pd.DataFrame, said: Mapping[str, Mapping[tuple[Any, ...], Mapping[str, str]]]
) -> Readings:
    """Put together what each reader said, by key and then by ``PARTS``; empty says nothing.

    ``about`` has the keys of all snippets as index. Special cases are brought into one order.
    """

    def by_reader(part: str) -> pd.DataFrame:
        columns = {
            reader: pd.Series(
                [_in_order(part, of_reader.get(key, {}).get(part, "")) for key in about.index],
                index=about.index,
                dtype=object,
            )
            for reader, of_reader in said.items()
        }
        return pd.DataFrame(columns, index=about.index, dtype=object).replace("", None)

    return Readings(about, *(by_reader(part) for part in PARTS))


def _in_order(part: str, text: str) -> str:
    if part != "special_cases" or not text:
        return text
    return written(read(text) or frozenset())


def disagreements(readings: Readings, settled: Mapping[object, Settled] | None = None) -> Table:
    """List the snippets of which readers said different things, one column a reader."""
    parts = (readings.labels, readings.types, readings.special_cases)
    differ = pd.concat([part.nunique(axis=1) > 1 for part in parts], axis=1).any(axis=1)
    labels, types, cases = (part[differ].fillna("") for part in parts)
    shown = pd.DataFrame(
        {
            str(reader): [
                _phrase(*each)
                for each in zip(labels[reader], types[reader], cases[reader], strict=True)
            ]
            for reader in labels.columns
        },
        index=labels.index,
    )
    if settled is not None:
        shown["adjudicated"] = [str(settled.get(key, "")) for key in shown.index]
    return Table("disagreements", "Snippets on which readers do not agree", shown.reset_index())


def adjudicate(
    readings: Readings, settled: Mapping[object, Settled] | None = None, at_least: int = 2
) -> pd.DataFrame:
    """Return the gold that the readers make: the columns of a gold file, and each one's label.

    A snippet that ``at_least`` so many readers labelled, and all alike, has their label. Any
    other is contested, its label empty, unless ``settled`` (by key) has one. The type of a
    standalone loss, and its special cases, are what all who say any give, or else the settled
    ones.
    """
    settled = settled or {}
    rows = []
    for key, *given in zip(
        readings.labels.index,
        *(frame.to_numpy() for frame in (readings.labels, readings.types, readings.special_cases)),
        strict=True,
    ):
        label, unknown_type, cases = (
            _common(values, number) for values, number in zip(given, (at_least, 1, 1), strict=True)
        )
        other = settled.get(key)
        if label is None and other is not None:
            label, unknown_type, cases = other.label, other.unknown_type, other.special_cases
        elif other is not None and other.label == label:
            unknown_type = unknown_type or other.unknown_type
            cases = cases or other.special_cases
        if label != Category.LOSS_UNKNOWN.value:
            unknown_type = ""
        if unknown_type not in STANDALONE:
            cases = ""
        rows.append((label or "", unknown_type or "", cases or "", "false" if label else "true"))
    gold = readings.about.reset_index()
    columns = ["label", "unknown_type", "special_cases", "contested"]
    gold[columns] = pd.DataFrame(rows, columns=columns)
    gold["note"] = [
        "; ".join(f"{reader}: {note}" for reader, note in row.dropna().items())
        for _, row in readings.notes.iterrows()
    ]
    for reader in readings.labels.columns:
        gold[f"label_{reader}"] = readings.labels[reader].fillna("").to_numpy()
    return gold


def _common(values: Iterable[Any], at_least: int) -> str | None:
    """Return what so many readers or more gave, if all who gave anything gave the same."""
    given = [str(value) for value in values if not pd.isna(value)]
    return given[0] if len(given) >= at_least and len(set(given)) == 1 else None


def _phrase(*parts: str) -> str:
    return ": ".join(filter(None, parts))
