"""GitHub's repository search: the part that talks. What it gets is kept by ``mining.pages``.

PyGithub sends the requests. Its pagination and its retries are not used: the one keeps neither
the text of a page nor what each page says of itself; the other waits in silence, bounds no
Retry-After, and takes a 429 without one for final.
"""

from __future__ import annotations

import email.utils
import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from types import TracebackType
from urllib.parse import urlsplit

import requests
from github import Auth, Consts, Github
from github.Requester import Requester

from mining.artifacts import Run
from mining.errors import ArtifactError, LossplaceError, ServiceError, StudyError
from mining.pages import (
    PER_PAGE,
    SEARCH,
    Page,
    SearchRecord,
    begin_search,
    finish_search,
    read_page,
    store_page,
    stored_page,
    stored_search,
)
from mining.progress import duration, track, wait
from mining.study import SearchSettings

Wait = Callable[[float, str], None]
"""Takes seconds and a reason, and returns when the time is over."""

_ATTEMPTS = 5
_TIMEOUT_S = 30
_API_VERSION = "2022-11-28"
_UNTIMED_LIMIT_S = 60
"""GitHub asks for at least this pause after a limit that does not say when it ends."""


def find_token() -> str:
    """Return the user's GitHub token, from ``GITHUB_TOKEN`` or else from ``gh auth token``.

    Raises StudyError, which says how to get one.
    """
    token = os.environ.get("GITHUB_TOKEN", "").strip() or _token_of_gh()
    if not token:
        raise StudyError(
            "Expected a GitHub token in GITHUB_TOKEN or from `gh auth token`, found neither; "
            "make one at https://github.com/settings/tokens (it needs no scope) and export it "
            "as GITHUB_TOKEN, or run `gh auth login`."
        )
    # an unsendable header would be quoted, token and all, by the error that it causes
    if not re.fullmatch("[!-~]+", token):
        raise StudyError(
            "Expected one token in GITHUB_TOKEN, found blanks or special characters within it; "
            "copy it again."
        )
    return token


def search_all(
    run: Run,
    settings: SearchSettings,
    token: Callable[[], str] = find_token,
    wait: Wait = wait,
) -> SearchRecord:
    """Ask GitHub every query of the study, and write ``search/`` and ``repositories.parquet``.

    Each query's results are taken in GitHub's own order, best match first, up to the 1,000 that
    it shows. Pages that are there are not asked again, so an interrupted search goes on where
    it was, and for a finished one neither network nor ``token`` is needed.

    Raises ServiceError if GitHub cannot be reached, refuses, or asks for a longer wait than
    ``max_wait_s``; StudyError and ArtifactError if the study or the run folder do not fit.
    """
    queries = list(dict.fromkeys(settings.queries))
    if not queries:
        raise StudyError(
            "Expected at least one query, found none; "
            "name search.frameworks and search.architectures in the study."
        )
    begun = stored_search(run, settings.base_url)
    with ExitStack() as stack:
        api: _SearchApi | None = None
        for query in track(queries, "searching"):
            for number in itertools.count(1):
                page = stored_page(run, query, number)
                if page is None:
                    api = api or stack.enter_context(_SearchApi(settings, token(), wait))
                    text, page = api.page(query, number)
                    begun = begun or begin_search(run, settings.base_url, datetime.now(UTC))
                    store_page(run, query, number, text)
                elif begun is None:
                    raise ArtifactError(
                        f"Expected {run.path(SEARCH)} beside the pages of a search, found that it "
                        f"is gone; delete {run.path(SEARCH).parent} and search again."
                    )
                if page.is_last(number):
                    break
    assert begun is not None  # there is a query, so there was a page
    return finish_search(run, begun, settings)


