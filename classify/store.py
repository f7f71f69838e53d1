"""The store of votes: one SQLite file a run, from which every verdict can be recomputed.

A vote's key is (hash of the rendered prompt, hash of the judge's settings, draw number, limit of
the answer): the same prompt is paid for once, a changed prompt or temperature voids only its own
rows, and a higher limit only the answers that a lower one cut off. The raw text is kept; what it
decides is never stored, so a better parser costs no model time. Errors are rows of their own,
never votes. Nothing is ever deleted but an error that an answer follows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from classify.judges import Completion, JudgeSettings, Request
from classify.migrations import MIGRATIONS, checksum
from classify.questions import Question
from classify.schema import MOST_BYTES, connect
from mining.errors import ArtifactError
from mining.study import utc
from mining.untrusted_json import json_of

CUT = "length"
"""The finish reason of an answer that its limit cut off."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One stored answer."""

    draw: int
    text: str
    finish_reason: str


_Prompt = tuple[str, str, str, str]
"""The first four fields of a stored vote."""


class StoredVote(NamedTuple):
    """A vote with the prompt that it answers, as the store keeps them, but for who gave it."""

    prompt_sha256: str
    question: str
    code_sha256: str
    messages: str
    """JSON: [[role, content], ...]"""
    draw: int
    text: str
    finish_reason: str
    first_draw: int
    prompt_tokens: int
    output_tokens: int
    seed: int | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a prompt has no answer. ``refused``: asking again cannot help."""

    reason: str
    refused: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class Template:
    """Which text a question was asked by: the name of its version, and its hash."""

    version: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the votes of one judge on a prompt cost. ``chars`` is the length of the prompt."""

    prompt_sha256: str
    question: Question
    code_sha256: str
    chars: int
    votes: int
    requests: int
    prompt_tokens: int
    output_tokens: int


