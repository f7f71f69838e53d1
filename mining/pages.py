"""The pages of a search on disk, as GitHub sent them, and the table made of them. No network.

Below a run's folder: ``search/<query>/page-<n>.json.zst`` holds the body of an answer to the
byte; ``search/search.json`` says when the search was and what each page holds;
``repositories.parquet`` has one row for each result. Pages are the source: the other two are
made again from them without asking GitHub.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import zstandard
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from mining.artifacts import Artifact, Run, file_sha256, write_atomically
from mining.errors import ArtifactError
from mining.records import Repository
from mining.study import SearchSettings

SEARCH = "search/search.json"
REPOSITORIES = "repositories.parquet"

PER_PAGE = 100
MOST_PAGES = 10
"""GitHub shows the first 1,000 results of a search, and refuses to go on."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results. A place is None where GitHub sent nothing, or a private repository.

    A search also finds what only the token's owner may see; that has no place in a corpus which
    others are to repeat.
    """

    total_count: int
    incomplete: bool
    places: tuple[Repository | None, ...]

    def is_last(self, number: int) -> bool:
        """Tell whether no page follows this one, the ``number``-th.

        Told by the count and not by a short page: GitHub's pages may lack results.
        """
        return not self.places or number >= MOST_PAGES or number * PER_PAGE >= self.total_count


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PageRecord(_Record):
    """What ``search.json`` says of a page; ``incomplete``: GitHub ran out of time over it."""

    file: str
    sha256: str
    total_count: int
    incomplete: bool
    results: int


class QueryRecord(_Record):
    """What ``search.json`` says of a query.

    ``total_count`` is GitHub's count at the first page. ``repeated`` counts results that came
    twice, since the answer moves while it is read; ``withheld`` places without a public one.
    """

    query: str
    total_count: int
    repositories: int
    repeated: int
    withheld: int
    pages: tuple[PageRecord, ...]


class SearchRecord(_Record):
    """``search.json``: the instant of the search, where it was made, and what it gave.

    ``queries`` is empty until the search is finished.
    """

    as_of: AwareDatetime
    base_url: str
    queries: tuple[QueryRecord, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What a reader must know of the answers, a sentence each."""
        found = []
        for each in self.queries:
            if not each.repositories:
                found.append(f"GitHub knows no repository for {each.query!r}.")
            incomplete = sum(page.incomplete for page in each.pages)
            if incomplete:
                found.append(
                    f"GitHub calls {incomplete} of {len(each.pages)} pages for {each.query!r} "
                    "incomplete: it ran out of time, and repositories may be missing."
                )
        return found


def search_settings(settings: SearchSettings) -> dict[str, Any]:
    """Return the settings that change what a search gives."""
    return settings.model_dump(mode="json", exclude={"max_wait_s"})


def read_page(text: str) -> Page:
    """Read the body of an answer. Raises ValueError, which says in a phrase what is wrong."""
    try:
        body = json.loads(text)
    except ValueError:
        raise ValueError("not JSON, or cut short") from None
    try:
        page = _Body.model_validate(body)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the body"
        raise ValueError(f"{where}: {fault['msg']}") from None
    return Page(
        page.total_count,
        page.incomplete_results,
        tuple(None if item is None or item.private else item.repository for item in page.items),
    )


def page_name(query: str, number: int) -> str:
    """Return the place of a page within the run: ``search/pytorch-cnn/page-1.json.zst``.

    Queries of letters, digits and single spaces keep their words, since GitHub is blind to case;
    what others lose of their text, a part of its hash makes up for.
    """
    words = "-".join(re.findall("[a-z0-9]+", query.lower()))[:80]
    if words.replace("-", " ") != query.lower():
        words = f"{words}-{hashlib.sha256(query.encode()).hexdigest()[:8]}".lstrip("-")
    return f"search/{words}/page-{number}.json.zst"


def store_page(run: Run, query: str, number: int, text: str) -> None:
    """Write the body of an answer whole or not at all."""
    path = run.path(page_name(query, number))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(zstandard.ZstdCompressor(level=10).compress(text.encode()))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def stored_page(run: Run, query: str, number: int) -> Page | None:
    """Return a page that is on disk, else None. Raises ArtifactError if it is damaged."""
    path = run.path(page_name(query, number))
    try:
        return read_page(zstandard.ZstdDecompressor().decompress(path.read_bytes()).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, zstandard.ZstdError) as error:
        raise _damaged(path, error) from error


def stored_search(run: Run, base_url: str | None = None) -> SearchRecord | None:
    """Return what ``search.json`` says, else None.

    Raises ArtifactError if it is damaged, or if the search was made elsewhere than ``base_url``.
    """
    path = run.path(SEARCH)
    try:
        record = SearchRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if base_url is not None and record.base_url != base_url:
        raise ArtifactError(
            f"Expected the search in {run.folder} to be of {base_url}, found one of "
            f"{record.base_url}; give this study another run folder."
        )
    return record


