"""A finished run with an artifact of every kind, ways to damage a file, and what commands say.

What ``tests/test_disk_faults.py`` tries some of, and ``benchmarks/faults.py`` all of.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from classify import cli
from mining.artifacts import Run
from mining.pages import begin_search, finish_search, store_page
from mining.study import Study
from tests.mining.git_server import Host
from tests.mining.github_server import item
from tests.mining.test_pages import body
from tests.mining.test_ranking import AS_OF
from tests.opening import begin

CODE = {
    "o/losses": {
        "losses.py": b"import torch.nn.functional as F\n"
        b"def total(a, b, w):\n    return F.l1_loss(a, b) + w * F.mse_loss(a, b)\n"
        b"def use(a, b):\n    return F.l1_loss(a, b)\n",
        "README.md": b"no code\n",
    },
    "o/nets": {
        "net.py": b"import torch.nn as nn\n"
        b"class Net(nn.Module):\n"
        b"    def forward(self, x):\n        return self.layer(x)\n"
        b"    def loss(self, x, y):\n        return ((self(x) - y) ** 2).mean() + self.extra()\n",
        "train.py": b"from net import Net\nnet = Net()\nfor x, y in data:\n"
        b"    loss = net.loss(x, y)\n    loss.backward()\n    optimizer.step()\n",
    },
}
GOLD = (
    "repository,path,start_line,label\n"
    "o/losses,losses.py,2,loss_unknown\n"
    "o/losses,losses.py,4,no_loss\n"
    "o/nets,net.py,3,no_loss\n"
    "o/nets,net.py,5,loss_in_model\n"
)


def make_run(folder: Path) -> None:
    """Make ``run`` below a folder, from a search to a report, with ``gold.csv`` and ``host``."""
    host = Host(folder / "host")
    for name, files in CODE.items():
        host.add(name, files)
    (folder / "gold.csv").write_text(GOLD)
    study = Study(
        name="s",
        search={"frameworks": ["PyTorch"], "architectures": ["CNN"]},
        corpus={"clone_url": f"file://{folder}/host/{{repository}}.git"},
        sensitivity={"draws": 10},
        evaluation={"gold": folder / "gold.csv"},
    )
    run = Run(folder / "run")
    begin(study, run)
    begun = begin_search(run, study.search.base_url, AS_OF)
    found = [item(name, stargazers_count=9 - i) for i, name in enumerate(CODE)]
    store_page(run, "PyTorch CNN", 1, body(*found, item("o/fork", fork=True)))
    finish_search(run, begun, study.search)
    for command in (
        *("rank", "fetch", "extract", "classify", "types", "paper", "report"),
        ("rank", "--sensitivity"),
        ("sample", "--design", "random", "--out", folder / "queue.csv"),
        ("bundle", "--out", folder / "bundle"),
    ):
        name, *options = [command] if isinstance(command, str) else command
        ended = call(folder, name, folder / "run", *options)
        assert ended.status == 0, ended.err


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status and what it printed."""

    status: int
    out: str
    err: str


def call(folder: Path, *arguments: object) -> Ended:
    """Run the command line in this process, in a folder; a traceback is status 99."""
    before = sys.argv, sys.stdin, Path.cwd()
    out, err = io.StringIO(), io.StringIO()
    sys.argv, sys.stdin = ["lossplace", *map(str, arguments)], io.StringIO("q\n")
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except Exception as error:  # what a user would see as a traceback
        status = 99
        err.write(f"{type(error).__name__}: {error}")
    finally:
        sys.argv, sys.stdin = before[:2]
        os.chdir(before[2])
    return Ended(status, out.getvalue(), err.getvalue())


COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "run"),
    "evaluate": ("evaluate", "run"),
    "types": ("types", "run"),
    "paper": ("paper", "run"),
    "report": ("report", "run"),
    "replay": ("replay", "run"),
    "plan": ("plan", "run", "--pilot", "0"),
    "compare": ("compare", "run", "run"),
    "sample": ("sample", "run", "--design", "random", "--out", "queue2.csv"),
    "label": ("label", "queue.csv", "--reader", "ann", "--run", "run"),
    "export csv": ("export", "run", "--to", "csv", "--out", "out"),
    "export huggingface": ("export", "run", "--to", "huggingface", "--out", "out"),
    "export label-studio": ("export", "run", "--to", "label-studio", "--out", "out"),
    "export argilla": ("export", "run", "--to", "argilla", "--out", "out"),
    "export sqlite": ("export", "run", "--to", "sqlite", "--out", "out"),
    "bundle": ("bundle", "run", "--out", "bundle2"),
    "loss-names": ("loss-names", "run", "--out", "names.csv"),
    "rank": ("rank", "run"),
    "rank --sensitivity": ("rank", "run", "--sensitivity"),
    "fetch": ("fetch", "run"),
    "extract": ("extract", "run"),
    "classify": ("classify", "run"),
    "run": ("run", "run"),
}
"""Every command that reads a run, in the folder of one."""


def _flip(part: float) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[min(int(len(content) * part), len(content) - 1)] ^= 1
        path.write_bytes(content)

    return flip


