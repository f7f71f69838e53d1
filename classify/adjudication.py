"""The labels of several readers side by side: how far they agree, and the gold they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from classify.agreement import Agreement, agreements
from classify.designs import Unit
from classify.errors import GoldError
from classify.gold import KEY, read_gold
from classify.labels import LABEL_COLUMNS
from classify.placement import Category
from classify.rendering import Table
from mining.artifacts import write_atomically


@dataclass(frozen=True, slots=True)
class Readings:
    """What several readers said of the same snippets.

    All frames have the snippets' keys (gold.KEY) as index, in the order of the files.
    ``about`` holds the columns that describe a snippet, the others one column a reader, missing
    where a reader gave none: a label, a type of loss_unknown, a note.
    """

    about: pd.DataFrame
    labels: pd.DataFrame
    types: pd.DataFrame
    notes: pd.DataFrame


def agree(
    paths: Sequence[Path],
    out: Path | None = None,
    adjudicated: Path | None = None,
    unit: Unit = Unit.REPOSITORY,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[str]:
    """Compare labels files, write the gold that they make to ``out``, and return what to say.

    ``adjudicated`` is a labels file that settles what the readers do not agree on. Raises
    GoldError if there are fewer than two readers, or a file is not as it must be.
    """
    if len(paths) < 2:
        raise GoldError(
            "Expected the labels of two readers or more, found one file; give one for each reader."
        )
    for path in (*paths, *([adjudicated] if adjudicated else [])):
        if out is not None and out.exists() and path.exists() and out.samefile(path):
            raise GoldError(
                f"Expected another file for the gold than {path}, which holds labels; choose one "
                f"with --out."
            )
    readings = read_labels(paths)
    settled = None if adjudicated is None else _settlement(adjudicated)
    lines = _agreement_lines(readings, unit, confidence, seed)
    table = disagreements(readings, settled)
    if len(table.frame):
        lines += ["", *table.lines()]
    if out is not None:
        gold = adjudicate(readings, settled)
        write_atomically(out, gold.to_csv(index=False, lineterminator="\n"))
        contested = int((gold["contested"] == "true").sum())
        lines += ["", f"gold: {len(gold) - contested} labelled, {contested} contested"]
        lines += [f"written to {out}"]
    return lines


def read_labels(paths: Sequence[Path]) -> Readings:
    """Read labels files, each of one reader, named by its column reader or else by the file."""
    files: dict[str, pd.DataFrame] = {}
    for path in paths:
        rows = read_gold(path).rows
        named = set(rows["reader"]) - {""} if "reader" in rows.columns else set()
        reader = next(iter(named)) if len(named) == 1 else path.stem
        if len(named) > 1 or reader in files:
            raise GoldError(
                f"Expected the labels of one reader in each file, found {reader!r} in two, or "
                f"several in {path}; give each reader a file."
            )
        files[reader] = rows.set_index(KEY)
    return Readings(
        _about(list(files.values())),
        *(_by_reader(files, column) for column in ("label", "unknown_type", "note")),
    )


def disagreements(readings: Readings, settled: Mapping[object, tuple[str, str]] | None) -> Table:
    """List the snippets to which readers gave different labels or types, one column a reader."""
    differ = (readings.labels.nunique(axis=1) > 1) | (readings.types.nunique(axis=1) > 1)
    labels, types = readings.labels[differ], readings.types[differ]
    shown = labels.where(types.isna(), labels + ": " + types)
    shown = shown.rename(columns=str)
    if settled is not None:
        shown["adjudicated"] = [": ".join(filter(None, settled.get(k, ()))) for k in shown.index]
    return Table(
        "disagreements", "Snippets on which readers do not agree", shown.reset_index().fillna("")
    )


def adjudicate(
    readings: Readings, settled: Mapping[object, tuple[str, str]] | None = None
) -> pd.DataFrame:
    """Return the gold that the readers make: the columns of a gold file, and each one's label.

    A snippet that two or more readers labelled alike has their label. Any other is contested,
    its label empty, unless ``settled`` (by key: label and type) has one. The type of standalone
    loss is the one that all give, or else the settled one.
    """
    settled = settled or {}
    rows = []
    for key, labels, types in zip(
        readings.labels.index,
        readings.labels.to_numpy(),
        readings.types.to_numpy(),
        strict=True,
    ):
        label = _common(labels, at_least=2)
        unknown_type = _common(types, at_least=1)
        if label is None and key in settled:
            label, unknown_type = settled[key]
        elif unknown_type is None and key in settled and settled[key][0] == label:
            unknown_type = settled[key][1]
        keeps_type = label == Category.LOSS_UNKNOWN.value and unknown_type
        rows.append((label or "", unknown_type if keeps_type else "", "false" if label else "true"))
    gold = readings.about.reset_index()
    gold[["label", "unknown_type", "contested"]] = pd.DataFrame(
        rows, columns=["label", "unknown_type", "contested"]
    )
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


def _about(files: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what describes each snippet, from the first file that has it."""
    left_out = {*LABEL_COLUMNS, "contested"}
    parts = [rows.drop(columns=[c for c in rows.columns if c in left_out]) for rows in files]
    together = pd.concat(parts)
    return together[~together.index.duplicated()].fillna("")


def _by_reader(files: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    index = pd.concat(list(files.values())).index.unique()
    return pd.DataFrame(
        {
            reader: rows[column].reindex(index) if column in rows.columns else None
            for reader, rows in files.items()
        },
        index=index,
        dtype=object,
    ).replace("", None)


def _settlement(path: Path) -> dict[object, tuple[str, str]]:
    rows = read_gold(path).rows
    types = rows["unknown_type"] if "unknown_type" in rows.columns else pd.Series("", rows.index)
    keys = rows[KEY].itertuples(index=False, name=None)
    return dict(zip(keys, zip(rows["label"], types, strict=True), strict=True))


def _agreement_lines(readings: Readings, unit: Unit, confidence: float, seed: int) -> list[str]:
    lines = []
    for what, labels in (("labels", readings.labels), ("types of loss_unknown", readings.types)):
        both = labels[labels.notna().sum(axis=1) > 1]
        if both.empty:
            lines.append(f"{what}: no snippet was read by two")
            continue
        clusters = None
        if unit is Unit.REPOSITORY:
            clusters = list(labels.index.get_level_values("repository"))
        lines.append(f"{what}: {len(both)} snippets read by two or more of {len(labels)}")
        found = agreements(labels, clusters, confidence, seed)
        lines += [f"  {_measure_line(each)}" for each in found]
        assumption = next((a.interval.assumption for a in found if a.interval), None)
        if assumption:
            lines.append(f"  The {confidence:.0%} intervals assume that {assumption}.")
    return lines


def _measure_line(each: Agreement) -> str:
    who = f"{each.measure:<18}  {', '.join(each.readers)}"
    if each.interval is None:
        return f"{who}: undefined, for want of two categories"
    found = each.interval
    between = f"{found.low:.3f} to {found.high:.3f}"
    return f"{who}: {found.estimate:.3f} ({between}), {each.snippets} snippets"
