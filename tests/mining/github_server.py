"""A small GitHub on loopback: its repository search, with its limits and its faults.

It speaks what https://docs.github.com/en/rest/search describes: the query with the qualifiers
``created:`` and ``stars:``; the sort, order, per_page and page parameters; total_count,
incomplete_results and items; the first 1,000 results and 422 past them; Link headers; 30 requests
a minute for each token, with rate-limit headers; 401, 403, 422 and 429. ``faults`` are answers
that the next requests get in place of results; ``before`` may change what there is.

``population`` makes repositories whose stars have a heavy tail and of which thousands were
created on the same few days.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np

NOW = 1_700_000_000
"""The clock of this GitHub goes on by what a test waits, so that waits are known to the second."""


def item(name: str, **changes: Any) -> dict[str, Any]:
    """Return a search item with the fields that lossplace, or a reader of pages, may look at."""
    owner, _, short = name.partition("/")
    fields = {
        "id": int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]),
        "node_id": f"R_{short}",
        "name": short,
        "full_name": name,
        "private": False,
        "owner": {"login": owner, "id": sum(owner.encode()), "type": "User", "site_admin": False},
        "html_url": f"https://github.com/{name}",
        "description": f"{short} – of our own making",
        "fork": False,
        "url": f"https://api.github.com/repos/{name}",
        "created_at": "2018-05-04T03:02:01Z",
        "updated_at": "2023-06-01T00:00:00Z",
        "pushed_at": "2023-05-06T07:08:09Z",
        "homepage": None,
        "size": 321,
        "stargazers_count": 10,
        "watchers_count": 10,
        "language": "Python",
        "forks_count": 2,
        "open_issues_count": 0,
        "archived": False,
        "disabled": False,
        "license": {"key": "mit", "name": "MIT License", "spdx_id": "MIT", "node_id": "L_mit"},
        "topics": [],
        "visibility": "public",
        "forks": 2,
        "open_issues": 0,
        "watchers": 10,
        "default_branch": "main",
        "score": 1.0,
    }
    assert changes.keys() <= fields.keys()
    return fields | changes


def population(size: int, seed: int = 0, bursts: int = 8) -> list[dict[str, Any]]:
    """Return repositories as a search for a popular subject finds them.

    Seven in ten were created over sixteen years, with a rise, a peak and weeks that differ; the
    others in bursts of a day, as of a course whose participants all push the same exercise.
    Most have no star, some have thousands. Half are abandoned within weeks.
    """
    rng = np.random.default_rng(seed)
    first, last = 1_193_875_200, NOW - 86_400
    weeks = np.linspace(0, 1, 830)
    rise = (np.exp(-(((weeks - 0.85) / 0.22) ** 2)) + 0.02 * weeks) * rng.lognormal(0, 0.5, 830)
    steady = size * 7 // 10
    created = (rng.choice(830, steady, p=rise / rise.sum()) + rng.random(steady)) / 830
    days = first + (last - first) * rng.beta(8, 2, bursts)
    burst = rng.choice(bursts, size - steady, p=rng.dirichlet(np.full(bursts, 0.7)))
    noon = days[burst] // 86_400 * 86_400 + 43_200
    seconds = np.concatenate([first + created * (last - first), rng.normal(noon, 9_000)])
    seconds = np.clip(seconds, first, last).astype(int)
    stars = np.minimum(rng.pareto(0.9, size), 200_000).astype(int)
    left = np.where(rng.random(size) < 0.5, rng.exponential(20 * 86_400, size), np.inf)
    active = np.minimum(left, (NOW - seconds) * rng.random(size))
    updated = np.minimum(seconds + active, NOW).astype(int)
    return [
        item(
            f"owner{i % 997}/repository{i}",
            created_at=iso(seconds[i]),
            updated_at=iso(updated[i]),
            pushed_at=iso(updated[i]),
            stargazers_count=int(stars[i]),
            forks_count=int(stars[i]) // 5,
        )
        for i in rng.permutation(size)
    ]


def iso(second: float) -> str:
    return datetime.fromtimestamp(int(second), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Fault:
    """An answer other than results.

    ``cut``: the connection ends in the middle of the body; ``late_s``: it comes so much later.
    """

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    late_s: float = 0.0


def primary_limit(status: int = 403, reset_in: int = 42) -> Fault:
    message = "API rate limit exceeded for user ID 1."
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + reset_in)}
    return Fault(status, json.dumps({"message": message}), headers)


def secondary_limit(status: int = 403, retry_after: int | None = None) -> Fault:
    message = "You have exceeded a secondary rate limit. Please wait a few minutes."
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault(status, json.dumps({"message": message}), headers)


def server_error(status: int = 502) -> Fault:
    return Fault(status, "<html>Unicorn!</html>", {"Content-Type": "text/html"})


@dataclass(frozen=True)
class Asked:
    """A request that came. ``query`` is without the qualifiers that this GitHub knows."""

    query: str
    page: int
    parameters: dict[str, str]
    headers: dict[str, str]

    @property
    def token(self) -> str:
        return self.headers.get("authorization", " ").split()[-1]


@dataclass
class Budget:
    """The requests that a token has left, until when."""

    remaining: int
    reset: float


class GitHubServer:
    """Answers searches from ``results``: query -> items. Use as a context manager.

    ``shown`` and ``per_page`` are its limits; ``path`` is where its API is, as /api/v3 is on
    GitHub Enterprise. ``wall_clock``: it lives in real time. ``count`` makes the total_count
    that it says of the true one.
    """

    def __init__(
        self,
        results: dict[str, list[dict[str, Any]]] | None = None,
        shown: int = 1000,
        per_page: int = 100,
        path: str = "",
        wall_clock: bool = False,
    ) -> None:
        self.results = results or {}
        self.shown, self.per_page, self.path, self.wall_clock = shown, per_page, path, wall_clock
        self.count: Callable[[str, int, int], int] = lambda query, page, total: total
        self.incomplete: Callable[[str, int], bool] = lambda query, page: False
        self.before: Callable[[Asked], None] = lambda asked: None
        self.faults: deque[Fault] = deque()
        self.asked: list[Asked] = []
        self.sent: list[str] = []
        self.token = "ghp_correctHorseBatteryStaple"
        self.other_tokens: set[str] = set()
        self.per_minute = 30
        self.budgets: dict[str, Budget] = {}
        self.virtual_now = float(NOW)
        self.delay_s = 0.0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}{self.path}"

    @property
    def now(self) -> float:
        return time.time() if self.wall_clock else self.virtual_now

    def __enter__(self) -> GitHubServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, headers: dict[str, str]) -> Fault:
        """Return what GitHub would say; a Fault of status 200 is a page of results."""
        parts = urlsplit(path)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        text, page = parameters.get("q", ""), int(parameters.get("page", 1))
        words = text.split()
        qualifiers = [word for word in words if re.match("(created|stars):", word)]
        query = " ".join(word for word in words if word not in qualifiers)
        asked = Asked(query, page, parameters, headers)
        self.asked.append(asked)
        if self.faults:
            return self.faults.popleft()
        if asked.token not in {self.token, *self.other_tokens}:
            return _refusal(401, "Bad credentials")
        if parts.path != f"{self.path}/search/repositories":
            return _refusal(404, "Not Found")
        budget = self.budgets.get(asked.token)
        if budget is None or budget.reset <= self.now:
            budget = self.budgets[asked.token] = Budget(self.per_minute, int(self.now) + 60)
        limits = {
            "X-RateLimit-Limit": str(self.per_minute),
            "X-RateLimit-Remaining": str(max(0, budget.remaining - 1)),
            "X-RateLimit-Reset": str(int(budget.reset)),
            "X-RateLimit-Resource": "search",
        }
        if not budget.remaining:
            return _refusal(403, "API rate limit exceeded for user ID 1.", limits)
        budget.remaining -= 1
        per_page = min(int(parameters.get("per_page", 30)), self.per_page)
        operators = [word for word in words if word in ("AND", "OR", "NOT")]
        plain = [word for word in words if word not in operators and ":" not in word]
        if not text or len(" ".join(plain)) > 256 or len(operators) > 5:
            return _refusal(422, "Validation Failed", limits)
        if (page - 1) * per_page >= self.shown:
            said = f"Only the first {self.shown} search results are available"
            return _refusal(422, said, limits)
        self.before(asked)
        try:
            tests = [_test(qualifier) for qualifier in qualifiers]
        except ValueError:
            return _refusal(422, "Validation Failed", limits)
        found = [each for each in self.results.get(query, []) if all(test(each) for test in tests)]
        found = _sorted(found, parameters)
        total = self.count(query, page, len(found))
        body = {
            "total_count": total,
            "incomplete_results": self.incomplete(text, page),
            "items": found[: self.shown][(page - 1) * per_page : page * per_page],
        }
        link = self._links(parameters, page, math.ceil(min(total, self.shown) / per_page))
        return Fault(200, json.dumps(body, ensure_ascii=False), limits | link)

    def _links(self, parameters: dict[str, str], page: int, last: int) -> dict[str, str]:
        pages = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        away = {"prev": page > 1, "next": page < last, "last": page < last, "first": page > 1}
        links = [
            f"<{self.base_url}/search/repositories?"
            f'{urlencode(parameters | {"page": str(number)})}>; rel="{relation}"'
            for relation, number in pages.items()
            if away[relation]
        ]
        return {"Link": ", ".join(links)} if links else {}


def _test(qualifier: str) -> Callable[[dict[str, Any]], bool]:
    """Return whether an item is of ``created:A..B`` or ``stars:A..B``; raise ValueError if none."""
    name, _, bounds = qualifier.partition(":")
    low, separator, high = bounds.partition("..")
    if not separator or not low or not high:
        raise ValueError(qualifier)
    if name == "stars":
        least = 0 if low == "*" else int(low)
        most = math.inf if high == "*" else int(high)
        return lambda each: least <= each["stargazers_count"] <= most
    for bound in {low, high} - {"*"}:
        datetime.fromisoformat(bound)
    # a day stands for all of it; instants as GitHub writes them sort like their texts
    start = "" if low == "*" else low if "T" in low else f"{low}T00:00:00Z"
    end = "~" if high == "*" else high if "T" in high else f"{high}T23:59:59Z"
    return lambda each: start <= each["created_at"] <= end


def _sorted(found: list[dict[str, Any]], parameters: dict[str, str]) -> list[dict[str, Any]]:
    keys = {"stars": "stargazers_count", "forks": "forks_count", "updated": "updated_at"}
    key = keys.get(parameters.get("sort", ""))
    if key is None:
        return found
    descending = parameters.get("order", "desc") == "desc"
    return sorted(found, key=lambda each: each[key], reverse=descending)


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Fault:
    return Fault(status, json.dumps({"message": message}), headers or {})


def _handler(server: GitHubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with suppress(ConnectionError):  # who asked may be gone
                super().handle()

        def do_GET(self) -> None:
            answer = server.answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            time.sleep(server.delay_s + answer.late_s)
            server.sent.append(answer.body)
            body = answer.body.encode()
            headers = {
                "Date": email.utils.formatdate(server.now, usegmt=True),
                "Content-Type": "application/json; charset=utf-8",
                "Content-Length": str(len(body)),
                **answer.headers,
            }
            self.send_response_only(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if answer.cut else body)
            self.close_connection = answer.cut

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler
