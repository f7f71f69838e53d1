import json
import shutil
import sqlite3
import zipfile
from contextlib import closing

import pandas as pd
import pytest

from classify import pipeline
from classify.classification import PLACEMENTS, STORE
from classify.errors import MissingVoteError
from classify.replication.bundle import bundle
from classify.replication.contents import ASKS, check_no_secret
from classify.replication.documents import environment
from classify.replication.verify import verify
from mining.artifacts import Run, file_sha256
from mining.errors import ArtifactError, InputError
from mining.extracted import Corpus
from mining.extraction import FILES, SNIPPETS
from mining.opening import open_run
from mining.secrets import without_credentials
from tests.classify.replication.studies import (
    CLOSED,
    OPEN,
    UNKNOWN,
    finished,
    finished_by_model,
)


def bundled(finish, folder):
    """Return a run, its bundle, and what the run's files were before."""
    study, run = finish(folder)
    before = all_bytes(run.folder)
    bundle(study, run, folder / "bundle")
    return study, run, folder / "bundle", before


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory):
    return bundled(finished, tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def by_model(tmp_path_factory):
    return bundled(finished_by_model, tmp_path_factory.mktemp("model"))


@pytest.fixture(params=["by_rules", "by_model"])
def made(request):
    return request.getfixturevalue(request.param)


def all_bytes(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def text_of(folder):
    return b"\n".join(all_bytes(folder).values()).decode("utf-8", "replace")


def tables(folder):
    """Everything that Parquet files and the store say, as text."""
    parts = [pd.read_parquet(path).to_csv() for path in sorted(folder.glob("*.parquet"))]
    with closing(sqlite3.connect(f"file:{folder / STORE}?mode=ro", uri=True)) as store:
        parts += store.iterdump()
    return "\n".join(parts)


def test_text_leaves_only_under_a_licence_that_allows_it(made):
    _, _, folder, _ = made
    for name in (SNIPPETS, FILES):
        frame = pd.read_parquet(folder / name)
        assert set(frame.loc[frame["text"].notna(), "repository"]) == {OPEN}
        assert set(frame["repository"]) == {OPEN, CLOSED, UNKNOWN}
    everything = tables(folder) + text_of(folder)
    assert "def loss_of(out, y, w):" in everything
    assert "def cost_of(out, y, w):" not in everything
    assert "closed_source(a)" not in everything
    assert "self.penalty()" not in everything


def test_nothing_private_is_in_it(made):
    study, run, folder, _ = made
    everything = tables(folder) + text_of(folder)
    for private in ("hunter2", str(run.folder), str(run.folder.parent), "127.0.0.1", "internal"):
        assert private not in everything
    said = json.loads((folder / "study.json").read_text())
    assert (said["corpus"]["local"], said["evaluation"]["gold"]) == ("corpus", "gold.csv")
    assert said["corpus"]["clone_url"] == "https://git.example/{repository}.git"
    assert not (folder / "search").exists()
    assert said["judge"]["kind"] == study.judge.kind


def test_the_run_is_only_read(made):
    _, run, _, before = made
    assert all_bytes(run.folder) == before


def test_a_bundle_is_a_run_that_says_what_the_run_said(made, tmp_path):
    study, run, folder, _ = made
    copy = shutil.copytree(folder, tmp_path / "copy")
    _, package = open_run(copy)
    assert package.read(PLACEMENTS).equals(run.read(PLACEMENTS))
    ours = {p.name: p.read_bytes() for p in package.path("paper").glob("*.csv")}
    assert len(ours) > 10
    again = Run(shutil.copytree(run.folder, tmp_path / "run"))
    pipeline.paper(study, again, drawings=False)
    assert ours == {p.name: p.read_bytes() for p in again.path("paper").glob("*.csv")}
    with pytest.raises(ArtifactError, match=f"code of {CLOSED}.*left out"):
        Corpus(package).snippets(CLOSED)
    with pytest.raises(ArtifactError, match="left out"):
        Corpus(package).code(UNKNOWN)
    assert [s.code for s in Corpus(package).snippets(OPEN)]


def test_what_stands_in_for_the_text_places_the_snippet(made):
    _, run, folder, _ = made
    package = Run(folder)
    snippets = package.read(SNIPPETS).set_index("qualname")
    assert snippets.loc[["cost_of", "closed_source"], "names_loss"].tolist() == [True, False]
    asked = package.read(ASKS)
    assert set(asked["snippet_id"]) == set(run.read(PLACEMENTS)["snippet_id"])
    ids = [s.snippet_id for s in Corpus(package, without_texts=True).snippets(CLOSED)]
    assert ids == [s.snippet_id for s in Corpus(run).snippets(CLOSED)]


def test_a_judged_run_leaves_out_messages_and_keeps_refusals_and_ties(by_model):
    _, run, folder, _ = by_model
    with closing(sqlite3.connect(f"file:{folder / STORE}?mode=ro", uri=True)) as store:
        messages = dict(store.execute("SELECT code_sha256, messages FROM prompts"))
        (refused,) = store.execute("SELECT count(*) FROM failures").fetchone()
    texts = Run(folder).read(SNIPPETS)
    sent = set(texts.loc[texts["text"].notna(), "code_sha256"])
    assert {code for code, text in messages.items() if text} == sent & set(messages)
    assert "" in messages.values()
    assert refused == 1
    reasons = run.read(PLACEMENTS).set_index("qualname")["reason"].dropna()
    assert set(reasons.index) == {"undecided", "too_long"}
    assert {p.name for p in (folder / "prompts").iterdir()} == {
        f"{q}.md" for q in ("loss_related", "loss_definition", "training_loop", "model_definition")
    }


def test_the_same_run_gives_the_same_bytes(by_model, tmp_path):
    study, run, folder, _ = by_model
    bundle(study, run, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        unpacked = {n.removeprefix("a/"): archive.read(n) for n in names}
        assert names == sorted(names)
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert {k.as_posix(): v for k, v in all_bytes(folder).items()} == unpacked
    assert verify(tmp_path / "a.zip").agrees


@pytest.mark.parametrize("name", ["a.zip", "a"])
def test_one_that_is_there_is_taken_only_as_it_was_written(by_model, tmp_path, name):
    study, run, _, _ = by_model
    said = bundle(study, run, tmp_path / name)
    assert bundle(study, run, tmp_path / name) == said  # the first was killed at its end
    changed = tmp_path / name if name.endswith(".zip") else tmp_path / name / "README.md"
    with changed.open("ab") as file:
        file.write(b"mine\n")
    with pytest.raises(InputError, match="Expected nothing at"):
        bundle(study, run, tmp_path / name)
    assert changed.read_bytes().endswith(b"mine\n")


def test_a_folder_may_have_any_name(by_model, tmp_path):
    study, run, folder, _ = by_model
    place = tmp_path / "50%20#1?mode=no"
    place.mkdir()
    bundle(study, run, place / "bundle")
    assert all_bytes(place / "bundle") == all_bytes(folder)


CHECKLISTS = {
    "rules": [
        "- [x] Who answered: `rules`",
        "- [x] This run is the baseline without a model.",
        "- [x] Found on GitHub as of 2024-02-20T00:00:00Z, by 20 queries:",
        "- [x] `gold.csv`: 4 labels, 4 of them",
        "wilson_clustered; assumes",
        "- [ ] Authors, title and DOI",
    ],
    "openai": [
        "- [x] Who answered: `openai:tiny`",
        "- [ ] Revision of the model: none was named",
        "max_tokens `1024`, seed `0`, temperature `0.7`, top_p `0.95`",
        "- [x] `prompts/loss_related.md`, `",
        "1 prompts were refused",
        "- [x] 2 of 11 snippets are unplaced",
        "- [ ] A judge without a model on the same corpus",
        "- [ ] May the model have seen the corpus",
    ],
}


def test_the_checklist_is_filled_in_from_the_run(made):
    study, _, folder, _ = made
    text = (folder / "CHECKLIST.md").read_text()
    for line in CHECKLISTS[study.judge.kind]:
        assert line in text


def test_croissant_is_valid_and_reads_the_tables(made):
    croissant = pytest.importorskip("mlcroissant")
    _, _, folder, _ = made
    dataset = croissant.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.issues.errors
    rows = list(dataset.records("placements"))
    assert len(rows) == len(pd.read_parquet(folder / PLACEMENTS))


def test_croissant_names_every_data_file_with_its_hash(made):
    _, _, folder, _ = made
    described = json.loads((folder / "croissant.json").read_text())
    files = {each["@id"]: each["sha256"] for each in described["distribution"]}
    assert files == {name: file_sha256(folder / name) for name in files}
    assert {"gold.csv", STORE, *(p.name for p in folder.glob("*.parquet"))} <= set(files)
    columns = {
        field["name"]
        for records in described["recordSet"]
        for field in records["field"]
        if records["name"] == "snippets"
    }
    assert columns == set(pd.read_parquet(folder / SNIPPETS).columns)
    assert described["license"] == ["https://spdx.org/licenses/MIT.html"]
    assert described["datePublished"] == "2024-02-20"


def test_with_text_everything_goes_out(tmp_path):
    study, run = finished(tmp_path)
    bundle(study, run, tmp_path / "b", with_text=True)
    assert Run(tmp_path / "b").read(SNIPPETS)["text"].notna().all()
    assert verify(tmp_path / "b").checks[1].agreeing.startswith("hashes of 11 snippets")


def test_what_cannot_be_bundled_leaves_nothing_behind(tmp_path):
    study, run = finished(tmp_path)
    placements = run.read(PLACEMENTS)
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="Expected nothing at"):
        bundle(study, run, tmp_path / "taken")
    with pytest.raises(ArtifactError, match="placements"):
        bundle(study, Run(tmp_path / "corpus"), tmp_path / "b")
    with pytest.raises(ArtifactError, match="what its votes and study give"):
        run.write(PLACEMENTS, placements.assign(placement="no_loss"), run.sidecar(PLACEMENTS))
        bundle(study, run, tmp_path / "b")
    run.write(PLACEMENTS, placements, run.sidecar(PLACEMENTS))
    with closing(sqlite3.connect(run.path(STORE), isolation_level=None)) as store:
        store.execute("DELETE FROM votes WHERE draw = 0")
    with pytest.raises(MissingVoteError):
        bundle(study, run, tmp_path / "b")
    assert {p.name for p in tmp_path.iterdir()} == {"corpus", "gold.csv", "run", "taken"}


def test_tables_that_rest_on_another_run_are_left_out_and_said(tmp_path):
    study, run = finished(tmp_path)
    run.path("paper").mkdir()
    run.path("paper/table_4_1_transferred.csv").write_text("a\n")
    lines = bundle(study, run, tmp_path / "b")
    assert "left out, as it rests on another run: table_4_1_transferred" in lines


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("https://t0ken@github.com/a/b", "https://github.com/a/b"),
        ("http://u:p@h:80/v1 and http://x@y", "http://h:80/v1 and http://y"),
        ("a@b.c, https://github.com/@a", "a@b.c, https://github.com/@a"),
    ],
)
def test_addresses_lose_their_credentials(text, public):
    assert without_credentials(text) == public


@pytest.mark.parametrize(
    "settings", [{"hf_token": "x"}, {"engine": {"api_key": "x"}}, {"a": {"b": {"Password": "x"}}}]
)
def test_a_credential_among_the_settings_is_never_bundled(settings):
    with pytest.raises(ArtifactError, match="credential"):
        check_no_secret(settings, "here")
    check_no_secret({"max_tokens": 3, "model": "m", "hf_token": None}, "here")


def test_the_environment_names_what_computes_the_numbers():
    lines = environment().splitlines()
    assert lines[0].startswith("# Python 3.")
    names = [line.partition("==")[0] for line in lines[1:]]
    assert names == sorted(names)
    assert {"lossplace", "pandas", "numpy", "pyarrow", "scipy"} <= set(names)
