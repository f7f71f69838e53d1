"""One writer for each run, by real processes."""

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
import time

import pytest

from mining.artifacts import STUDY, Run
from mining.errors import ArtifactError
from mining.locking import LOCK, alone, in_turn
from tests.holding import holding


@pytest.fixture
def holder(tmp_path):
    with holding(tmp_path) as process:
        yield process


IN_TURN = """
import sys
from pathlib import Path
from mining.locking import in_turn
folder = Path(sys.argv[1])
(folder / "waits").touch()
with in_turn(folder):
    print("after" if (folder / "done").exists() else "before")
"""


def enter(folder):
    with alone(folder):
        pass


def test_the_second_is_told_who_is_there(tmp_path, holder):
    who = rf"process {holder.pid} on {os.uname().nodename}\); wait for its end"
    with pytest.raises(ArtifactError, match=who):
        enter(tmp_path)
    holder.communicate()
    enter(tmp_path)
    assert (tmp_path / LOCK).read_bytes() == b""


def test_it_is_free_when_its_holder_is_killed(tmp_path, holder):
    holder.kill()
    holder.wait()
    enter(tmp_path)


def test_a_process_may_hold_it_within_itself(tmp_path):
    with alone(tmp_path) as first, alone(tmp_path / "." / "") as second:
        assert (first, second) == (True, False)
        assert f"process {os.getpid()} " in (tmp_path / LOCK).read_text()
    with (tmp_path / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_that_lives_on_does_not_hold_it(tmp_path):
    to_parent, to_child = os.pipe(), os.pipe()
    with alone(tmp_path):
        child = os.fork()
        if not child:
            os.close(to_child[1])
            os.write(to_parent[1], b"!")
            os.read(to_child[0], 1)  # until the parent closes its end
            os._exit(0)
        os.read(to_parent[0], 1)
    try:
        with (tmp_path / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        for end in (*to_parent, *to_child):
            os.close(end)
        os.waitpid(child, 0)


def test_a_file_system_without_locks_is_said_to_be_one(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone(tmp_path):
        assert (tmp_path / LOCK).read_bytes() == b""
    assert "cannot be locked (No locks available)" in capsys.readouterr().err


def test_who_waits_in_turn_goes_on_when_the_other_is_done(tmp_path):
    with tempfile.TemporaryFile("w+") as said:
        with in_turn(tmp_path):
            process = subprocess.Popen([sys.executable, "-c", IN_TURN, tmp_path], stdout=said)
            while not (tmp_path / "waits").exists():
                time.sleep(0.01)
            (tmp_path / "done").touch()
        assert process.wait() == 0
        said.seek(0)
        assert said.read() == "after\n"


def test_in_turn_without_locks_it_is_said_once(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(3):
        with in_turn(tmp_path):
            pass
    assert capsys.readouterr().err.count("cannot be locked (No locks available)") == 1


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / LOCK).symlink_to("mine.txt")
    with pytest.raises(OSError, match="symbolic links"):
        enter(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_run_that_is_not_there_is_not_made(tmp_path):
    with Run(tmp_path / "run").alone():
        pass
    assert not (tmp_path / "run").exists()


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("folder", ["", "paper", "clones"])
def test_the_next_writer_tidies_up(tmp_path, folder, gone):
    (tmp_path / STUDY).touch()
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    (place / f".t.parquet.{gone}.part").write_text("half")
    (place / ".o__n.git.new.part").mkdir()
    (place / ".o__n.git.new.part" / "config").write_text("")
    (place / f".mine.csv.{os.getppid()}.part").write_text("of one who is at work")
    (place / "notes.part").write_text("the user's own")
    with Run(tmp_path).alone():
        assert sorted(p.name for p in place.iterdir() if p.name not in (LOCK, STUDY, folder)) == [
            f".mine.csv.{os.getppid()}.part",
            "notes.part",
        ]


def test_a_folder_that_is_no_run_is_not_tidied(tmp_path, gone):
    (tmp_path / f".mine.{gone}.part").write_text("the user's own")
    with Run(tmp_path).alone():
        pass
    assert (tmp_path / f".mine.{gone}.part").exists()
