from statistics import NormalDist

import pandas as pd
import pytest

from mining.artifacts import Artifact, Run
from mining.errors import ArtifactError
from mining.extraction import SNIPPETS
from mining.funnel import FUNNEL
from mining.pages import REPOSITORIES, begin_search, finish_search, store_page
from mining.pipeline import CORPUS
from mining.pipeline import rank as rank_stage
from mining.rank import RANKING, SENSITIVITY, ahead, measure_sensitivity, rank_repositories
from mining.study import (
    RankingSettings,
    ScaleSettings,
    SearchSettings,
    SensitivitySettings,
    Study,
    Weights,
)
from tests.mining.github_server import item
from tests.mining.test_pages import body
from tests.mining.test_ranking import AS_OF


def selected_repositories(run):
    """The selected repositories, in the order of selection."""
    ranking = run.read(RANKING, columns=["repository", "selected"])
    return list(ranking.loc[ranking["selected"], "repository"])


FOUND = {
    "PyTorch CNN": [
        item("a/stars", stargazers_count=900, forks_count=0),
        item("b/forks", stargazers_count=0, forks_count=90),
        item("c/fork", stargazers_count=999, forks_count=99, fork=True),
    ],
    "PyTorch GAN": [
        item("b/forks", stargazers_count=0, forks_count=90),
        item("d/old", pushed_at=None),
    ],
}


@pytest.fixture
def run(tmp_path):
    settings = SearchSettings(frameworks=("PyTorch",), architectures=("CNN", "GAN"))
    searched = Run(tmp_path)
    begun = begin_search(searched, settings.base_url, AS_OF)
    for query, found in FOUND.items():
        store_page(searched, query, 1, body(*found))
    finish_search(searched, begun, settings)
    return searched


def changed(ranking):
    return list(ranking.changes.itertuples(index=False, name=None))


def test_rank_writes_all_candidates_and_what_became_of_them(run):
    ranking = rank_repositories(run, RankingSettings(top=1))
    stored = run.read(RANKING)
    assert stored[["query", "repository", "reason"]].fillna("").to_numpy().tolist() == [
        ["PyTorch CNN", "c/fork", "fork"],
        ["PyTorch CNN", "b/forks", ""],
        ["PyTorch CNN", "a/stars", "below rank 1"],
        ["PyTorch GAN", "b/forks", "taken by PyTorch CNN"],
        ["PyTorch GAN", "d/old", ""],
    ]
    assert stored["score"].tolist() == ranking.candidates["score"].tolist()
    assert selected_repositories(run) == ["b/forks", "d/old"]
    assert changed(ranking) == []
    assert run.sidecar(RANKING).notes == {"as_of": "2024-01-01T00:00:00Z"}


def test_other_weights_say_what_they_change(run):
    rank_repositories(run, RankingSettings(top=1))
    settings = RankingSettings(top=1, weights=Weights(stars=1, forks=0, recency=0))
    assert changed(rank_repositories(run, settings)) == [
        ("entered", "a/stars", "PyTorch CNN", 2),
        ("left", "b/forks", "PyTorch CNN", 2),
    ]
    assert changed(rank_repositories(run, settings)) == []


def test_two_rankings_are_byte_equal(run):
    files = [run.path(RANKING), run.path(f"{RANKING}.meta.json")]
    rank_repositories(run, RankingSettings())
    first = [file.read_bytes() for file in files]
    rank_repositories(run, RankingSettings())
    assert [file.read_bytes() for file in files] == first


def test_the_instant_is_that_of_the_search_or_of_the_study(run):
    assert not rank_repositories(run, RankingSettings()).candidates["seconds_since_push"].empty
    moved = RankingSettings(as_of="2024-01-01T03:00:00+02:00")
    now = run.read(RANKING)["seconds_since_push"]
    then = rank_repositories(run, moved).candidates["seconds_since_push"]
    assert (then - now).unique().tolist() == [3600.0]
    assert run.sidecar(RANKING).notes == {"as_of": "2024-01-01T01:00:00Z"}


def test_without_a_search(tmp_path):
    with pytest.raises(ArtifactError, match="run the stage"):
        rank_repositories(Run(tmp_path), RankingSettings())


def test_a_search_without_any_result_ranks_nothing(tmp_path):
    settings = SearchSettings(frameworks=("PyTorch",), architectures=("RvNN",))
    run = Run(tmp_path)
    begun = begin_search(run, settings.base_url, AS_OF)
    store_page(run, "PyTorch RvNN", 1, body())
    finish_search(run, begun, settings)
    assert rank_repositories(run, RankingSettings()).candidates.empty
    assert selected_repositories(run) == []
    assert run.read(REPOSITORIES).empty


