"""One page of an answer of GitHub's repository search, read and checked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from mining.records import Repository
from mining.untrusted_json import json_of


@dataclass(frozen=True, slots=True)
class Result:
    """A public repository on a page. ``repository_id`` is GitHub's own, and outlives a renaming."""

    repository_id: int
    repository: Repository


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results. A place is None where GitHub sent nothing, or a private repository.

    A search also finds what only the token's owner may see; that has no place in a corpus which
    others are to repeat. ``incomplete``: GitHub ran out of time over it. ``total_count`` is
    GitHub's count of all results, as of this page.
    """

    total_count: int
    incomplete: bool
    places: tuple[Result | None, ...]


def read_page(text: str) -> Page:
    """Read the body of an answer. Raises ValueError, which says in a phrase what is wrong."""
    try:
        body = json_of(text)
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
        tuple(None if item is None or item.private else item.result for item in page.items),
    )


class _License(BaseModel):
    key: str
    spdx_id: str | None = None


class _Item(BaseModel):
    """What is read of a search item; a real one has some eighty fields."""

    id: int
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
    def result(self) -> Result:
        return Result(
            self.id,
            Repository(
                self.full_name,
                self.stargazers_count,
                self.forks_count,
                self.pushed_at and self.pushed_at.astimezone(UTC),
                self.created_at.astimezone(UTC),
                self.fork,
                self.archived,
                self.size,
                None if self.license is None else self.license.spdx_id or self.license.key,
            ),
        )


class _Body(BaseModel):
    total_count: Annotated[int, Field(ge=0)]
    incomplete_results: bool = False
    items: list[_Item | None]
