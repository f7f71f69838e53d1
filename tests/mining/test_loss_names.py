import pytest

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


def test_no_name_is_listed_twice():
    names = known_loss_names()
    assert len(set(names)) == len(names)
