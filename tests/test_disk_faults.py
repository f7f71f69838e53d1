"""Damaged files, full disks, read-only folders: the right result, or one sentence with the way out.

All damages of all files under all commands are tried by ``benchmarks/faults.py``; here is one of
each kind.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from classify.store import Store
from mining.artifacts import Artifact, Run, file_sha256
from mining.errors import ArtifactError
from tests import faults
from tests.classify.test_store import JUDGE, completion

FRAMES = [
    *("corpus.parquet", "files.parquet", "snippets.parquet", "classes.parquet"),
    *("placements.parquet", "ranking.parquet", "repositories.parquet", "ledger.parquet"),
    *("funnel.parquet", "types.parquet", "costs.parquet", "frameworks.parquet"),
    *("sensitivity.parquet", "label_types.parquet", "search/search.json"),
]
READERS = {
    "corpus.parquet": "report",
    "files.parquet": "replay",
    "snippets.parquet": "export csv",
    "classes.parquet": "export csv",
    "placements.parquet": "evaluate",
    "ranking.parquet": "fetch",
    "repositories.parquet": "rank",
    "ledger.parquet": "status",
    "funnel.parquet": "rank",
    "types.parquet": "types",
    "costs.parquet": "status",
    "frameworks.parquet": "report",
    "sensitivity.parquet": "report",
    "label_types.parquet": "types",
    "search/search.json": "rank",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "made"
    folder.mkdir()
    faults.make_run(folder)
    return folder


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "unused")  # all pages of the search are stored


@pytest.fixture
def folder(base, tmp_path):
    with faults.copied(base, tmp_path / "copy") as copy:
        yield copy


@pytest.mark.parametrize("name", FRAMES)
def test_one_flipped_bit_is_noticed(base, tmp_path, name):
    ended = faults.attempt(base, tmp_path / "copy", name, "bit at 1/2", READERS[name])
    assert ended in ("right", "refused")


@pytest.mark.parametrize("damage", faults.DAMAGES)
def test_a_damaged_table_is_made_anew_by_its_stage(folder, damage):
    sound = faults.contents(folder / "run")
    faults.DAMAGES[damage](folder / "run" / "snippets.parquet")
    if damage != "gone":
        refused = faults.call(folder, "export", "run", "--to", "csv", "--out", "out.csv")
        assert (refused.status, "lossplace run" in refused.err) == (1, True)
    ended = faults.call(folder, "extract", "run")
    if damage == "a folder":  # that no stage made
        assert (ended.status, ended.err.count("Expected ")) == (1, 1)
        return
    assert ended.status == 0, ended.err
    assert ("is made anew" in ended.err) == (damage != "gone")
    now = faults.contents(folder / "run")
    assert {name for name in sound if now[name] != sound[name]} == set()


@pytest.mark.parametrize("damage", [*faults.OF_SIDECARS, "bit at 1/2", "empty"])
def test_a_sidecar_of_any_kind_ends_in_a_sentence_or_the_right_result(folder, damage):
    place = folder / "run" / "placements.parquet.meta.json"
    sound = place.read_bytes()
    faults.damages_of(place)[damage](place)
    ended = faults.call(folder, "evaluate", "run")
    assert ended.status in (0, 1), ended.err
    assert ended.status == 0 or ended.err.count("Expected ") == 1
    ended = faults.call(folder, "classify", "run")
    assert ended.status == 0, ended.err
    assert place.read_bytes() == sound


def test_another_version_is_refused_with_the_way_out_and_brought_up_to_date(folder):
    for place in (folder / "run").rglob("*.meta.json"):
        faults.OF_SIDECARS["of another version"](place)
    ended = faults.call(folder, "evaluate", "run")
    assert (ended.status, "`lossplace run`, which keeps all votes" in ended.err) == (1, True)
    for command in ("search", "rank", "fetch", "extract", "classify", "evaluate"):
        ended = faults.call(folder, command, "run")
        assert ended.status == 0, ended.err


@pytest.mark.parametrize("command", ["rank", "run"])
@pytest.mark.parametrize("name", ["corpus.parquet", "corpus.parquet.meta.json"])
def test_what_rank_says_does_not_hang_on_a_damaged_corpus(base, tmp_path, name, command):
    assert faults.attempt(base, tmp_path / "copy", name, "longer", command) == "right"


STORE_DAMAGES = ["empty", "half", "bit at 1/10", "bit at 1/2", "zeros", "a folder"]


@pytest.mark.parametrize("command", ["classify", "replay", "report"])
@pytest.mark.parametrize("damage", STORE_DAMAGES)
def test_a_damaged_store_of_votes_is_no_traceback(base, tmp_path, damage, command):
    ended = faults.attempt(base, tmp_path / "copy", "votes.sqlite", damage, command)
    assert ended in ("right", "refused")


@pytest.mark.parametrize("command", ["replay", "bundle", "export sqlite"])
def test_one_flipped_bit_in_a_vote_is_noticed(base, tmp_path, command):
    ended = faults.attempt(base, tmp_path / "copy", "votes.sqlite", "bit in a vote", command)
    assert ended == "refused"


CLONE_FILES = ["listing", "sizes", "lossplace.json"]


@pytest.mark.parametrize("damage", ["gone", "half", "bit at 1/2"])
@pytest.mark.parametrize("name", CLONE_FILES)
def test_a_damaged_clone_is_noticed(base, tmp_path, name, damage):
    with faults.copied(base, tmp_path / "copy") as folder:
        place = folder / "run/clones/o__nets.git" / name
        sound = faults.contents(folder / "run")
        faults.DAMAGES[damage](place)
        (folder / "run/files.parquet.meta.json").unlink()
        ended = faults.call(folder, "extract", "run")
        if ended.status:
            assert "lossplace fetch" in ended.err
            assert "TRACEBACK" not in faults.judged(ended, ended)
        else:
            now = faults.contents(folder / "run")
            tables = [each for each in sound if each.endswith(".parquet")]
            assert {each for each in tables if now[each] != sound[each]} == set()


def test_what_is_bundled_is_not_damaged(folder):
    faults.DAMAGES["bit at 1/2"](folder / "run" / "files.parquet")
    ended = faults.call(folder, "bundle", "run", "--out", "new")
    assert (ended.status, "damaged" in ended.err) == (1, True)
    assert not (folder / "new").exists()


# --- disks ----------------------------------------------------------------------------------------


@contextmanager
def mounted(place, *options):
    """Mount a small file system of memory; skips where that is not allowed."""
    place.mkdir(parents=True)
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)], capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def sources(folder):
    for number in range(20):
        place = folder / f"o__n{number}" / "a.py"
        place.parent.mkdir(parents=True)
        noise = os.urandom(2000).hex()
        place.write_text(f"def loss(a):\n    return a + '{noise}'\n")


@pytest.mark.parametrize("size_kb", [16, 128, 4000])
def test_a_full_disk_is_a_sentence_and_what_is_there_stays_whole(tmp_path, size_kb):
    sources(tmp_path / "corpus")
    study = tmp_path / "s.toml"
    study.write_text('[corpus]\nlocal = "corpus"\n')
    with mounted(tmp_path / "disk", f"size={size_kb}k") as disk:
        full = False
        for command in ("fetch", "extract", "classify"):
            ended = faults.call(tmp_path, command, study, "--run-dir", disk / "run")
            assert ended.status in (0, 1), ended.err
            if ended.status:
                assert ended.err.count("Expected ") == 1
                full = True
                break
        assert full == (size_kb < 200)
        for sidecar in disk.rglob("*.meta.json"):
            name = sidecar.name.removesuffix(".meta.json")
            assert json.loads(sidecar.read_text())["sha256"] == file_sha256(disk / "run" / name)
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        for command in ("fetch", "extract", "classify"):
            ended = faults.call(tmp_path, command, study, "--run-dir", disk / "run")
            assert ended.status == 0, ended.err
        assert len(Run(disk / "run").read("placements.parquet")) == 20


def test_a_read_only_disk_is_a_sentence_for_what_writes_and_none_for_what_reads(base, tmp_path):
    with mounted(tmp_path / "disk", "size=16m") as disk:
        with faults.copied(base, tmp_path / "copy") as copy:
            shutil.copytree(copy, disk / "copy")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for command, options in faults.COMMANDS.items():
            if command in faults.SLOW:
                continue
            out = ["--out", str(tmp_path / "out")] if "--out" in options else []
            kept = [o for o in options if not out or o not in ("--out", options[-1])]
            ended = faults.call(disk / "copy", *kept, *out)
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            (tmp_path / "out").unlink(missing_ok=True)
            assert ended.status in (0, 1), (command, ended.err)
            assert ended.status == 0 or ended.err.count("Expected ") == 1, (command, ended.err)
            if command in ("status", "evaluate", "compare", "export csv"):
                assert ended.status == 0, (command, ended.err)


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["lossplace", *sys.argv[2:]]
from classify.cli import main
main()
"""


