"""Half an hour of `lossplace classify` against a server that fails: what is lost, what grows.

    python benchmarks/soak.py [--minutes 30] [--snippets 400000]

Runs the real command with the openai judge on a synthetic corpus that does not end, at full rate,
against a server on loopback that answers about one request in ten by a fault: 429 and 5xx, pages
of HTML, answers cut in the middle, connections reset, requests never answered, answers of one byte
now and then, answers too late, and now and then no server at all. Every few seconds it notes the
memory, threads, open files and sockets of the process and the size of SQLite's log. At the end
every request that the server saw is accounted for: each answer has a number, which stands in the
votes that it became. Prints a table and writes benchmarks/results/soak.json. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import ROOT, command_line, write_result
from benchmarks.votes import synthetic
from classify.classification import STORE
from mining.opening import writing
from mining.study import override

TIMEOUT_S = 5.0
SECONDS_BETWEEN_SAMPLES = 5.0
WARM_UP = 0.2
"""The share of the samples, from the start, that no slope is taken of."""
BLOCKS = 12
"""Samples in a row depend on each other; means of so many blocks of them hardly do."""

FAULTS = {
    "429, less at once": 0.02,
    "500": 0.02,
    "503, later": 0.01,
    "HTML with status 200": 0.0005,
    "cut in the middle": 0.02,
    "reset before the answer": 0.01,
    "reset in the middle": 0.01,
    "closed without an answer": 0.01,
    "never answered": 0.001,
    "a byte now and then": 0.001,
    "answered too late": 0.001,
}
"""How often a request meets each. A second of no server at all, each minute, is counted apart."""
AWAY = "under way when the server went away"
ANSWERED = "answered"


class Flaky:
    """An OpenAI-compatible server that fails on purpose, and counts what it did."""

    def __init__(self) -> None:
        self.did: Counter[str] = Counter()
        self.answers: dict[int, tuple[str, int]] = {}
        """What each numbered answer was about, and how many votes it has."""
        self.last: dict[str, str] = {}
        """What each prompt met last."""
        self.port = 0
        self.connections = 0
        self._chance = random.Random(0)
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, ended: asyncio.Event) -> None:
        """Serve on loopback until it is ended, with a second's absence each minute."""
        while not ended.is_set():
            server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
            self.port = server.sockets[0].getsockname()[1]
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 60)
            server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await asyncio.sleep(0 if ended.is_set() else 1)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # between two requests; within one it is counted there
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request, or do not; tell whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if length is None:
            writer.write(_response(200, {"data": [{"id": "stand-in"}]}))
            return True
        body = json.loads(await reader.readexactly(int(length[1])))
        prompt = hashlib.sha256(body["messages"][-1]["content"].encode()).hexdigest()
        (fate,) = self._chance.choices(
            [*FAULTS, ANSWERED], [*FAULTS.values(), 1 - sum(FAULTS.values())]
        )
        self.last[prompt] = fate
        try:
            goes_on = await self._meet(fate, prompt, body, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            goes_on = False
        if not goes_on and fate == ANSWERED:
            fate = self.last[prompt] = AWAY
        self.did[fate] += 1
        return goes_on

    async def _meet(
        self,
        fate: str,
        prompt: str,
        body: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        match fate:
            case "429, less at once":
                writer.write(_response(429, {"error": {}}, "retry-after-ms: 20"))
            case "500":
                writer.write(_response(500, {"error": {"message": "oh"}}))
            case "503, later":
                writer.write(_response(503, {"error": {}}, "retry-after: 1"))
            case "HTML with status 200":
                writer.write(_response(200, "<html>Log in to this network</html>"))
            case "closed without an answer":
                return False
            case "reset before the answer":
                _reset(writer)
                return False
            case "never answered":
                await reader.read(1)  # until the client leaves
                return False
            case "answered too late":
                await asyncio.sleep(2 * TIMEOUT_S)
                writer.write(self._answer(prompt, body))
                return False
            case "a byte now and then":
                for byte in self._answer(prompt, body):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.2)
                return False
            case "cut in the middle" | "reset in the middle":
                answer = self._answer(prompt, body)
                writer.write(answer[: len(answer) * 2 // 3])
                await writer.drain()
                if fate == "reset in the middle":
                    _reset(writer)
                else:
                    writer.close()
                return False
            case _:
                answer = self._answer(prompt, body)
                number = len(self.answers)
                self.answers[number] = prompt, body["n"]
                writer.write(answer.replace(b"#######", b"%07d" % number))
                await writer.drain()
                return not writer.is_closing()
        await writer.drain()
        return True

    def _answer(self, prompt: str, body: dict[str, Any]) -> bytes:
        says = int(prompt[:8], 16) % 100 < 15
        votes = [says != (self._chance.random() < 0.1) for _ in range(body["n"])]
        choices = [
            {
                "index": i,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"Answer #######.\nDecision: {vote}"},
            }
            for i, vote in enumerate(votes)
        ]
        usage = {"prompt_tokens": 500, "completion_tokens": 100 * len(votes)}
        return _response(200, {"object": "chat.completion", "choices": choices, "usage": usage})


def _response(status: int, body: dict[str, Any] | str, *headers: str) -> bytes:
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end with RST in place of FIN."""
    lingering = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    writer.transport.abort()


@contextmanager
def serving() -> Iterator[Flaky]:
    """Serve in a thread of its own while the block runs."""
    server, loop, ended = Flaky(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(ended),))
    thread.start()
    while not server.port:
        time.sleep(0.01)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds at one time."""

    second: float
    memory_mib: float
    threads: int
    files: int
    sockets: int
    log_mib: float
    requests: int


def sampled(process: int, store: Path, second: float, requests: int) -> Sample:
    """Look at a process. Raises OSError when it has ended."""
    status = Path(f"/proc/{process}/status").read_text()
    memory, threads = (re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "Threads"))
    if memory is None or threads is None:
        raise ProcessLookupError
    links = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(link.readlink().name)
    sockets = sum(link.startswith("socket:") for link in links)
    log = store.with_name(f"{store.name}-wal")
    return Sample(
        second,
        int(memory[1]) / 1024,
        int(threads[1]),
        len(links) - sockets,
        sockets,
        log.stat().st_size / 2**20 if log.exists() else 0.0,
        requests,
    )


def slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the slope of y over x by least squares over means of blocks, and its 95 % half-width.

    Both arrays have one number for each sample, in the order of time.
    """
    means = [
        (np.mean(xs), np.mean(ys))
        for xs, ys in zip(np.array_split(x, BLOCKS), np.array_split(y, BLOCKS), strict=True)
    ]
    fit = stats.linregress(*zip(*means, strict=True))
    return float(fit.slope), float(stats.t.ppf(0.975, BLOCKS - 2) * fit.stderr)


def accounts(server: Flaky, store: Path) -> dict[str, Any]:
    """Say what became of each request that the server saw, and whether all adds up."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as votes:
        texts = Counter(int(text[7:14]) for (text,) in votes.execute("SELECT text FROM votes"))
        ((failures,),) = votes.execute("SELECT count(*) FROM failures")
        ((sound,),) = votes.execute("PRAGMA integrity_check")
    whole = {number for number, n in texts.items() if n == server.answers[number][1]}
    unstored = server.answers.keys() - texts.keys()
    requests = sum(server.did.values())
    faults = sum(n for fate, n in server.did.items() if fate != ANSWERED)
    return {
        "requests": requests,
        "answered": server.did[ANSWERED],
        "faults": {fate: n for fate, n in server.did.most_common() if fate != ANSWERED},
        "votes_answered": sum(n for _, n in server.answers.values()),
        "votes_stored": texts.total(),
        "answers_stored_in_part": len(texts) - len(whole),
        "answers_not_stored": len(unstored),
        "of_these_the_connection_was_cut": server.did[AWAY],
        "prompts": len(server.last),
        "prompts_that_met_a_fault_last": sum(f != ANSWERED for f in server.last.values()),
        "prompts_noted_as_failed": failures,
        "store": sound,
        "adds_up": (
            requests == server.did[ANSWERED] + faults
            and len(whole) == len(texts)
            and len(unstored) <= server.did[AWAY]
            and sum(f != ANSWERED for f in server.last.values()) == failures
            and sound == "ok"
        ),
    }


def main() -> None:
    """Run it, print the table and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--snippets", type=int, default=400_000, help="more than it can place")
    parser.add_argument("--concurrency", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, serving() as server:
        study, run = synthetic(Path(temporary), arguments.snippets)
        judge = {
            "base_url": f"http://127.0.0.1:{server.port}/v1",
            "concurrency": arguments.concurrency,
            "timeout_s": TIMEOUT_S,
        }
        with writing(override(study, judge=judge), run):
            pass  # the study is noted
        command = [*command_line(ROOT), "classify", str(run.folder)]
        command += ["--max-hours", str(arguments.minutes / 60)]
        said = Path(temporary, "said.txt")
        samples: list[Sample] = []
        with said.open("w") as lines:
            started = time.monotonic()
            process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
                stdout=lines,
                stderr=lines,
            )
            while process.poll() is None:
                time.sleep(SECONDS_BETWEEN_SAMPLES)
                with suppress(OSError):
                    seconds = time.monotonic() - started
                    requests = sum(server.did.values())
                    samples.append(sampled(process.pid, run.path(STORE), seconds, requests))
        figures = {
            "minutes": round((time.monotonic() - started) / 60, 1),
            "sqlite": sqlite3.sqlite_version,
            "exit_status": process.returncode,
            "said": said.read_text().splitlines()[-1:],
            "connections": server.connections,
            "store_mib": round(run.path(STORE).stat().st_size / 2**20),
            **accounts(server, run.path(STORE)),
            "slopes": {},
        }
    kept = samples[int(len(samples) * WARM_UP) : -1]  # the last may be of the end itself
    hours = np.array([each.second / 3600 for each in kept])
    thousands = np.array([each.requests / 1000 for each in kept])
    print(f"{'':12} {'first':>8} {'last':>8} {'most':>8}   per hour (95 %)")
    for name in ("memory_mib", "threads", "files", "sockets", "log_mib"):
        values = np.array([getattr(each, name) for each in kept], dtype=float)
        each_hour, half = slope(hours, values)
        figures["slopes"][name] = {
            "first": round(values[0], 1),
            "last": round(values[-1], 1),
            "most": round(values.max(), 1),
            "per_hour": round(each_hour, 2),
            "half_width_95": round(half, 2),
        }
        ends = f"{values[0]:8.1f} {values[-1]:8.1f} {values.max():8.1f}"
        print(f"{name:12} {ends}   {each_hour:+.2f} ± {half:.2f}")
    each_thousand, half = slope(thousands, np.array([each.memory_mib for each in kept]))
    figures["memory_kib_a_request"] = [round(each_thousand * 1.024, 3), round(half * 1.024, 3)]
    figures["requests_a_second"] = round(figures["requests"] / samples[-1].second, 1)
    print(json.dumps({k: v for k, v in figures.items() if k != "slopes"}, indent=1))
    figures["samples"] = [
        [round(getattr(each, name), 1) for name in Sample.__slots__]
        for each in samples[:: max(1, len(samples) // 60)]
    ]
    write_result("soak", figures, ("openai", "scipy"))


if __name__ == "__main__":
    main()
