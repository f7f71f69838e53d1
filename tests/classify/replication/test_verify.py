import shutil
import sqlite3
import zipfile
from contextlib import closing

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classify.classification import PLACEMENTS, STORE
from classify.migrations import checksum
from classify.replication.bundle import bundle
from classify.replication.contents import ASKS
from classify.replication.manifest import AUTHORS, MANIFEST, differences, write_manifest
from classify.replication.verify import verify
from mining.errors import InputError
from mining.extraction import CLASSES, SNIPPETS
from tests.classify.replication.studies import finished

RUNS = {}
"""The study and the run in each folder."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    study, run = finished(folder)
    RUNS[folder] = study, run
    bundle(study, run, folder / "bundle")
    bundle(study, run, folder / "texts", with_text=True)
    return folder


@pytest.fixture
def package(whole, tmp_path):
    return shutil.copytree(whole / "bundle", tmp_path / "bundle")


def test_a_whole_bundle_agrees_and_is_not_written_to(package):
    before = {p: p.read_bytes() for p in package.rglob("*") if p.is_file()}
    found = verify(package)
    assert found.agrees
    assert "verify: no differences" in list(found.lines())
    assert {p: p.read_bytes() for p in package.rglob("*") if p.is_file()} == before


def test_a_flipped_bit_in_any_file_is_found(package):
    names = [line.partition("  ")[2] for line in (package / MANIFEST).read_text().splitlines()]
    assert {STORE, PLACEMENTS, "paper/table_4_1.tex", "gold.csv", "study.json"} <= set(names)
    for number, name in enumerate(names):
        path = package / name
        content = bytearray(path.read_bytes())
        content[number * 7919 % len(content)] ^= 1 << number % 8
        whole_bytes, _ = path.read_bytes(), path.write_bytes(content)
        assert differences(package)[1] == [f"{name} is not what the manifest says"]
        path.write_bytes(whole_bytes)
    assert differences(package)[1] == []


def test_a_bundle_of_more_prompts_than_are_remembered_is_whole(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("classify.ask._MOST_REMEMBERED", 1)
    study, run = RUNS[whole]
    bundle(study, run, tmp_path / "bundle")
    asks = (tmp_path / "bundle" / ASKS).read_bytes()
    assert asks == (whole / "bundle" / ASKS).read_bytes()
    assert verify(tmp_path / "bundle").agrees


def test_authors_may_complete_their_documents(package):
    for name in AUTHORS:
        (package / name).write_text("ours\n")
    assert verify(package).agrees


def sql(statement):
    def tamper(folder):
        with closing(sqlite3.connect(folder / STORE, isolation_level=None)) as store:
            store.create_function("checksum", 4, checksum)
            store.execute(statement)

    return tamper


def cell(name, column, change, row=0):
    def tamper(folder):
        frame = pd.read_parquet(folder / name)
        column_at = frame.columns.get_loc(column)
        frame.iloc[row, column_at] = change(frame.iloc[row, column_at])
        schema = pq.read_schema(folder / name)
        keys = frame["repository"] if "repository" in frame else [0] * len(frame)
        with pq.ParquetWriter(folder / name, schema) as writer:
            for _, rows in frame.groupby(keys, sort=False):  # a row group each, as it was
                writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))

    return tamper


def edit(name, before, after):
    def tamper(folder):
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after, 1))

    return tamper


def gone(name):
    return lambda folder: (folder / name).unlink()


TURNED = "replace(text, 'Decision: True', 'Decision: False')"
SAY = "UPDATE votes SET text = {0}, crc32 = checksum(draw, max_tokens, {0}, finish_reason)"
OTHERS = "0" * 64

REPAIRED = [
    ("a vote turned round", sql(SAY.format(TURNED)), "placements.parquet:"),
    ("a vote without decision", sql(SAY.format("'well'")), "placements.parquet:"),
    ("a vote without its sum", sql("UPDATE votes SET text = 'well'"), "damaged on disk"),
    ("a vote taken out", sql("DELETE FROM votes"), "placements cannot be recomputed"),
    ("the judge taken out", sql("DELETE FROM judges"), "placements cannot be recomputed"),
    ("a store that is none", lambda f: (f / STORE).write_bytes(b"no"), "placements cannot be"),
    ("a placement", cell(PLACEMENTS, "placement", lambda _: "loss_in_model"), "placements.parquet:"),
    ("a verdict", cell(PLACEMENTS, "loss_definition", lambda _: "none"), "placements.parquet:"),
    ("placements gone", gone(PLACEMENTS), "placements cannot be recomputed"),
    ("placements damaged", lambda f: (f / PLACEMENTS).write_bytes(b"PAR1"), "cannot be recomputed"),
    ("another ask", cell(ASKS, "prompt_sha256", lambda _: OTHERS), "cannot be recomputed"),
    ("the gate", edit("study.json", "as_text", "as_printed"), "placements"),
    ("what names a loss", cell(SNIPPETS, "names_loss", lambda x: not x, 3), "placements"),
    ("a snippet's kind", cell(SNIPPETS, "kind", lambda _: "loop", 1), "placements.parquet:"),
    ("a text", cell(SNIPPETS, "text", lambda t: t + " ", -3), "is not the text that its hash says"),
    ("classes gone", gone(CLASSES), "placements cannot be recomputed"),
    ("a hand label", edit("gold.csv", ",no_loss", ",loss_in_model"), "paper/table_d_2.csv comes out"),
    ("labels gone", gone("gold.csv"), "tables cannot be recomputed"),
    ("a table's number", edit("paper/table_4_1.csv", "all snippets,11", "all snippets,12"), "paper/table_4_1.csv comes out"),
    ("a table in LaTeX", edit("paper/table_4_1.tex", "& 11", "& 12"), "paper/table_4_1.tex comes out"),
    ("a table in Markdown", edit("paper/table_d_5.md", "0.", "1."), "paper/table_d_5.md comes out"),
    ("a figure's number", edit("paper/figure_4_1.csv", "0.95", "0.96"), "paper/figure_4_1.csv comes out"),
    ("a table gone", gone("paper/table_d_1.csv"), "paper/table_d_1.csv is missing"),
    ("a table of ours", lambda f: (f / "paper/table_9.csv").write_text("a\n"), "paper/table_9.csv does not come out"),
    ("the confidence", edit("study.json", '"confidence": 0.95', '"confidence": 0.9'), "paper/table_d_5.csv comes out"),
    ("no study", lambda f: (f / "study.json").write_text("{"), "cannot be recomputed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tamper", "said"), [c[1:] for c in REPAIRED], ids=[c[0] for c in REPAIRED]
)
def test_tampering_is_found_even_with_a_new_manifest(package, tamper, said):
    tamper(package)
    assert differences(package)[1]
    write_manifest(package)
    found = verify(package)
    assert not found.agrees
    assert any(said in each for each in found.differences), found.differences


def test_tables_made_from_texts_are_made_anew_where_the_texts_are(whole, tmp_path):
    package = shutil.copytree(whole / "texts", tmp_path / "texts")
    types = pd.read_parquet(package / "types.parquet")
    types["type"] = "other"
    types.to_parquet(package / "types.parquet")
    csv = pd.read_csv(package / "paper/table_4_3.csv")
    csv.loc[csv["type"] == "other", "proposed"] += 1
    csv.to_csv(package / "paper/table_4_3.csv", index=False)
    write_manifest(package)
    assert "paper/table_4_3.csv comes out otherwise" in verify(package).differences


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "more.txt").write_text("x"), "more.txt is not in the manifest"),
        (gone("environment.txt"), "environment.txt is missing"),
    ],
)
def test_files_come_and_go_only_by_the_manifest(package, change, said):
    change(package)
    assert said in verify(package).differences


def damaged_zip(path, package):
    shutil.make_archive(path.with_suffix(""), "zip", package)
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda each: each.compress_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.compress_size // 2] ^= 255
    path.write_bytes(content)


def zip_of_others(path, package):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")


@pytest.mark.parametrize(
    "make",
    [
        lambda path, package: path.write_text("no zip"),
        lambda path, package: None,
        lambda path, package: path.mkdir(),
        damaged_zip,
        zip_of_others,
    ],
    ids=["text", "nothing", "empty folder", "damaged", "another zip"],
)
def test_what_is_no_bundle_is_said_in_one_sentence(package, tmp_path, make):
    make(tmp_path / "b.zip", package)
    with pytest.raises(InputError, match="Expected a bundle"):
        verify(tmp_path / "b.zip")


def test_an_older_version_is_named(package):
    edit(f"{PLACEMENTS}.meta.json", '"lossplace": "', '"lossplace": "0.0.')(package)
    write_manifest(package)
    assert any("warning: made by lossplace 0.0." in line for line in verify(package).lines())
