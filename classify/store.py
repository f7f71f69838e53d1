"""The store of votes: one SQLite file a run, from which every verdict can be recomputed.

A vote's key is (hash of the rendered prompt, hash of the judge's settings, draw number): the
same prompt is paid for once, and a changed prompt or temperature voids only its own rows. The
raw text is kept; what it decides is never stored, so a better parser costs no model time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from classify.judges import Completion, JudgeSettings, Messages, Request
from mining.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Vote:
    """One stored answer."""

    draw: int
    text: str
    finish_reason: str


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


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_tables, _refusals)
"""What turns an older store into the present one, in order; ``user_version`` counts them."""


class Store:
    """The votes of one run. Opened as a context; writes are committed a completion at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the store at ``path``; raises ArtifactError if it is no such store."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # a commit survives a killed process; only a power cut may take the last ones
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def __enter__(self) -> Store:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; all that was added is in it."""
        self.close()

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def votes(self, prompt_sha256: str, judge: JudgeSettings) -> list[Vote]:
        """Return the votes on a prompt by a judge, by draw number."""
        try:
            rows = self._connection.execute(
                "SELECT draw, text, finish_reason FROM votes"
                " WHERE prompt_sha256 = ? AND judge_sha256 = ? ORDER BY draw",
                (prompt_sha256, judge.sha256),
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error
        return [Vote(*row) for row in rows]

    def add(self, completion: Completion, judge: JudgeSettings) -> None:
        """Keep the answers of a completion, all or none. One with an error is refused."""
        if completion.error is not None:
            raise ValueError(f"an error is not an answer: {completion.error}")
        request = completion.request
        with self._transaction():
            self._add_parties(request, judge)
            self._connection.execute(
                "DELETE FROM refusals WHERE prompt_sha256 = ? AND judge_sha256 = ?",
                (request.prompt_sha256, judge.sha256),
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        request.prompt_sha256,
                        judge.sha256,
                        request.first_draw + number,
                        answer.text,
                        answer.finish_reason,
                        completion.prompt_tokens,
                        answer.output_tokens,
                        judge.engine,
                    )
                    for number, answer in enumerate(completion.answers)
                ],
            )

    def refuse(self, request: Request, judge: JudgeSettings, reason: str) -> None:
        """Note that a judge will never answer a prompt: no vote, but what a replay must know."""
        with self._transaction():
            self._add_parties(request, judge)
            self._connection.execute(
                "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?)",
                (request.prompt_sha256, judge.sha256, reason),
            )

    def refusals(self, judge: JudgeSettings) -> dict[str, str]:
        """Return the prompts that a judge refused, by hash, with the reasons."""
        return dict(
            self._connection.execute(
                "SELECT prompt_sha256, reason FROM refusals WHERE judge_sha256 = ?",
                (judge.sha256,),
            )
        )

    def judges(self) -> list[JudgeSettings]:
        """Return the judges that voted here."""
        rows = self._connection.execute("SELECT kind, settings FROM judges ORDER BY judge_sha256")
        return [JudgeSettings(kind, json.loads(settings), "stored") for kind, settings in rows]

    def _add_parties(self, request: Request, judge: JudgeSettings) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO judges VALUES (?, ?, ?)",
            (judge.sha256, judge.kind, json.dumps(dict(judge.text), sort_keys=True)),
        )
        self._connection.execute(
            "INSERT OR IGNORE INTO prompts VALUES (?, ?, ?, ?)", _prompt_row(request)
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):  # full, locked, or not to be written
                raise ArtifactError(
                    f"Expected to write the store of votes at {self._path}, found that SQLite "
                    f"cannot ({error}); make room or give access, and run the command again."
                ) from error
            raise

    def _migrate(self) -> None:
        if self._version() == len(MIGRATIONS):
            return  # and not a byte of the file changes
        with self._transaction():
            version = self._version()
            if version > len(MIGRATIONS):
                raise ArtifactError(
                    f"Expected a store of votes of this or an earlier lossplace at {self._path}, "
                    f"found version {version} (this one knows {len(MIGRATIONS)}); "
                    "upgrade lossplace."
                )
            for migrate in MIGRATIONS[version:]:
                migrate(self._connection)
            self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _version(self) -> int:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _damaged(self, error: sqlite3.Error) -> ArtifactError:
        return ArtifactError(
            f"Expected a store of votes at {self._path}, found one that SQLite cannot use "
            f"({error}); restore it from a copy, or move it away to start anew."
        )


def _prompt_row(request: Request) -> tuple[str, str, str, str]:
    messages: Messages = request.messages
    return (
        request.prompt_sha256,
        request.ask.question.value,
        request.ask.snippet.code_sha256,
        json.dumps(messages, ensure_ascii=False),
    )
