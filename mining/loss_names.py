"""Does code name a known loss function or constructor? The first gate of the placement.

The list of names is curated: ``mining.loss_mining`` proposes, a person confirms.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from mining.errors import InputError
from mining.shipped import shipped

COLUMNS = ("name", "library", "form")
"""Of a list of loss names: the last part of the dotted name, the module that it is known from,
and ``function`` or ``constructor``."""
CONFIRMED = "confirmed"
"""A further column of a list that a person goes through: of such a list only the rows with
``yes`` there count."""

_WORD = re.compile(r"\w+")


def known_loss_names(path: Path | None = None) -> tuple[str, ...]:
    """Return the names in a confirmed list (CSV), each once; without one, in the shipped list.

    Only the column ``name`` is needed. Raises InputError if the file is no such list, or if it
    confirms nothing: without a name the gate would let nothing through.
    """
    path = shipped("data/loss_functions.csv") if path is None else path
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "name" not in (rows.fieldnames or ()):
                raise _unusable(path, "no column `name`")
            found = [row["name"] for row in rows if _counts(row, path, rows.line_num)]
    except OSError as error:
        raise _unusable(path, error.strerror or "nothing readable") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, str(error)) from error
    if not found:
        raise _unusable(path, "no confirmed name")
    return tuple(dict.fromkeys(found))


def loss_name_finder(names: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a function that tells whether some text holds one of the names as a whole word.

    One in a comment or a string counts too: the gate is a regular expression, as published.
    A plain name stands there as a whole word if it is one of the text's words, which is found
    faster than by trying every name at every place.
    """
    plain = {name for name in names if _WORD.fullmatch(name)}
    others = "|".join(re.escape(name) for name in names if name not in plain)
    pattern = re.compile(rf"(?<!\w)(?:{others})(?!\w)") if others else None

    def finds(text: str) -> bool:
        if not plain.isdisjoint(_WORD.findall(text)):
            return True
        return pattern is not None and pattern.search(text) is not None

    return finds


def _counts(row: dict[str, str], path: Path, line: int) -> bool:
    """Tell whether a row is one of the list: its name is one, and it is confirmed."""
    answer = (row.get(CONFIRMED, "yes") or "").strip().lower()
    if answer not in ("", "yes", "no"):
        raise _unusable(path, f"{answer!r} under `confirmed` in line {line}")
    if answer == "yes" and not re.fullmatch(r"\w+(\.\w+)*", row["name"] or ""):
        raise _unusable(path, f"{row['name']!r} for a name in line {line}")
    return answer == "yes"


def _unusable(path: Path, found: str) -> InputError:
    return InputError(
        f"Expected a list of loss names at {path} (CSV with the column name; where there is a "
        f"column confirmed, `yes` in at least one row of it), found {found}; "
        "`lossplace loss-names` makes one to be confirmed."
    )
