"""The HTTP client of the openai judge, which bounds what a server may cost.

httpx bounds each wait for a byte, not the answer: a server that sends one byte now and then is
never given up, and one that sends bytes without end fills the memory. Nor is a redirection
followed: prompts hold other people's code, and a vote from elsewhere has no known origin.
"""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
from openai import DefaultAsyncHttpxClient

MOST_BYTES = 64 * 2**20
"""Of an answer, unpacked."""


class BoundedClient(DefaultAsyncHttpxClient):
    """Gives a request the time of its read timeout in all, and its answer at most MOST_BYTES."""

    def __init__(self, **settings: Any) -> None:
        """Take httpx's settings."""
        super().__init__(follow_redirects=False, **settings)

    async def send(self, request: httpx2.Request, **settings: Any) -> httpx2.Response:
        """Send a request, and read its answer whole.

        Raises httpx2.ReadTimeout or httpx2.RemoteProtocolError where it passes a bound.
        """
        timeout_s = request.extensions["timeout"]["read"]
        try:
            with anyio.fail_after(timeout_s):
                response = await super().send(request, **{**settings, "stream": True})
                try:
                    content = await _content(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise httpx2.ReadTimeout(f"no whole answer within {timeout_s:g} s") from None
        headers = httpx2.Headers(response.headers)
        for name in ("content-encoding", "content-length", "transfer-encoding"):
            headers.pop(name, None)
        return httpx2.Response(
            response.status_code, headers=headers, content=content, request=request
        )


async def _content(response: httpx2.Response) -> bytes:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > MOST_BYTES:
            raise httpx2.RemoteProtocolError(f"an answer of more than {MOST_BYTES} bytes")
    return bytes(content)
