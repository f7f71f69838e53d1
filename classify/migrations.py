"""How a store of votes came to look as it does: one function for each change, in order.

An older store is brought up to date when it is opened, and no vote is lost on the way.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from zlib import crc32

from classify.judges import JudgeSettings


def _tables(connection: sqlite3.Connection) -> None:
    connection.execute(
        """
        CREATE TABLE judges (
            judge_sha256 TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            settings TEXT NOT NULL      -- JSON: all that can change an answer's text
        ) WITHOUT ROWID
        """
    )
    connection.execute(
        """
        CREATE TABLE prompts (
            prompt_sha256 TEXT PRIMARY KEY,
            question TEXT NOT NULL,
            code_sha256 TEXT NOT NULL,  -- as in snippets.parquet
            messages TEXT NOT NULL      -- JSON: [[role, content], ...]
        ) WITHOUT ROWID
        """
    )
    connection.execute(
        """
        CREATE TABLE votes (
            prompt_sha256 TEXT NOT NULL REFERENCES prompts,
            judge_sha256 TEXT NOT NULL REFERENCES judges,
            draw INTEGER NOT NULL,
            text TEXT NOT NULL,
            finish_reason TEXT NOT NULL,
            prompt_tokens INTEGER NOT NULL,  -- of the request, shared by its draws
            output_tokens INTEGER NOT NULL,
            engine TEXT NOT NULL,
            PRIMARY KEY (prompt_sha256, judge_sha256, draw)
        ) WITHOUT ROWID
        """
    )


def _refusals(connection: sqlite3.Connection) -> None:
    connection.execute(
        """
        CREATE TABLE refusals (
            prompt_sha256 TEXT NOT NULL REFERENCES prompts,
            judge_sha256 TEXT NOT NULL REFERENCES judges,
            reason TEXT NOT NULL,       -- why the judge will never answer
            PRIMARY KEY (prompt_sha256, judge_sha256)
        ) WITHOUT ROWID
        """
    )


def _provenance(connection: sqlite3.Connection) -> None:
    """Say of each vote what gave it, under which limit and when; keep errors of every kind.

    The limit of an answer no longer names the judge, so that raising it voids only what it cut.
    """
    connection.execute("ALTER TABLE prompts ADD COLUMN version TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE prompts ADD COLUMN template_sha256 TEXT NOT NULL DEFAULT ''")
    connection.execute(
        """
        CREATE TABLE provenances (
            provenance_id INTEGER PRIMARY KEY,
            provenance TEXT NOT NULL UNIQUE  -- JSON: engine, model as resolved, dtype ...
        )
        """
    )
    connection.execute("ALTER TABLE votes RENAME TO votes_before")
    connection.execute(
        """
        CREATE TABLE votes (
            prompt_sha256 TEXT NOT NULL REFERENCES prompts,
            judge_sha256 TEXT NOT NULL REFERENCES judges,
            draw INTEGER NOT NULL,
            max_tokens INTEGER NOT NULL,     -- the limit of the answer; 0: none
            text TEXT NOT NULL,
            finish_reason TEXT NOT NULL,     -- length: cut at the limit
            first_draw INTEGER NOT NULL,     -- of the request
            prompt_tokens INTEGER NOT NULL,  -- of the request, shared by its draws
            output_tokens INTEGER NOT NULL,
            seed INTEGER,
            provenance_id INTEGER NOT NULL REFERENCES provenances,
            answered_at TEXT,                -- UTC
            PRIMARY KEY (prompt_sha256, judge_sha256, draw, max_tokens)
        ) WITHOUT ROWID
        """
    )
    connection.execute(
        """
        CREATE TABLE failures (
            prompt_sha256 TEXT NOT NULL REFERENCES prompts,
            judge_sha256 TEXT NOT NULL REFERENCES judges,
            reason TEXT NOT NULL,
            refused INTEGER NOT NULL,        -- 1: asking again cannot help
            attempts INTEGER NOT NULL,
            failed_at TEXT,                  -- UTC, of the last attempt
            PRIMARY KEY (prompt_sha256, judge_sha256)
        ) WITHOUT ROWID
        """
    )
    for judge_sha256, kind, settings in connection.execute("SELECT * FROM judges").fetchall():
        text = json.loads(settings)
        limit = text.pop("max_tokens", 0)
        judge = JudgeSettings(kind, text, "")
        connection.execute("DELETE FROM judges WHERE judge_sha256 = ?", (judge_sha256,))
        connection.execute(
            "INSERT OR IGNORE INTO judges VALUES (?, ?, ?)",
            (judge.sha256, kind, json.dumps(text, sort_keys=True)),
        )
        connection.execute(
            "INSERT OR IGNORE INTO provenances (provenance)"
            " SELECT DISTINCT json_object('engine', engine) FROM votes_before"
            " WHERE judge_sha256 = ? ORDER BY engine",
            (judge_sha256,),
        )
        connection.execute(
            "INSERT INTO votes SELECT prompt_sha256, ?, draw, ?, text, finish_reason, 0,"
            " prompt_tokens, output_tokens, NULL, provenance_id, NULL"
            " FROM votes_before JOIN provenances ON provenance = json_object('engine', engine)"
            " WHERE judge_sha256 = ?",
            (judge.sha256, limit, judge_sha256),
        )
        connection.execute(
            "INSERT OR IGNORE INTO failures SELECT prompt_sha256, ?, reason, 1, 1, NULL"
            " FROM refusals WHERE judge_sha256 = ?",
            (judge.sha256, judge_sha256),
        )
    connection.execute(
        """
        CREATE VIEW counted_votes AS     -- one row a draw, for who reads the store with SQL
        SELECT prompt_sha256, judge_sha256, draw, text, finish_reason, max_tokens,
            iif(draw = first_draw, prompt_tokens, 0) AS prompt_tokens, output_tokens,
            json_extract(provenance, '$.engine') AS engine, provenance, seed, answered_at
        FROM (
            SELECT *, row_number() OVER (
                PARTITION BY prompt_sha256, judge_sha256, draw
                ORDER BY finish_reason = 'length', max_tokens = 0 DESC, max_tokens DESC
            ) AS preference
            FROM votes JOIN provenances USING (provenance_id)
        )
        WHERE preference = 1
        """
    )
    connection.execute("DROP TABLE votes_before")
    connection.execute("DROP TABLE refusals")


def _checksums(connection: sqlite3.Connection) -> None:
    """Give each vote a checksum, by which a text that was damaged on disk is known."""
    connection.execute("ALTER TABLE votes ADD COLUMN crc32 INTEGER NOT NULL DEFAULT 0")
    connection.create_function("checksum", 4, checksum, deterministic=True)
    connection.execute("UPDATE votes SET crc32 = checksum(draw, max_tokens, text, finish_reason)")


def checksum(draw: int, max_tokens: int, text: str, finish_reason: str) -> int:
    """Return the CRC-32 of what a vote says."""
    return crc32(f"{draw} {max_tokens} {finish_reason} {text}".encode("utf-8", "surrogatepass"))


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _tables,
    _refusals,
    _provenance,
    _checksums,
)
"""What turns an older store into the present one, in order; ``user_version`` counts them."""
