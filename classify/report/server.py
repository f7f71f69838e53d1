"""The report on loopback, and its labelling page. Nobody but this machine's browser is answered.

A page of another site could have the browser ask: so the Host must be ours, which no name of
another's that points here is, and whoever writes must come from one of our own pages.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from classify.labelling import open_labels
from classify.report.build import FOLDER, STATIC
from classify.report.desk import Desk
from mining.artifacts import Run
from mining.errors import InputError, LossplaceError
from mining.untrusted_json import json_of

HOST = "127.0.0.1"
MOST_BYTES = 64 * 1024
"""Of what a page may send."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lossplace"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def application(folder: Path, port: int, desk: Desk | None = None) -> Starlette:
    """Return the application over a report's folder; with a ``desk``, /label labels its queue."""
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}

    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = _refusal(request, hosts)
        response = await answer(request) if refused is None else refused
        response.headers.update(HEADERS)
        return response

    routes = [] if desk is None else _labelling(desk)
    return Starlette(
        routes=[*routes, Mount("/", StaticFiles(directory=folder, html=True))],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)],
    )


def _refusal(request: Request, hosts: set[str]) -> Response | None:
    host = request.headers.get("host", "")
    if host not in hosts:
        return PlainTextResponse("This server answers to its own address only.", 421)
    origin = request.headers.get("origin")
    ours = origin == f"http://{host}"
    if request.method not in ("GET", "HEAD") and not ours:
        return PlainTextResponse("Only this server's own pages may write.", 403)
    if origin is not None and not ours:
        return PlainTextResponse("Only this server's own pages may read.", 403)
    return None


def _labelling(desk: Desk) -> list[Route]:
    """Return the routes of a desk, which is asked by one request at a time: none awaits it."""

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "label.html")

    async def queue(_: Request) -> Response:
        return JSONResponse(desk.queue())

    async def snippet(request: Request) -> Response:
        return JSONResponse(desk.snippet(_number(request)))

    async def label(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "Expected JSON.")
        if int(request.headers.get("content-length", MOST_BYTES + 1)) > MOST_BYTES:
            raise HTTPException(413, "Expected less.")
        try:
            answer = json_of(await request.body())
        except ValueError:
            raise HTTPException(400, "Expected JSON.") from None
        if not isinstance(answer, dict):
            raise HTTPException(400, "Expected an object.")
        return JSONResponse(desk.label(_number(request), answer))

    def told(
        of: Callable[[Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await of(request)
            except (LossplaceError, OSError) as error:
                return JSONResponse({"error": str(error)}, 400)

        return answer

    return [
        Route("/label", page),
        Route("/label/queue", told(queue)),
        Route("/label/snippet/{number}", told(snippet)),
        Route("/label/snippet/{number}", told(label), methods=["POST"]),
    ]


def _number(request: Request) -> int:
    number = request.path_params["number"]
    if re.fullmatch("[0-9]{1,9}", number) is None:
        raise HTTPException(404)
    return int(number)


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback. Raises InputError if the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()  # from here on, who asks waits and is not turned away
    except OSError as error:
        listening.close()
        raise InputError(
            f"Expected to listen on port {port}, found that it cannot be had ({error.strerror}); "
            "give another --port."
        ) from error
    return listening


def serve_report(
    run: Run,
    port: int,
    queue: Path | None,
    reader: str | None,
    say: Callable[[Iterable[str]], None],
) -> None:
    """Serve a run's report until it is interrupted; with a queue and a reader, also labelling.

    ``say`` prints lines. Raises InputError if only one of them is given, or the port is taken,
    and GoldError if the queue or its labels cannot be used.
    """
    if (queue is None) != (reader is None):
        raise InputError(
            "Expected --queue and --reader together, found one of them; give both to label, or "
            "none."
        )
    desk = None
    if queue is not None and reader is not None:
        desk = Desk.open(run, reader, *open_labels(queue, reader))
    listening = listen(port)
    port = listening.getsockname()[1]
    lines = [f"the report is at http://{HOST}:{port}/"]
    if desk is not None:
        lines.append(f"labelling is at http://{HOST}:{port}/label, into {desk.labels.path}")
    say([*lines, "Ctrl-C ends it"])
    app = application(run.path(FOLDER), port, desk)
    config = uvicorn.Config(app, log_level="warning", server_header=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])