def _flip_in_a_vote(path: Path) -> None:
    """Flip one bit of a stored answer, wherever SQLite has left a copy of it."""
    with contextlib.closing(sqlite3.connect(path)) as store:
        ((text,),) = store.execute("SELECT text FROM votes ORDER BY length(text) DESC LIMIT 1")
    was = text.encode()
    path.write_bytes(path.read_bytes().replace(was, bytes([was[0] ^ 1]) + was[1:]))


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _change(**fields: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def _other_version(path: Path) -> None:
    fields = json.loads(path.read_text())
    fields["settings"]["lossplace"] = "0.0.1"
    path.write_text(json.dumps(fields))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b"") and None,
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) and None,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0more") and None,
    "bit at 1/10": _flip(0.1),
    "bit at 1/2": _flip(0.5),
    "bit at 9/10": _flip(0.9),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)) and None,
    "a folder": _to_folder,
}
OF_SIDECARS: dict[str, Callable[[Path], None]] = {
    "a list": lambda path: path.write_text("[]") and None,
    "null": lambda path: path.write_text("null") and None,
    "deep": lambda path: path.write_text("[" * 100_000) and None,
    "a huge number": lambda path: path.write_text('{"rows": 1' + "0" * 5000 + "}") and None,
    "NaN rows": _change(rows=float("nan")),
    "settings a list": _change(settings=[1]),
    "inputs a text": _change(inputs="x"),
    "inputs of numbers": _change(inputs={"x": 1}),
    "sha256 null": _change(sha256=None),
    "notes a number": _change(notes=3),
    "of another version": _other_version,
}


OF_STORES: dict[str, Callable[[Path], None]] = {"bit in a vote": _flip_in_a_vote}


def damages_of(path: Path) -> dict[str, Callable[[Path], None]]:
    """Return the ways in which a file is damaged."""
    if path.name.endswith(".meta.json"):
        return DAMAGES | OF_SIDECARS
    return DAMAGES | (OF_STORES if path.suffix == ".sqlite" else {})


def artifacts(run: Path) -> list[str]:
    """Return the files of a run that a command reads: not git's own, nor pages that ship."""
    names = [path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()]
    skipped = re.compile(r"\.lock|report/static/.*|clones/[^/]+/(?!lossplace.json|listing|sizes).*")
    return sorted(name for name in names if not skipped.fullmatch(name))


def contents(run: Path) -> dict[str, bytes]:
    """Return the bytes of each artifact of a run; of the store, what SQLite keeps is not ours."""
    return {
        name: (run / name).read_bytes() for name in artifacts(run) if not name.startswith("votes")
    }


@contextlib.contextmanager
def copied(folder: Path, to: Path) -> Iterator[Path]:
    """Give a copy of what ``make_run`` made, without its host."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("host"))
    try:
        yield to
    finally:
        shutil.rmtree(to)


def judged(ended: Ended, expected: Ended) -> str:
    """Say how a command ended on a damaged run: ``right``, ``refused``, or what is wrong."""
    if ended.status == 99:
        return f"TRACEBACK {ended.err[-200:]}"
    if ended.status == 0:
        same = _lines(ended.out) == _lines(expected.out)
        return "right" if same else "OTHER RESULT"
    said = [line for line in ended.err.splitlines() if line.startswith("lossplace: ")]
    ways_out = r"delete|run |get it|restore|give|move|upgrade|install|mend|see |make room"
    if ended.status == 1 and len(said) == 1 and re.search(ways_out, said[0]):
        return "refused"
    return f"UNCLEAR {ended.err[-200:]}"


def _lines(text: str) -> list[str]:
    """Return what a command said of the results, and not of the work that they took."""
    said = re.compile(r"classify: .*|types: .*|report: .*|written to .*")
    return [line for line in text.splitlines() if not said.fullmatch(line)]


SLOW = ("paper", "bundle", "run")
"""Commands that draw figures."""


def attempt(base: Path, scratch: Path, name: str, damage: str, command: str) -> str:
    """Damage one file of a fresh copy, run one command on it, and say how that ended.

    In capitals what must not be; ``without`` is the result of a run that lacks the file.
    Where ``run`` ends well, every artifact must have the bytes that it had.
    """
    with copied(base, scratch) as folder:
        place = folder / "run" / name
        damages_of(place)[damage](place)
        done = call(folder, *COMMANDS[command])
        ended = judged(done, expected(base, scratch, command))
        if ended == "OTHER RESULT" and (command == "status" or "cannot be read" in done.out):
            return "right"  # it says that something is not done, or not known
        if ended == "OTHER RESULT" and damage == "gone":
            return "without"  # a run that never had it: licences that nobody knows, no funnel
        if command == "run" and ended == "right":
            sound, now = contents(base / "run"), contents(folder / "run")
            unlike = [each for each in sound if now.get(each) != sound[each] and name not in each]
            # of what no stage reads back, or is asked for by itself, the run says nothing
            if unlike:
                return f"OTHER BYTES in {', '.join(unlike[:3])}"
        return ended


_EXPECTED: dict[tuple[Path, str], Ended] = {}


def expected(base: Path, scratch: Path, command: str) -> Ended:
    """Return how a command ends on a sound copy."""
    if (base, command) not in _EXPECTED:
        with copied(base, scratch.with_name("sound")) as folder:
            _EXPECTED[base, command] = call(folder, *COMMANDS[command])
            assert _EXPECTED[base, command].status == 0, _EXPECTED[base, command].err
    return _EXPECTED[base, command]
