"""The extraction stage: repositories' folders to files, snippets and classes on disk.

Workers extract one repository each and leave it as a part; this process puts the parts together.
A row group holds some megabytes, of many small repositories or of a piece of a large one, so that a
later stage can read one repository at a time, however large the corpus.
"""

from __future__ import annotations

import dataclasses
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mining.artifacts import Artifact, Run, table_of
from mining.clone import Clone, files_of_clone
from mining.clones import Place, StoredClone
from mining.code import Outline
from mining.corpus import FoundFile, Tree, files_of_folder, read_file
from mining.engines import open_engine
from mining.errors import ArtifactError
from mining.extract import Extraction, extract
from mining.notebooks import place_in_cell
from mining.parts import Parts, open_parts, part_key
from mining.progress import track
from mining.records import (
    EXTRACTED_OUTCOMES,
    Dropped,
    Outcome,
    Snippet,
    SourceFile,
)
from mining.study import CorpusSettings, ScaleSettings

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

_REPEATED = frozenset({"repository", "commit", "path", "encoding", "outcome", "reason", "kind"})
"""Columns whose values come again and again, which Parquet then holds once."""

_HELD_CHARACTERS = 1_000_000
"""So much text of a repository is held at a time."""

_ROW_GROUP_BYTES = 4_000_000
"""A row group is written once it has so many. Each costs its writer some ten kilobytes of memory
until the end, and each of its readers one: with one for each repository that was the largest part
of what ten thousand repositories took."""

_FILE_S = 0.0015
"""About so long one core takes for a file, of some ten kilobytes."""

_HELD_TABLES = 250
"""So many small tables are joined to one: such a table is mostly what Arrow notes about it, and to
join them one by one would copy the row group each time."""


def files_of(place: Place, settings: CorpusSettings) -> Iterator[FoundFile]:
    """Give every file of a repository, which is a folder or a clone.

    Raises ArtifactError if it is not there, as on another machine it may not.
    """
    limit, notebooks = settings.max_file_bytes, settings.notebooks
    if isinstance(place, StoredClone):
        with place.unpacked() as clone:
            yield from files_of_clone(clone.folder, limit, notebooks=notebooks)
        return
    folder = place.folder if isinstance(place, Clone) else place
    if not folder.is_dir():
        raise ArtifactError(
            f"Expected the code at {folder} on {platform.node()}, found no folder there; a folder "
            "that is worked on by several machines must be shared, or use scale.storage."
        )
    if isinstance(place, Clone):
        yield from files_of_clone(folder, limit, notebooks=notebooks)
    else:
        yield from files_of_folder(folder, limit, notebooks=notebooks)


@dataclass(frozen=True, slots=True)
class Source:
    """A repository to extract: where its files are, and one hash over them (see corpus.Tree).

    ``python_files`` counts those that are read.
    """

    repository: str
    commit: str | None
    place: Place
    tree_sha256: str
    python_files: int = 0


def extract_source(source: Source, settings: CorpusSettings) -> Iterator[tuple[str, pa.Table]]:
    """Give the rows of a repository by the name of their table, a bounded number at a time.

    Only names are held until the end, when the bases of all classes can be resolved. Raises
    ArtifactError at the end if its files are not what they were when it was fetched.
    """
    repository, commit = source.repository, source.commit
    outline = Outline()
    tree = Tree()
    files: list[SourceFile] = []
    snippets: list[Snippet] = []
    held = 0
    for found in files_of(source.place, settings):
        file = read_file(repository, commit, found)
        tree.add(found, file.sha256)
        if file.text is not None:
            extraction = extract(repository, commit, file.path, file.text)
            outline.add(file.path, extraction)
            file = _with_outcome(file, extraction)
            found_here = extraction.snippets
            snippets += _in_their_cells(found_here, file.cells) if file.cells else found_here
            held += len(file.text or "")
        files.append(file)
        if held > _HELD_CHARACTERS:
            yield from _tables(files, snippets)
            files, snippets, held = [], [], 0
    if tree.sha256 != source.tree_sha256:
        raise ArtifactError(
            f"Expected the files of {repository} as they were fetched, found them changed; "
            "run `lossplace fetch` again, or `lossplace run`, and leave them alone meanwhile."
        )
    yield from _tables(files, snippets)
    yield CLASSES, table_of(SCHEMAS[CLASSES], outline.classes.values())


