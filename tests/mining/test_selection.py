import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.selection import changes, select, unfit
from mining.study import RankingSettings

few = settings(max_examples=40)


def ranked(*rows, **columns):
    """Rows of query, repository, and whether it is a fork; ranked in the order given."""
    frame = pd.DataFrame(rows, columns=["query", "repository", "fork"]).assign(**columns)
    frame["rank"] = frame.groupby("query").cumcount() + 1
    return frame.astype({"fork": "bool", "rank": "int64"})


def outcomes(selection):
    """What became of each row: its position, or the reason why it has none."""
    return [
        (
            row["query"],
            row["repository"],
            int(row["position"]) if row["selected"] else row["reason"],
        )
        for row in selection.to_dict("records")
    ]


@pytest.mark.parametrize(
    ("rows", "top", "expected"),
    [
        ([], 2, []),
        ([("CNN", "a", False)], 2, [("CNN", "a", 1)]),
        (
            [("CNN", "a", True), ("CNN", "b", False), ("CNN", "c", False)],
            1,
            [("CNN", "a", "fork"), ("CNN", "b", 1), ("CNN", "c", "below rank 1")],
        ),
        (
            [("CNN", "a", False), ("GAN", "a", False), ("GAN", "b", False), ("GAN", "c", False)],
            1,
            [
                ("CNN", "a", 1),
                ("GAN", "a", "taken by CNN"),
                ("GAN", "b", 1),
                ("GAN", "c", "below rank 1"),
            ],
        ),
        (  # what a query left over is free for the next one
            [("CNN", "a", False), ("CNN", "b", False), ("GAN", "b", False)],
            1,
            [("CNN", "a", 1), ("CNN", "b", "below rank 1"), ("GAN", "b", 1)],
        ),
        (  # queries are served in the order of their first appearance, not by name
            [("GAN", "a", False), ("CNN", "a", False), ("AE", "a", False)],
            3,
            [("GAN", "a", 1), ("CNN", "a", "taken by GAN"), ("AE", "a", "taken by GAN")],
        ),
    ],
    ids=["empty", "one", "fork", "taken", "left over", "query order"],
)
def test_select(rows, top, expected):
    assert outcomes(select(ranked(*rows), RankingSettings(top=top))) == expected


MIXED = [
    ("CNN", "fork", True),
    ("CNN", "old", False),
    ("CNN", "large", False),
    ("CNN", "all of it", True),
    ("CNN", "good", False),
]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["fork", 1, 2, "fork", 3]),
        ({"archived": "exclude"}, ["fork", "archived", 1, "fork", 2]),
        ({"max_repository_kb": 100}, ["fork", 1, "larger than 100 kB", "fork", 2]),
        ({"max_repository_kb": 101}, ["fork", 1, 2, "fork", 3]),
        (
            {"archived": "exclude", "max_repository_kb": 100, "top": 1},
            ["fork", "archived", "larger than 100 kB", "fork", 1],
        ),
    ],
    ids=["neither", "archived", "size", "size at the limit", "both"],
)
def test_what_bars_a_repository_frees_its_place(settings, expected):
    frame = ranked(
        *MIXED, archived=[False, True, False, True, False], size_kb=[1, 1, 101, 101, 100]
    )
    found = outcomes(select(frame, RankingSettings(**settings)))
    assert [end for _, _, end in found] == expected


