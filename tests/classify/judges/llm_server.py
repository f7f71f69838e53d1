"""A small OpenAI-compatible server on loopback: /v1/models and /v1/chat/completions.

It answers as ``say`` tells it, notes what it was asked, and can be made to fail.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]

SOON = {"retry-after-ms": "1"}
"""Headers that spare a test the client's patience."""


@dataclass(frozen=True)
class Reply:
    """What goes back; ``body`` is sent as JSON unless it is text.

    ``cut``: the connection ends in the middle of it.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def completion(texts: list[str | None], prompt_tokens: int = 7, each: int = 3) -> Reply:
    choices = [
        {
            "index": number,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        for number, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": each * len(texts)}
    return Reply(200, {"object": "chat.completion", "choices": choices, "usage": usage})


def refusal(status: int, message: str, **fields: Any) -> Reply:
    return Reply(status, {"error": {"message": message, **fields}}, SOON)


def draws(body: Body) -> Reply:
    """Give as many choices as are asked for; choice i says what its own seed would, seed + i."""
    seeds = range(body["seed"], body["seed"] + body["n"])
    return completion([f"{body['messages'][-1]['content']} {seed}" for seed in seeds])


class LLMServer:
    """Serves while used as a context. ``faults`` come before what ``say`` answers.

    ``beside`` is what it answers, by path, to what is no chat completion.
    """

    def __init__(self, say: Callable[[Body], Reply] = draws, port: int = 0) -> None:
        self.say = say
        self.models = Reply(200, {"object": "list", "data": []})
        self.beside: dict[str, Callable[[Body | None], Reply]] = {}
        self.faults: deque[Reply] = deque()
        self.asked: list[Body] = []
        self.keys: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def port(self) -> int:
        return self._http.server_port

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.asked]

    def __enter__(self) -> LLMServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def reply(self, path: str, key: str, body: Body | None) -> Reply:
        with self._lock:
            self.paths[path] += 1
            self.keys[key] += 1
        if path in self.beside:
            return self.beside[path](body)
        if body is None:
            return self.models
        with self._lock:
            self.asked.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            fault = self.faults.popleft() if self.faults else None
        try:
            return fault or self.say(body)
        finally:
            with self._lock:
                self.at_once -= 1


def _handler(server: LLMServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with suppress(ConnectionError):  # of clients that go away, as cancelled ones do
                super().handle()

        def do_GET(self) -> None:
            self._send(server.reply(self.path, self._key(), None))

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionError  # who asked was killed meanwhile
            self._send(server.reply(self.path, self._key(), json.loads(body)))

        def _key(self) -> str:
            return self.headers.get("Authorization", "").removeprefix("Bearer ")

        def _send(self, reply: Reply) -> None:
            is_text = isinstance(reply.body, str)
            content = (reply.body if is_text else json.dumps(reply.body)).encode()
            self.send_response_only(reply.status)
            kind = {"Content-Type": "text/html" if is_text else "application/json"}
            self.send_header("Content-Length", str(len(content)))
            for name, value in (kind | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if reply.cut else content)
            if reply.cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    return Handler
