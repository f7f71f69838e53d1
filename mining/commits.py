"""A list of repositories and commits: a corpus that somebody else has fetched, to be had again."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mining.errors import InputError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_OF_A_CORPUS = {"query": "str", "position": "int64", "score": "float64"}


def read_commits(path: Path) -> pd.DataFrame:
    """Return the repositories of a list, in its order: repository, query, position, score, commit.

    The list is a CSV with the columns ``repository`` and ``commit`` (a full hash; empty: the
    commit that the study means), or the ``corpus.parquet`` of a run, of which the repositories
    that could not be had are left out. Raises InputError.
    """
    try:
        if path.suffix == ".parquet":
            found = _of_parquet(path)
        else:
            found = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
            if not isinstance(found.index, pd.RangeIndex):  # pandas takes the first for a name
                raise ValueError("a row with more fields than the first line")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"Expected a list of repositories and commits at {path}, found nothing that can be "
            f"read ({error}); give a CSV with the columns repository and commit."
        ) from error
    missing = {"repository", "commit"} - set(found.columns)
    if missing:
        raise InputError(
            f"Expected the columns repository and commit in {path}, found no "
            f"{' and no '.join(sorted(missing))}; name them in the first line."
        )
    if "reason" in found:
        found = found[found["reason"].isna()].reset_index(drop=True)
    if found.empty:
        raise InputError(f"Expected at least one repository in {path}, found none; list some.")
    _check(found, path)
    if not set(_OF_A_CORPUS) <= set(found.columns):
        found = found.assign(query="given", position=range(1, len(found) + 1), score=float("nan"))
    try:
        return found[["repository", *_OF_A_CORPUS, "commit"]].astype(_OF_A_CORPUS)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Expected numbers under position and score in {path}, found something else ({error}); "
            "mend it, or leave these columns out."
        ) from error


def _of_parquet(path: Path) -> pd.DataFrame:
    """Read a table by its columns alone, not by what its pandas metadata would make of them."""
    table = pq.read_table(path)
    for field in table.schema:
        if field.name in ("repository", "commit") and not (
            pa.types.is_string(field.type)
            or pa.types.is_large_string(field.type)
            or pa.types.is_null(field.type)
        ):
            raise ValueError(f"{field.name} is no text, but {field.type}")
    return table.to_pandas(ignore_metadata=True)


def _check(found: pd.DataFrame, path: Path) -> None:
    commits = found["commit"].dropna().astype(str)
    for what, wrong in (
        ("a name for each repository", found["commit"][found["repository"].isna()]),
        ("each repository once", found["repository"][found["repository"].duplicated()]),
        (
            "full commit hashes (40 digits)",
            commits[~commits.map(lambda c: bool(_COMMIT.fullmatch(c)))],
        ),
    ):
        if len(wrong):
            raise InputError(
                f"Expected {what} in {path}, found {wrong.iloc[0]!r} in row {wrong.index[0] + 1}; "
                "mend that row."
            )
