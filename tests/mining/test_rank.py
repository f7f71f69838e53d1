import pytest

from mining.artifacts import Run
from mining.errors import ArtifactError
from mining.pages import REPOSITORIES, begin_search, finish_search, store_page
from mining.rank import RANKING, rank_repositories
from mining.study import RankingSettings, SearchSettings, Weights
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