class _SearchApi:
    """One connection to the search, which waits as GitHub asks and no longer than allowed."""

    def __init__(self, settings: SearchSettings, token: str, wait: Wait) -> None:
        _check_address(settings.base_url)
        self._settings = settings
        self._wait = wait
        self._pause_s = 0.0
        """To wait before the next request, by what GitHub said with the last answer."""
        self._github = Github(
            base_url=settings.base_url,
            auth=Auth.Token(token),
            user_agent=f"lossplace/{version('lossplace')}",
            timeout=_TIMEOUT_S,
            retry=None,
            seconds_between_requests=None,
            api_version=_API_VERSION,
        )

    def __enter__(self) -> _SearchApi:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._github.close()

    def page(self, query: str, number: int) -> tuple[str, Page]:
        """Return one page of a query's results: its text as received, and what it says."""
        allowed_s = float(self._settings.max_wait_s)
        limits = failures = 0
        while True:
            allowed_s -= self._sit_out(allowed_s)
            try:
                status, headers, body = self._ask(query, number)
            except (requests.RequestException, ValueError) as error:
                fault = f"no answer ({_root(error)})"
            else:
                limit_s = _limit_s(status, headers, body, limits)
                if limit_s is not None:
                    self._pause_s = limit_s
                    limits += status != 200
                if status == 200:
                    try:
                        return body, read_page(body)
                    except ValueError as error:
                        fault = f"something else ({error})"
                elif limit_s is not None:
                    continue
                elif status >= 500:
                    fault = f"a fault of the server (status {status})"
                else:
                    raise self._refusal(status, body, query)
            failures += 1
            if failures == _ATTEMPTS:
                raise ServiceError(
                    f"Expected a page of search results from {self._settings.base_url}, found "
                    f"{fault} {_ATTEMPTS} times; check the network and search.base_url, and run "
                    "the command again: it goes on where it stopped."
                )
            self._wait(2.0 ** (failures - 1), f"GitHub's search gave {fault}")

    def _ask(self, query: str, number: int) -> tuple[int, dict[str, str], str]:
        try:
            return self._github.requester.requestJson(
                "GET",
                "/search/repositories",
                parameters={"q": query, "per_page": PER_PAGE, "page": number},
                headers={"Accept": Consts.mediaType},
            )
        except RuntimeError as error:  # PyGithub's word for a redirect to another host
            raise ServiceError(
                f"Expected GitHub's API at {self._settings.base_url}, found a redirection to "
                "another place; set search.base_url to where it leads."
            ) from error

    def _sit_out(self, allowed_s: float) -> float:
        """Wait as the last answer demanded; return the seconds."""
        pause_s, self._pause_s = self._pause_s, 0.0
        if pause_s > allowed_s:
            raise ServiceError(
                f"Expected GitHub's rate limit to end within search.max_wait_s = "
                f"{self._settings.max_wait_s} s, found that it lasts {duration(pause_s)} more; "
                "run the command again later (it goes on where it stopped), or allow a longer "
                "wait."
            )
        if pause_s:
            self._wait(pause_s, "GitHub's rate limit for searches is reached")
        return pause_s

    def _refusal(self, status: int, body: str, query: str) -> LossplaceError:
        said = f"status {status}: {_message(body)}"
        if status == 401:
            return ServiceError(
                f"Expected {self._settings.base_url} to accept the GitHub token, found that it "
                f"does not ({said}); put a valid one into GITHUB_TOKEN, or run `gh auth login`."
            )
        if status == 404:
            return ServiceError(
                f"Expected GitHub's API at {self._settings.base_url}, found none ({said}); "
                "correct search.base_url."
            )
        if status == 422:
            return ServiceError(
                f"Expected a query that GitHub understands, found that it refuses {query!r} "
                f"({said}); change search.frameworks or search.architectures."
            )
        return ServiceError(
            f"Expected GitHub to answer the query {query!r}, found a refusal ({said}); "
            "see what it says, and run the command again."
        )


def _limit_s(
    status: int, headers: Mapping[str, str], body: str, limits_before: int
) -> float | None:
    """Return the seconds until GitHub takes another request, or None if it does so at once.

    After its documentation, "Exceeding the rate limit": Retry-After, else until the reset where
    nothing remains, else a minute, doubled each time.
    """
    refused = status in (403, 429)
    retry_after_s = _number(headers.get("retry-after"))
    if refused and retry_after_s is not None:
        return max(1.0, retry_after_s)
    reset = _number(headers.get("x-ratelimit-reset"))
    used_up = _number(headers.get("x-ratelimit-remaining")) == 0
    if (refused or status == 200) and used_up and reset is not None:
        # a second more, as the reset may come at the end of that second
        return max(1.0, reset - _server_time(headers) + 1)
    if status == 429 or (refused and Requester.isRateLimitError(_message(body))):
        return float(_UNTIMED_LIMIT_S * 2**limits_before)
    return None


def _number(header: str | None) -> float | None:
    return float(header) if header and re.fullmatch(r"\d+(\.\d+)?", header) else None


def _server_time(headers: Mapping[str, str]) -> float:
    """Return GitHub's clock, since that of a laptop may be off; else our own."""
    date = email.utils.parsedate_tz(headers.get("date", ""))
    return time.time() if date is None else float(email.utils.mktime_tz(date))


def _message(body: str) -> str:
    """Return what GitHub says of an error, fit for one line."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = body
    return " ".join("".join(c if c.isprintable() else " " for c in str(message)).split())[:200]


def _root(error: BaseException) -> str:
    """Return the operating system's word for a failure to connect, else the error's kind."""
    kind = type(error).__name__
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return kind


def _check_address(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise StudyError(
            f"Expected search.base_url to be a web address such as https://api.github.com, "
            f"found {base_url!r}."
        )


def _token_of_gh() -> str:
    try:
        answer = subprocess.run(
            ["gh", "auth", "token"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
