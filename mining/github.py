"""GitHub's repository search: the part that talks. What it gets is kept by ``mining.pages``.

PyGithub sends the requests, over ``mining.connection``. Its pagination and its retries are not
used: the one keeps neither the text of a page nor what each page says of itself; the other waits
in silence, bounds no Retry-After, and takes a 429 without one for final.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests
from github import Consts

from mining.answers import Page, read_page
from mining.artifacts import Run
from mining.connection import BoundedRequester, RedirectedError
from mining.errors import ArtifactError, LossplaceError, ServiceError, StudyError
from mining.pages import (
    SEARCH,
    SearchRecord,
    asking,
    begin_search,
    replay,
    store_page,
    stored_search,
    write_search,
)
from mining.progress import duration, say, track, wait
from mining.study import SearchSettings
from mining.tokens import find_tokens
from mining.untrusted_json import json_of
from mining.windows import LIMITS, Asking, Limits, Request

Wait = Callable[[float, str], None]
"""Takes seconds and a reason, and returns when the time is over."""

_ATTEMPTS = 5
_SECONDS_BETWEEN_LINES = 60.0
_MOST_CHARACTERS = 256
_MOST_OPERATORS = 5
_UNTIMED_LIMIT_S = 60
"""GitHub asks for at least this pause after a limit that does not say when it ends."""


def search_all(
    run: Run,
    settings: SearchSettings,
    tokens: Callable[[], Sequence[str]] = find_tokens,
    wait: Wait = wait,
    now: Callable[[], float] = time.monotonic,
    limits: Limits = LIMITS,
) -> SearchRecord:
    """Ask GitHub every query of the study, and write ``search/`` and the tables made of it.

    Pages that are there are not asked again, so an interrupted search goes on where it was, and
    for a finished one neither network nor ``tokens`` are needed. ``now`` is the clock, in
    seconds, that ``wait`` waits by; ``limits`` are what the server shows of a search.

    Raises ServiceError if GitHub cannot be reached, refuses, asks for a longer wait than
    ``max_wait_s``, or has a larger gap than ``max_gap_percent``; StudyError and ArtifactError if
    the study or the run folder do not fit.
    """
    queries = list(dict.fromkeys(settings.queries))
    if not queries:
        raise StudyError(
            "Expected at least one query, found none; "
            "name search.frameworks and search.architectures in the study."
        )
    for query in queries:
        check_query(query, settings.population)
    begun = stored_search(run, settings.base_url)
    if begun is None and any(run.path(SEARCH).parent.rglob("*.json.zst")):
        raise ArtifactError(
            f"Expected {run.path(SEARCH)} beside the pages of a search, found that it "
            f"is gone; delete {run.path(SEARCH).parent} and search again."
        )
    as_of = datetime.now(UTC) if begun is None else begun.as_of
    with ExitStack() as stack:
        api: _SearchApi | None = None

        def missing(query: str, request: Request) -> Page:
            nonlocal api, begun
            if api is None:
                api = _SearchApi(settings, tokens(), wait, now, limits)
                stack.callback(api.close)
            text, page = api.page(query, request)
            begun = begun or begin_search(run, settings.base_url, as_of)
            store_page(run, query, request.number, text, request.window, request.attempt)
            return page

        searched = [
            replay(run, query, _told(query, asking(settings, as_of, limits), limits), missing)
            for query in track(queries, "searching")
        ]
    assert begun is not None  # there is a query, so there was a page
    return write_search(run, begun, settings, searched, limits)


def _told(query: str, asking: Asking, limits: Limits) -> Asking:
    """Ask the same, and say now and then how far a long query is."""
    request = next(asking)
    done = done_then = pages = 0
    then = time.monotonic()
    while True:
        page = yield request
        done += 1
        # as many as the results fill; windows that are not full make for some more
        pages = pages or math.ceil(1.15 * page.total_count / limits.per_page)
        elapsed = time.monotonic() - then
        if elapsed >= _SECONDS_BETWEEN_LINES and done < pages:
            left = duration((pages - done) * elapsed / (done - done_then))
            say(f"{query}: {done} of about {pages} pages, {left} left")
            then, done_then = time.monotonic(), done
        try:
            request = asking.send(page)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def check_query(query: str, population: str) -> None:
    """Refuse a query that GitHub would not take, or that cannot be divided.

    Raises StudyError. See "Limitations on query length" in GitHub's documentation: 256
    characters beside operators and qualifiers, and five operators.
    """
    words = query.split()
    operators = [word for word in words if word in ("AND", "OR", "NOT")]
    qualifiers = [word for word in words if re.match(r"-?[a-z-]+:.", word)]
    length = len(" ".join(word for word in words if word not in {*operators, *qualifiers}))
    if length > _MOST_CHARACTERS or len(operators) > _MOST_OPERATORS:
        raise StudyError(
            f"Expected queries of at most {_MOST_CHARACTERS} characters and {_MOST_OPERATORS} "
            f"operators (AND, OR, NOT), found {length} and {len(operators)} in {query[:60]!r}; "
            "change search.frameworks or search.architectures."
        )
    bound = [word for word in qualifiers if re.match("-?(created|stars):", word)]
    if population == "all" and bound:
        raise StudyError(
            f"Expected queries without created: and stars:, by which search.population = "
            f'"all" divides them, found {bound[0]!r}; leave it out, and select afterwards.'
        )


@dataclass(slots=True)
class _Connection:
    """GitHub as one token's owner: each has a rate limit of their own."""

    github: BoundedRequester
    label: str
    free_at: float = 0.0
    """When it takes another request, by what GitHub said with its last answer."""
    limits: int = 0
    """Refusals for a rate limit since the last results."""