def test_each_score_can_be_recomputed_from_the_artifact_alone(run):
    weights = Weights(stars=0.3, forks=2.5, recency=1.1)
    rank_repositories(run, RankingSettings(weights=weights))
    own = run.sidecar(RANKING).settings["weights"]
    for row in run.read(RANKING).to_dict("records"):
        parts = {}
        for attribute in ("stars", "forks", "seconds_since_push"):
            mean, deviation = row[f"mean_{attribute}"], row[f"sd_{attribute}"]
            below = NormalDist(mean, deviation).cdf(row[attribute]) if deviation else 0.5
            parts[attribute] = below
        score = (
            own["stars"] * parts["stars"]
            + own["forks"] * parts["forks"]
            + own["recency"] * (1 - parts["seconds_since_push"])
        )
        assert row["score"] == pytest.approx(score, abs=1e-12)


def test_what_entered_is_looked_up_among_what_is_extracted_and_fetched(run):
    entered = ["x/extracted", "x/fetched", "x/neither", "y/neither"]
    changes = pd.DataFrame(
        {"change": ["entered"] * 4 + ["left"], "repository": [*entered, "x/gone"]}
    )
    assert ahead(run, changes, ScaleSettings()).lines() == [
        "  of 4 entered: 0 extracted (0 snippets to be placed), 0 only fetched, 4 not fetched"
    ]
    snippets = pd.DataFrame({"repository": ["x/extracted"] * 3 + ["x/other"] * 7})
    run.write(SNIPPETS, snippets, Artifact("extract", {}, {}))
    run.path("clones/x__fetched.git").mkdir(parents=True)
    assert ahead(run, changes, ScaleSettings()).lines() == [
        "  of 4 entered: 1 extracted (3 snippets to be placed), 1 only fetched, 2 not fetched; "
        "the others may hold 15 more, at 5 each"
    ]
    assert ahead(run, changes.iloc[4:], ScaleSettings()).lines() == []
    [line] = ahead(run, changes, ScaleSettings(storage="/dev/null/x")).lines()
    assert "3 not extracted (storage out of reach); the others may hold 15" in line


def study(**ranking):
    moves = SensitivitySettings(draws=25)
    return Study(name="s", ranking=RankingSettings(**ranking), sensitivity=moves)


def test_the_stage_shows_its_funnel_and_keeps_what_fetching_adds_to_it(run):
    selected = rank_stage(study(top=1), run)
    assert selected[-1].split() == ["=", "selected", "2", "2"]
    inputs = {RANKING: run.sha256(RANKING)}
    corpus = pd.DataFrame({"repository": ["b/forks", "d/old"], "reason": [None, "no Python file"]})
    run.write(CORPUS, corpus, Artifact("fetch", {}, inputs))
    assert rank_stage(study(top=1), run) == selected
    assert run.read(FUNNEL)["reason"].tolist()[-2:] == ["no Python file", "in the corpus"]
    # another ranking has another corpus, which is not there yet
    assert rank_stage(study(top=2), run)[-1].split() == ["=", "selected", "3", "3"]
    assert run.read(FUNNEL)["reason"].tolist()[-1] == "selected"


def test_a_sensitivity_is_written_once_and_is_byte_equal(run):
    rank_repositories(run, RankingSettings(top=1))
    found = measure_sensitivity(run, study(top=1))
    files = sorted(run.folder.glob("sensitivity*"))
    assert [file.name for file in files if file.suffix != ".json"] == [
        "sensitivity.csv",
        "sensitivity.parquet",
        "sensitivity.pdf",
        "sensitivity.svg",
        "sensitivity_draws.parquet",
    ]
    first = {file: file.read_bytes() for file in files}
    times = {file: file.stat().st_mtime_ns for file in files}
    pd.testing.assert_frame_equal(
        measure_sensitivity(run, study(top=1)).repositories, found.repositories
    )
    assert {file: file.stat().st_mtime_ns for file in files} == times
    for file in files:
        file.unlink()
    measure_sensitivity(run, study(top=1))
    assert {file: file.read_bytes() for file in files} == first


def test_a_sensitivity_of_another_ranking_is_not_taken_for_this_one(run):
    rank_repositories(run, RankingSettings(top=1))
    measure_sensitivity(run, study(top=1))
    rank_repositories(run, RankingSettings(top=2))
    measure_sensitivity(run, study(top=2))
    selected = run.read(SENSITIVITY).query("selected")["repository"]
    assert selected.tolist() == selected_repositories(run)


def test_a_sensitivity_without_a_ranking(run):
    with pytest.raises(ArtifactError, match="run the stage"):
        measure_sensitivity(run, study())
