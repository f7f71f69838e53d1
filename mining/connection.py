"""PyGithub's connection to a server, with bounds on what an answer may cost.

Requests bounds each wait for a byte, not the answer: a server that sends one now and then is never
given up, and one that sends bytes without end fills the memory. PyGithub follows redirections and
asks again after a 202, both without end. Here an answer comes whole and in time, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import requests
from github import Auth
from github.Requester import (
    HTTPRequestsConnectionClass,
    HTTPSRequestsConnectionClass,
    Requester,
)

from mining.waiting import within

MOST_BYTES = 64 * 2**20
"""Of an answer, unpacked; a page of a hundred results has about half a million."""
_API_VERSION = "2022-11-28"


class RedirectedError(Exception):
    """The server is elsewhere, it says; the text is where."""


class BoundedRequester(Requester):
    """Sends requests by ``requestJson``, each on a connection of its own.

    Beside what requests raises, that raises TimeoutError and RedirectedError.
    """

    def __init__(self, base_url: str, token: str, timeout_s: float) -> None:
        """Take GitHub's address, a token, and the seconds for each request in all."""
        super().__init__(
            auth=Auth.Token(token),
            base_url=base_url,
            timeout=timeout_s,  # type: ignore[arg-type]  # it is handed on to requests
            user_agent=f"lossplace/{version('lossplace')}",
            per_page=100,
            verify=True,
            retry=None,
            pool_size=None,
            api_version=_API_VERSION,
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What PyGithub reads of an answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    def getheaders(self) -> Any:
        """Give the headers, but for rate limits that are no numbers, which PyGithub cannot read."""
        return [
            (name, value)
            for name, value in self.headers.items()
            if not name.lower().startswith("x-ratelimit-")
            or name.lower().endswith("-resource")
            or re.fullmatch(r"\d{1,15}(\.\d{1,9})?", value)
        ]

    def read(self) -> str:
        """Return the body."""
        return self.text


class _Http(HTTPRequestsConnectionClass):
    def getresponse(self) -> Any:
        return within(self.timeout or 0.0, lambda: _get(self))


class _Https(HTTPSRequestsConnectionClass):
    def getresponse(self) -> Any:
        return within(self.timeout or 0.0, lambda: _get(self))


BoundedRequester.injectConnectionClasses(_Http, _Https)


def _get(connection: _Http | _Https) -> _Answer:
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    with connection.session.get(
        f"{connection.protocol}://{host}:{connection.port}{connection.url}",
        headers=connection.headers,
        timeout=connection.timeout,
        allow_redirects=False,
        stream=True,
    ) as response:
        status = response.status_code
        if 300 <= status < 400:
            raise RedirectedError(response.headers.get("location", ""))
        if status == 202:  # PyGithub would ask again and again
            raise requests.RequestException("only word that it is at work")
        content = bytearray()
        for part in response.iter_content(1 << 16):
            content += part
            if len(content) > MOST_BYTES:
                raise requests.RequestException(f"more than {MOST_BYTES} bytes")
    try:
        return _Answer(status, response.headers, content.decode())
    except UnicodeDecodeError:
        raise requests.RequestException("a text that is no UTF-8") from None