class _SearchApi:
    """The search, asked by whoever may ask; waits as GitHub says, and no longer than allowed."""

    def __init__(
        self,
        settings: SearchSettings,
        tokens: Sequence[str],
        wait: Wait,
        now: Callable[[], float],
        limits: Limits,
    ) -> None:
        base_url = _address(settings.base_url)
        self._settings = settings
        self._wait = wait
        self._now = now
        self._limits = limits
        self._tokens = tuple(tokens)
        self._connections = [
            _Connection(
                BoundedRequester(base_url, token, settings.timeout_s),
                f"token {number} of {len(tokens)}",
            )
            for number, token in enumerate(tokens, 1)
        ]

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.github.close()

    def page(self, query: str, request: Request) -> tuple[str, Page]:
        """Return one page of a query's results: its text as received, and what it says."""
        allowed_s = float(self._settings.max_wait_s)
        failures = 0
        while True:
            connection = min(self._connections, key=lambda each: each.free_at)
            allowed_s -= self._sit_out(connection, allowed_s)
            try:
                status, headers, body = self._ask(connection.github, query, request)
            except (requests.RequestException, TimeoutError, ValueError) as error:
                fault = f"no answer ({_root(error)})"
            else:
                if any(token in text for token in self._tokens for text in _readings(body)):
                    raise ServiceError(
                        f"Expected {self._settings.base_url} to keep the GitHub token to itself, "
                        f"found it repeated in an answer (status {status}), which was thrown "
                        "away; do not use this server."
                    )
                limit_s = _limit_s(status, headers, body, connection.limits)
                connection.limits = 0 if status == 200 else connection.limits
                if limit_s is not None:
                    connection.free_at = self._now() + limit_s
                    connection.limits += status != 200
                if status == 200:
                    try:
                        return body, read_page(body)
                    except ValueError as error:
                        fault = f"something else ({error})"
                elif limit_s is not None:
                    continue
                elif status >= 500:
                    fault = f"a fault of the server (status {status})"
                elif status < 300:
                    fault = f"an answer without a page (status {status})"
                elif status in (401, 403) and len(self._connections) > 1:
                    self._go_on_without(connection, status, body)
                    continue
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

    def _ask(
        self, github: BoundedRequester, query: str, request: Request
    ) -> tuple[int, dict[str, str], str]:
        parameters = {"q": query, "per_page": self._limits.per_page, "page": request.number}
        if request.window is not None:
            # mining.windows says why in this order
            parameters |= {
                "q": f"{query} {request.window.qualifiers}",
                "sort": "updated",
                "order": "desc",
            }
        try:
            return github.requestJson(
                "GET",
                "/search/repositories",
                parameters=parameters,
                headers={"Accept": Consts.mediaType},
            )
        except RedirectedError as error:
            raise ServiceError(
                f"Expected GitHub's API at {self._settings.base_url}, found a redirection to "
                f"{_place(str(error))}; log in to the network if it asks for that, or set "
                "search.base_url to where the API is."
            ) from None

    def _sit_out(self, connection: _Connection, allowed_s: float) -> float:
        """Wait until a connection takes another request; return the seconds."""
        pause_s = max(0.0, connection.free_at - self._now())
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

    def _go_on_without(self, connection: _Connection, status: int, body: str) -> None:
        """Leave out a token that GitHub does not accept, as long as there are others."""
        say(
            f"warning: GitHub does not accept {connection.label} (status {status}: "
            f"{_message(body)}); going on without it"
        )
        self._connections.remove(connection)
        connection.github.close()

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
    if status == 429 or (refused and BoundedRequester.isRateLimitError(_message(body))):
        return float(_UNTIMED_LIMIT_S * 2**limits_before)
    return None