CORPUS = ["repository", "commit", "tree_sha256", "python_files", "reason"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "c1", "t1", 1, None), ("b", "c2", "t2", 1, None)], [None, None]),
        ([("a", "c1", "t1", 0, None)], ["no Python file"]),
        ([("a", None, None, 0, "gone")], ["gone"]),
        ([("a", "c1", "t1", 1, None), ("b", "c1", "t1", 1, None)], [None, "copy of a"]),
        ([("a", "c1", "t1", 1, None), ("b", "c1", "t2", 1, None)], [None, "copy of a"]),
        ([("a", "c1", "t1", 1, None), ("b", "c2", "t1", 1, None)], [None, "copy of a"]),
        (
            [("a", "c1", "t1", 1, None), ("b", "c1", "t2", 1, None), ("c", "c3", "t2", 1, None)],
            [None, "copy of a", "copy of a"],
        ),
        (  # what is no part of the corpus has no copy in it
            [("a", "c1", "t1", 0, None), ("b", "c1", "t1", 0, None)],
            ["no Python file", "no Python file"],
        ),
        ([("a", None, "t1", 1, None), ("b", None, "t2", 1, None)], [None, None]),
        ([], []),
    ],
    ids=[
        "two",
        "no Python",
        "not fetched",
        "same",
        "same commit",
        "same files",
        "copy of a copy",
        "empty twice",
        "no commit",
        "none",
    ],
)
def test_what_is_only_known_of_a_fetched_repository(rows, expected):
    corpus = pd.DataFrame(rows, columns=CORPUS)
    reasons = unfit(corpus, copies=False)
    assert [None if pd.isna(reason) else reason for reason in reasons] == expected
    kept = unfit(corpus, copies=True)
    assert not kept.str.startswith("copy", na=False).any()


def by_hand(rows, top):
    """The selection as one would do it with a pencil."""
    taken = []
    for query in dict.fromkeys(row[0] for row in rows):
        free = [name for q, name, fork in rows if q == query and not fork and name not in taken]
        taken += free[:top]
    return taken


tables = st.lists(
    st.tuples(st.sampled_from(["CNN", "GAN", "AE"]), st.sampled_from("abcdefgh"), st.booleans()),
    max_size=20,
    unique_by=lambda row: row[:2],
)


@few
@given(tables, st.integers(1, 5))
def test_every_row_has_one_end_and_no_repository_is_taken_twice(rows, top):
    frame = ranked(*rows)
    selection = select(frame, RankingSettings(top=top))
    taken = selection[selection["selected"]]
    assert len(selection) == len(frame)
    assert (selection["reason"].isna() == selection["selected"]).all()
    assert (selection["position"].notna() == selection["selected"]).all()
    assert taken["repository"].is_unique
    assert not taken["fork"].any()
    for query, of_query in selection.groupby("query"):
        positions = of_query["position"].dropna().tolist()
        assert positions == list(range(1, len(positions) + 1))
        # a query that is short of its number has nothing left to give
        if len(positions) < top:
            assert not of_query["reason"].dropna().str.startswith("below").any(), query


@few
@given(tables, st.integers(1, 5))
def test_a_pencil_selects_the_same(rows, top):
    selection = select(ranked(*rows), RankingSettings(top=top))
    assert selection.loc[selection["selected"], "repository"].tolist() == by_hand(rows, top)


@few
@given(tables, st.integers(1, 5))
def test_the_order_of_rows_within_a_query_does_not_matter(rows, top):
    frame = ranked(*rows)
    reversed_within = frame.iloc[::-1].sort_values(
        "query", key=lambda column: column.map(list(frame["query"].unique()).index), kind="stable"
    )
    limits = RankingSettings(top=top)
    pd.testing.assert_frame_equal(select(frame, limits), select(reversed_within, limits))


def test_the_columns_have_the_same_types_with_and_without_rows():
    limits = RankingSettings(top=1)
    full, empty = select(ranked(("CNN", "a", False)), limits), select(ranked(), limits)
    assert full.dtypes[["selected", "position", "reason"]].equals(
        empty.dtypes[["selected", "position", "reason"]]
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([("CNN", "a", False)], [("CNN", "a", False)], []),
        ([("CNN", "a", False)], [("GAN", "a", False)], []),
        (
            [("CNN", "a", False), ("CNN", "b", False)],
            [("CNN", "c", False), ("CNN", "a", False), ("GAN", "d", False)],
            [
                ("entered", "c", "CNN", 1),
                ("entered", "d", "GAN", 1),
                ("left", "b", "CNN", 2),
            ],
        ),
        ([("CNN", "a", True)], [("CNN", "a", False)], [("entered", "a", "CNN", 1)]),
        ([], [], []),
    ],
    ids=["same", "other query", "both ways", "no fork any more", "empty"],
)
def test_changes(before, after, expected):
    limits = RankingSettings(top=5)
    found = changes(select(ranked(*before), limits), select(ranked(*after), limits))
    assert list(found.itertuples(index=False, name=None)) == expected
