import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.answers import Page, read_page
from mining.pages import page_name, table_of_results
from mining.windows import Window
from tests.mining.github_server import item

RECORDED = Path(__file__).parents[2].parent / "shared" / "reference" / "recorded"


def body(*items, **changes):
    fields = {"total_count": len(items), "incomplete_results": False, "items": list(items)}
    return json.dumps(fields | changes)


@pytest.mark.parametrize(
    ("changes", "column", "expected"),
    [
        ({}, "repository", "ada/net"),
        ({"stargazers_count": 7}, "stars", 7),
        ({"forks_count": 8}, "forks", 8),
        ({"size": 9}, "size_kb", 9),
        ({"fork": True}, "fork", True),
        ({"archived": True}, "archived", True),
        ({"license": None}, "license", None),
        ({"license": {"key": "gpl-3.0", "spdx_id": "GPL-3.0"}}, "license", "GPL-3.0"),
        ({"license": {"key": "other", "spdx_id": None}}, "license", "other"),
        ({"pushed_at": None}, "pushed_at", None),
        ({"pushed_at": "2020-02-19T09:15:38Z"}, "pushed_at", "2020-02-19 09:15:38+00:00"),
        ({"pushed_at": "2020-02-19T09:15:38-07:00"}, "pushed_at", "2020-02-19 16:15:38+00:00"),
    ],
)
def test_what_is_read_of_an_item(changes, column, expected):
    table = table_of_results({"CNN": [read_page(body(item("ada/net", **changes)))]})
    value = table.astype(object).where(table.notna(), None)[column][0]
    assert (str(value) if column == "pushed_at" and value else value) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("<html>", "not JSON"),
        ('{"total_count": 1, "items": [', "not JSON"),
        ("[]", "the body"),
        ("{}", "total_count"),
        (body(total_count=-1), "total_count"),
        (body(items=None), "items"),
        (body({"id": 1, "full_name": "ada/net"}), "items.0.stargazers_count"),
        (body(item("ada/net", stargazers_count="many")), "items.0.stargazers_count"),
        (body(item("ada/net", created_at="2020-01-01T00:00:00")), "items.0.created_at"),
        (body(item("not a name")), "items.0.full_name"),
        (body(item("../../etc")), "items.0.full_name"),
        (body(item("ada/net", id=None)), "items.0.id"),
    ],
)
def test_what_is_no_page(text, reason):
    with pytest.raises(ValueError, match=f"^{reason}"):
        read_page(text)


def test_private_and_empty_places_keep_the_positions_of_the_others():
    page = read_page(body(item("a/a"), None, item("me/secret", private=True), item("b/b")))
    table = table_of_results({"CNN": [page]})
    assert table[["search_position", "repository"]].to_numpy().tolist() == [[1, "a/a"], [4, "b/b"]]


def test_a_repository_that_comes_twice_counts_where_it_came_first():
    first = Page(150, False, read_page(body(item("a/a"), item("b/b"))).places)
    second = read_page(body(item("b/b", stargazers_count=99), item("c/c")))
    table = table_of_results({"CNN": [first, second], "GAN": [second]})
    assert table[["query", "search_position", "repository", "stars"]].to_numpy().tolist() == [
        ["CNN", 1, "a/a", 10],
        ["CNN", 2, "b/b", 10],
        ["CNN", 102, "c/c", 10],
        ["GAN", 1, "b/b", 99],
        ["GAN", 2, "c/c", 10],
    ]


def test_a_renamed_repository_is_one_and_has_its_latest_name():
    before = read_page(body(item("old/net", id=7), item("b/b", id=8)))
    after = read_page(body(item("new/net", id=7)))
    names = {7: "new/net", 8: "b/b"}
    table = table_of_results({"CNN": [before, after], "GAN": [after]}, names=names)
    assert table[["query", "search_position", "repository_id", "repository"]].values.tolist() == [
        ["CNN", 1, 7, "new/net"],
        ["CNN", 2, 8, "b/b"],
        ["GAN", 1, 7, "new/net"],
    ]


def test_a_name_that_another_repository_took_over_is_one_row():
    page = read_page(body(item("a/a", id=7), item("a/a", id=8)))
    assert table_of_results({"CNN": [page]})["repository_id"].tolist() == [7]


def test_the_columns_have_the_same_types_with_and_without_rows():
    full = table_of_results({"CNN": [read_page(body(item("a/a")))]})
    empty = table_of_results({"CNN": [read_page(body())]})
    assert full.dtypes.equals(empty.dtypes)


@pytest.mark.parametrize(
    ("query", "folder"),
    [
        ("PyTorch CNN", "pytorch-cnn"),
        ("TensorFlow recursive neural network", "tensorflow-recursive-neural-network"),
        ("PyTorch  CNN", "pytorch-cnn-1d54eb3f"),
        ("PyTorch-CNN", "pytorch-cnn-0f497997"),
        ("..", "5ec1f7e7"),
        ("Ünï", "n-216999f2"),
    ],
)
def test_page_names(query, folder):
    window = Window(0, 59, (1, None))
    below = "19700101T000000Z-19700101T000059Z-stars-1-up"
    assert page_name(query, 3) == f"search/{folder}/page-3.json.zst"
    assert page_name(query, 3, window, 2) == f"search/{folder}/{below}/page-3-attempt-2.json.zst"


@given(st.text(), st.text())
def test_other_queries_have_other_folders_if_github_tells_them_apart(one, other):
    names = page_name(one, 1), page_name(other, 1)
    assert (names[0] == names[1]) == (one == other) or one.lower() == other.lower()
    assert all(len(name.split("/")) == 3 and len(name) < 130 for name in names)


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.json")), ids=lambda p: p.stem)
def test_real_answers_are_read(path):
    recorded = json.loads(path.read_text("utf-8"))
    answer = recorded.get("body", recorded)
    page = read_page(json.dumps(answer))
    assert page.total_count == answer["total_count"]
    assert page.incomplete == answer.get("incomplete_results", False)
    assert [
        (place.repository_id, place.repository.name, place.repository.stars)
        for place in page.places
    ] == [(i["id"], i["full_name"], i["stargazers_count"]) for i in answer["items"]]
