"""A whole study from GitHub: a server that speaks its API, real git, and the command line."""

import json
import subprocess
import sys

import pytest

from classify import cli
from mining.artifacts import Run
from tests.mining.github_server import GitHubServer, item

LOSS = "def loss(a, b, w):\n    return (a - b).abs().mean() + w * (a - b).pow(2).mean()\n"


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Two real repositories; a third is found by the search, but gone."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("one", "two"):
        folder = tmp_path / "host" / "o" / name
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet")
        git(folder, "config", "uploadpack.allowFilter", "true")
        (folder / "losses.py").write_text(LOSS)
        (folder / "data.bin").write_bytes(b"x" * 1000)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", "one")
    return tmp_path / "host"


def lossplace(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["lossplace", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0


def test_from_the_search_to_the_tables(host, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_TOKEN", "github_pat_marked_as_secret")
    results = {
        "PyTorch CNN": [
            item("o/one", stargazers_count=9),
            item("o/gone", stargazers_count=5),
            item("o/fork", fork=True),
        ],
        "PyTorch GAN": [item("o/one", stargazers_count=9), item("o/two")],
    }
    with GitHubServer(results) as server:
        server.token = "github_pat_marked_as_secret"
        study = tmp_path / "s.toml"
        study.write_text(
            f"""
            [search]
            frameworks = ["PyTorch"]
            architectures = ["CNN", "GAN"]
            base_url = "{server.base_url}"
            [corpus]
            clone_url = "file://{host}/{{repository}}"
            """
        )
        assert lossplace(monkeypatch, "run", study) == 0
        asked = len(server.asked)
    printed = capsys.readouterr()
    assert "search: 4 repositories, 5 results of 2 queries" in printed.out
    assert "rank: 3 repositories selected of 5 results" in printed.out
    assert "fetch: 2 repositories, 1 dropped" in printed.out
    assert asked == 2

    run = Run(tmp_path / "runs" / "s")
    corpus = run.read("corpus.parquet").set_index("repository")
    assert corpus.loc["o/gone", "reason"]
    assert len(corpus.loc["o/one", "commit"]) == 40
    assert (corpus.loc["o/two", "query"], corpus.loc["o/two", "position"]) == ("PyTorch GAN", 1)
    assert set(run.read("placements.parquet")["commit"]) == set(corpus["commit"].dropna())
    assert run.read("dropped.parquet")["subject"].to_list() == ["o/gone"]
    assert not list(run.folder.rglob("data.bin"))

    # the server is gone: what was searched is ranked anew, and what is done stays done
    assert lossplace(monkeypatch, "rank", study, "--top", "1", "--weights", "stars=1") == 0
    printed = capsys.readouterr()
    assert "rank: 2 repositories selected of 5 results" in printed.out
    assert "left: o/gone" in printed.out
    assert lossplace(monkeypatch, "run", study, "--top", "1", "--weights", "stars=1") == 0
    assert "fetch: 2 repositories, 0 dropped" in capsys.readouterr().out
    assert len(run.read("placements.parquet")) == 2
    assert json.loads((run.folder / "study.json").read_text())["ranking"]["top"] == 1

    for path in run.folder.rglob("*"):
        if path.is_file():
            assert b"marked_as_secret" not in path.read_bytes()
