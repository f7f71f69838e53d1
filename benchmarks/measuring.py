"""What a command takes: time, processor time, and the memory of all its processes together.

Shared by the benchmarks that run `lossplace` as its users do. Linux only: memory is read in /proc.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
_SAMPLED_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Taken:
    """What a command took. ``processor_s`` is that of it and of the processes that it waited for.

    ``peak_mib`` is the largest sum of the proportional set sizes (PSS: a page that n processes
    share counts 1/n for each) of it and all its descendants at one instant, of those taken every
    0.05 s; None where it was not measured. ``out`` is what it printed.
    """

    seconds: float
    processor_s: float
    peak_mib: float | None
    out: str


def lossplace(
    *arguments: object,
    code: Path = ROOT,
    cores: Collection[int] | None = None,
    memory: bool = False,
) -> Taken:
    """Run `lossplace` of the checkout ``code``, pinned to some cores; see ``take``."""
    command = [*command_line(code), *arguments]
    return take(command, {"PYTHONPATH": str(code)}, cores, memory=memory)


def command_line(code: Path) -> list[str]:
    """Return what starts the command line of a checkout, as its console script does."""
    new = (code / "classify" / "__main__.py").exists()
    entry = "classify.__main__" if new else "classify.cli"
    return [sys.executable, "-P", "-c", f"__import__({entry!r}, fromlist=['main']).main()"]


def take(
    command: Sequence[object],
    environment: Mapping[str, str],
    cores: Collection[int] | None = None,
    *,
    memory: bool = False,
) -> Taken:
    """Run a command, and return what it took. Raises SystemExit if it fails."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or everywhere)  # which a new process inherits
    try:
        started = perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        os.sched_setaffinity(0, everywhere)
    watch = _Watch(process.pid) if memory else None
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = watch.stop() if watch else None
    if process.returncode:
        raise SystemExit(f"{list(map(str, command))} failed ({process.returncode}):\n{out}")
    return Taken(seconds, usage.ru_utime + usage.ru_stime, peak, out)


class _Watch:
    """A thread that adds up the memory of a process and its descendants, until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_kib = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the peak, in MiB."""
        self._ended.set()
        self._thread.join()
        return self._peak_kib / 1024

    def _run(self) -> None:
        while not self._ended.wait(_SAMPLED_EVERY_S):
            self._peak_kib = max(self._peak_kib, sum(map(_pss_kib, _family(self._pid))))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it ended meanwhile
            for child in children.read_text().split():
                yield from _family(int(child))


def _pss_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def bytes_below(folder: Path) -> int:
    """Return the sizes of all files in a folder, together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_result(name: str, fields: Mapping[str, Any], packages: Sequence[str] = ()) -> Path:
    """Write a benchmark's figures with the versions that they are of, as results/<name>.json."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**machine(packages), **fields}, indent=1) + "\n", "utf-8")
    return path


def machine(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Return what figures are of: this machine's cores, and versions."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("lossplace", *packages)},
        },
    }


def say(line: str = "") -> None:
    """Print a line at once, also into a file."""
    print(line)
    sys.stdout.flush()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
