from pathlib import Path

import pytest

from mining.errors import StudyError
from mining.shipped import shipped
from mining.study import Study, Weights, default_study, override, read_study, utc, write_study

WRONG = [
    ('nmae = "x"', ["'nmae'", "name, search"]),
    ("[judge]\nvote = 3", ["'judge.vote'", "votes"]),
    ("[judge]\nvotes = 0", ["'judge.votes'", "0"]),
    ("[judge]\ntemperature = 0", ["'judge'", "votes must be 1 at temperature 0"]),
    ("[judge]\nkind = 'gpt'", ["'judge.kind'", "gpt"]),
    ("[ranking]\nweights = {star = 1}", ["'ranking.weights.star'", "stars, forks, recency"]),
    ("[ranking]\nweights = {stars = -1}", ["'ranking.weights.stars'", "-1"]),
    ("[ranking]\nweights = {stars = nan}", ["'ranking.weights.stars'"]),
    ("[ranking]\nas_of = 2024-02-20T00:00:00", ["'ranking.as_of'", "timezone"]),
    ("[placement]\ngate = 'both'", ["'placement.gate'", "as_text"]),
    ("[evaluation]\nconfidence = 1.0", ["'evaluation.confidence'"]),
    ('name = "../escape"', ["'name'", "folder"]),
    ("name = ", ["cannot be read"]),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_study_is_one_sentence_that_names_the_key(tmp_path, text, said):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(StudyError) as error:
        read_study(path)
    assert all(words in str(error.value) for words in said)
    assert "\n" not in str(error.value)


def test_a_missing_study_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere\.toml"):
        read_study(tmp_path / "nowhere.toml")


def test_a_study_is_called_after_its_file_and_its_paths_are_its_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[corpus]\nlocal = "here"\n[evaluation]\ngold = "../gold.csv"\n')
    study = read_study(path)
    assert study.name == "mine"
    assert study.corpus.local == tmp_path / "here"
    assert study.evaluation.gold == tmp_path.parent / "gold.csv"


@pytest.mark.parametrize(
    ("storage", "found"),
    [
        ("shared", "{folder}/studies/shared"),
        ("../shared/", "{folder}/shared"),
        ("/mnt/shared", "/mnt/shared"),
        ("s3://bucket/x", "s3://bucket/x"),
    ],
)
def test_storage_in_a_folder_is_found_from_anywhere(tmp_path, monkeypatch, storage, found):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/s.toml").write_text(f'[scale]\nstorage = "{storage}"\n')
    monkeypatch.chdir(tmp_path)
    study = read_study(Path("studies/s.toml"))
    write_study(study, Path("run/study.json"))
    monkeypatch.chdir("/")
    assert study.scale.storage == found.format(folder=tmp_path)
    assert read_study(tmp_path / "run/study.json") == study


def test_what_is_written_reads_the_same(tmp_path):
    study = override(
        Study(name="s"),
        corpus={"local": tmp_path / "corpus"},
        ranking={"weights": Weights(stars=3), "top": 4},
        evaluation={"gold": tmp_path / "gold.csv"},
    )
    write_study(study, tmp_path / "run" / "study.json")
    assert read_study(tmp_path / "run" / "study.json") == study


def test_the_shipped_studies_are_valid():
    paths = sorted(shipped("data/studies").glob("*.toml"))
    assert paths
    for path in paths:
        read_study(path)


def test_the_published_study_asks_twenty_queries():
    queries = Study(name="s").search.queries
    assert len(set(queries)) == 20
    assert queries[:2] == ("PyTorch CNN", "PyTorch RNN")
    assert queries[10] == "TensorFlow CNN"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stars=1,forks=2,recency=1.5", Weights()),
        (" stars = 3 ", Weights(stars=3)),
        ("forks=0,recency=0", Weights(forks=0, recency=0)),
        ("", Weights()),
    ],
)
def test_weights(text, expected):
    assert Weights.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["star=1", "stars", "stars=x", "stars=1,stars=2", "stars=-1", "stars=inf", "stars=nan"]
)
def test_wrong_weights(text):
    with pytest.raises(StudyError, match="Expected"):
        Weights.parse(text)


@pytest.mark.parametrize(
    ("folder", "name"), [("my corpus", "my-corpus"), ("a__b", "a__b"), ("...", "local")]
)
def test_a_local_folder_names_its_study(tmp_path, folder, name):
    assert default_study(tmp_path / folder).name == name


def test_without_study_and_folder_there_is_nothing_to_do():
    with pytest.raises(StudyError, match="--local"):
        default_study(None)


def test_none_overrides_nothing():
    study = Study(name="s")
    assert override(study, ranking={"top": None}, corpus={"local": None}) == study
    with pytest.raises(StudyError, match=r"ranking\.top"):
        override(study, ranking={"top": 0})
    assert override(study, corpus={"local": Path("x")}).corpus.local == Path("x")


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2024-02-20", "2024-02-20T00:00:00Z"),
        ('"2024-02-20"', "2024-02-20T00:00:00Z"),
        ("2024-02-20T01:00:00+01:00", "2024-02-20T00:00:00Z"),
    ],
)
def test_a_date_is_its_start(tmp_path, written, instant):
    (tmp_path / "s.toml").write_text(f"[corpus]\nas_of = {written}\n")
    study = read_study(tmp_path / "s.toml")
    assert utc(study.corpus.as_of) == instant
    write_study(study, tmp_path / "study.json")
    assert read_study(tmp_path / "study.json") == study


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ("as_of = 2024-02-20T00:00:00", "as_of"),
        ('as_of = "last week"', "as_of"),
        ('local = "a"\ncommits = "b"', "exclude each other"),
        ("jobs = 0", "jobs"),
        ("max_repository_bytes = 1", "max_repository_bytes"),
        ("timeout_s = inf", "timeout_s"),
    ],
)
def test_a_corpus_that_cannot_be(tmp_path, corpus, message):
    (tmp_path / "s.toml").write_text(f"[corpus]\n{corpus}\n")
    with pytest.raises(StudyError, match=message):
        read_study(tmp_path / "s.toml")


def test_a_list_of_commits_is_found_from_wherever_the_study_is(tmp_path):
    (tmp_path / "s.toml").write_text('[corpus]\ncommits = "list.csv"\n')
    study = read_study(tmp_path / "s.toml")
    assert study.corpus.commits == tmp_path / "list.csv"
    assert not study.corpus.searched
    write_study(study, tmp_path / "runs" / "study.json")
    assert read_study(tmp_path / "runs" / "study.json") == study
