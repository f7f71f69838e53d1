"""A small GitHub on loopback: its repository search, with its limits and its faults.

It speaks what https://docs.github.com/en/rest/search describes: the query, sort, order, per_page
and page parameters; total_count, incomplete_results and items; Link and rate-limit headers;
401, 403, 422 and 429. ``faults`` are answers that the next requests get in place of results.
"""

from __future__ import annotations

import email.utils
import json
import math
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

NOW = 1_700_000_000
"""The clock of this GitHub stands still, so that its waits are known to the second."""


def item(name: str, **changes: Any) -> dict[str, Any]:
    """Return a search item with the fields that lossplace, or a reader of pages, may look at."""
    owner, _, short = name.partition("/")
    fields = {
        "id": sum(name.encode()),
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


@dataclass(frozen=True)
class Fault:
    """An answer other than results. ``cut``: the connection ends in the middle of the body."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


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
    """A request that came."""

    query: str
    page: int
    parameters: dict[str, str]
    headers: dict[str, str]


class GitHubServer:
    """Answers searches from ``results``: query -> items. Use as a context manager."""

    def __init__(self, results: dict[str, list[dict[str, Any]]] | None = None) -> None:
        self.results = results or {}
        self.total_counts: dict[str, int] = {}
        self.incomplete: set[tuple[str, int]] = set()
        self.faults: deque[Fault] = deque()
        self.asked: list[Asked] = []
        self.sent: list[str] = []
        self.token = "ghp_correctHorseBatteryStaple"
        self.remaining = 30
        self.reset_in = 60
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

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
        query, page = parameters.get("q", ""), int(parameters.get("page", 1))
        self.asked.append(Asked(query, page, parameters, headers))
        if self.faults:
            return self.faults.popleft()
        if headers.get("authorization") not in (f"token {self.token}", f"Bearer {self.token}"):
            return _refusal(401, "Bad credentials")
        if parts.path != "/search/repositories":
            return _refusal(404, "Not Found")
        if not self.remaining:
            return primary_limit(reset_in=self.reset_in)
        self.remaining -= 1
        limits = {
            "X-RateLimit-Limit": "30",
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(NOW + self.reset_in),
            "X-RateLimit-Resource": "search",
        }
        per_page = min(int(parameters.get("per_page", 30)), 100)
        if not query or len(query) > 256:
            return _refusal(422, "Validation Failed", limits)
        if page * per_page > 1000:
            return _refusal(422, "Only the first 1000 search results are available", limits)
        found = _sorted(self.results.get(query, []), parameters)
        total = self.total_counts.get(query, len(found))
        body = {
            "total_count": total,
            "incomplete_results": (query, page) in self.incomplete,
            "items": found[(page - 1) * per_page : page * per_page],
        }
        last = math.ceil(min(total, 1000) / per_page)
        link = self._links(parameters, page, last)
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

        def do_GET(self) -> None:
            answer = server.answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            server.sent.append(answer.body)
            body = answer.body.encode()
            headers = {
                "Date": email.utils.formatdate(NOW, usegmt=True),
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
