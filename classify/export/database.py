"""One SQLite file for datasette: snippets with their placements, the votes on them, the files."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pandas as pd

from classify.classification import STORE
from classify.evidence import evidence
from classify.export.snippets import OF_PLACEMENT
from classify.schema import connect
from classify.votes import decision
from mining.artifacts import Run
from mining.extraction import FILES, SCHEMAS
from mining.licenses import licenses_of
from mining.pipeline import CORPUS
from mining.study import Study

_REPOSITORY = {"repository": "repositories(repository)"}


def write_database(path: Path, study: Study, run: Run, snippets: pd.DataFrame) -> None:
    """Write a new database of a run; ``snippets`` is the frame of snippets.snippets_table.

    Tables: repositories, files (without text), snippets (with what their text is, if it may be
    passed on), placements, asks (which prompt each question about a snippet was), votes (with
    the answer's text, and the decision that is read from it: 1, 0 or null).
    """
    rests_on = evidence(study, run)
    licenses = licenses_of(run)
    repositories = run.read(CORPUS)
    repositories["license"] = repositories["repository"].map(dict(licenses.of))
    # nothing but broken code has two snippets in one place, with one text
    snippets = snippets.drop_duplicates("snippet_id")
    asks = rests_on.asks[rests_on.asks["snippet_id"].isin(snippets["snippet_id"])]
    with closing(connect(run.path(STORE))) as store:
        votes = pd.read_sql(
            "SELECT prompt_sha256, draw, text, finish_reason, prompt_tokens, output_tokens, engine,"
            " seed, answered_at FROM counted_votes WHERE judge_sha256 = ?"
            " ORDER BY prompt_sha256, draw",
            store,
            params=[rests_on.judge.sha256],
        )
    votes = votes[votes["prompt_sha256"].isin(asks["prompt_sha256"])]
    decisions = pd.Series([decision(text) for text in votes["text"]], votes.index, "boolean")
    votes.insert(2, "decision", decisions)
    of_snippet = {"snippet_id": "snippets(snippet_id)"}
    with closing(sqlite3.connect(path)) as database:
        # what is half-written is thrown away as a whole, so that no journal is left beside it
        database.execute("PRAGMA journal_mode = OFF")
        add = _Tables(database)
        add("repositories", repositories, ["repository"])
        files = [name for name in SCHEMAS[FILES].names if name != "text"]
        add("files", run.read(FILES, files), ["repository", "path"], _REPOSITORY)
        add("snippets", snippets.drop(columns=OF_PLACEMENT), ["snippet_id"], _REPOSITORY)
        add("placements", snippets[["snippet_id", *OF_PLACEMENT]], ["snippet_id"], of_snippet)
        add("asks", asks, ["snippet_id", "question", "apart"], of_snippet)
        add("votes", votes, ["prompt_sha256", "draw"])
        database.execute("CREATE INDEX asks_by_prompt ON asks (prompt_sha256)")
        database.execute("CREATE INDEX snippets_by_repository ON snippets (repository)")
        database.commit()
        database.execute("VACUUM")


class _Tables:
    """Adds frames to a database as tables."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __call__(
        self,
        name: str,
        frame: pd.DataFrame,
        key: Sequence[str],
        references: dict[str, str] | None = None,
    ) -> None:
        columns = [f'"{column}" {_sql_type(frame[column])}' for column in frame.columns]
        keys = [f"PRIMARY KEY ({', '.join(key)})"]
        keys += [f"FOREIGN KEY ({c}) REFERENCES {to}" for c, to in (references or {}).items()]
        self._database.execute(f'CREATE TABLE "{name}" ({", ".join([*columns, *keys])})')
        frame.to_sql(name, self._database, if_exists="append", index=False)


def _sql_type(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_integer_dtype(column):
        return "INTEGER"
    return "REAL" if pd.api.types.is_float_dtype(column) else "TEXT"
