"""Storage that several machines see: a folder, and an S3-compatible server on loopback."""

import pickle
import subprocess
import sys
import tarfile

import pytest
from s3fs import S3FileSystem

from mining.artifacts import Run
from mining.clone import Wanted
from mining.clones import open_clones
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.extraction import files_of
from mining.fetch import fetch_repositories
from mining.parts import open_parts
from mining.storage import Storage
from mining.study import CorpusSettings, ScaleSettings
from tests.mining.git_server import GitServer, Host
from tests.mining.s3_server import new_bucket, s3_server


@pytest.fixture(scope="module")
def server():
    with s3_server():
        yield


@pytest.fixture
def s3(server):
    yield f"s3://{new_bucket()}/prefix"
    S3FileSystem.clear_instance_cache()


@pytest.fixture(params=["folder", "file", "s3"])
def storage(request, tmp_path):
    if request.param == "s3":
        return Storage(request.getfixturevalue("s3"))
    here = tmp_path / "storage"
    return Storage(str(here) if request.param == "folder" else here.as_uri())


def test_what_is_put_is_there_whole(storage, tmp_path):
    storage.check()
    assert (storage.names(), "a" in storage) == (set(), False)
    (tmp_path / "file").write_bytes(b"content" * 1000)
    storage.put(tmp_path / "file", "a")
    other = pickle.loads(pickle.dumps(storage))
    assert (other.names(), "a" in other, other.size("a")) == ({"a"}, True, 7000)
    with other.open("a") as file:
        assert file.read(7) == b"content"
    other.get("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()
    for absent in (lambda: storage.size("b"), lambda: storage.get("b", tmp_path / "none")):
        with pytest.raises(FileNotFoundError):
            absent()
    assert (storage / "below").names() == set()
    storage.clear()
    storage.clear()
    assert storage.names() == set()


def test_what_cannot_be_read_any_more(s3, tmp_path):
    storage = Storage(s3)
    (tmp_path / "file").write_bytes(b"content")
    storage.put(tmp_path / "file", "a")
    with storage.open("a") as file:
        storage.clear()
        with pytest.raises(ServiceError, match=f"Expected to read and write {s3}, found"):
            file.read()


def test_what_another_machine_puts_is_seen(storage, tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    storage.check()
    assert "a" not in storage and storage.names() == set()
    program = (
        "import sys; from pathlib import Path; from mining.storage import Storage; "
        "Storage(sys.argv[1]).put(Path(sys.argv[2]), 'a')"
    )
    command = [sys.executable, "-c", program, storage.address, tmp_path / "file"]
    subprocess.run(command, check=True)
    assert "a" in storage and storage.names() == {"a"}


@pytest.mark.parametrize(
    ("address", "environment", "error", "message"),
    [
        ("s3://no-such-bucket/x", {}, ServiceError, "bucket does not exist"),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, ServiceError, "connect"),
        ("s3://bucket/x", {"AWS_ACCESS_KEY_ID": None}, ServiceError, "credentials"),
        ("gopher://bucket/x", {}, StudyError, "Protocol not known"),
        ("/dev/null/x", {}, ServiceError, "Not a directory"),
    ],
)
def test_what_cannot_be_reached(s3, monkeypatch, address, environment, error, message):
    for name, value in environment.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    if "AWS_ACCESS_KEY_ID" in environment:
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(error, match=message) as caught:
        Storage(address).check()
    assert address in str(caught.value) and "secret" not in str(caught.value)


# Clones


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    return run


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path / "host")
    host.add("o/net", {"a.py": b"x = 1\n", "b/c.py": b"y = 2\n", "README": b"#"})
    return host


def fetched(run, host, storage, name="o/net", **settings):
    with GitServer(host.folder) as server:
        corpus = CorpusSettings(clone_url=server.clone_url, **settings)
        scale = ScaleSettings(storage=storage.address)
        done, dropped = fetch_repositories(run, {name: None}, corpus, scale=scale)
        return done, dropped, len(server.requests)


def test_a_clone_in_storage_is_kept_and_read(storage, run, host):
    done, _, _ = fetched(run, host, storage)
    clone = done["o/net"]
    corpus = CorpusSettings(clone_url=f"file://{host.folder}/{{repository}}.git")
    here, _ = fetch_repositories(run, {"o/net": None}, corpus, scale=ScaleSettings())
    settings = CorpusSettings()
    assert list(files_of(clone, settings)) == list(files_of(here["o/net"], settings))
    again, _, requests = fetched(run, host, storage)
    assert (again, requests) == (done, 0)
    assert (storage / "run" / "clones").names() == {"o__net.tar"}
    assert open_clones(run, ScaleSettings(storage=storage.address)).find("o/other") is None


def test_other_settings_replace_it(storage, run, host):
    first, _, _ = fetched(run, host, storage)
    second, _, requests = fetched(run, host, storage, notebooks=True)
    assert requests and second["o/net"].serves(Wanted(notebooks=True))
    assert not first["o/net"].serves(Wanted(notebooks=True))
    assert (storage / "run" / "clones").names() == {"o__net.tar"}


def test_equal_clones_make_equal_archives(tmp_path, run, host):
    archives = []
    for name in ("one", "other"):
        storage = Storage(str(tmp_path / name))
        fetched(run, host, storage)
        archives.append((tmp_path / name / "run/clones/o__net.tar").read_bytes())
    assert archives[0] == archives[1]


def damage_nothing(archive):
    archive.write_bytes(b"")


def damage_first(archive):
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("HEAD"))


def damage_way_out(archive):
    with tarfile.open(archive, "a") as tar:
        tar.addfile(tarfile.TarInfo("../out"))


def damage_link(archive):
    with tarfile.open(archive, "a") as tar:
        link = tarfile.TarInfo("objects/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)


@pytest.mark.parametrize("damage", [damage_nothing, damage_first, damage_way_out, damage_link])
def test_a_damaged_archive(tmp_path, run, host, damage):
    storage = Storage(str(tmp_path / "storage"))
    fetched(run, host, storage)
    damage(tmp_path / "storage/run/clones/o__net.tar")
    with pytest.raises(ArtifactError, match=r"o__net\.tar, found something else"):
        found = open_clones(run, ScaleSettings(storage=storage.address)).find("o/net")
        list(files_of(found, CorpusSettings()))
    assert not (tmp_path / "out").exists()


def test_a_clone_that_is_gone(tmp_path, run, host):
    done, _, _ = fetched(run, host, Storage(str(tmp_path / "storage")))
    (tmp_path / "storage/run/clones/o__net.tar").unlink()
    with pytest.raises(ArtifactError, match="run `lossplace fetch` again"):
        list(files_of(done["o/net"], CorpusSettings()))


def test_a_machine_that_does_not_share_the_run(tmp_path):
    elsewhere = Run(tmp_path / "not-there")
    with pytest.raises(ArtifactError, match=r"share it, or set scale\.storage"):
        open_parts(elsewhere, ScaleSettings(), "extract").put("key", [])
    with pytest.raises(ArtifactError, match=r"scale\.storage"):
        list(files_of(tmp_path / "not-there", CorpusSettings()))
