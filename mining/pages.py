"""The pages of a search on disk, as GitHub sent them, and the tables made of them. No network.

Below a run's folder: ``search/<query>/page-<n>.json.zst`` holds the body of an answer to the
byte; those of a window lie in a folder of it. ``search/search.json`` says when the search was and
what each page holds; ``ledger.parquet`` has one row for each query, ``repositories.parquet`` one
for each result. Pages are the source: the others are made again from them without asking GitHub.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import zstandard
from pydantic import AwareDatetime, BaseModel, ConfigDict

from mining.answers import Page, read_page
from mining.artifacts import Artifact, Run, file_sha256, whole, write_atomically
from mining.errors import ArtifactError, ServiceError
from mining.ledger import LEDGER, Answers, ledger, ledger_lines
from mining.progress import say
from mining.records import Repository
from mining.study import SearchSettings
from mining.windows import LIMITS, Asking, Limits, Request, Window, all_results, first_results

SEARCH = "search/search.json"
REPOSITORIES = "repositories.parquet"


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
    """What ``search.json`` says of a query: its pages, in the order in which they were asked."""

    query: str
    pages: tuple[PageRecord, ...]


class SearchRecord(_Record):
    """``search.json``: the instant of the search, where it was made, and what it gave.

    ``queries`` is empty until the search is finished.
    """

    as_of: AwareDatetime
    base_url: str
    queries: tuple[QueryRecord, ...] = ()


def search_settings(settings: SearchSettings) -> dict[str, Any]:
    """Return the settings that change what a search gives, or whether it is good enough."""
    return settings.model_dump(mode="json", exclude={"max_wait_s", "timeout_s"})


def asking(settings: SearchSettings, as_of: datetime, limits: Limits = LIMITS) -> Asking:
    """Return what asks the pages of one query, by the study's population."""
    return all_results(as_of, limits) if settings.population == "all" else first_results(limits)


def replay(
    run: Run, query: str, asking: Asking, missing: Callable[[str, Request], Page] | None = None
) -> Answers:
    """Read the pages of a query as far as they are stored, and get the ``missing`` ones.

    Raises ArtifactError if a page is damaged, or missing where nothing gets it.
    """
    pages: list[tuple[Request, Page]] = []
    request = next(asking)
    while True:
        page = stored_page(run, query, *request)
        if page is None:
            if missing is None:
                raise ArtifactError(
                    f"Expected {run.path(page_name(query, *request))}, found nothing; "
                    "run `lossplace search` again."
                )
            page = missing(query, request)
        pages.append((request, page))
        try:
            request = asking.send(page)
        except StopIteration as end:
            return Answers(query, tuple(pages), end.value)


def page_name(query: str, number: int, window: Window | None = None, attempt: int = 1) -> str:
    """Return the place of a page within the run: ``search/pytorch-cnn/page-1.json.zst``.

    Queries of letters, digits and single spaces keep their words, since GitHub is blind to case;
    what others lose of their text, a part of its hash makes up for.
    """
    words = "-".join(re.findall("[a-z0-9]+", query.lower()))[:80]
    if words.replace("-", " ") != query.lower():
        words = f"{words}-{hashlib.sha256(query.encode()).hexdigest()[:8]}".lstrip("-")
    folder = words if window is None else f"{words}/{window.name}"
    again = "" if attempt == 1 else f"-attempt-{attempt}"
    return f"search/{folder}/page-{number}{again}.json.zst"


def store_page(
    run: Run, query: str, number: int, text: str, window: Window | None = None, attempt: int = 1
) -> None:
    """Write the body of an answer whole or not at all."""
    path = run.path(page_name(query, number, window, attempt))
    with whole(path) as temporary:
        temporary.write_bytes(zstandard.ZstdCompressor(level=10).compress(text.encode()))


def stored_page(
    run: Run, query: str, number: int, window: Window | None = None, attempt: int = 1
) -> Page | None:
    """Return a page that is on disk, else None. Raises ArtifactError if it is damaged."""
    path = run.path(page_name(query, number, window, attempt))
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
    """Write the tables and the finished ``search.json`` from the stored pages alone.

    Raises ArtifactError if a page is missing or damaged, ServiceError as ``write_search``.
    """
    queries = dict.fromkeys(settings.queries)
    searched = [replay(run, query, asking(settings, begun.as_of)) for query in queries]
    return write_search(run, begun, settings, searched)


