"""Does code name a known loss function or constructor? The first gate of the placement."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

from mining.shipped import shipped


def known_loss_names() -> tuple[str, ...]:
    """Return the curated names in ``data/loss_functions.csv`` (columns name, library, form)."""
    with shipped("data/loss_functions.csv").open(encoding="utf-8", newline="") as file:
        return tuple(row["name"] for row in csv.DictReader(file))


def loss_name_finder(names: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a function that tells whether some text holds one of the names as a whole word.

    One in a comment or a string counts too: the gate is a regular expression, as published.
    """
    alternatives = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")
    return lambda text: pattern.search(text) is not None
