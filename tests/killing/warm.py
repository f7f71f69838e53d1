"""Starts commands as forks of a process that has the modules loaded, as most of a start is that.

So the kills fall into the work rather than into the imports of pandas, and each costs a fraction.
A fork begins with the first line of `python -m classify`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

ROOT = Path(__file__).parents[2]
LIBRARIES = (
    "openai.types.chat",
    "pyarrow.compute",
    "scipy.stats",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
)
"""What a module loads only once it needs it."""


class Fork:
    """A command's process, with what is used here of ``subprocess.Popen``."""

    def __init__(self, parent: subprocess.Popen[bytes]) -> None:
        """Wait for its process id."""
        self._parent = parent
        self._status: int | None = None
        self.pid = int(self._line())

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        assert self._parent.stdout is not None
        if self._status is None and select.select([self._parent.stdout], [], [], 0)[0]:
            self.wait()
        return self._status

    def wait(self) -> int:
        """Return the exit status, once it has ended."""
        if self._status is None:
            self._status = int(self._line())
        return self._status

    def send_signal(self, number: int) -> None:
        """Send it a signal; its id is nobody else's until the next command begins."""
        os.kill(self.pid, number)

    def _line(self) -> bytes:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline()
        assert line, "the process that forks the commands has ended"
        return line


class Warm:
    """Forks a command at a time, in place of ``subprocess.Popen``."""

    def __init__(self) -> None:
        """Start the process that forks."""
        self._parent = subprocess.Popen(
            [sys.executable, __file__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait()

    def __call__(
        self,
        arguments: Sequence[str],
        place: Path,
        environment: Mapping[str, str],
        said: Path,
        keys: str,
    ) -> Fork:
        """Start ``python -m classify``, in a session of its own, as ``harness.start`` does."""
        order = [list(arguments), str(place), dict(environment), str(said), keys]
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(order).encode() + b"\n")
        return Fork(self._parent)


def main() -> None:
    """Fork for each line that comes, and say the fork's process id, and how it ended."""
    for name in (*LIBRARIES, *own_modules()):
        with suppress(ImportError):  # some are extras
            import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a fork has nothing to tell before its first line
    gc.freeze()  # else each fork copies all that it looks through
    with open(0, "rb", buffering=0, closefd=False) as orders:
        while order := orders.readline():
            pid = os.fork()
            if not pid:
                become(*json.loads(order))
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # so that its id stays taken
            assert ended is not None
            exited = ended.si_code == os.CLD_EXITED
            os.write(1, f"{ended.si_status if exited else -ended.si_status}\n".encode())
            select.select([orders], [], [])
            os.waitpid(pid, 0)


def own_modules() -> Iterator[str]:
    """Yield the names of lossplace's modules, but of its first line and of what few commands need."""
    for package in ("mining", "classify"):
        for module in walk_packages([str(ROOT / package)], f"{package}."):
            if not any(part in module.name for part in ("__main__", "ray", "vllm", "server")):
                yield module.name


def become(
    arguments: list[str], place: str, environment: dict[str, str], said: str, keys: str
) -> None:
    """Be ``python -m classify``."""
    os.setsid()
    os.write(1, f"{os.getpid()}\n".encode())
    os.chdir(place)
    read, write = os.pipe()
    os.write(write, keys.encode())
    os.dup2(read, 0)
    os.close(write)
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = str(Path(__file__).parent / "child")
    sys.modules.pop("sitecustomize", None)
    import_module("sitecustomize")
    sys.argv = ["classify", *arguments]
    status = 0
    try:
        runpy.run_module("classify", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert isinstance(ended.code, int | None)
        status = ended.code or 0
    # what Python does at its end, but that it takes down all libraries, which takes longest
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
