"""The stages fetch and extract over a list of repositories and commits, with real git."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from mining import pipeline
from mining.artifacts import Run
from mining.clones import CLONES
from mining.errors import ArtifactError
from mining.extraction import DROPPED, FILES, SNIPPETS
from mining.pipeline import CORPUS
from mining.study import CorpusSettings, Study, override
from tests.mining.git_server import GitServer, Host, git

LOSS = b"def loss(a, b):\n    return (a - b) ** 2\n"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    host = Host(tmp_path_factory.mktemp("host"))
    one = host.add("o/one", {"a.py": LOSS, "README.md": b"#", "caf\u00e9.py": b""})
    host.commit(one, {"b.py": b"for i in x: pass\n"}, "2024-02-01T12:00:00Z")
    host.add("o/two", {"c.py": LOSS})
    host.add("o/notes", {"README.md": b"#"})
    return host


@pytest.fixture(scope="module")
def server(host):
    with GitServer(host.folder) as server:
        yield server


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("repository,commit\no/one,\no/gone,\no/two,\n")
    return path


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def study(server, **corpus):
    return Study(name="s", corpus=CorpusSettings(clone_url=server.clone_url, **corpus))


def mine(study, run):
    return [*pipeline.fetch(study, run), *pipeline.extract(study, run)]


@pytest.fixture
def local(tmp_path):
    for name in ("o__one", "o__two"):
        (tmp_path / "corpus" / name).mkdir(parents=True)
        (tmp_path / "corpus" / name / "a.py").write_bytes(LOSS)
    return Study(name="s", corpus=CorpusSettings(local=tmp_path / "corpus"))


def test_a_local_repository_that_is_gone_meanwhile(local, run):
    pipeline.fetch(local, run)
    shutil.rmtree(local.corpus.local / "o__two")
    with pytest.raises(ArtifactError, match=r"the code of o/two .* run `lossplace fetch`"):
        pipeline.extract(local, run)


def test_workers_elsewhere_get_whole_paths(local, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    study = override(local, corpus={"local": Path("corpus")})
    pipeline.fetch(study, run)
    given = []
    monkeypatch.setattr(pipeline, "extract_corpus", lambda _, sources, *__: given.extend(sources))
    with pytest.raises(ArtifactError):  # since nothing is extracted
        pipeline.extract(study, run)
    assert [each.place for each in given] == [tmp_path / f"corpus/o__{n}" for n in ("one", "two")]


def test_parts_that_a_kill_has_left_are_removed(local, run):
    mine(local, run)
    left = run.path("extract.parts")
    assert not left.exists()
    left.mkdir()
    (left / "key.arrow").touch()
    mine(local, run)
    assert not left.exists()


def test_from_a_list_to_snippets(server, host, listed, run):
    said = mine(study(server, commits=listed), run)
    assert said[0] == "fetch: 2 repositories, 1 dropped"
    corpus = run.read(CORPUS).set_index("repository")
    assert list(corpus["query"].unique()) == ["given"]
    head = git(host.folder / "o/one.git", "rev-parse", "HEAD")
    assert (corpus.loc["o/one", "commit"], corpus.loc["o/one", "committed_at"]) == (
        head,
        "2024-02-01T12:00:00Z",
    )
    assert "not found" in corpus.loc["o/gone", "reason"]
    assert run.read(SNIPPETS)["qualname"].to_list() == ["loss", "<loop>", "loss"]
    assert run.read(DROPPED)["subject"].to_list() == ["o/gone", "o/one:README.md"]


def test_git_s_own_hashes_are_stored(server, host, listed, run):
    mine(study(server, commits=listed), run)
    files = run.read(FILES)
    stored = files.loc[files["repository"] == "o/one", ["path", "git_sha1"]]
    tree = git(host.folder / "o/one.git", "ls-tree", "-r", "-z", "HEAD").split("\0")
    assert dict(stored.itertuples(index=False)) == {
        line.partition("\t")[2]: line.split()[2] for line in tree if line
    }


def test_as_of_a_date(server, host, listed, run):
    asked = study(server, commits=listed, as_of=datetime(2024, 2, 1, tzinfo=UTC))
    mine(asked, run)
    assert run.read(CORPUS)["committed_at"].dropna().unique() == ["2024-01-01T00:00:00Z"]
    assert run.read(SNIPPETS)["path"].to_list() == ["a.py", "c.py"]
    early = study(server, commits=listed, as_of=datetime(2020, 1, 1, tzinfo=UTC))
    assert pipeline.fetch(early, run)[0] == "fetch: 0 repositories, 3 dropped"
    assert "before 2020-01-01" in run.read(CORPUS).loc[0, "reason"]


def test_what_is_done_asks_nobody(server, listed, run):
    said = mine(study(server, commits=listed), run)
    before = len(server.requests)
    assert mine(study(server, commits=listed), run) == said
    assert len(server.requests) == before


def test_a_corpus_is_had_again_by_its_commits(server, host, listed, run, tmp_path):
    mine(study(server, commits=listed, as_of=datetime(2024, 2, 1, tzinfo=UTC)), run)
    again = Run(tmp_path / "again")
    mine(study(server, commits=run.path(CORPUS)), again)
    same = ["repository", "commit", "tree_sha256", "query", "committed_at"]
    first = run.read(CORPUS)
    first = first[first["reason"].isna()].reset_index(drop=True)
    assert again.read(CORPUS)[same].equals(first[same])
    assert again.path(SNIPPETS).read_bytes() == run.path(SNIPPETS).read_bytes()


def test_a_run_copied_without_its_clones_is_finished_at_the_same_commits(
    server, host, listed, run, tmp_path
):
    asked = study(server, commits=listed)
    pipeline.fetch(asked, run)
    origin = host.folder / "o/two.git"
    head = git(origin, "rev-parse", "HEAD")
    corpus = run.path(CORPUS).read_bytes()
    shutil.rmtree(run.path(CLONES))
    with pytest.raises(ArtifactError, match=r"lossplace fetch"):
        pipeline.extract(asked, run)
    try:
        host.commit(origin, {"c.py": b"x = 1\n"})  # meanwhile
        mine(asked, run)
    finally:
        git(origin, "reset", "--quiet", "--hard", head)
    assert run.path(CORPUS).read_bytes() == corpus
    assert len(run.read(SNIPPETS)) == 3

    # once it is extracted, nothing is needed
    shutil.rmtree(run.path(CLONES))
    before = len(server.requests)
    mine(asked, run)
    assert len(server.requests) == before


def test_a_commit_that_a_host_no_longer_has_leaves_with_a_reason(server, listed, run):
    asked = study(server, commits=listed)
    pipeline.fetch(asked, run)
    corpus = run.read(CORPUS)
    artifact = run.sidecar(CORPUS)
    corpus.loc[corpus["repository"] == "o/two", "commit"] = "1" * 40
    run.write(CORPUS, corpus, artifact_without_version(artifact))
    mine(asked, run)
    corpus = run.read(CORPUS).set_index("repository")
    assert "1" * 40 in corpus.loc["o/two", "reason"]
    assert pd.isna(corpus.loc["o/one", "reason"])
    assert len(run.read(SNIPPETS)) == 2


def artifact_without_version(artifact):
    settings = {k: v for k, v in artifact.settings.items() if k != "lossplace"}
    return pipeline.Artifact(artifact.command, settings, artifact.inputs)


def test_a_clone_at_another_commit_is_not_taken_for_the_corpus(server, host, listed, run):
    asked = study(server, commits=listed)
    pipeline.fetch(asked, run)
    # another study, killed after it had fetched
    other = study(server, commits=listed, as_of=datetime(2024, 2, 1, tzinfo=UTC))
    corpus = {p: p.read_bytes() for p in run.folder.glob("corpus.parquet*")}
    pipeline.fetch(other, run)
    for path, content in corpus.items():
        path.write_bytes(content)
    mine(asked, run)
    assert run.read(SNIPPETS)["qualname"].to_list() == ["loss", "<loop>", "loss"]
    assert run.path("clones/o__one.git").is_dir()
