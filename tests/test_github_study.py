"""A whole study from GitHub: a server that speaks its API, real git, and the command line."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from classify import cli
from mining.artifacts import Run
from mining.ledger import LEDGER
from mining.pages import REPOSITORIES
from tests.mining.github_server import GitHubServer, item, population

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
        (folder / "losses.py").write_text(f"{LOSS}# of {name}: no copy of the other\n")
        (folder / "data.bin").write_bytes(b"x" * 1000)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", "one")
    return tmp_path / "host"


SECRET = "github_pat_marked_as_secret"


def assert_secret(folder, printed=""):
    """No file below the folder, nor what was printed, holds the token or its end."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert len(contents) > 4
    assert not [content for content in contents if b"marked_as_secret" in content]
    assert "marked_as_secret" not in printed


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
    dropped = ["o/gone", "o/one:data.bin", "o/two:data.bin"]
    assert run.read("dropped.parquet")["subject"].to_list() == dropped
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

    assert_secret(run.folder, printed.out + printed.err)


def test_enterprise_and_a_mirror_by_address_and_template(host, tmp_path, monkeypatch, capsys):
    """The API lies below a path, clones come from elsewhere, and one of the tokens is bad."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_TOKENS", f"{SECRET}_but_bad,{SECRET}")
    results = {"PyTorch CNN": [item("o/one"), item("o/two")]}
    with GitHubServer(results, path="/api/v3") as server:
        server.token = SECRET
        study = tmp_path / "s.toml"
        study.write_text(
            f"""
            [search]
            frameworks = ["PyTorch"]
            architectures = ["CNN"]
            population = "all"
            base_url = "{server.base_url}/"
            [corpus]
            clone_url = "file://{host}/{{repository}}"
            """
        )
        assert lossplace(monkeypatch, "search", study) == 0
        assert lossplace(monkeypatch, "rank", study) == 0
        assert lossplace(monkeypatch, "fetch", study) == 0
    printed = capsys.readouterr()
    assert "does not accept token 1 of 2 (status 401: Bad credentials)" in printed.err
    assert "fetch: 2 repositories, 0 dropped" in printed.out
    assert_secret(tmp_path / "runs", printed.out + printed.err)


def start(study, log):
    program = [sys.executable, "-c", "from classify.cli import main; main()", "search", study.name]
    environment = {**os.environ, "GITHUB_TOKEN": SECRET, "NO_PROXY": "127.0.0.1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    return subprocess.Popen(program, cwd=study.parent, env=environment, stdout=log, stderr=log)


def test_a_search_that_is_killed_goes_on(tmp_path):
    """The real process gets SIGKILL while it asks; what was stored is not asked again."""
    study = tmp_path / "s.toml"
    with (
        GitHubServer({"PyTorch CNN": population(1500)}, wall_clock=True) as server,
        (tmp_path / "log").open("wb") as log,
    ):
        server.token, server.per_minute, server.delay_s = SECRET, 10_000, 0.02
        study.write_text(
            f"""
            [search]
            frameworks = ["PyTorch"]
            architectures = ["CNN"]
            population = "all"
            base_url = "{server.base_url}"
            """
        )
        for until in (2, 11):
            process = start(study, log)
            while len(server.asked) < until:
                assert process.poll() is None
                time.sleep(0.005)
            process.kill()
            process.wait()
        assert start(study, log).wait() == 0
    run = Run(tmp_path / "runs" / "s")
    found = {each["full_name"] for each in server.results["PyTorch CNN"]}
    assert set(run.read(REPOSITORIES)["repository"]) == found
    (row,) = run.read(LEDGER).to_dict("records")
    assert (row["unique"], row["gap_percent"]) == (1500, 0)
    # what was under way when the process was killed, and nothing else, is asked twice
    assert len(server.asked) - row["pages"] <= 2
    assert not list(run.folder.rglob("*.part"))
    assert_secret(run.folder, (tmp_path / "log").read_text())
