"""What must hold of whole commands: no arguments and no bundle bring about a traceback."""

import contextlib
import io
import os
import shutil
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from unittest.mock import patch

from classify import cli
from classify.replication.bundle import bundle
from classify.replication.verify import verify
from mining.errors import InputError
from mining.opening import open_run
from mining.shipped import shipped

_WORDS = (
    "run rank search fetch extract loss-names plan classify replay evaluate paper report compare"
    " sample label agree types export bundle verify import-labels status --run-dir --local"
    " --weights --top --sensitivity --out --pilot --seed --tokens-per-second --gpus"
    " --price-per-gpu-hour --price-in --price-out --json --max-tokens --max-hours --retry-errors"
    " --dry-run --votes --ties --gate --bases --gold --published --transfer-from --against"
    " --public --port --design --labels --half-width --losses --reader --run --adjudicated --unit"
    " --confidence --to --queue --with-text --help study.toml done gold.csv queue.csv none.csv"
    " -1 0 1 1e999 nan stars=1 stars=inf,forks=x yes as_text follow stratified thesis csv sqlite"
    " argilla huggingface snippet . .. labels.json a.zip"
)
WORDS = _WORDS.split()
"""What an argument of one byte stands for. Not --serve, which ends by Ctrl-C only."""
_KEPT = tempfile.TemporaryDirectory(prefix="lossplace-fuzz-")


def command_line(data: bytes) -> None:
    """Any arguments end with status 0, 1, 2 or 3, and what was done before stays as it was."""
    arguments = _arguments(data)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(_finished(), "done")
        shutil.copyfile(shipped("data/gold/sample.csv"), "gold.csv")
        Path("study.toml").write_text(
            '[search]\nframeworks = ["A"]\narchitectures = ["B"]\n'
            'base_url = "http://127.0.0.1:1"\n[corpus]\nclone_url = "http://127.0.0.1:1/{repository}"\n'
            '[judge]\nkind = "replay"\n'
        )
        before = Path("gold.csv").read_bytes()
        said, told = io.StringIO(), io.StringIO()
        with (
            patch.object(sys, "argv", ["lossplace", *arguments]),
            patch.object(sys, "stdin", io.StringIO()),
            patch.dict(os.environ, {"GITHUB_TOKEN": "", "PATH": os.defpath}),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(told),
        ):
            try:
                cli.main()
                status = 0
            except SystemExit as end:
                status = end.code or 0
        assert status in (0, 1, 2, 3), told.getvalue()
        assert "Traceback" not in told.getvalue()
        assert status == 0 or told.getvalue() or said.getvalue()
        assert "--out" in arguments or Path("gold.csv").read_bytes() == before


def _arguments(data: bytes) -> list[str]:
    """Return a command line: nothing in it names a place outside of its folder."""
    arguments = []
    for part in data.split(b"\0")[:12]:
        if len(part) == 1 and part[0] < len(WORDS):
            arguments.append(WORDS[part[0]])
        else:
            text = os.fsdecode(part).replace("/", "_")
            arguments.append("_" if text.startswith("~") or ".." in text else text)
    return arguments


@cache
def _finished() -> Path:
    """Make the smallest finished run, once."""
    folder = Path(_KEPT.name)
    corpus = folder / "corpus"
    source = next(iter(sorted(shipped("data/sample").glob("*rbm-notes"))))
    shutil.copytree(source, corpus / source.name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from classify.pipeline import run_all
        from tests.opening import begin

        for _ in run_all(*begin(*open_run(None, folder / "run", corpus))):
            pass
    return folder / "run"


@cache
def _package() -> bytes:
    """Make the bundle of that run, once."""
    run = _finished()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        out = run.parent / "b.zip"
        bundle(*open_run(run), out)
    return out.read_bytes()


def package(data: bytes) -> None:
    """A bundle, changed anywhere, is verified or refused, and writes nowhere.

    The first byte says which file of it the others replace, at the place that the second says;
    without a third byte they are the whole archive.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "b.zip")
        path.write_bytes(data if data[:2] == b"PK" else _changed(data))
        try:
            found = verify(path)
        except InputError:
            pass
        else:
            assert all(isinstance(line, str) for line in found.lines())
        assert list(Path(folder).iterdir()) == [path]


def _changed(data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_package())) as whole, zipfile.ZipFile(made, "w") as changed:
        names = whole.namelist()
        chosen = names[data[0] % len(names)] if data else None
        for name in names:
            content = whole.read(name)
            if name == chosen:
                at = len(content) * data[1] // 256 if len(data) > 1 else 0
                content = content[:at] + data[2:] + content[at + len(data) - 2 :]
            changed.writestr(name, content)
    return made.getvalue()
