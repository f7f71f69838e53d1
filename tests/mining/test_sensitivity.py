from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.errors import StudyError
from mining.ranking import score
from mining.selection import select
from mining.sensitivity import draw_weights, sensitivity, sensitivity_lines
from mining.sensitivity_figure import figure_of
from mining.study import RankingSettings, SensitivitySettings, Weights

few = settings(max_examples=25)
AS_OF = datetime(2024, 1, 1, tzinfo=UTC)
REAL = Path(__file__).parents[2].parent / "shared" / "reference" / "real_repos.csv"


def results(rows):
    """Rows of query, name, stars, forks, days since the push, fork."""
    columns = ["query", "repository", "stars", "forks", "days", "fork"]
    frame = pd.DataFrame(rows, columns=columns).astype(
        {"fork": "bool", "stars": "int64", "forks": "int64", "days": "int64"}
    )
    pushed = pd.Timestamp(AS_OF) - pd.to_timedelta(frame.pop("days"), "D")
    return frame.assign(pushed_at=pushed, created_at=pd.Timestamp("2015-01-01", tz="UTC"))


def moved(found, ranking, moves):
    return sensitivity(select(score(found, ranking.weights, AS_OF), ranking), ranking, moves)


few_values = st.integers(0, 4)  # so that there are ties
tables = st.lists(
    st.tuples(
        st.sampled_from(["CNN", "GAN", "AE"]),
        st.sampled_from("abcdefgh"),
        few_values,
        few_values,
        few_values,
        st.booleans(),
    ),
    max_size=20,
    unique_by=lambda row: row[:2],
)
weights = st.builds(
    Weights, stars=st.floats(0.1, 9), forks=st.floats(0.1, 9), recency=st.floats(0, 9)
)


@few
@given(tables, weights, st.integers(1, 4), st.sampled_from([0.5, 20.0]))
def test_each_draw_selects_what_a_ranking_with_its_weights_selects(rows, own, top, concentration):
    found, ranking = results(rows), RankingSettings(weights=own, top=top)
    moves = SensitivitySettings(draws=6, concentration=concentration)
    measured = moved(found, ranking, moves)
    shares = measured.repositories.set_index("repository")["share"]
    study = set(measured.repositories.loc[measured.repositories["selected"], "repository"])
    times = dict.fromkeys(shares.index, 0)
    for draw, row in zip(draw_weights(own, moves), measured.draws.itertuples(), strict=True):
        drawn = Weights(stars=draw[0], forks=draw[1], recency=draw[2])
        selection = select(score(found, drawn, AS_OF), ranking)
        selected = set(selection.loc[selection["selected"], "repository"])
        for repository in selected:
            times[repository] += 1
        assert (row.entered, row.left) == (len(selected - study), len(study - selected))
        either = len(selected | study)
        assert row.jaccard == (len(selected & study) / either if either else 1)
    assert (shares * 6).round(9).to_dict() == times


def test_draws_keep_the_sum_and_scatter_as_the_formula_says():
    own, moves = Weights(stars=1, forks=2, recency=1.5), SensitivitySettings(draws=20_000)
    drawn = draw_weights(own, moves)
    assert drawn.sum(axis=1) == pytest.approx(4.5)
    assert (drawn >= 0).all()
    shares = np.array([1, 2, 1.5]) / 4.5
    assert (drawn / 4.5).mean(axis=0) == pytest.approx(shares, abs=0.005)
    assert (drawn / 4.5).std(axis=0) == pytest.approx(
        np.sqrt(shares * (1 - shares) / 21), abs=0.002
    )


@pytest.mark.parametrize(
    ("own", "unmoved"),
    [
        (Weights(stars=0, forks=2, recency=1), {"stars": 0.0}),
        (Weights(stars=0, forks=0, recency=3), {"stars": 0.0, "forks": 0.0, "recency": 3.0}),
    ],
)
def test_a_weight_of_nothing_stays_nothing(own, unmoved):
    drawn = pd.DataFrame(
        draw_weights(own, SensitivitySettings(draws=50)), columns=list(Weights.model_fields)
    )
    for name, value in unmoved.items():
        assert drawn[name].tolist() == pytest.approx([value] * 50)


