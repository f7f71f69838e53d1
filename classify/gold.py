"""Hand-labelled snippets: read, checked row by row, and joined to the placements."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classify.errors import GoldError
from classify.intervals import Strata
from classify.metrics import CATEGORIES
from classify.rendering import armed

KEY = ["repository", "path", "start_line"]
"""What names a snippet in a gold file and in a table of placements."""
REQUIRED = [*KEY, "label"]
DESIGN = ["sampling_stratum", "stratum_size", "stratum_sampled"]
"""What says how a gold file was drawn: a row's stratum, how many snippets that has, and how many
of them were drawn to be labelled."""


@dataclass(frozen=True, slots=True)
class Gold:
    """The labelled snippets of a gold file.

    ``rows`` has the file's columns as text, but ``start_line`` as integers; ``label`` is one of
    the five categories. ``contested`` counts the rows left out, on whose label the readers did
    not agree.
    """

    rows: pd.DataFrame
    contested: int


@dataclass(frozen=True, slots=True)
class Match:
    """Gold rows joined to the placements of the same snippets.

    ``rows`` has the columns of both; a column which both have keeps its name for the
    placement's value and is called ``<name>_gold`` for the other. ``without_snippet`` counts
    gold rows about a snippet that the run does not hold, ``other_commit`` the joined rows whose
    commits are known on both sides and differ: their code may have changed since.
    """

    rows: pd.DataFrame
    without_snippet: int
    other_commit: int


def read_gold(path: Path) -> Gold:
    """Read a gold file: CSV in UTF-8 with the columns repository, path, start_line and label.

    ``path`` in it is relative to the repository, ``start_line`` the 1-based line of ``def``,
    ``for`` or ``while``. A row is contested, and left out, if its label is empty or it says so
    in a column ``contested`` (true, 1 or yes). Other columns are kept.

    Raises GoldError, which names the file's line, if the file is missing, is not such a table,
    or has a row with an unknown label, a wrong line number or the key of another row.
    """
    labelled: list[dict[str, str]] = []
    contested = 0
    columns: list[str] = []
    lines: dict[tuple[str, str, int], int] = {}
    for line, row in records(path):
        columns = columns or list(row)
        start_line = line_number(row["start_line"], f"line {line} of {path}")
        first = lines.setdefault((row["repository"], row["path"], start_line), line)
        if first != line:
            raise GoldError(
                f"Expected each snippet once in {path}, found {row['repository']} {row['path']} "
                f"{start_line} in lines {first} and {line}; delete one of them."
            )
        if row["label"] == "" or row.get("contested", "").lower() in {"true", "1", "yes"}:
            contested += 1
            continue
        if row["label"] not in CATEGORIES:
            raise GoldError(
                f"Expected a label out of {', '.join(CATEGORIES)}, found {row['label']!r} in "
                f"line {line} of {path}; mend it, or leave it empty if it is contested."
            )
        labelled.append(row)
    rows = pd.DataFrame(labelled, columns=columns or REQUIRED, dtype=object)
    rows["start_line"] = rows["start_line"].astype("int64")
    return Gold(rows, contested)


def match(gold_rows: pd.DataFrame, placements: pd.DataFrame) -> Match:
    """Join gold rows to the placements by repository, path and start_line.

    Rows keep the gold file's order. Should two snippets start in one line, which only broken
    code brings about, the run's first one counts.
    """
    of_gold = placements["repository"].isin(gold_rows["repository"])
    placed = placements[of_gold].drop_duplicates(KEY)
    rows = gold_rows.merge(placed, on=KEY, how="inner", suffixes=("_gold", ""))
    other_commit = 0
    if {"commit", "commit_gold"} <= set(rows.columns):
        ours, theirs = rows["commit"].fillna(""), rows["commit_gold"].fillna("")
        other_commit = int(((ours != "") & (theirs != "") & (ours != theirs)).sum())
    return Match(rows, len(gold_rows) - len(rows), other_commit)


def sampling_strata(rows: pd.DataFrame) -> Strata | None:
    """Return how gold rows were drawn, from the columns ``DESIGN``; None where there are none.

    Raises GoldError if a stratum's sizes are not the same in all its rows, are no positive
    integers, or are smaller than what was drawn of it.
    """
    if not set(DESIGN) <= set(rows.columns):
        return None
    stratum, names = pd.factorize(rows["sampling_stratum"])
    sizes = []
    for name, of_stratum in rows.groupby("sampling_stratum", sort=False):
        said = of_stratum[DESIGN[1:]].astype(str).drop_duplicates().to_numpy().tolist()
        size, drawn = said[0]
        whole = all(re.fullmatch(r"[0-9]{1,15}", number) for number in said[0])
        if len(said) > 1 or not whole or not len(of_stratum) <= int(drawn) <= int(size):
            raise GoldError(
                f"Expected one stratum_size and one stratum_sampled of the stratum {name!r}, no "
                f"fewer than its {len(of_stratum)} labelled rows, found "
                f"{' and '.join(f'{s} and {d}' for s, d in said[:2])}; mend them, or delete the "
                f"column sampling_stratum."
            )
        sizes.append((int(size), int(drawn)))
    both = np.array(sizes, dtype=float).reshape(len(names), 2)
    return Strata(stratum, both[:, 0], both[:, 1])


def records(path: Path, required: Sequence[str] = REQUIRED) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each row by column, stripped, with the line of the file in which it begins.

    Where a cell was defused for spreadsheets, its text is given.

    Raises GoldError if the file cannot be read, is no CSV, or lacks a ``required`` column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, path, required)
            line = reader.line_num + 1
            for fields in reader:
                if fields:
                    if len(fields) != len(header):
                        raise GoldError(
                            f"Expected {len(header)} fields in each row of {path}, found "
                            f"{len(fields)} in line {line}; put quotes around fields with commas."
                        )
                    yield line, dict(zip(header, map(_text, fields), strict=True))
                line = reader.line_num + 1
    except OSError as error:
        raise GoldError(
            f"Expected a gold file at {path}, found none that can be read ({error.strerror}); "
            f"give the path of a CSV file with the columns {', '.join(required)}."
        ) from error
    except UnicodeDecodeError as error:
        raise GoldError(
            f"Expected CSV in UTF-8 in {path}, found bytes which are not ({error.reason}); "
            f"save it as CSV in UTF-8."
        ) from error
    except csv.Error as error:
        raise GoldError(
            f"Expected CSV in {path}, found an error in line {reader.line_num}: {error}; mend it."
        ) from error


def _text(cell: str) -> str:
    return armed(cell.strip())


def _check_header(header: list[str], path: Path, required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        found = ", ".join(header)[:200] if any(header) else "none"
        raise GoldError(
            f"Expected the column {missing[0]!r} in {path}, found {found}; "
            f"it must have the columns {', '.join(required)}."
        )
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise GoldError(
            f"Expected each column once in {path}, found {twice[0]!r} more than once; rename one."
        )


def line_number(text: str, where: str) -> int:
    """Return the line number that ``text`` is; ``where`` names its place in the GoldError."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise GoldError(
            f"Expected a line number, a positive integer, in the column 'start_line', found "
            f"{text!r} in {where}; mend it."
        )
    return int(text)
