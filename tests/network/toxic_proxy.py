"""A proxy on loopback that spoils what a server sends back; its toxics are named as Toxiproxy's.

``ToxicProxy(port, Slicer(1, delay=0.1))`` passes TCP connections on to a port of this machine and
drips back what comes. ``proxy.toxics = ()`` lifts the fault, for connections that begin then.
Seconds and bytes are the units, and faults begin after so many bytes of a connection.
"""

from __future__ import annotations

import asyncio
import copy
import random
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

Put = Callable[[bytes], Awaitable[None]]


class ClosedError(Exception):
    """The connection is to end."""


class ResetError(Exception):
    """The connection is to end with RST in place of FIN."""


class Toxic:
    """Makes of what a server sends what its client gets; each connection has its own."""

    async def begin(self, put: Put) -> None:
        """Do something before anything comes."""

    async def take(self, chunk: bytes, put: Put) -> None:
        """Pass on what came."""
        await put(chunk)

    async def end(self) -> None:
        """Do something when the server is done."""


@dataclass
class Latency(Toxic):
    """Each piece comes later, by ``latency`` and up to ``jitter`` more or less."""

    latency: float
    jitter: float = 0.0

    async def take(self, chunk: bytes, put: Put) -> None:
        await asyncio.sleep(self.latency + self.jitter * random.uniform(-1, 1))
        await put(chunk)


@dataclass
class Slicer(Toxic):
    """What comes comes in small pieces, after so many bytes; with a delay between them it drips."""

    average_size: int
    delay: float = 0.0
    after: int = 0

    async def take(self, chunk: bytes, put: Put) -> None:
        whole, self.after = chunk[: self.after], max(0, self.after - len(chunk))
        if whole:
            await put(whole)
        for at in range(len(whole), len(chunk), self.average_size):
            await asyncio.sleep(self.delay)
            await put(chunk[at : at + self.average_size])


def bandwidth(rate: int) -> Slicer:
    """So many bytes a second."""
    return Slicer(max(1, rate // 50), delay=0.02)


@dataclass
class LimitData(Toxic):
    """The connection is closed after so many bytes."""

    after: int = 0

    async def begin(self, put: Put) -> None:
        if not self.after:
            await self.stop()

    async def take(self, chunk: bytes, put: Put) -> None:
        await put(chunk[: self.after])
        self.after -= len(chunk)
        if self.after <= 0:
            await self.stop()

    async def stop(self) -> None:
        """End it."""
        raise ClosedError


class ResetPeer(LimitData):
    """It is reset."""

    async def stop(self) -> None:
        raise ResetError


class Timeout(LimitData):
    """Nothing more comes, and it is never closed, as if the peer's machine were gone."""

    async def stop(self) -> None:
        await asyncio.Event().wait()


@dataclass
class SlowClose(Toxic):
    """It is closed later than it could be."""

    delay: float

    async def end(self) -> None:
        await asyncio.sleep(self.delay)


@dataclass
class Says(Toxic):
    """These bytes come in place of the server's, and then ``forever`` again and again."""

    content: bytes
    forever: bytes = b""
    delay: float = 0.0

    async def begin(self, put: Put) -> None:
        await put(self.content)
        while self.forever:
            await asyncio.sleep(self.delay)
            await put(self.forever)
        raise ClosedError


def answer(status: int, body: bytes = b"", *headers: str) -> Says:
    """Return what says a whole answer of HTTP, and closes."""
    lines = (f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return Says("\r\n".join((*lines, "", "")).encode("latin-1") + body)


class ToxicProxy:
    """Listens while used as a context. ``heads`` are the heads of the first requests that came.

    ``tls`` has it speak TLS to clients.
    """

    def __init__(
        self,
        upstream: int,
        *toxics: Toxic,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.toxics: tuple[Toxic, ...] = toxics
        self.heads: list[bytes] = []
        self._upstream = upstream
        self._tls = tls
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.bind((host, 0))
        self._socket.listen(64)
        self.port = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> ToxicProxy:
        self._thread.start()
        started = asyncio.start_server(self._accept, sock=self._socket, ssl=self._tls)
        asyncio.run_coroutine_threadsafe(started, self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._socket.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above: asyncio.StreamWriter | None = None
        toxics = [copy.copy(toxic) for toxic in self.toxics]

        put: Put = partial(_write, writer)
        for toxic in reversed(toxics):
            put = partial(toxic.take, put=put)
        try:
            if not (first := await reader.read(1 << 16)):
                return
            self.heads.append(first.partition(b"\r\n\r\n")[0])
            for toxic in toxics:
                await toxic.begin(partial(_write, writer))
            below, above = await asyncio.open_connection("127.0.0.1", self._upstream)
            above.write(first)
            up = asyncio.create_task(_pass(reader, above))
            try:
                while chunk := await below.read(1 << 16):
                    await put(chunk)
            finally:
                up.cancel()
            for toxic in toxics:
                await toxic.end()
        except ResetError:
            lingering = struct.pack("ii", 1, 0)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
            writer.transport.abort()
        except (ClosedError, OSError):
            pass  # also a client that leaves
        finally:
            for each in filter(None, (writer, above)):
                each.close()


async def _write(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    writer.write(chunk)
    await writer.drain()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(1 << 16):
            await _write(writer, chunk)
