"""Git's own smart HTTP on loopback: ``git http-backend`` behind a small server that counts.

``GitServer(folder)`` serves the repositories below a folder as hosts do (with filters, by protocol
version 2) and notes each request: which repository, what was asked for, and the bytes both ways,
headers left out.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import threading
import time
from base64 import b64encode
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """``command`` is git's: ``ls-refs``, ``fetch``, or ``info`` for the greeting."""

    repository: str
    command: str
    bytes_in: int
    bytes_out: int
    answered: bool


class GitServer(ThreadingHTTPServer):
    """Serves the bare repositories ``owner/name.git`` below a folder.

    ``filters``: whether clients may leave out files. ``bytes_per_s`` slows every answer down.
    ``login``: the ``user:password`` without which there is no answer.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, *, filters: bool = True, bytes_per_s: float | None = None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.filters = filters
        self.bytes_per_s = bytes_per_s
        self.login: str | None = None
        self.requests: list[Request] = []
        self.clone_url = f"http://127.0.0.1:{self.server_address[1]}/{{repository}}.git"

    def __enter__(self) -> GitServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that were killed."""

    @property
    def bytes(self) -> int:
        """All bytes so far, both ways."""
        return sum(each.bytes_in + each.bytes_out for each in self.requests)


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        received = self._body()
        if self.server.login and not self._has(
            "Authorization", f"Basic {b64encode(self.server.login.encode()).decode()}"
        ):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="here"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = gzip.decompress(received) if self._has("Content-Encoding", "gzip") else received
        path, _, query = self.path.partition("?")
        sent, answered = 0, False
        try:
            for part in self._backend(path, query, body):
                self.wfile.write(part)
                sent += len(part)
                if self.server.bytes_per_s:
                    time.sleep(len(part) / self.server.bytes_per_s)
            answered = True
        finally:
            command = re.search(rb"command=([a-z-]+)", body)
            self.server.requests.append(
                Request(
                    "/".join(path.split("/")[1:3]).removesuffix(".git"),
                    command[1].decode() if command else "info",
                    len(received),
                    sent,
                    answered,
                )
            )

    def _backend(self, path: str, query: str, body: bytes):
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "uploadpack.allowFilter",
            "GIT_CONFIG_VALUE_0": str(self.server.filters).lower(),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
        with subprocess.Popen(
            ["git", "http-backend"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as backend:
            feeding = threading.Thread(target=_feed, args=(backend.stdin, body))
            feeding.start()
            try:
                status, headers = 200, []
                while line := backend.stdout.readline().strip().decode():
                    name, _, value = line.partition(": ")
                    if name == "Status":
                        status = int(value.split()[0])
                    else:
                        headers.append((name, value))
                self.send_response(status)
                for header in headers:
                    self.send_header(*header)
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                while part := backend.stdout.read1(1 << 16):
                    yield part
            finally:
                backend.kill()
                feeding.join()

    def _has(self, header: str, value: str) -> bool:
        return self.headers.get(header) == value

    def _body(self) -> bytes:
        if not self._has("Transfer-Encoding", "chunked"):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


def git(
    folder: Path, *arguments: str, stdin: bytes = b"", date: str = "2024-01-01T00:00:00Z"
) -> str:
    """Run git in a repository of a test's own."""
    return (
        subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(folder), *arguments],
            check=True,
            capture_output=True,
            input=stdin,
            env={**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )
        .stdout.decode()
        .strip()
    )


class Host:
    """Real repositories in a folder, for ``GitServer`` to serve."""

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, name: str, files: dict[str, bytes] | None = None) -> Path:
        """Add a repository, with one commit of these files if there are any; return its folder."""
        folder = self.folder / f"{name}.git"
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main")
        if files:
            self.commit(folder, files)
        return folder

    def commit(
        self, folder: Path, files: dict[str, bytes], date: str = "2024-01-01T00:00:00Z"
    ) -> str:
        """Commit these files over those that are there; return the commit."""
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        git(folder, "add", "--force", ".")
        git(folder, "commit", "--quiet", "--message", "more", date=date)
        return git(folder, "rev-parse", "HEAD")

    def commit_tree(self, folder: Path, entries: list[tuple[str, bytes, str]]) -> str:
        """Commit a tree of (mode, name, hash), whatever the names are; return the commit."""
        tree = self.tree(folder, entries)
        commit = git(folder, "commit-tree", "-m", "by hand", tree)
        git(folder, "update-ref", "HEAD", commit)
        return commit

    def tree(self, folder: Path, entries: list[tuple[str, bytes, str]]) -> str:
        """Write a tree object without git's checks; return its hash."""
        content = b"".join(
            b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(sha1))
            for mode, name, sha1 in entries
        )
        options = ("-w", "-t", "tree", "--literally", "--stdin")
        return git(folder, "hash-object", *options, stdin=content)

    def blob(self, folder: Path, content: bytes) -> str:
        """Write a file's contents; return their hash."""
        return git(folder, "hash-object", "-w", "--stdin", stdin=content)


def _feed(pipe, body: bytes) -> None:
    try:
        with pipe:
            pipe.write(body)
    except BrokenPipeError:
        pass