def write_search(
    run: Run,
    begun: SearchRecord,
    settings: SearchSettings,
    searched: Sequence[Answers],
    limits: Limits = LIMITS,
) -> SearchRecord:
    """Write ``ledger.parquet``, ``search.json`` and ``repositories.parquet``.

    Raises ServiceError, with the ledger shown and written, if a query has a larger gap than
    ``max_gap_percent``.
    """
    artifact = Artifact("search", search_settings(settings), {})
    gaps = ledger(searched, limits)
    run.write(LEDGER, gaps, artifact)
    lacking = gaps[gaps["gap_percent"] > settings.max_gap_percent]
    if len(lacking):
        for line in ledger_lines(gaps):
            say(line)
        worst = lacking.nlargest(1, "gap_percent").to_dict("records")[0]
        folder = run.path(page_name(worst["query"], 1)).parent
        raise ServiceError(
            f"Expected at most search.max_gap_percent = {settings.max_gap_percent:g} % of a "
            f"query's results to be missing, found more for {len(lacking)} of {len(gaps)}, at "
            f"most {worst['gap_percent']:.2f} % for {worst['query']!r}; delete {folder} to ask "
            "it anew, or allow a larger gap."
        )
    record = begun.model_copy(
        update={
            "queries": tuple(
                QueryRecord(
                    query=each.query,
                    pages=tuple(_page_record(run, each.query, *asked) for asked in each.pages),
                )
                for each in searched
            )
        }
    )
    frame = table_of_results(
        {each.query: _standing_first(each) for each in searched},
        limits.per_page,
        names=_latest_names(page for each in searched for _, page in each.pages),
    )
    run.write_bytes(SEARCH, _json(record).encode(), artifact)
    run.write(REPOSITORIES, frame, artifact)
    return record


def table_of_results(
    pages: Mapping[str, Sequence[Page]],
    per_page: int = LIMITS.per_page,
    names: Mapping[int, str] | None = None,
) -> pd.DataFrame:
    """Return the results of each query as a table, in the order given.

    Columns: query, search_position (1-based, in the order of the pages), repository_id (GitHub's
    number), repository, stars, forks, pushed_at, created_at (UTC), fork, archived, size_kb,
    license (SPDX). A repository that came twice for a query counts where it came first.
    ``names`` gives for each number the repository's name where that has changed meanwhile.
    """
    names = names or {}
    rows = [
        (
            query,
            per_page * page_index + place_index + 1,
            place.repository_id,
            *astuple(place.repository),
        )
        for query, numbered in pages.items()
        for page_index, page in enumerate(numbered)
        for place_index, place in enumerate(page.places)
        if place is not None
    ]
    columns = [field.name for field in fields(Repository)]
    frame = pd.DataFrame(rows, columns=["query", "search_position", "repository_id", *columns])
    frame = frame.rename(columns={"name": "repository"}).astype(_TYPES)
    frame = frame.drop_duplicates(["query", "repository_id"], ignore_index=True)
    if names:
        frame["repository"] = frame["repository_id"].map(names).astype("string")
    # a name that was given up may be another repository's by now
    return frame.drop_duplicates(["query", "repository"], ignore_index=True)


_TYPES: dict[str, Any] = {
    "query": "string",
    "search_position": "int64",
    "repository_id": "int64",
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


def _standing_first(answers: Answers) -> list[Page]:
    """Return all pages: those that stand for the query, and after them what else was shown."""
    standing = answers.standing
    chosen = {id(page) for page in standing}
    return standing + [page for _, page in answers.pages if id(page) not in chosen]


def _latest_names(pages: Iterable[Page]) -> dict[int, str]:
    """Return the name under which each repository came last."""
    return {
        place.repository_id: place.repository.name
        for page in pages
        for place in page.places
        if place is not None
    }


def _page_record(run: Run, query: str, request: Request, page: Page) -> PageRecord:
    name = page_name(query, *request)
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