def finished_search(run: Run) -> SearchRecord:
    """Return what ``search.json`` says. Raises ArtifactError if the search is not finished."""
    run.sha256(SEARCH)
    record = stored_search(run)
    assert record is not None  # it has a sidecar, which Run checks against the file
    return record


def begin_search(run: Run, base_url: str, as_of: datetime) -> SearchRecord:
    """Note the instant of the search, from which the time since a push counts; once, at first."""
    record = SearchRecord(as_of=as_of.astimezone(UTC).replace(microsecond=0), base_url=base_url)
    write_atomically(run.path(SEARCH), _json(record))
    return record


def finish_search(run: Run, begun: SearchRecord, settings: SearchSettings) -> SearchRecord:
    """Write ``repositories.parquet`` and the finished ``search.json`` from the stored pages."""
    pages = {query: _stored_pages(run, query) for query in dict.fromkeys(settings.queries)}
    frame = table_of_results(pages)
    counts = frame["query"].value_counts()
    queries = []
    for query, numbered in pages.items():
        places = [place for page in numbered for place in page.places]
        repositories = int(counts.get(query, 0))
        withheld = places.count(None)
        queries.append(
            QueryRecord(
                query=query,
                total_count=numbered[0].total_count,
                repositories=repositories,
                repeated=len(places) - withheld - repositories,
                withheld=withheld,
                pages=tuple(_page_record(run, query, n, p) for n, p in enumerate(numbered, 1)),
            )
        )
    record = begun.model_copy(update={"queries": tuple(queries)})
    artifact = Artifact("search", search_settings(settings), {})
    run.write_bytes(SEARCH, _json(record).encode(), artifact)
    run.write(REPOSITORIES, frame, artifact)
    return record


def table_of_results(pages: Mapping[str, Sequence[Page]]) -> pd.DataFrame:
    """Return the results of each query as a table, in the order given.

    Columns: query, search_position (1-based, in GitHub's order), repository, stars, forks,
    pushed_at, created_at (UTC), fork, archived, size_kb, license (SPDX). A repository that
    came twice for a query counts where it came first.
    """
    rows = [
        (query, PER_PAGE * page_index + place_index + 1, *astuple(repository))
        for query, numbered in pages.items()
        for page_index, page in enumerate(numbered)
        for place_index, repository in enumerate(page.places)
        if repository is not None
    ]
    names = [field.name for field in fields(Repository)]
    frame = pd.DataFrame(rows, columns=["query", "search_position", *names])
    frame = frame.rename(columns={"name": "repository"}).astype(_TYPES)
    return frame.drop_duplicates(["query", "repository"], ignore_index=True)


_TYPES: dict[str, Any] = {
    "query": "string",
    "search_position": "int64",
    "repository": "string",
    "stars": "int64",
    "forks": "int64",
    "pushed_at": "datetime64[us, UTC]",
    "created_at": "datetime64[us, UTC]",
    "fork": "bool",
    "archived": "bool",
    "size_kb": "int64",
    "license": "string",
}


class _License(BaseModel):
    key: str
    spdx_id: str | None = None


class _Item(BaseModel):
    """What is read of a search item; a real one has some eighty fields."""

    full_name: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
    private: bool = False
    stargazers_count: int
    forks_count: int
    pushed_at: AwareDatetime | None = None
    created_at: AwareDatetime
    fork: bool
    archived: bool = False
    size: int
    license: _License | None = None

    @property
    def repository(self) -> Repository:
        return Repository(
            self.full_name,
            self.stargazers_count,
            self.forks_count,
            self.pushed_at and self.pushed_at.astimezone(UTC),
            self.created_at.astimezone(UTC),
            self.fork,
            self.archived,
            self.size,
            None if self.license is None else self.license.spdx_id or self.license.key,
        )


class _Body(BaseModel):
    total_count: Annotated[int, Field(ge=0)]
    incomplete_results: bool = False
    items: list[_Item | None]


def _stored_pages(run: Run, query: str) -> list[Page]:
    pages: list[Page] = []
    while not pages or not pages[-1].is_last(len(pages)):
        page = stored_page(run, query, len(pages) + 1)
        if page is None:
            raise ArtifactError(
                f"Expected {run.path(page_name(query, len(pages) + 1))}, found nothing; "
                "run `lossplace search` again."
            )
        pages.append(page)
    return pages


def _page_record(run: Run, query: str, number: int, page: Page) -> PageRecord:
    name = page_name(query, number)
    return PageRecord(
        file=name,
        sha256=file_sha256(run.path(name)),
        total_count=page.total_count,
        incomplete=page.incomplete,
        results=len(page.places),
    )


def _json(record: SearchRecord) -> str:
    return record.model_dump_json(indent=1) + "\n"


def _damaged(path: Path, error: Exception) -> ArtifactError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ArtifactError(
        f"Expected what a search of lossplace wrote at {path}, found it damaged ({reason}); "
        "delete it and run `lossplace search` again."
    )
