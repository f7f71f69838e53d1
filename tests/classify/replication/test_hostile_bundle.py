"""Bundles of somebody who means harm: nothing is run, nothing is written elsewhere, and it ends."""

import os
import pickle
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from classify import pipeline
from classify.classification import PLACEMENTS, STORE
from classify.replay import Rules, replay
from classify.replication.bundle import bundle
from classify.replication.manifest import write_manifest
from classify.replication.verify import verify
from mining.errors import ArtifactError, InputError, LossplaceError
from mining.opening import open_run
from tests.classify.replication.studies import finished


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    bundle(*finished(folder), folder / "bundle")
    return folder / "bundle"


@pytest.fixture
def package(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bundle")


def tree(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_trigger_in_its_store_never_runs(package):
    with closing(sqlite3.connect(package / STORE)) as store:
        store.execute("CREATE TRIGGER t AFTER INSERT ON votes BEGIN DELETE FROM votes; END")
        store.commit()
    write_manifest(package)
    before = tree(package)
    assert any("trigger 't'" in difference for difference in verify(package).differences)
    study, run = open_run(package)
    for act in (
        lambda: replay(study, run, Rules(None, None, None, None)),
        lambda: pipeline.report(study, run),
    ):
        with pytest.raises(ArtifactError, match="trigger 't'"):
            act()
    assert {path: content for path, content in tree(package).items() if path in before} == before


@pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm"])
def test_what_lies_beside_its_store_is_not_taken_for_its_newest_state(package, suffix):
    beside = package / f"{STORE}{suffix}"
    beside.write_bytes(os.urandom(4096))
    write_manifest(package)
    content = beside.read_bytes()
    assert verify(package).agrees
    assert beside.read_bytes() == content


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def test_an_archive_writes_nowhere_else(whole, tmp_path):
    files = [(f"b/{p.relative_to(whole)}", c) for p, c in tree(whole).items()]
    link = zipfile.ZipInfo("b/link")
    link.external_attr = 0o120777 << 16
    hostile = [("../out", b"x"), (str(tmp_path / "absolute"), b"x"), (link, "/etc/passwd")]
    path = zipped(tmp_path / "b.zip", [*files, *hostile])
    differing = verify(path).differences
    assert any("not in the manifest" in each for each in differing)
    assert not any("root:" in each for each in differing)
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("b/zeros", "w") as entry,
    ):
        for _ in range(257):
            entry.write(bytes(2**20))
    with pytest.raises(InputError, match="unpacks to 269484032"):
        verify(tmp_path / "b.zip")


def test_a_lie_about_an_entrys_size_is_refused(tmp_path):
    """More comes out of an entry than the archive says."""
    path = zipped(tmp_path / "b.zip", [("b/zeros", bytes(10**6))])
    content = path.read_bytes().replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(InputError):
        verify(path)


class _Payload:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def test_no_pickle_in_a_table_is_loaded(package, monkeypatch, tmp_path):
    """Neither as an Arrow extension type (CVE-2023-47248), nor in what pandas notes of itself."""
    monkeypatch.chdir(tmp_path)
    payload = pickle.dumps(_Payload())
    table = pq.read_table(package / PLACEMENTS)
    for metadata in (
        {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload},
        {"ARROW:extension:name": "pandas.period", "ARROW:extension:metadata": b"{"},
    ):
        field = table.schema.field("repository").with_metadata(metadata)
        changed = table.set_column(0, field, table.column("repository"))
        pq.write_table(changed, package / PLACEMENTS)
        write_manifest(package)
        list(verify(package).lines())
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "metadata", [b"{", b"[]", b'{"columns": 3}', b'{"index_columns": ["x"], "columns": []}']
)
def test_what_pandas_notes_in_a_table_is_checked(package, metadata):
    table = pq.read_table(package / PLACEMENTS).replace_schema_metadata({"pandas": metadata})
    pq.write_table(table, package / PLACEMENTS)
    write_manifest(package)
    list(verify(package).lines())
    study, run = open_run(package)
    try:
        replay(study, run, Rules(None, None, None, None))
    except LossplaceError as error:
        assert PLACEMENTS in str(error)
