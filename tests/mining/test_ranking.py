from datetime import UTC, datetime, timedelta
from statistics import NormalDist, fmean, pstdev

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.ranking import score
from mining.study import Weights

few = settings(max_examples=40)
AS_OF = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = ["query", "repository", "stars", "forks", "pushed_at", "created_at", "fork"]


def repositories(*rows):
    """Rows of query, name, stars, forks, days since the push (None: never)."""
    frame = pd.DataFrame(
        [
            (
                query,
                name,
                stars,
                forks,
                None if days is None else AS_OF - timedelta(days=days),
                AS_OF - timedelta(days=1000),
                False,
            )
            for query, name, stars, forks, days in rows
        ],
        columns=COLUMNS,
    )
    types = {"pushed_at": "datetime64[us, UTC]", "created_at": "datetime64[us, UTC]"}
    return frame.astype({"stars": "int64", "forks": "int64", "fork": "bool", **types})


TABLE = [
    ("CNN", "a/a", 100, 40, 10),
    ("CNN", "b/b", 10, 50, 700),
    ("CNN", "c/c", 0, 0, 30),
    ("GAN", "a/a", 100, 40, 10),
    ("GAN", "d/d", 2, 1, 400),
]


def test_scores_are_those_computed_by_hand():
    weights = {"stars": 1.0, "forks": 2.0, "recency": 1.5}
    ranked = score(repositories(*TABLE), Weights(), AS_OF)
    for query in ("CNN", "GAN"):
        rows = [row for row in TABLE if row[0] == query]
        stars, forks, days = (
            NormalDist(fmean(values), pstdev(values))
            for values in zip(*(row[2:] for row in rows), strict=True)
        )
        for _, name, s, f, t in rows:
            expected = (
                weights["stars"] * stars.cdf(s)
                + weights["forks"] * forks.cdf(f)
                + weights["recency"] * (1 - days.cdf(t))
            )
            found = ranked[(ranked["query"] == query) & (ranked["repository"] == name)].iloc[0]
            assert found["score"] == pytest.approx(expected, abs=1e-12)
            assert found["seconds_since_push"] == t * 86_400
    assert ranked["repository"].tolist() == ["a/a", "b/b", "c/c", "a/a", "d/d"]
    assert ranked["rank"].tolist() == [1, 2, 3, 1, 2]


def test_the_table_lets_a_reader_recompute_each_score():
    ranked = score(repositories(*TABLE), Weights(), AS_OF)
    for row in ranked.to_dict("records"):
        parts = {
            name: NormalDist(row[f"mean_{name}"], row[f"sd_{name}"]).cdf(row[name])
            for name in ("stars", "forks", "seconds_since_push")
        }
        assert row["f_stars"] == pytest.approx(parts["stars"])
        assert row["f_forks"] == pytest.approx(parts["forks"])
        assert row["f_recency"] == pytest.approx(1 - parts["seconds_since_push"])
        assert row["score"] == row["f_stars"] + 2 * row["f_forks"] + 1.5 * row["f_recency"]


@pytest.mark.parametrize(
    ("rows", "column", "expected"),
    [
        ([("CNN", "a/a", 5, 1, 1)], "score", [2.25]),
        ([("CNN", "a/a", 5, 1, 1), ("CNN", "b/b", 5, 2, 3)], "f_stars", [0.5, 0.5]),
        ([("CNN", "a/a", 5, 1, 1), ("CNN", "b/b", 5, 1, 3)], "sd_forks", [0.0, 0.0]),
        ([("CNN", "b/b", 5, 1, 1), ("CNN", "a/a", 5, 1, 1)], "repository", ["a/a", "b/b"]),
        ([("CNN", "a/a", 5, 1, None)], "seconds_since_push", [1000 * 86_400.0]),
        ([("GAN", "a/a", 5, 1, 1), ("CNN", "a/a", 5, 1, 1)], "query", ["GAN", "CNN"]),
        ([("GAN", "a/a", 5, 1, 1), ("CNN", "a/a", 9, 1, 1)], "mean_stars", [5.0, 9.0]),
        ([("CNN", "a/a", 5, 1, -2)], "seconds_since_push", [-2 * 86_400.0]),
        ([], "score", []),
    ],
    ids=[
        "alone",
        "no variance",
        "sd 0",
        "tie by name",
        "never pushed",
        "query order",
        "own mean",
        "pushed later",
        "empty",
    ],
)
def test_edges(rows, column, expected):
    assert score(repositories(*rows), Weights(), AS_OF)[column].tolist() == expected


queries = st.sampled_from(["CNN", "GAN"])
counts = st.integers(0, 300_000)
tables = st.lists(
    st.tuples(
        queries, st.text("abc", min_size=1, max_size=3), counts, counts, st.integers(0, 4000)
    ),
    max_size=12,
    unique_by=lambda row: row[:2],
)


@few
@given(tables, st.randoms())
def test_the_order_of_rows_within_a_query_does_not_matter(rows, random):
    firsts = list(dict.fromkeys(row[0] for row in rows))
    shuffled = random.sample(rows, len(rows))
    shuffled.sort(key=lambda row: firsts.index(row[0]))
    pd.testing.assert_frame_equal(
        score(repositories(*rows), Weights(), AS_OF),
        score(repositories(*shuffled), Weights(), AS_OF),
    )


@few
@given(tables)
def test_better_in_all_is_never_below(rows):
    ranked = score(repositories(*rows), Weights(), AS_OF).to_dict("records")
    for better in ranked:
        for worse in ranked:
            if (
                better["query"] == worse["query"]
                and better["stars"] >= worse["stars"]
                and better["forks"] >= worse["forks"]
                and better["seconds_since_push"] <= worse["seconds_since_push"]
            ):
                assert better["score"] >= worse["score"] - 1e-12


@few
@given(tables)
def test_parts_are_probabilities_and_ranks_are_dense(rows):
    ranked = score(repositories(*rows), Weights(), AS_OF)
    for part in ("f_stars", "f_forks", "f_recency"):
        assert ranked[part].between(0, 1).all()
    for _, of_query in ranked.groupby("query"):
        assert of_query["rank"].tolist() == list(range(1, len(of_query) + 1))
        assert of_query["score"].is_monotonic_decreasing


@few
@given(tables, st.integers(-3, 5))
def test_the_scale_of_the_weights_does_not_change_the_order(rows, exponent):
    # a power of two, so that no rounding can part or join two scores
    scaled = Weights(stars=2.0**exponent, forks=2 * 2.0**exponent, recency=1.5 * 2.0**exponent)
    frame = repositories(*rows)
    columns = ["query", "repository", "rank"]
    pd.testing.assert_frame_equal(
        score(frame, Weights(), AS_OF)[columns], score(frame, scaled, AS_OF)[columns]
    )


@few
@given(tables)
def test_without_weights_names_decide(rows):
    ranked = score(repositories(*rows), Weights(stars=0, forks=0, recency=0), AS_OF)
    assert (ranked["score"] == 0).all()
    for _, of_query in ranked.groupby("query"):
        assert of_query["repository"].is_monotonic_increasing


@few
@given(tables, st.timedeltas(timedelta(days=-3000), timedelta(days=3000)))
def test_the_instant_changes_no_score(rows, shift):
    frame = repositories(*rows)
    now = score(frame, Weights(), AS_OF).set_index(["query", "repository"])["score"].sort_index()
    then = score(frame, Weights(), AS_OF + shift).set_index(["query", "repository"])["score"]
    assert then.sort_index().tolist() == pytest.approx(now.tolist(), abs=1e-6)
