"""The labels of several readers side by side: how far they agree, and the gold they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from classify.agreement import Agreement, agreements
from classify.designs import Unit
from classify.errors import GoldError
from classify.gold import KEY, read_gold
from classify.labels import LABEL_COLUMNS, checked_cases, checked_type
from classify.readings import (
    PARTS,
    Readings,
    Settled,
    adjudicate,
    disagreements,
    readings_of,
)
from classify.rendering import full_csv
from mining.artifacts import write_atomically


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
    lines = agreement_lines(readings, settled, unit, confidence, seed)
    if out is not None:
        gold = adjudicate(readings, settled)
        write_atomically(out, full_csv(gold))
        contested = int((gold["contested"] == "true").sum())
        lines += ["", f"gold: {len(gold) - contested} labelled, {contested} contested"]
        lines += [f"written to {out}"]
    return lines


def read_labels(paths: Sequence[Path]) -> Readings:
    """Read labels files, each of one reader, named by its column reader or else by the file."""
    files: dict[str, pd.DataFrame] = {}
    for path in paths:
        rows = _checked(path)
        named = set(rows["reader"]) - {""} if "reader" in rows.columns else set()
        reader = next(iter(named)) if len(named) == 1 else path.stem
        if len(named) > 1 or reader in files:
            raise GoldError(
                f"Expected the labels of one reader in each file, found {reader!r} in two, or "
                f"several in {path}; give each reader a file."
            )
        files[reader] = rows.set_index(KEY)
    said = {
        reader: dict(zip(rows.index, rows.to_dict("records"), strict=True))
        for reader, rows in files.items()
    }
    return readings_of(_about(list(files.values())), said)


def agreement_lines(
    readings: Readings,
    settled: Mapping[object, Settled] | None = None,
    unit: Unit = Unit.REPOSITORY,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[str]:
    """Say how far readers agree on labels, types and special cases, and list where not."""
    lines = []
    for what, said in (
        ("labels", readings.labels),
        ("types of loss_unknown", readings.types),
        ("special cases of standalone losses", readings.special_cases),
    ):
        both = said[said.notna().sum(axis=1) > 1]
        if both.empty:
            lines.append(f"{what}: no snippet was read by two")
            continue
        clusters = None
        if unit is Unit.REPOSITORY:
            clusters = list(said.index.get_level_values("repository"))
        lines.append(f"{what}: {len(both)} snippets read by two or more of {len(said)}")
        found = agreements(said, clusters, confidence, seed)
        lines += [f"  {_measure_line(each)}" for each in found]
        assumption = next((a.interval.assumption for a in found if a.interval), None)
        if assumption:
            lines.append(f"  The {confidence:.0%} intervals assume that {assumption}.")
    table = disagreements(readings, settled)
    return [*lines, "", *table.lines()] if len(table.frame) else lines


def _about(files: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what describes each snippet, from the first file that has it."""
    left_out = {*LABEL_COLUMNS, "contested"}
    parts = [rows.drop(columns=[c for c in rows.columns if c in left_out]) for rows in files]
    together = pd.concat(parts)
    return together[~together.index.duplicated()].fillna("")


def _settlement(path: Path) -> dict[object, Settled]:
    rows = _checked(path)
    columns = [rows[name] if name in rows else [""] * len(rows) for name in PARTS[:3]]
    keys = rows[KEY].itertuples(index=False, name=None)
    return {key: Settled(*said) for key, *said in zip(keys, *columns, strict=True)}


def _checked(path: Path) -> pd.DataFrame:
    """Read a labels file, whose types and special cases must be known ones."""
    rows = read_gold(path).rows
    for row in rows.to_dict("records"):
        where = f"{' '.join(str(row[name]) for name in KEY)} of {path}"
        type_ = str(row.get("unknown_type", ""))
        if type_:
            checked_type(type_, where)
        checked_cases(str(row.get("special_cases", "")), type_, where)
    return rows


def _measure_line(each: Agreement) -> str:
    who = f"{each.measure:<18}  {', '.join(each.readers)}"
    if each.interval is None:
        return f"{who}: undefined, for want of two categories"
    found = each.interval
    between = f"{found.low:.3f} to {found.high:.3f}"
    if found.low == found.high:
        between = "no interval: nothing varies between them"
    return f"{who}: {found.estimate:.3f} ({between}), {each.snippets} snippets"
