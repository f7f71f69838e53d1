import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.funnel import COLUMNS, funnel, funnel_lines
from mining.selection import select
from mining.study import RankingSettings
from tests.mining.test_selection import ranked

few = settings(max_examples=60)


def rows(found):
    return list(found.itertuples(index=False, name=None))


CANDIDATES = pd.DataFrame(
    [
        ("a", None),
        ("b", "fork"),
        ("c", "below rank 2"),
        ("d", None),
        ("a", "taken by CNN"),
        ("b", "fork"),
        ("c", None),
        ("e", "archived"),
        ("f", "larger than 9 kB"),
        ("g", "below rank 2"),
    ],
    columns=["repository", "reason"],
)


def test_each_result_and_each_repository_ends_once():
    assert rows(funnel(CANDIDATES)) == [
        ("rank", "fork", 2, 1),
        ("rank", "archived", 1, 1),
        ("rank", "larger than 9 kB", 1, 1),
        ("rank", "taken by an earlier query", 1, 0),
        ("rank", "below rank 2", 2, 1),
        ("rank", "selected", 3, 3),
    ]


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((None, None, None), [("fetch", "in the corpus", 3, 3)]),
        (
            ("fork: no memory", "no Python file", None),  # git's own words do not lead astray
            [
                ("fetch", "could not be fetched", 1, 1),
                ("fetch", "no Python file", 1, 1),
                ("fetch", "in the corpus", 1, 1),
            ],
        ),
        (
            ("selected", "copy of a", "copy of d"),
            [
                ("fetch", "could not be fetched", 1, 1),
                ("fetch", "copy of another", 2, 2),
                ("fetch", "in the corpus", 0, 0),
            ],
        ),
    ],
)
def test_what_was_selected_ends_where_fetching_ended(reasons, expected):
    corpus = pd.DataFrame({"repository": ["a", "d", "c"], "reason": reasons})
    assert rows(funnel(CANDIDATES, corpus))[5:] == expected


def test_nothing_found():
    nothing = CANDIDATES.iloc[:0]
    assert rows(funnel(nothing)) == [("rank", "selected", 0, 0)]
    assert rows(funnel(nothing, nothing)) == [("fetch", "in the corpus", 0, 0)]


candidates = st.lists(
    st.tuples(st.sampled_from(["CNN", "GAN", "AE"]), st.sampled_from("abcdefgh"), st.booleans()),
    max_size=24,
    unique_by=lambda row: row[:2],
)
ends = st.sampled_from([None, "gone", "no Python file", "copy of a"])


@few
@given(candidates, st.integers(1, 4), st.booleans(), st.booleans(), st.data())
def test_the_funnel_adds_up(found, top, archived, fetched, data):
    some = data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=len(found), max_size=len(found)))
    limits = RankingSettings(
        top=top, archived="exclude" if archived else "keep", max_repository_kb=2
    )
    selection = select(ranked(*found, archived=some, size_kb=sizes), limits)
    selected = selection.loc[selection["selected"], "repository"]
    corpus = None
    if fetched:
        corpus = pd.DataFrame({"repository": selected, "reason": None}, dtype="object")
        corpus["reason"] = [data.draw(ends) for _ in selected]
    counted = funnel(selection, corpus)
    assert counted.dtypes.astype(str).to_dict() == COLUMNS
    assert counted["results"].sum() == len(found)
    assert counted["repositories"].sum() == len({name for _, name, _ in found})
    kept = selected if corpus is None else corpus[corpus["reason"].isna()]
    assert counted["results"].iloc[-1] == counted["repositories"].iloc[-1] == len(kept)


def test_the_lines_show_what_there_was_what_went_and_what_is_left():
    head, first, *_, last = funnel_lines(funnel(CANDIDATES))
    assert head.split() == ["results", "repositories"]
    assert first.split() == ["found", "by", "the", "search", "10", "7"]
    assert last.split() == ["=", "selected", "3", "3"]
