"""The extraction stage: repositories' folders to files, snippets and classes on disk.

Each table has one row group for each repository, so that a later stage can read one
repository at a time, however large the corpus.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mining.artifacts import Artifact, Run, table_of
from mining.clone import Clone, files_of_clone
from mining.code import RepositoryCode
from mining.corpus import FoundFile, files_of_folder, read_file
from mining.errors import ArtifactError
from mining.notebooks import place_in_cell
from mining.progress import track
from mining.records import (
    EXTRACTED_OUTCOMES,
    ClassDefinition,
    Dropped,
    Kind,
    Outcome,
    Snippet,
    SourceFile,
)
from mining.study import CorpusSettings

FILES, SNIPPETS, CLASSES, DROPPED = (
    "files.parquet",
    "snippets.parquet",
    "classes.parquet",
    "dropped.parquet",
)

_TEXT: pa.DataType = pa.string()
_TEXTS: pa.DataType = pa.list_(pa.string())
_INTEGER: pa.DataType = pa.int64()

SCHEMAS = {
    FILES: pa.schema(
        {
            "repository": _TEXT,
            "commit": _TEXT,
            "path": _TEXT,
            "size_bytes": _INTEGER,
            "sha256": _TEXT,
            "encoding": _TEXT,
            "outcome": _TEXT,
            "reason": _TEXT,
            "snippets": _INTEGER,
            "text": _TEXT,
            "git_sha1": _TEXT,
        }
    ),
    SNIPPETS: pa.schema(
        {
            "snippet_id": _TEXT,
            "repository": _TEXT,
            "commit": _TEXT,
            "path": _TEXT,
            "start_line": _INTEGER,
            "end_line": _INTEGER,
            "kind": _TEXT,
            "qualname": _TEXT,
            "class_qualname": _TEXT,
            "code_sha256": _TEXT,
            "text": _TEXT,
            "cell": _INTEGER,
            "cell_line": _INTEGER,
        }
    ),
    CLASSES: pa.schema(
        {
            "repository": _TEXT,
            "path": _TEXT,
            "qualname": _TEXT,
            "start_line": _INTEGER,
            "end_line": _INTEGER,
            "bases": _TEXTS,
            "resolved_bases": _TEXTS,
        }
    ),
    DROPPED: pa.schema({"subject": _TEXT, "stage": _TEXT, "reason": _TEXT}),
}
"""The documented columns of what this stage writes; see README, "What a run holds"."""


def files_of(place: Path | Clone, settings: CorpusSettings) -> Iterator[FoundFile]:
    """Give every file of a repository, which is a folder or a clone."""
    limit, notebooks = settings.max_file_bytes, settings.notebooks
    if isinstance(place, Clone):
        return files_of_clone(place.folder, limit, notebooks=notebooks)
    return files_of_folder(place, limit, notebooks=notebooks)


def extract_repository(
    repository: str, commit: str | None, place: Path | Clone, settings: CorpusSettings
) -> tuple[list[SourceFile], RepositoryCode]:
    """Read every file of a repository and extract it; the files carry their outcomes."""
    files = [read_file(repository, commit, found) for found in files_of(place, settings)]
    code = RepositoryCode(repository, commit, {f.path: f.text for f in files if f.text is not None})
    return [_with_outcome(file, code) for file in files], code


def extract_corpus(
    run: Run,
    repositories: Sequence[tuple[str, str | None, Path | Clone]],
    dropped: Iterable[Dropped],
    settings: CorpusSettings,
    inputs: Mapping[str, str],
) -> None:
    """Write files, snippets, classes and dropped for (repository, commit, place) triples.

    ``dropped`` is what left the flow before; it goes into the same table.
    """
    artifact = Artifact("extract", extraction_settings(settings), inputs)
    outcomes: dict[str, int] = dict.fromkeys(Outcome, 0)
    with ExitStack() as stack:
        # the sidecars are written when the stack unwinds, when every table is whole
        writers = {}
        facts = {}
        for name, schema in SCHEMAS.items():
            temporary, facts[name] = stack.enter_context(run.replacing(name, artifact))
            facts[name]["rows"] = 0
            writers[name] = stack.enter_context(
                pq.ParquetWriter(temporary, schema, compression="zstd")
            )

        def write(name: str, records: Iterable[Any]) -> None:
            table = table_of(SCHEMAS[name], records)
            if table.num_rows:
                writers[name].write_table(table)
                facts[name]["rows"] += table.num_rows

        write(DROPPED, dropped)
        for repository, commit, place in track(repositories, "extracting", len(repositories)):
            files, code = extract_repository(repository, commit, place, settings)
            cells = {file.path: file.cells for file in files}
            write(FILES, files)
            write(
                SNIPPETS,
                (
                    _in_its_cell(snippet, cells[snippet.path])
                    for extraction in code.extractions.values()
                    for snippet in extraction.snippets
                ),
            )
            write(CLASSES, code.classes.values())
            write(DROPPED, (_dropped(f) for f in files if f.outcome not in EXTRACTED_OUTCOMES))
            for file in files:
                outcomes[file.outcome] += 1
        facts[FILES]["notes"] = {"outcomes": outcomes}


def extraction_settings(settings: CorpusSettings) -> dict[str, Any]:
    """Return the settings that change what is extracted."""
    return {"max_file_bytes": settings.max_file_bytes, "notebooks": settings.notebooks}


class Corpus:
    """The extracted corpus of a run, read one repository at a time.

    A replication package leaves out texts that it may not pass on. Who needs no texts says so
    by ``without_texts``: such snippets then come with an empty one, but the hashes that they had.
    """

    def __init__(self, run: Run, *, without_texts: bool = False) -> None:
        """Open a run's tables. Raises ArtifactError if the extraction is not done."""
        self._run = run
        self._without_texts = without_texts
        for name in (FILES, SNIPPETS, CLASSES):
            run.sha256(name)

    @cached_property
    def repositories(self) -> list[str]:
        """The repositories that have a snippet, in the order of the corpus."""
        return list(self._groups[SNIPPETS])

    def snippets(self, repository: str) -> list[Snippet]:
        """Return the snippets of a repository, by path and line.

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

        Raises ArtifactError if they were left out.
        """
        rows = list(self._rows(FILES, repository, ["commit", "path", "outcome", "text"]))
        if any(row["text"] is None and row["outcome"] in EXTRACTED_OUTCOMES for row in rows):
            raise self._left_out(repository)
        return RepositoryCode(
            repository,
            rows[0]["commit"] if rows else None,
            {row["path"]: row["text"] for row in rows if row["text"] is not None},
        )

    def _left_out(self, repository: str) -> ArtifactError:
        return ArtifactError(
            f"Expected the code of {repository} in {self._run.folder}, found that it was left out "
            "of this replication package; get the run itself, or fetch the repository anew."
        )

    @cached_property
    def _files(self) -> dict[str, pq.ParquetFile]:
        return {name: pq.ParquetFile(self._run.path(name)) for name in (FILES, SNIPPETS, CLASSES)}

    @cached_property
    def _groups(self) -> dict[str, dict[str, list[int]]]:
        """The row groups of each repository, by table."""
        return {name: _row_groups(file) for name, file in self._files.items()}

    def _rows(self, name: str, repository: str, columns: list[str]) -> Iterator[dict[str, Any]]:
        groups = self._groups[name].get(repository, [])
        yield from self._files[name].read_row_groups(groups, columns=columns).to_pylist()


def _row_groups(file: pq.ParquetFile) -> dict[str, list[int]]:
    repositories = file.read(columns=["repository"]).column(0)
    groups: dict[str, list[int]] = {}
    first_row = 0
    for number in range(file.metadata.num_row_groups):
        groups.setdefault(repositories[first_row].as_py(), []).append(number)
        first_row += file.metadata.row_group(number).num_rows
    return groups


def _in_its_cell(snippet: Snippet, cells: Sequence[tuple[int, int]]) -> Snippet:
    if not cells:
        return snippet
    cell, cell_line = place_in_cell(cells, snippet.start_line)
    return dataclasses.replace(snippet, cell=cell, cell_line=cell_line)


def _with_outcome(file: SourceFile, code: RepositoryCode) -> SourceFile:
    extraction = code.extractions.get(file.path)
    if extraction is None:
        return file
    if extraction.broken and file.outcome is Outcome.EXTRACTED:
        file = dataclasses.replace(
            file, outcome=Outcome.PARTIAL, reason="has syntax errors; read around them"
        )
    return dataclasses.replace(file, snippets=len(extraction.snippets))


def _dropped(file: SourceFile) -> Dropped:
    return Dropped(f"{file.repository}:{file.path}", "extract", file.reason or file.outcome)