class Store:
    """The votes of one run. Opened as a context; writes are committed a completion at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the store at ``path``; raises ArtifactError if it is no such store."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            self._connection = connect(path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # a commit survives a killed process; only a power cut may take the last ones
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate()
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    def __enter__(self) -> Store:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; all that was added is in it."""
        self.close()

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        # where that cannot be, as on a full disk, the log stays beside it and loses nothing
        with closing(self._connection), suppress(sqlite3.DatabaseError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def votes(self, prompt_sha256: str, judge: JudgeSettings) -> list[Vote]:
        """Return the votes on a prompt by a judge that are valid under its limit, by draw number.

        A draw that was cut off and asked for again counts as the better of the two. One that was
        cut off below the judge's present limit is left out, to be asked for again. Raises
        ArtifactError if a vote is not what was stored.
        """
        votes: list[Vote] = []
        for draw, text, finish_reason, max_tokens, crc32 in self._read(
            "SELECT draw, text, finish_reason, max_tokens, crc32 FROM votes"
            " WHERE prompt_sha256 = ? AND judge_sha256 = ?"
            " ORDER BY draw, finish_reason = ?, max_tokens = 0 DESC, max_tokens DESC",
            (prompt_sha256, judge.sha256, CUT),
            (int, str, str, int, int),
        ):
            if crc32 != checksum(draw, max_tokens, text, finish_reason):
                raise self._altered(prompt_sha256, judge, draw)
            if votes and votes[-1].draw == draw:
                continue
            if finish_reason != CUT or not 0 < max_tokens < (judge.max_tokens or 0):
                votes.append(Vote(draw, text, finish_reason))
        return votes

    def add(
        self, completion: Completion, judge: JudgeSettings, template: Template | None = None
    ) -> None:
        """Keep the answers of a completion, all or none. One with an error is refused."""
        if completion.error is not None:
            raise ValueError(f"an error is not an answer: {completion.error}")
        self.add_all(stored_votes(completion), judge, template, completion.provenance)

    def add_all(
        self,
        votes: Iterable[StoredVote],
        judge: JudgeSettings,
        template: Template | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep many votes of one judge, all or none; return how many of them were not here yet."""
        votes = list(votes)
        named = _json({"engine": judge.engine, **(provenance or {})})
        limit, now = judge.max_tokens or 0, utc(datetime.now(UTC))
        with self._transaction():
            self._add_parties(dict.fromkeys(vote[:4] for vote in votes), judge, template)
            self._connection.executemany(
                "DELETE FROM failures WHERE prompt_sha256 = ? AND judge_sha256 = ?",
                [(vote.prompt_sha256, judge.sha256) for vote in votes],
            )
            self._connection.execute(
                "INSERT OR IGNORE INTO provenances (provenance) VALUES (?)", (named,)
            )
            ((provenance_id,),) = self._connection.execute(
                "SELECT provenance_id FROM provenances WHERE provenance = ?", (named,)
            )
            added = self._connection.executemany(
                "INSERT OR IGNORE INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        vote.prompt_sha256,
                        judge.sha256,
                        vote.draw,
                        limit,
                        vote.text,
                        vote.finish_reason,
                        vote.first_draw,
                        vote.prompt_tokens,
                        vote.output_tokens,
                        vote.seed,
                        provenance_id,
                        now,
                        checksum(vote.draw, limit, vote.text, vote.finish_reason),
                    )
                    for vote in votes
                ],
            )
        return added.rowcount

    def fail(
        self,
        completion: Completion,
        judge: JudgeSettings,
        template: Template | None = None,
    ) -> None:
        """Note that a prompt got no answer, and why: no vote, but what the next run must know."""
        request = completion.request
        with self._transaction():
            self._add_parties([_prompt_of(request)], judge, template)
            self._connection.execute(
                "INSERT INTO failures VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET"
                " reason = excluded.reason, refused = excluded.refused,"
                " attempts = attempts + 1, failed_at = excluded.failed_at",
                (
                    request.prompt_sha256,
                    judge.sha256,
                    completion.error,
                    completion.refused,
                    utc(datetime.now(UTC)),
                ),
            )

    def failures(self, judge: JudgeSettings) -> dict[str, Failure]:
        """Return the prompts that a judge gave no answer to, by hash."""
        rows = self._read(
            "SELECT prompt_sha256, reason, refused, attempts FROM failures WHERE judge_sha256 = ?",
            (judge.sha256,),
            (str, str, int, int),
        )
        return {
            prompt: Failure(reason, bool(refused), attempts)
            for prompt, reason, refused, attempts in rows
        }

    def reasons(self, judge: JudgeSettings) -> dict[str, str]:
        """Return why a judge gave no answer, by the hash of the prompt."""
        return {prompt: failure.reason for prompt, failure in self.failures(judge).items()}

    def judges(self) -> list[JudgeSettings]:
        """Return the judges that voted here, without a limit, so that all their votes count."""
        rows = self._read(
            "SELECT kind, settings FROM judges ORDER BY judge_sha256", types=(str, str)
        )
        return [JudgeSettings(kind, self._settings(text), "stored") for kind, text in rows]

    def _settings(self, text: str) -> dict[str, Any]:
        try:
            found = json_of(text)
        except ValueError as error:
            raise self._damaged(error) from error
        if not isinstance(found, dict):
            raise self._damaged("a judge without settings")
        return found

    def costs(self, judge: JudgeSettings) -> Iterator[Cost]:
        """Give what each prompt cost that a judge voted on, over all runs.

        The tokens of a prompt count once for each request, as its draws share them. No vote may
        be added meanwhile.
        """
        rows = self._each(
            "SELECT prompt_sha256, question, code_sha256, length(messages), sum(votes), count(*),"
            " sum(prompt_tokens), sum(output_tokens) FROM prompts JOIN ("
            "  SELECT prompt_sha256, count(*) AS votes, max(prompt_tokens) AS prompt_tokens,"
            "  sum(output_tokens) AS output_tokens FROM votes WHERE judge_sha256 = ?"
            "  GROUP BY prompt_sha256, max_tokens, first_draw"
            " ) USING (prompt_sha256) GROUP BY prompt_sha256",
            (judge.sha256,),
            (str, str, str, int, int, int, int, int),
        )
        for prompt, question, *numbers in rows:
            if question not in list(Question):
                raise self._damaged(f"the question {question!r}")
            yield Cost(prompt, Question(question), *numbers)

    def answered(self, judge: JudgeSettings) -> Iterator[tuple[str, int]]:
        """Give each second in which a judge answered, in order, with the output tokens."""
        yield from self._read(
            "SELECT answered_at, sum(output_tokens) FROM votes WHERE judge_sha256 = ?"
            " AND answered_at IS NOT NULL GROUP BY answered_at ORDER BY answered_at",
            (judge.sha256,),
            (str, int),
        )

    def extremes(
        self, judge: JudgeSettings, templates: Mapping[Question, Template]
    ) -> Iterator[tuple[Question, str, str]]:
        """Give the first and the last in order of a judge's prompts on each question (JSON).

        What these two have in common, all prompts of the template have.
        """
        for question, template in templates.items():
            [(first, last)] = self._read(
                "SELECT min(messages), max(messages) FROM prompts WHERE question = ?"
                " AND template_sha256 = ? AND EXISTS (SELECT 1 FROM votes"
                "  WHERE prompt_sha256 = prompts.prompt_sha256 AND judge_sha256 = ?)",
                (question.value, template.sha256, judge.sha256),
            )
            if first is not None:
                yield question, first, last

    def cut_below(self, judge: JudgeSettings) -> tuple[int, int]:
        """Return how many of a judge's votes its present limit voids, and their output tokens."""
        ((votes, tokens),) = self._read(
            "SELECT count(*), total(output_tokens) FROM votes AS cut WHERE judge_sha256 = ?"
            " AND finish_reason = ? AND max_tokens > 0 AND max_tokens < ? AND NOT EXISTS ("
            "  SELECT 1 FROM votes WHERE prompt_sha256 = cut.prompt_sha256"
            "  AND judge_sha256 = cut.judge_sha256 AND draw = cut.draw"
            "  AND (finish_reason <> ? OR max_tokens = 0 OR max_tokens >= ?))",
            (judge.sha256, CUT, judge.max_tokens or 0, CUT, judge.max_tokens or 0),
        )
        return votes, int(tokens)

    def voted(self, judge: JudgeSettings) -> tuple[int, int]:
        """Return how many votes a judge has here, and their output tokens."""
        ((votes, tokens),) = self._read(
            "SELECT count(*), total(output_tokens) FROM votes WHERE judge_sha256 = ?",
            (judge.sha256,),
        )
        return votes, int(tokens)

    def voted_by_others(
        self, judge: JudgeSettings, question: Question, template_sha256: str
    ) -> tuple[int, int]:
        """Return a judge's votes on a question by other prompts, and their output tokens.

        Of votes from before templates were noted it is not known, and they are left out.
        """
        ((votes, tokens),) = self._read(
            "SELECT count(*), total(output_tokens) FROM votes JOIN prompts USING (prompt_sha256)"
            " WHERE judge_sha256 = ? AND question = ? AND template_sha256 NOT IN ('', ?)",
            (judge.sha256, question.value, template_sha256),
        )
        return votes, int(tokens)

    def _read(
        self, query: str, values: tuple[object, ...] = (), types: tuple[type, ...] = ()
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query; SQLite itself lets any column hold any of its types."""
        return list(self._each(query, values, types))

    def _each(
        self, query: str, values: tuple[object, ...], types: tuple[type, ...]
    ) -> Iterator[tuple[Any, ...]]:
        """Give the rows of a query one by one; nothing may be written meanwhile."""
        try:
            for row in self._connection.execute(query, values):
                if not all(map(isinstance, row, types)):
                    raise self._damaged("a value of a wrong type")
                yield row
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    def _add_parties(
        self, prompts: Iterable[_Prompt], judge: JudgeSettings, template: Template | None
    ) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO judges VALUES (?, ?, ?)",
            (judge.sha256, judge.kind, json.dumps(dict(judge.text), sort_keys=True)),
        )
        template = template or Template()
        self._connection.executemany(
            "INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " version = excluded.version, template_sha256 = excluded.template_sha256"
            " WHERE template_sha256 = '' AND excluded.template_sha256 <> ''",
            [(*prompt, template.version, template.sha256) for prompt in prompts],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                with suppress(sqlite3.DatabaseError):
                    self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DataError):
                raise ArtifactError(
                    f"Expected prompts and answers of at most {MOST_BYTES // 2**20} MiB for the "
                    f"store of votes at {self._path}, found a longer one ({error}); lower "
                    "corpus.max_file_bytes, and run all again."
                ) from error
            # any other subclass of these says that what is written is wrong, which is our mistake
            if type(error) in (sqlite3.DatabaseError, sqlite3.OperationalError):
                raise self._unusable(error) from error
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

    def _unusable(self, error: BaseException) -> ArtifactError:
        # full, locked, or not to be written; a text that is not UTF-8 has no code
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            return ArtifactError(
                f"Expected to read and write the store of votes at {self._path}, found that "
                f"SQLite cannot ({error}); make room or give access, and run the command again."
            )
        return self._damaged(error)

    def _altered(self, prompt_sha256: str, judge: JudgeSettings, draw: int) -> ArtifactError:
        return ArtifactError(
            f"Expected each vote in the store at {self._path} to be what was answered, found one "
            f"whose text was damaged on disk (prompt {prompt_sha256}, draw {draw}); restore the "
            f"store from a copy, or take the vote out, so that {judge.name} is asked again: "
            f"sqlite3 votes.sqlite \"DELETE FROM votes WHERE prompt_sha256 = '{prompt_sha256}' "
            f'AND draw = {draw}".'
        )

    def _damaged(self, error: BaseException | str) -> ArtifactError:
        return ArtifactError(
            f"Expected a store of votes at {self._path}, found one that SQLite cannot use "
            f"({error}); restore it from a copy, or move it away to start anew."
        )


def stored_votes(completion: Completion) -> Iterator[StoredVote]:
    """Give the answers of a completion as they are stored."""
    request, prompt = completion.request, _prompt_of(completion.request)
    for number, answer in enumerate(completion.answers):
        yield StoredVote(
            *prompt,
            request.first_draw + number,
            answer.text,
            answer.finish_reason,
            request.first_draw,
            completion.prompt_tokens,
            answer.output_tokens,
            None if completion.seed is None else completion.seed + number,
        )


def _prompt_of(request: Request) -> _Prompt:
    return (
        request.prompt_sha256,
        request.ask.question.value,
        request.ask.snippet.code_sha256,
        json.dumps(request.messages, ensure_ascii=False),
    )


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(
        fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str
    )