def _number(header: str | None) -> float | None:
    return float(header) if header and re.fullmatch(r"\d{1,15}(\.\d{1,9})?", header) else None


def _server_time(headers: Mapping[str, str]) -> float:
    """Return GitHub's clock, since that of a laptop may be off; else our own."""
    try:
        return email.utils.parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return time.time()


def _readings(body: str) -> Iterator[str]:
    """Give a body as it is, and as JSON that escapes nothing."""
    yield body
    with suppress(ValueError, RecursionError):
        yield json.dumps(json_of(body), ensure_ascii=False)


def _message(body: str) -> str:
    """Return what GitHub says of an error, fit for one line."""
    try:
        message = json_of(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = body
    return " ".join("".join(c if c.isprintable() else " " for c in str(message)).split())[:200]


_HTTP_FAULTS = (
    (http.client.RemoteDisconnected, "closed without an answer"),
    (http.client.IncompleteRead, "the answer was cut short"),
    (http.client.BadStatusLine, "something that is not HTTP"),
)


def _place(url: str) -> str:
    """Return scheme and host of an address, fit for one line."""
    try:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.hostname}" if parts.hostname else parts.scheme
    except ValueError:
        place = ""
    return place[:100] if place and place.isprintable() else "another place"


def _root(error: BaseException) -> str:
    """Say in a few words why there is no answer: the system's where it has some."""
    said = str(error) or type(error).__name__
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            said = f"its certificate is not valid for us: {found.verify_message}"
            break
        if isinstance(found, TimeoutError | requests.Timeout):
            said = str(error) if isinstance(error, TimeoutError) else "nothing came in time"
            break
        if isinstance(found, OSError) and found.strerror:
            said = found.strerror
            break
        if isinstance(found, http.client.HTTPException):
            said = next((word for k, word in _HTTP_FAULTS if isinstance(found, k)), str(found))
            break
        found = found.__cause__ or found.__context__
    proxied = "its proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
    return proxied + " ".join("".join(c if c.isprintable() else " " for c in said).split())[:150]


def _address(base_url: str) -> str:
    """Return the address as PyGithub wants it. Raises StudyError if it is none."""
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
    return base_url.rstrip("/")
