import json

import pytest

from mining.artifacts import Run
from mining.corpus import git_blob_sha1
from mining.errors import ArtifactError
from mining.extraction import (
    DROPPED,
    FILES,
    SCHEMAS,
    SNIPPETS,
    Corpus,
    extract_corpus,
)
from mining.records import Dropped
from mining.study import CorpusSettings

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


def write(folder, corpus=CORPUS):
    for name, files in corpus.items():
        for path, content in files.items():
            place = folder / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    return [(name, "c0ffee", folder / name) for name in corpus]


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run")
    extract_corpus(
        run,
        write(tmp_path),
        [Dropped("o/gone", "fetch", "no such repository")],
        CorpusSettings(),
        {},
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
    repositories = write(
        tmp_path, {"o/one": {"n.ipynb": notebook.encode(), "a.py": b"def f(): pass"}}
    )
    extract_corpus(run, repositories, [], CorpusSettings(notebooks=True), {})
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
    extract_corpus(again, repositories, dropped, CorpusSettings(), {})
    for name in SCHEMAS:
        assert again.path(name).read_bytes() == run.path(name).read_bytes()


def test_a_corpus_without_any_snippet_is_a_corpus(tmp_path):
    run = Run(tmp_path / "run")
    extract_corpus(run, write(tmp_path, {"o/none": {"README": b""}}), [], CorpusSettings(), {})
    assert Corpus(run).repositories == []
    assert len(run.read(SNIPPETS)) == 0


def test_an_unfinished_extraction_is_no_corpus(tmp_path):
    with pytest.raises(ArtifactError, match=r"files\.parquet"):
        Corpus(Run(tmp_path))
