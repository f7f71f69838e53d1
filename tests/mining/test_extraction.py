import json
import shutil

import pyarrow.parquet as pq
import pytest

from mining import extraction
from mining.artifacts import Run
from mining.corpus import git_blob_sha1
from mining.engines import Engine
from mining.engines.processes import Processes
from mining.errors import ArtifactError
from mining.extracted import Corpus
from mining.extraction import (
    DROPPED,
    FILES,
    SCHEMAS,
    SNIPPETS,
    extract_corpus,
    extract_source,
    extraction_settings,
)
from mining.parts import open_parts, part_key
from mining.records import Dropped
from mining.study import CorpusSettings, ScaleSettings
from tests.sources import source_of

CORPUS = {
    "o/one": {
        "a.py": b"class A(B):\n    def m(self): pass\nfor i in x: pass\n",
        "b.py": b"class B: pass\n",
        "broken.py": b"def f(:\n    pass\ndef g(): pass\n",
        "notes.txt": b"",
    },
    "o/none": {"README": b""},
    "o/two": {"c.py": "def é():\r\n\treturn 'ü'\r\n".encode("latin-1")},
}


def write(folder, corpus=CORPUS, settings=None):
    for name, files in corpus.items():
        for path, content in files.items():
            place = folder / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    return [source_of(name, folder / name, "c0ffee", settings) for name in corpus]


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run")
    extract_corpus(
        run,
        write(tmp_path),
        [Dropped("o/gone", "fetch", "no such repository")],
        CorpusSettings(),
        {},
        ScaleSettings(),
    )
    return run


def test_columns_are_as_documented(run):
    for name, schema in SCHEMAS.items():
        assert list(run.read(name).columns) == schema.names


def test_counts_add_up(run):
    files = run.read(FILES)
    assert len(files) == sum(len(f) for f in CORPUS.values())
    assert files["outcome"].value_counts().to_dict() == {
        "extracted": 3,
        "partial": 1,
        "not_python": 2,
    }
    assert files["snippets"].sum() == len(run.read(SNIPPETS))
    outcomes = run.sidecar(FILES).notes["outcomes"]
    assert sum(outcomes.values()) == len(files)


@pytest.mark.parametrize(
    "text",
    ["def f(:\n    pass\n", "".join("    " * depth + "def f():\n" for depth in range(300))],
    ids=["broken", "deep"],
)
def test_a_file_read_in_part_says_why(text, tmp_path):
    repositories = write(tmp_path, {"o/one": {"a.py": text.encode()}})
    tables = list(extract_source(repositories[0], CorpusSettings()))
    (file,) = [row for name, table in tables if name == FILES for row in table.to_pylist()]
    assert file["outcome"] == "partial"
    assert file["reason"] == "has syntax errors, or is nested too deeply; read around them"


def test_what_left_the_flow_is_recorded(run):
    dropped = run.read(DROPPED)
    assert dropped.to_dict("records") == [
        {"subject": "o/gone", "stage": "fetch", "reason": "no such repository"},
        {
            "subject": "o/one:notes.txt",
            "stage": "extract",
            "reason": "its name does not end in .py",
        },
        {"subject": "o/none:README", "stage": "extract", "reason": "its name does not end in .py"},
    ]


def test_a_corpus_is_read_back_one_repository_at_a_time(run):
    corpus = Corpus(run)
    assert corpus.repositories == ["o/one", "o/two"]
    one = corpus.snippets("o/one")
    assert [(s.qualname, s.start_line) for s in one if s.path == "a.py"] == [
        ("A.m", 2),
        ("<loop>", 3),
    ]
    assert {s.snippet_id for s in one} <= set(run.read(SNIPPETS)["snippet_id"])
    (a, _) = corpus.classes("o/one")
    assert (a.bases, a.resolved_bases) == (("B",), ("B",))
    (two,) = corpus.snippets("o/two")
    assert (two.text, two.commit) == ("def é():\n\treturn 'ü'", "c0ffee")
    assert list(corpus.code("o/two").texts) == ["c.py"]
    assert corpus.snippets("o/none") == []
    assert corpus.snippets("o/unheard-of") == []


CELLS = ["import torch\n", "!ls\nclass A:\n    def m(self):\n        pass", "for i in x:\n    f(i)"]


def test_snippets_of_a_notebook_say_their_cell(tmp_path):
    cells = [{"cell_type": "code", "source": source} for source in CELLS]
    notebook = json.dumps({"cells": [{"cell_type": "markdown", "source": "#"}, *cells]})
    run = Run(tmp_path / "run")
    settings = CorpusSettings(notebooks=True)
    files = {"n.ipynb": notebook.encode(), "a.py": b"def f(): pass"}
    repositories = write(tmp_path, {"o/one": files}, settings)
    extract_corpus(run, repositories, [], settings, {}, ScaleSettings())
    snippets = run.read(SNIPPETS)
    assert list(snippets.columns[-2:]) == ["cell", "cell_line"]
    read = Corpus(run).snippets("o/one")
    assert [(s.path, s.qualname, s.start_line, s.cell, s.cell_line) for s in read] == [
        ("a.py", "f", 1, None, None),
        ("n.ipynb", "A.m", 6, 3, 3),
        ("n.ipynb", "<loop>", 9, 4, 1),
    ]
    lines = Corpus(run).code("o/one").texts["n.ipynb"].split("\n")
    assert [lines[s.start_line - 1] for s in read[1:]] == ["    def m(self):", "for i in x:"]


def test_git_s_hash_of_every_file_that_is_read(run):
    files = run.read(FILES).set_index("path")
    assert files.loc["a.py", "git_sha1"] == git_blob_sha1(CORPUS["o/one"]["a.py"])
    assert files["git_sha1"].notna().to_dict() == files["sha256"].notna().to_dict()


