import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mining.errors import InputError
from mining.loss_names import known_loss_names, loss_name_finder

CASES = [
    ("loss = F.cross_entropy(x, y)", True),
    ("self.criterion = nn.CrossEntropyLoss()", True),
    ("tf.nn.softmax_cross_entropy_with_logits_v2(logits=x, labels=y)", True),
    ("my_cross_entropy(x)", False),
    ("cross_entropy_of(x)", False),
    ("loss = (x - y) ** 2", False),
    ("", False),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_names_count_as_whole_words(text, expected):
    assert loss_name_finder(known_loss_names())(text) is expected


PIECES = st.lists(st.sampled_from(["kl", "kl_div", "a.b", "b", ".", "_", " ", "\n", "é", "(", "1"]))


@given(PIECES.map("".join), st.sets(st.sampled_from(["kl", "b", "kl_div", "a.b", "b.kl"])))
def test_it_finds_what_a_search_for_all_names_finds(text, names):
    assume(names)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)")
    assert loss_name_finder(tuple(names))(text) is (pattern.search(text) is not None)


def test_no_name_is_listed_twice():
    names = known_loss_names()
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name\nmy_loss\n", ("my_loss",)),
        ("library,name\nx,a_loss\ny,a_loss\n", ("a_loss",)),
        ("name,confirmed\na,yes\nb,no\nc,\nd,YES \n", ("a", "d")),
        ("\ufeffname\nmy_loss\n", ("my_loss",)),
    ],
    ids=["names", "one name twice", "confirmed", "byte order mark"],
)
def test_a_study_can_bring_its_own_list(tmp_path, text, expected):
    path = tmp_path / "names.csv"
    path.write_text(text, "utf-8")
    assert known_loss_names(path) == expected


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "No such file"),
        (b"", "no column `name`"),
        (b"full_name\nx\n", "no column `name`"),
        (b"name\n", "no confirmed name"),
        (b"name,confirmed\na,\n", "no confirmed name"),
        (b"name,confirmed\na,perhaps\n", "'perhaps' under `confirmed` in line 2"),
        (b"name\na b\n", "'a b' for a name in line 2"),
        (b"name\n\xff\xfe\n", "codec can't decode"),
        (b"library,name\nx\n", "None for a name|'' for a name"),
    ],
    ids=[
        "none",
        "empty",
        "no name",
        "no row",
        "open",
        "unclear",
        "no name",
        "no text",
        "short row",
    ],
)
def test_what_is_no_list(tmp_path, content, found):
    path = tmp_path / "names.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=found):
        known_loss_names(path)