@pytest.mark.parametrize("limit", [200, 3000])
def test_a_quota_on_files_is_a_sentence(tmp_path, limit):
    sources(tmp_path / "corpus")
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), "run", "--local", tmp_path / "corpus"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert ended.returncode == 1
    assert ended.stderr.count("Expected ") == 1
    assert "Traceback" not in ended.stderr
    assert "too large" in ended.stderr.lower()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_an_artifact_that_cannot_be_written_leaves_the_one_before(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    run = Run(tmp_path)
    artifact = Artifact("rank", {}, {})
    run.write_bytes("a.csv", b"before", artifact)
    with pytest.raises(OSError, match="No space left"), run.replacing("a.csv", artifact) as (to, _):
        to.symlink_to("/dev/full")
        with to.open("wb") as file:
            file.write(b"after")
    assert run.path("a.csv").read_bytes() == b"before"
    assert run.sha256("a.csv") == file_sha256(run.path("a.csv"))


def test_a_bit_flipped_after_it_was_read_once_is_noticed(tmp_path):
    run = Run(tmp_path)
    run.write_bytes("a.csv", b"before", Artifact("rank", {}, {}))
    assert run.is_done("a.csv", {}, {})
    faults.DAMAGES["bit at 1/2"](run.path("a.csv"))
    assert not run.is_done("a.csv", {}, {})
    with pytest.raises(ArtifactError, match="damaged"):
        run.sha256("a.csv")


def test_a_store_that_fails_while_votes_are_added_is_a_sentence(tmp_path):
    path = tmp_path / "votes.sqlite"
    with Store(path) as store:
        for number in range(200):
            store.add(completion("Decision: True", prompt=f"prompt {number}"), JUDGE)
    content = bytearray(path.read_bytes())
    content[2 * 4096 :] = b"\xff" * (len(content) - 2 * 4096)
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"votes\.sqlite"), Store(path) as store:
        store.add(completion("Decision: True", prompt="another"), JUDGE)
