import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from mining.artifacts import Artifact, Run, whole, write_atomically
from mining.errors import ArtifactError

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
ARTIFACT = Artifact("rank", {"top": 2, "weights": {"stars": 1.0}}, {"in.parquet": "00"})


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def test_a_table_comes_back_and_its_sidecar_says_how_it_was_made(run):
    run.write("t.parquet", FRAME, ARTIFACT)
    assert run.read("t.parquet").equals(FRAME.astype({"b": "str"}))
    fields = json.loads((run.folder / "t.parquet.meta.json").read_text())
    assert fields["command"] == "rank"
    assert fields["rows"] == 2
    assert fields["inputs"] == {"in.parquet": "00"}
    assert fields["settings"]["top"] == 2


@pytest.mark.parametrize(
    ("settings", "inputs", "done"),
    [
        ({"weights": {"stars": 1}, "top": 2}, {"in.parquet": "00"}, True),
        ({"weights": {"stars": 2}, "top": 2}, {"in.parquet": "00"}, False),
        ({"weights": {"stars": 1}, "top": 2}, {"in.parquet": "01"}, False),
        ({"weights": {"stars": 1}}, {"in.parquet": "00"}, False),
    ],
)
def test_done_means_the_same_settings_and_inputs(run, settings, inputs, done):
    assert not run.is_done("t.parquet", settings, inputs)
    run.write("t.parquet", FRAME, ARTIFACT)
    assert run.is_done("t.parquet", settings, inputs) is done


def test_an_artifact_without_sidecar_or_a_sidecar_without_artifact_is_not_done(run):
    for lost in ("t.parquet", "t.parquet.meta.json"):
        run.write("t.parquet", FRAME, ARTIFACT)
        (run.folder / lost).unlink()
        with pytest.raises(ArtifactError, match="to be done"):
            run.read("t.parquet")


def test_a_failed_write_leaves_what_was_there(run):
    run.write("t.parquet", FRAME, ARTIFACT)
    with pytest.raises(RuntimeError), run.replacing("t.parquet", ARTIFACT) as (path, _):
        path.write_text("half")
        raise RuntimeError
    assert run.read("t.parquet").equals(FRAME.astype({"b": "str"}))
    assert sorted(p.name for p in run.folder.iterdir()) == ["t.parquet", "t.parquet.meta.json"]


def test_equal_tables_are_equal_bytes(tmp_path):
    for name in ("one", "two"):
        Run(tmp_path / name).write("t.parquet", FRAME, ARTIFACT)
    for file in ("t.parquet", "t.parquet.meta.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("t.parquet", b"not parquet"),
        ("t.parquet.meta.json", b"{"),
        ("t.parquet.meta.json", b"{}"),
        ("t.parquet.meta.json", b"[]"),
    ],
)
def test_damage_is_named(run, file, content):
    run.write("t.parquet", FRAME, ARTIFACT)
    (run.folder / file).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"t\.parquet.*delete it and run"):
        run.read("t.parquet")


def test_only_what_is_named_is_kept_of_a_folder(run):
    for name in ("paper/a.csv", "paper/b.csv", "c.csv"):
        run.write_bytes(name, b"", ARTIFACT)
    (run.folder / "paper" / "notes.txt").write_text("the user's own")
    run.keep_only("paper", ["paper/a.csv"])
    assert sorted(p.name for p in run.folder.rglob("*") if p.is_file()) == [
        "a.csv",
        "a.csv.meta.json",
        "c.csv",
        "c.csv.meta.json",
        "notes.txt",
    ]


@pytest.mark.parametrize("at", [1, 2])
def test_what_is_removed_half_is_removed_by_the_next(run, monkeypatch, at):
    for name in ("paper/a.csv", "paper/b.csv"):
        run.write_bytes(name, b"", ARTIFACT)
    calls = []
    unlink = Path.unlink

    def stopping(path, missing_ok=False):
        calls.append(path)
        if len(calls) == at:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", stopping)
        run.keep_only("paper", ["paper/a.csv"])
    run.keep_only("paper", ["paper/a.csv"])
    assert sorted(p.name for p in (run.folder / "paper").iterdir()) == ["a.csv", "a.csv.meta.json"]


def test_a_folder_comes_whole_or_not_at_all(tmp_path):
    for breaks in (True, False):
        with suppress(RuntimeError), whole(tmp_path / "out") as folder:
            folder.mkdir()
            (folder / "a").write_text("a")
            if breaks:
                raise RuntimeError
        assert [p.name for p in tmp_path.iterdir()] == ([] if breaks else ["out"])
    assert (tmp_path / "out" / "a").read_text() == "a"


def test_a_killed_writers_half_is_removed_by_the_next(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    at_work = tmp_path / f".a.csv.{os.getppid()}.part"
    for half in (tmp_path / f".a.csv.{gone.pid}.part", tmp_path / ".a.csv.part", at_work):
        half.write_text("half")
    (tmp_path / f".b.csv.{gone.pid}.part").write_text("of another file")
    write_atomically(tmp_path / "a.csv", "a")
    left = ["a.csv", at_work.name, f".b.csv.{gone.pid}.part"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(left)


def test_all_is_on_the_disk_before_it_has_its_name(run, monkeypatch):
    """Or a power cut could leave a sidecar beside an empty file."""
    done = []

    def fsync(opened):
        done.append(Path(f"/proc/self/fd/{opened}").readlink().name.split(".part")[0])

    def replace(path, target):
        done.append(f"-> {Path(target).name}")
        path.rename(target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    run.write_bytes("a.csv", b"a", ARTIFACT)
    pid = os.getpid()
    assert done == [
        f".a.csv.{pid}",
        "-> a.csv",
        f".a.csv.meta.json.{pid}",
        "-> a.csv.meta.json",
    ]