def test_without_weights_there_is_nothing_to_move():
    with pytest.raises(StudyError, match="above 0"):
        draw_weights(Weights(stars=0, forks=0, recency=0), SensitivitySettings())


ROWS = [
    ("CNN", "a", 900, 1, 1, False),
    ("CNN", "b", 1, 90, 900, False),
    ("CNN", "c", 0, 0, 1, False),
    ("CNN", "fork", 999, 99, 0, True),
    ("GAN", "a", 900, 1, 1, False),
    ("GAN", "d", 5, 5, 5, False),
]


def test_the_seed_decides_what_is_drawn():
    ranking = RankingSettings(top=1)
    first, again, other = (
        moved(results(ROWS), ranking, SensitivitySettings(draws=40, seed=seed))
        for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first.repositories, again.repositories)
    pd.testing.assert_frame_equal(first.draws, again.draws)
    assert not first.draws.equals(other.draws)


def test_doubt_is_the_share_that_decides_otherwise():
    ranking = RankingSettings(top=1)
    found = moved(results(ROWS), ranking, SensitivitySettings(draws=200)).repositories
    assert found["repository"].tolist()[-1] == "fork"
    assert found.set_index("repository").loc["fork", ["selected", "share"]].tolist() == [False, 0]
    doubt = (found["share"] - found["selected"]).abs()
    assert found["doubt"].tolist() == pytest.approx(doubt.tolist())
    assert found["query"].notna().equals(found["selected"])
    assert 0 < found["doubt"].max() <= 1


def test_the_lines_say_what_is_in_doubt_and_how_weights_were_drawn():
    ranking, moves = RankingSettings(top=1), SensitivitySettings(draws=200, seed=3)
    lines = sensitivity_lines(moved(results(ROWS), ranking, moves), ranking.weights, moves)
    assert lines[0].startswith("sensitivity: 200 draws")
    assert "concentration 20, seed 3" in lines[0]
    assert "sum stays 4.5" in lines[0]
    assert "most in doubt" in "\n".join(lines)


def test_where_all_are_selected_nothing_is_in_doubt():
    ranking, moves = RankingSettings(top=9), SensitivitySettings(draws=20)
    found = moved(results(ROWS), ranking, moves)
    assert found.draws["jaccard"].unique().tolist() == [1.0]
    assert "in doubt" not in "\n".join(sensitivity_lines(found, ranking.weights, moves))


@pytest.mark.parametrize("rows", [ROWS, []], ids=["some", "none"])
def test_the_figure_shows_each_draw_and_each_repository_that_is_ever_selected(rows):
    ranking = RankingSettings(top=1)
    found = moved(results(rows), ranking, SensitivitySettings(draws=30))
    frame = figure_of(found, ranking.weights)
    ever = found.repositories["selected"] | (found.repositories["share"] > 0)
    counts = frame["series"].value_counts()
    assert (counts["draws"], counts["study"]) == (30, 1)
    assert counts.get("selected", 0) + counts.get("others", 0) == ever.sum()
    for _, of_kind in frame[frame["series"].isin(["selected", "others"])].groupby("series"):
        assert of_kind["x"].tolist() == list(range(1, len(of_kind) + 1))
        assert of_kind["y"].is_monotonic_decreasing


@pytest.mark.skipif(not REAL.exists(), reason="no real metadata beside the repository")
def test_real_repositories_move_less_the_closer_the_weights_stay():
    real = pd.read_csv(REAL, parse_dates=["pushed_at"])
    found = pd.DataFrame(
        {
            "query": real["category"],
            "repository": real["full_name"],
            "stars": real["stars"],
            "forks": real["forks"],
            "pushed_at": real["pushed_at"],
            "created_at": real["pushed_at"],
            "fork": False,
        }
    )
    ranking = RankingSettings(top=8)
    overlaps = [
        moved(found, ranking, SensitivitySettings(draws=100, concentration=c)).draws["jaccard"]
        for c in (3, 20, 300)
    ]
    means = [overlap.mean() for overlap in overlaps]
    assert means == sorted(means)
    assert means[0] < 0.95 < means[-1] < 1