def extract_corpus(
    run: Run,
    sources: Sequence[Source],
    dropped: Iterable[Dropped],
    settings: CorpusSettings,
    inputs: Mapping[str, str],
    scale: ScaleSettings,
) -> None:
    """Write files, snippets, classes and dropped of all sources, in their order.

    ``dropped`` is what left the flow before; it goes into the same table.
    """
    parts = open_parts(run, scale, "extract")
    keys = {
        source: part_key(
            source.repository, source.commit, source.tree_sha256, extraction_settings(settings)
        )
        for source in sources
    }
    there = parts.keys()
    work = _Work(parts, settings)
    done = open_engine(scale).map(
        work,
        [(key, source) for source, key in keys.items() if key not in there],
        work.lost,
        expected_s=lambda item: item[1].python_files * _FILE_S,
    )
    artifact = Artifact("extract", extraction_settings(settings), inputs)
    outcomes: Counter[str] = Counter(dict.fromkeys(Outcome, 0))
    with ExitStack() as stack:
        # the sidecars are written when the stack unwinds, when every table is whole
        tables = {name: stack.enter_context(_writing(run, name, artifact)) for name in SCHEMAS}
        stack.enter_context(closing(done))
        tables[DROPPED].write(table_of(SCHEMAS[DROPPED], dropped))
        for key in track(keys.values(), "extracting", len(keys)):
            if key not in there:
                next(done)
            for name, table in parts.get(key):
                tables[name].write(table)
                if name == FILES:
                    outcomes.update(map(str, table["outcome"].to_pylist()))
        tables[FILES].facts["notes"] = {"outcomes": dict(outcomes)}
    parts.clear()


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker does: leave the part of a source, if it is not there."""

    parts: Parts
    settings: CorpusSettings

    def __call__(self, item: tuple[str, Source]) -> None:
        key, source = item
        if key not in self.parts:
            self.parts.put(key, extract_source(source, self.settings))

    def lost(self, item: tuple[str, Source], reason: str) -> None:
        """Leave the part of a source that no worker survives."""
        key, source = item
        dropped = [Dropped(source.repository, "extract", reason)]
        self.parts.put(key, [(DROPPED, table_of(SCHEMAS[DROPPED], dropped))])


@dataclass(slots=True)
class _Table:
    """A table being written, what its sidecar will say, and the row group that is not yet full."""

    writer: pq.ParquetWriter
    facts: dict[str, Any]
    held: list[pa.Table] = field(default_factory=list)
    held_bytes: int = 0

    def write(self, table: pa.Table) -> None:
        if table.num_rows:
            self.held.append(table)
            self.held_bytes += table.nbytes
            self.facts["rows"] += table.num_rows
        if self.held_bytes >= _ROW_GROUP_BYTES:
            self.flush()
        elif len(self.held) >= _HELD_TABLES:
            self.held = [pa.concat_tables(self.held).combine_chunks()]

    def flush(self) -> None:
        if self.held:
            self.writer.write_table(pa.concat_tables(self.held))
            self.held, self.held_bytes = [], 0


@contextmanager
def _writing(run: Run, name: str, artifact: Artifact) -> Iterator[_Table]:
    schema = SCHEMAS[name]
    with run.replacing(name, artifact) as (temporary, facts):
        facts["rows"] = 0
        with pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            use_dictionary=[each for each in schema.names if each in _REPEATED],  # type: ignore[arg-type]
            write_statistics=[each for each in schema.names if each != "text"],
        ) as writer:
            table = _Table(writer, facts)
            yield table
            table.flush()


def _tables(files: list[SourceFile], snippets: list[Snippet]) -> Iterator[tuple[str, pa.Table]]:
    yield FILES, table_of(SCHEMAS[FILES], files)
    yield SNIPPETS, table_of(SCHEMAS[SNIPPETS], snippets)
    dropped = (_dropped(file) for file in files if file.outcome not in EXTRACTED_OUTCOMES)
    yield DROPPED, table_of(SCHEMAS[DROPPED], dropped)


def extraction_settings(settings: CorpusSettings) -> dict[str, Any]:
    """Return the settings that change what is extracted."""
    return {"max_file_bytes": settings.max_file_bytes, "notebooks": settings.notebooks}


def _in_their_cells(
    snippets: Iterable[Snippet], cells: Sequence[tuple[int, int]]
) -> Iterator[Snippet]:
    for snippet in snippets:
        cell, cell_line = place_in_cell(cells, snippet.start_line)
        yield dataclasses.replace(snippet, cell=cell, cell_line=cell_line)


def _with_outcome(file: SourceFile, extraction: Extraction) -> SourceFile:
    if extraction.broken and file.outcome is Outcome.EXTRACTED:
        file = dataclasses.replace(
            file,
            outcome=Outcome.PARTIAL,
            reason="has syntax errors, or is nested too deeply; read around them",
        )
    return dataclasses.replace(file, snippets=len(extraction.snippets))


def _dropped(file: SourceFile) -> Dropped:
    return Dropped(f"{file.repository}:{file.path}", "extract", file.reason or file.outcome)
