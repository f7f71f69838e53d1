import hashlib
import json
import os
import subprocess

import pytest

from mining.corpus import (
    files_of_folder,
    folder_name,
    git_blob_sha1,
    local_repositories,
    read_file,
    tree_sha256,
)
from mining.errors import InputError
from mining.records import EXTRACTED_OUTCOMES, Outcome

LIMIT = 100
FILES = {
    "a.py": b"def f(): pass\n",
    "pkg/__init__.py": b"",
    "pkg/blank.py": b"\n  \n",
    "pkg/latin.py": b"x = '\xe9'\n",
    "pkg/binary.py": b"\x7fELF\0\0",
    "big.py": b"#" * (LIMIT + 1),
    "limit.py": b"#" * LIMIT,
    "README.md": b"# no Python",
    "data.PY": b"x = 1\n",
    ".git/hooks/evil.py": b"x = 1\n",
    "sub/.git/config.py": b"x = 1\n",
    ".hidden/h.py": b"x = 1\n",
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "o__n"
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "link.py").symlink_to("/etc/hostname")
    (root / "loop").symlink_to(root)
    (root / "dead.py").symlink_to("nowhere")
    os.mkfifo(root / "pipe.py")
    return root


def found(folder, notebooks=False):
    return list(files_of_folder(folder, LIMIT, notebooks=notebooks))


OUTCOMES = {
    "a.py": Outcome.EXTRACTED,
    "pkg/__init__.py": Outcome.EMPTY,
    "pkg/blank.py": Outcome.EMPTY,
    "pkg/latin.py": Outcome.EXTRACTED,
    "pkg/binary.py": Outcome.UNDECODABLE,
    "big.py": Outcome.TOO_LARGE,
    "limit.py": Outcome.EXTRACTED,
    "README.md": Outcome.NOT_PYTHON,
    "data.PY": Outcome.NOT_PYTHON,
    ".hidden/h.py": Outcome.EXTRACTED,
    "link.py": Outcome.LINK,
    "loop": Outcome.LINK,
    "dead.py": Outcome.LINK,
    "pipe.py": Outcome.UNREADABLE,
}


def test_every_file_has_one_outcome_and_a_reason_where_it_is_not_read(folder):
    files = [read_file("o/n", None, seen) for seen in found(folder)]
    assert {f.path: f.outcome for f in files} == OUTCOMES
    assert len(files) == len(OUTCOMES)
    for file in files:
        assert (file.text is None) == (file.reason is not None)
        assert (file.text is None) == (file.encoding is None)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"


def test_a_pointer_to_git_lfs_is_no_python(tmp_path):
    (tmp_path / "a.py").write_bytes(LFS[:LIMIT])
    (file,) = (read_file("o/n", None, each) for each in found(tmp_path))
    assert (file.outcome, file.text) == (Outcome.UNREADABLE, None)
    assert file.sha256 == hashlib.sha256(LFS[:LIMIT]).hexdigest()


NOTEBOOKS = {
    "good.ipynb": ('{"cells": [{"cell_type": "code", "source": "x = 1"}]}', Outcome.EXTRACTED),
    "no_code.ipynb": ('{"cells": []}', Outcome.EMPTY),
    "open.ipynb": ('{"cells": [{"cell_type": "code", "source": "f("}]}', Outcome.PARTIAL),
    "broken.ipynb": ('{"cells": [', Outcome.UNDECODABLE),
    "r.ipynb": ('{"metadata": {"language_info": {"name": "R"}}, "cells": []}', Outcome.NOT_PYTHON),
    "large.ipynb": (json.dumps({"cells": [], "metadata": "x" * LIMIT}), Outcome.TOO_LARGE),
}


@pytest.mark.parametrize(("name", "text", "outcome"), [(n, *c) for n, c in NOTEBOOKS.items()])
def test_notebooks_on_request(tmp_path, name, text, outcome):
    (tmp_path / name).write_text(text)
    (file,) = (read_file("o/n", None, each) for each in found(tmp_path, notebooks=True))
    assert file.outcome == outcome
    assert (file.reason is None) == (outcome in (Outcome.EXTRACTED, Outcome.EMPTY))
    assert (file.text is None) == (outcome not in EXTRACTED_OUTCOMES)
    (file,) = (read_file("o/n", None, each) for each in found(tmp_path))
    assert (file.outcome, file.reason) == (Outcome.NOT_PYTHON, "a notebook")


@pytest.mark.parametrize("content", [b"", b"x = 1\r\n", b"\0\xff"])
def test_git_knows_a_file_by_the_same_hash(content):
    command = ["git", "hash-object", "--stdin", "--no-filters"]
    said = subprocess.run(command, input=content, capture_output=True, check=True).stdout
    assert git_blob_sha1(content) == said.decode().strip()


def test_files_come_in_one_order(folder):
    assert [s.path for s in found(folder)] == [s.path for s in found(folder)]


def test_names_that_are_no_text_can_be_stored(folder):
    (folder / os.fsdecode(b"caf\xe9.py")).write_bytes(b"x = 1\n")
    assert "caf\\xe9.py" in [each.path for each in found(folder)]


CHANGES = [
    ("content", "a.py", b"def g(): pass\n"),
    ("new file", "new.py", b""),
    ("new other file", "new.txt", b""),
]


@pytest.mark.parametrize(("path", "content"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_the_hash_of_a_tree_changes_with_it(folder, path, content):
    before = tree_sha256(found(folder))
    assert tree_sha256(found(folder)) == before
    (folder / path).write_bytes(content)
    assert tree_sha256(found(folder)) != before


def test_the_hash_of_a_tree_does_not_depend_on_where_it_is(folder, tmp_path):
    moved = tmp_path / "elsewhere"
    before = tree_sha256(found(folder))
    folder.rename(moved)
    assert tree_sha256(found(moved)) == before
    assert before[1] == 7


def test_folders_are_repositories(tmp_path):
    for name in ("b__c", "a__x__y", "plain", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    found, beside = local_repositories(tmp_path)
    assert list(found) == ["a/x__y", "b/c", "plain"]
    assert {d.subject for d in beside} == {"README.md", "link"}
    assert folder_name("a/x__y") == "a__x__y"


@pytest.mark.parametrize("make", [None, "file", "empty"])
def test_a_folder_without_repositories_is_one_sentence(tmp_path, make):
    path = tmp_path / "corpus"
    if make == "file":
        path.write_text("")
    elif make == "empty":
        path.mkdir()
    with pytest.raises(InputError, match="owner__name"):
        local_repositories(path)
