"""From the ranking to dropped.parquet: repositories whose files disqualify them, by real git."""

import subprocess

import pytest

from mining.artifacts import Run
from mining.extraction import DROPPED, SNIPPETS
from mining.funnel import FUNNEL
from mining.pages import begin_search, finish_search, store_page
from mining.pipeline import CORPUS, extract, fetch, rank
from mining.study import Study
from tests.mining.github_server import item
from tests.mining.test_pages import body
from tests.mining.test_ranking import AS_OF

CODE = {"main.py": "def f():\n    return 1\n"}
HOST = {
    "o/original": CODE,
    "o/mirror": CODE,  # the same commit
    "o/upload": CODE,  # the same files, in a commit of its own
    "o/docs": {"README.md": "no code"},
    "o/other": {"main.py": "def g():\n    return 2\n"},
}


def git(folder, *arguments, date="2020-01-01T00:00:00Z"):
    who = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "PATH": "/usr/bin:/bin"}
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        env=who | {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
    )


@pytest.fixture
def host(tmp_path):
    for number, (name, files) in enumerate(HOST.items()):
        folder = tmp_path / "host" / name
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet")
        git(folder, "config", "uploadpack.allowFilter", "true")
        git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
        for path, text in files.items():
            (folder / path).write_text(text)
        day = 1 if name == "o/mirror" else number + 1
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", "c", date=f"2020-01-0{day}T00:00:00Z")
    return tmp_path / "host"


@pytest.fixture
def opened(host, tmp_path):
    study = Study(
        name="s",
        search={"frameworks": ["PyTorch"], "architectures": ["CNN"]},
        corpus={"clone_url": f"file://{host}/{{repository}}"},
    )
    run = Run(tmp_path / "run")
    begun = begin_search(run, study.search.base_url, AS_OF)
    stars = [item(name, stargazers_count=100 - i) for i, name in enumerate([*HOST, "o/gone"])]
    store_page(run, "PyTorch CNN", 1, body(*stars, item("o/fork", fork=True)))
    finish_search(run, begun, study.search)
    return study, run


def reasons(run):
    corpus = run.read(CORPUS)
    return dict(zip(corpus["repository"], corpus["reason"].fillna(""), strict=True))


def test_what_the_files_say_is_recorded_and_left_out(opened):
    study, run = opened
    rank(study, run)
    lines = fetch(study, run)
    found = reasons(run)
    assert found.pop("o/gone")
    assert found == {
        "o/original": "",
        "o/mirror": "copy of o/original",
        "o/upload": "copy of o/original",
        "o/docs": "no Python file",
        "o/other": "",
    }
    assert run.read(FUNNEL).to_numpy().tolist() == [
        ["rank", "fork", 1, 1],
        ["fetch", "could not be fetched", 1, 1],
        ["fetch", "no Python file", 1, 1],
        ["fetch", "copy of another", 2, 2],
        ["fetch", "in the corpus", 2, 2],
    ]
    assert lines[-1].split() == ["=", "in", "the", "corpus", "2", "2"]
    extract(study, run)
    assert set(run.read(SNIPPETS)["repository"]) == {"o/original", "o/other"}
    dropped = run.read(DROPPED)
    assert set(dropped.loc[dropped["stage"] == "fetch", "subject"]) >= {"o/mirror", "o/docs"}


def test_a_second_fetch_ends_with_the_same_corpus(opened):
    study, run = opened
    rank(study, run)
    fetch(study, run)
    first = run.path(CORPUS).read_bytes()
    for name in (CORPUS, f"{CORPUS}.meta.json"):
        run.path(name).unlink()
    fetch(study, run)
    assert run.path(CORPUS).read_bytes() == first


def test_copies_stay_where_the_study_says_so(opened):
    study, run = opened
    kept = study.model_copy(update={"corpus": study.corpus.model_copy(update={"copies": "keep"})})
    rank(kept, run)
    fetch(kept, run)
    assert [reason for reason in reasons(run).values() if reason.startswith("copy")] == []
