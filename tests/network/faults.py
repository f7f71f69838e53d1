"""What may go wrong on the way to a server, and what does no harm, by name; as toxics of a proxy."""

import gzip

import pytest

from tests.network.toxic_proxy import (
    Latency,
    LimitData,
    ResetPeer,
    Says,
    Slicer,
    SlowClose,
    Timeout,
    answer,
    bandwidth,
)

MOST_BYTES = 1 << 20
"""What an answer may hold in these tests."""
BOMB = gzip.compress(bytes(64 * MOST_BYTES))
LOGIN = b"<html><title>Log in to this network</title></html>"
JSON = "Content-Type: application/json"


def chunked(*headers):
    return "\r\n".join(("HTTP/1.1 200 x", "Transfer-Encoding: chunked", *headers, "", "")).encode()


GETS_THROUGH = [
    pytest.param(Latency(0.02, 0.02), id="latency and jitter"),
    pytest.param(Slicer(7), id="in pieces of seven bytes"),
    pytest.param(bandwidth(40_000), id="40 kB a second"),
    pytest.param(SlowClose(0.1), id="closed late"),
]
NO_ANSWER = {
    "a byte now and then": Slicer(1, delay=0.05),
    "a byte of the body now and then": Slicer(1, delay=0.05, after=200),
    "never answered": Timeout(),
    "gone within the head": Timeout(30),
    "gone within the body": Timeout(300),
    "reset": ResetPeer(),
    "reset within the head": ResetPeer(30),
    "reset within the body": ResetPeer(300),
    "closed": LimitData(),
    "closed within the head": LimitData(30),
    "closed within the body": LimitData(300),
    "a header without end": Says(b"HTTP/1.1 200 x\r\nX: ", b"x" * 10_000),
    "headers without end": Says(b"HTTP/1.1 200 x\r\n", b"X: x\r\n" * 100, 0.001),
    "chunks without end": Says(chunked(), b"2710\r\n" + b" " * 10_000 + b"\r\n"),
    "empty chunks now and then": Says(chunked(), b"1\r\n \r\n", 0.05),
    "gigabytes": Says(b"HTTP/1.1 200 x\r\nContent-Length: 9999999999\r\n\r\n", b" " * 60_000),
    "a bomb": answer(200, BOMB, JSON, "Content-Encoding: gzip"),
    "a login page": answer(200, LOGIN, "Content-Type: text/html"),
    "no JSON": answer(200, b"{", JSON),
    "no UTF-8": answer(200, b'{"items": ["\xff\xfe"]}', JSON),
    "deep JSON": answer(200, b"[" * 200_000, JSON),
    "no HTTP": Says(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "work in progress": answer(202, b"{}", JSON),
    "no content": answer(204),
    "a redirection to no address": answer(308, b"", "Location: http://[::1"),
    "a gateway's error": answer(502, LOGIN, "Content-Type: text/html"),
    "a network's login": answer(511, LOGIN, "Content-Type: text/html"),
}
ELSEWHERE = {
    "a login page elsewhere": answer(302, b"", "Location: http://login.example/"),
    "a file": answer(301, b"", "Location: file:///etc/passwd"),
    "itself": answer(301, b"", "Location: /search/repositories"),
    "nowhere": answer(307),
}
