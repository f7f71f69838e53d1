import os
from pathlib import Path

import pyarrow as pa
import pytest

from mining.artifacts import Run
from mining.errors import ArtifactError
from mining.parts import Parts, open_parts, part_key
from mining.study import ScaleSettings

ONE = pa.table({"a": [1, 2], "b": ["x", None]})
OTHER = pa.table({"c": pa.array([], pa.string())})


@pytest.fixture(params=["folder", "memory"])
def parts(request, tmp_path):
    address = tmp_path / "a b" if request.param == "folder" else f"memory://{tmp_path.name}/parts"
    return Parts(str(address))


def test_a_part_gives_its_tables_back(parts):
    tables = [("one", ONE), ("other", OTHER), ("one", ONE.slice(1))]
    assert "k" not in parts
    parts.put("k", iter(tables))
    assert "k" in parts
    assert list(parts.get("k")) == tables
    assert parts.keys() == {"k"}


def test_an_empty_part_is_there(parts):
    parts.put("k", [])
    assert "k" in parts
    assert list(parts.get("k")) == []


def test_a_part_that_is_put_again_is_replaced(parts):
    parts.put("k", [("one", ONE)])
    parts.put("k", [("other", OTHER)])
    assert list(parts.get("k")) == [("other", OTHER)]


@pytest.fixture(scope="module")
def put(tmp_path_factory):
    """The bytes of a part of two tables, and where the second begins."""
    parts = Parts(str(tmp_path_factory.mktemp("parts")))
    for key, tables in {"k": [("one", ONE)], "l": [("one", ONE), ("other", OTHER)]}.items():
        parts.put(key, tables)
    one, both = (Path(parts.address, f"{key}.arrow").read_bytes() for key in "kl")
    return both, len(one.removesuffix(b"lossplace"))


@pytest.mark.parametrize("cut", ["all", "within", "between", "end", "changed end"])
def test_a_damaged_part(put, cut, tmp_path):
    content, second = put
    kept = {"all": 0, "within": second // 2, "between": second, "end": -1, "changed end": -3}[cut]
    Path(tmp_path, "k.arrow").write_bytes(content[:kept] + b"..." * (cut == "changed end"))
    with pytest.raises(ArtifactError, match=f"damaged; delete {tmp_path} and run the command"):
        list(Parts(str(tmp_path)).get("k"))


def test_a_part_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink())
    )
    Parts(str(tmp_path)).put("k", [("one", ONE)])
    (part,) = synced
    assert part.parent == tmp_path and part.suffix == ".part"


def test_a_part_is_written_whole_or_not_at_all(parts, tmp_path):
    def tables():
        yield "one", ONE
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        parts.put("k", tables())
    assert "k" not in parts
    assert parts.keys() == set()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_nothing_is_there_before_and_after(parts):
    assert parts.keys() == set()
    parts.clear()
    parts.put("k", [("one", ONE)])
    parts.clear()
    assert parts.keys() == set()


def test_the_key_of_a_part_names_all_that_it_depends_on():
    keys = {part_key("a", None), part_key("a", "None"), part_key("a"), part_key("a", {"x": 1})}
    assert len(keys) == 4
    assert part_key("a", {"x": 1, "y": 2}) == part_key("a", {"y": 2, "x": 1})


def test_where_parts_lie(tmp_path):
    run = Run(tmp_path / "study")
    assert open_parts(run, ScaleSettings(), "extract").address == f"{run.folder}/extract.parts"
    for storage in ("s3://bucket/prefix", "s3://bucket/prefix/"):
        shared = ScaleSettings(storage=storage)
        there = open_parts(run, shared, "extract").address
        assert there == "s3://bucket/prefix/study/extract.parts"
