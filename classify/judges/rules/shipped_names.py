"""Names that are facts about libraries, as ``data/*.csv`` lists them; read once."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

from mining.shipped import shipped

SOURCES = ("data/framework_names.csv", "data/loss_functions.csv")
"""Files on which the rules' answers depend."""


@cache
def listed(role: str) -> frozenset[str]:
    """Return the names that play a role in frameworks (column role of framework_names.csv)."""
    return frozenset(_by_role()[role])


@cache
def pattern(role: str) -> re.Pattern[str]:
    """Return one pattern out of the names of a role that are regular expressions."""
    return re.compile("|".join(_by_role()[role]))


@cache
def operators() -> dict[str, str]:
    """Return the operator which a function stands for, by the function's name."""
    return {
        name: role.removeprefix("operator ")
        for role, found in _by_role().items()
        if role.startswith("operator ")
        for name in found
    }


@cache
def ready_made_losses(form: str) -> frozenset[tuple[str, str]]:
    """Return the home module's last name and the name of each loss of a form.

    ``form`` is ``function`` or ``constructor``, as in loss_functions.csv.
    """
    return frozenset(
        (row["library"].rpartition(".")[2], row["name"])
        for row in _rows(SOURCES[1])
        if row["form"] == form
    )


def paths() -> tuple[Path, ...]:
    """Return where the files are."""
    return tuple(shipped(source) for source in SOURCES)


@cache
def _by_role() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in _rows(SOURCES[0]):
        found.setdefault(row["role"], []).append(row["name"])
    return found


def _rows(source: str) -> list[dict[str, str]]:
    with shipped(source).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
