from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.hash_table import HashTable, places_of

HASHES = st.integers(0, 2**60 - 1)


@pytest.fixture(autouse=True)
def soon_folded(monkeypatch):
    monkeypatch.setattr("classify.hash_table._FEW", 3)


@given(st.lists(st.tuples(HASHES | st.integers(0, 9), st.integers(0, 99), st.integers(0, 99))))
def test_it_sums_as_a_counter_does(added):
    table, first, second = HashTable(2), Counter(), Counter()
    for key, one, other in added:
        table.add(key, one, other)
        first[key] += one
        second[key] += other
        assert key in table
        assert key ^ 1 in table or key ^ 1 not in first
    hashes, sums = table.sums()
    assert hashes.tolist() == sorted(first)
    assert sums.tolist() == [[first[key], second[key]] for key in sorted(first)]


@given(st.lists(HASHES), HASHES)
def test_without_columns_it_is_a_set(added, other):
    table = HashTable()
    for key in added:
        table.add(key)
    assert all(key in table for key in added)
    assert (other in table) == (other in added)


def test_the_order_of_adding_leaves_no_trace():
    one, other = HashTable(1), HashTable(1)
    for key in range(50):
        one.add(key % 7, key)
        other.add((49 - key) % 7, 49 - key)
    assert [each.tolist() for each in one.sums()] == [each.tolist() for each in other.sums()]


@pytest.mark.parametrize(
    ("wanted", "hashes", "expected"),
    [([], [1], []), ([1], [], [-1]), ([3, 1, 9, 0, 3], [1, 3, 5], [1, 0, -1, -1, 1])],
)
def test_places_of_what_is_there(wanted, hashes, expected):
    places = places_of(np.array(wanted, np.int64), np.array(hashes, np.int64))
    assert places.tolist() == expected
