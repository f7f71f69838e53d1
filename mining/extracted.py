"""The extracted corpus of a run, read one repository at a time."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mining.artifacts import Run
from mining.code import RepositoryCode
from mining.errors import ArtifactError
from mining.extraction import CLASSES, FILES, SCHEMAS, SNIPPETS
from mining.records import (
    EXTRACTED_OUTCOMES,
    ClassDefinition,
    Kind,
    Snippet,
)
from mining.storage import Storage

_OF_CORPUS = (FILES, SNIPPETS, CLASSES)


class Corpus:
    """The extracted corpus of a run, read one repository at a time.

    A replication package leaves out texts that it may not pass on. Who needs no texts says so
    by ``without_texts``: such snippets then come with an empty one, but the hashes that they had.
    """

    def __init__(
        self, run: Run, *, without_texts: bool = False, published: Storage | None = None
    ) -> None:
        """Open a run's tables, or the copy of them that is ``published``; see ``publish``.

        Raises ArtifactError if the extraction is not done.
        """
        self._run = run
        self._without_texts = without_texts
        self._published = published
        self._opened = ExitStack()
        self._last: dict[str, tuple[tuple[int, list[str]], pa.Table]] = {}
        self._code: tuple[str, RepositoryCode] | None = None
        for name in _OF_CORPUS if published is None else ():
            run.sha256(name)

    @cached_property
    def repositories(self) -> list[str]:
        """The repositories that have a snippet, in the order of the corpus."""
        return list(self._pieces[SNIPPETS])

    @property
    def sizes(self) -> dict[str, int]:
        """How many snippets each of these has."""
        pieces = self._pieces[SNIPPETS].items()
        return {repository: sum(piece.rows for piece in each) for repository, each in pieces}

    def snippets(self, repository: str) -> list[Snippet]:
        """Return the snippets of a repository: its files as they were given, each by line.

        Raises ArtifactError if their texts were left out.
        """
        columns = [f.name for f in dataclasses.fields(Snippet)]
        snippets = []
        for row in self._rows(SNIPPETS, repository, [*columns, "snippet_id", "code_sha256"]):
            hashes = {name: row.pop(name) for name in ("snippet_id", "code_sha256")}
            left_out = row["text"] is None
            if left_out and not self._without_texts:
                raise self._left_out(repository)
            snippet = Snippet(**{**row, "kind": Kind(row["kind"]), "text": row["text"] or ""})
            if left_out:
                vars(snippet).update(hashes)  # cached, so that they are not those of no text
            snippets.append(snippet)
        return snippets

    def classes(self, repository: str) -> list[ClassDefinition]:
        """Return the classes of a repository, with their resolved bases."""
        return [
            ClassDefinition(
                **{
                    **row,
                    "bases": tuple(row["bases"]),
                    "resolved_bases": tuple(row["resolved_bases"]),
                }
            )
            for row in self._rows(CLASSES, repository, SCHEMAS[CLASSES].names)
        ]

    def code(self, repository: str) -> RepositoryCode:
        """Return the texts of a repository's Python files, as they were when extracted.

        Those of the last one are kept, with all that is derived from them. Raises ArtifactError
        if they were left out.
        """
        if self._code is not None and self._code[0] == repository:
            return self._code[1]
        self._code = None  # two are never held at once
        rows = list(self._rows(FILES, repository, ["commit", "path", "outcome", "text"]))
        if any(row["text"] is None and row["outcome"] in EXTRACTED_OUTCOMES for row in rows):
            raise self._left_out(repository)
        code = RepositoryCode(
            repository,
            rows[0]["commit"] if rows else None,
            {row["path"]: row["text"] for row in rows if row["text"] is not None},
        )
        self._code = repository, code
        return code

    def _left_out(self, repository: str) -> ArtifactError:
        return ArtifactError(
            f"Expected the code of {repository} in {self._run.folder}, found that it was left out "
            "of this replication package; get the run itself, or fetch the repository anew."
        )

    @cached_property
    def _files(self) -> dict[str, pq.ParquetFile]:
        return {name: pq.ParquetFile(self._open(name)) for name in _OF_CORPUS}

    def _open(self, name: str) -> Any:
        if self._published is None:
            return self._run.path(name)
        return self._opened.enter_context(self._published.open(name))

    @cached_property
    def _pieces(self) -> dict[str, dict[str, list[_Piece]]]:
        """Where the rows of each repository are, by table."""
        return {name: _pieces(file) for name, file in self._files.items()}

    def _rows(self, name: str, repository: str, columns: list[str]) -> Iterator[dict[str, Any]]:
        for piece in self._pieces[name].get(repository, ()):
            group = self._row_group(name, piece.group, columns)
            yield from group.slice(piece.first_row, piece.rows).to_pylist()

    def _row_group(self, name: str, number: int, columns: list[str]) -> pa.Table:
        """Return a row group of a table. The last one is kept: the next repository is in it too."""
        asked = (number, columns)
        if name not in self._last or self._last[name][0] != asked:
            self._last[name] = asked, self._files[name].read_row_group(number, columns=columns)
        return self._last[name][1]


def publish(run: Run, storage: Storage) -> Storage:
    """Copy a run's corpus to where other machines open it, unless it is there; return the place."""
    digest = hashlib.sha256("".join(map(run.sha256, _OF_CORPUS)).encode()).hexdigest()
    place = storage / f"corpus-{digest[:16]}"
    for name in set(_OF_CORPUS) - place.names():
        place.put(run.path(name), name)
    return place


class _Piece(NamedTuple):
    """Rows of one repository, which follow each other in a row group."""

    group: int
    first_row: int
    rows: int


def _pieces(file: pq.ParquetFile) -> dict[str, list[_Piece]]:
    found: dict[str, list[_Piece]] = {}
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=["repository"])
        repositories: list[Any] = group.column(0).to_pylist()
        first_row = 0
        for repository, run in groupby(repositories):
            rows = sum(1 for _ in run)
            found.setdefault(repository, []).append(_Piece(number, first_row, rows))
            first_row += rows
    return found