def test_equal_folders_give_equal_bytes(tmp_path, run):
    again = Run(tmp_path / "again")
    repositories = write(tmp_path / "moved")
    dropped = [Dropped("o/gone", "fetch", "no such repository")]
    extract_corpus(again, repositories, dropped, CorpusSettings(), {}, ScaleSettings())
    for name in SCHEMAS:
        assert again.path(name).read_bytes() == run.path(name).read_bytes()


def test_a_corpus_without_any_snippet_is_a_corpus(tmp_path):
    run = Run(tmp_path / "run")
    extract_corpus(
        run, write(tmp_path, {"o/none": {"README": b""}}), [], CorpusSettings(), {}, ScaleSettings()
    )
    assert Corpus(run).repositories == []
    assert len(run.read(SNIPPETS)) == 0


def test_an_unfinished_extraction_is_no_corpus(tmp_path):
    with pytest.raises(ArtifactError, match=r"files\.parquet"):
        Corpus(Run(tmp_path))


def test_a_large_repository_is_held_in_pieces(tmp_path, run, monkeypatch):
    monkeypatch.setattr(extraction, "_HELD_CHARACTERS", 1)
    monkeypatch.setattr(extraction, "_ROW_GROUP_BYTES", 1)
    again = Run(tmp_path / "again")
    dropped = [Dropped("o/gone", "fetch", "no such repository")]
    extract_corpus(again, write(tmp_path), dropped, CorpusSettings(), {}, ScaleSettings())
    assert pq.ParquetFile(again.path(FILES)).num_row_groups > 3
    for name in SCHEMAS:
        assert again.read(name).equals(run.read(name))
    assert Corpus(again).snippets("o/one") == Corpus(run).snippets("o/one")


def interrupted(tmp_path, corpus):
    """A run whose extraction ended in the middle, with the first part done."""
    run = Run(tmp_path / "run")
    run.folder.mkdir(parents=True)
    sources = write(tmp_path, corpus)
    parts = open_parts(run, ScaleSettings(), "extract")
    hashed = sources[0].tree_sha256
    key = part_key("o/one", "c0ffee", hashed, extraction_settings(CorpusSettings()))
    parts.put(key, extract_source(sources[0], CorpusSettings()))
    return run, sources, parts


def test_what_a_killed_extraction_has_done_is_not_done_again(tmp_path, run):
    again, sources, parts = interrupted(tmp_path / "again", CORPUS)
    shutil.rmtree(sources[0].place)
    dropped = [Dropped("o/gone", "fetch", "no such repository")]
    extract_corpus(again, sources, dropped, CorpusSettings(), {}, ScaleSettings())
    for name in SCHEMAS:
        assert again.path(name).read_bytes() == run.path(name).read_bytes()
    assert parts.keys() == set()


def test_parts_of_an_extraction_that_fails_stay(tmp_path, monkeypatch):
    run, sources, parts = interrupted(tmp_path, CORPUS)
    monkeypatch.setattr(extraction, "extract_source", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract_corpus(run, sources, [], CorpusSettings(), {}, ScaleSettings())
    assert len(parts.keys()) == 1
    assert not run.path(FILES).exists()


CHANGES = {
    "other bytes": lambda folder: (folder / "c.py").write_bytes(b"x = 1\n"),
    "no bytes": lambda folder: (folder / "c.py").write_bytes(b""),
    "a file more": lambda folder: (folder / "d.py").touch(),
    "a file less": lambda folder: (folder / "c.py").unlink(),
    "another name": lambda folder: (folder / "c.py").rename(folder / "d.py"),
    "a link": lambda folder: (folder / "c.py").unlink() or (folder / "c.py").symlink_to("d.py"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_it_was_fetched_is_a_sentence_and_the_rest_stays(tmp_path, change):
    sources = write(tmp_path)
    CHANGES[change](tmp_path / "o/two")
    run = Run(tmp_path / "run")
    with pytest.raises(ArtifactError, match=r"of o/two as they were fetched.*`lossplace fetch`"):
        extract_corpus(run, sources, [], CorpusSettings(), {}, ScaleSettings())
    assert not run.path(FILES).exists()
    assert len(open_parts(run, ScaleSettings(), "extract").keys()) == 2


def test_more_workers_change_no_byte(tmp_path, run, monkeypatch):
    monkeypatch.setattr(
        extraction, "open_engine", lambda scale: Processes(scale.workers, alone_s=0)
    )
    again = Run(tmp_path / "again")
    dropped = [Dropped("o/gone", "fetch", "no such repository")]
    extract_corpus(again, write(tmp_path), dropped, CorpusSettings(), {}, ScaleSettings(workers=2))
    for name in SCHEMAS:
        assert again.path(name).read_bytes() == run.path(name).read_bytes()
        assert again.sidecar(name) == run.sidecar(name)


def test_a_repository_that_no_worker_survives_is_dropped_with_the_reason(tmp_path, monkeypatch):
    class Deadly(Engine):
        def map(self, work, items, lost, expected_s):
            for number, item in enumerate(items):
                yield lost(item, "killed") if number == 0 else work(item)

    monkeypatch.setattr(extraction, "open_engine", lambda _: Deadly())
    run = Run(tmp_path / "run")
    extract_corpus(run, write(tmp_path), [], CorpusSettings(), {}, ScaleSettings())
    assert Corpus(run).repositories == ["o/two"]
    assert run.read(DROPPED).to_dict("records")[0] == {
        "subject": "o/one",
        "stage": "extract",
        "reason": "killed",
    }
