import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.selection import changes, select

few = settings(deadline=None, max_examples=40)


def ranked(*rows):
    """Rows of query, repository, and whether it is a fork; ranked in the order given."""
    frame = pd.DataFrame(rows, columns=["query", "repository", "fork"])
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
    assert outcomes(select(ranked(*rows), top)) == expected


tables = st.lists(
    st.tuples(st.sampled_from(["CNN", "GAN", "AE"]), st.sampled_from("abcdefgh"), st.booleans()),
    max_size=20,
    unique_by=lambda row: row[:2],
)


@few
@given(tables, st.integers(1, 5))
def test_every_row_has_one_end_and_no_repository_is_taken_twice(rows, top):
    frame = ranked(*rows)
    selection = select(frame, top)
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
def test_the_order_of_rows_within_a_query_does_not_matter(rows, top):
    frame = ranked(*rows)
    reversed_within = frame.iloc[::-1].sort_values(
        "query", key=lambda column: column.map(list(frame["query"].unique()).index), kind="stable"
    )
    pd.testing.assert_frame_equal(select(frame, top), select(reversed_within, top))


def test_the_columns_have_the_same_types_with_and_without_rows():
    full, empty = select(ranked(("CNN", "a", False)), 1), select(ranked(), 1)
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
    found = changes(select(ranked(*before), 5), select(ranked(*after), 5))
    assert list(found.itertuples(index=False, name=None)) == expected
