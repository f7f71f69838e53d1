import base64
import gzip
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.report.shards import (
    BUCKETS,
    SHARD_BYTES,
    SHARD_SNIPPETS,
    Series,
    Shards,
    columns_of,
    script_of,
    trigrams,
)


def opened(script):
    """What a browser makes of a shard's script: its name and its value."""
    name, packed = re.fullmatch(
        rb'lossplace\.receive\("([a-z]+(?:-\d+)?)","([\w+/=]*)"\);\n', script
    ).groups()
    return name.decode(), json.loads(gzip.decompress(base64.b64decode(packed)))


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(st.characters(exclude_categories=[])))))
def test_any_text_comes_back_as_it_was_from_a_script_of_ascii(value):
    script = script_of("code-7", value)
    assert script.isascii()
    assert opened(script) == ("code-7", value)


def test_a_lone_surrogate_and_a_closing_tag_survive():
    value = ["\ud800", "</script><!--", "\u2028\x00"]
    script = script_of("code-0", value)
    assert opened(script)[1] == value
    assert b"<" not in script


def test_equal_values_make_equal_bytes():
    assert script_of("a", {"b": [1]}) == script_of("a", {"b": [1]})


def test_no_value_that_json_lacks():
    with pytest.raises(ValueError):
        script_of("a", [float("nan")])


@pytest.mark.parametrize(
    ("weights", "starts"),
    [
        ([], []),
        ([1, 1, 1], [0]),
        ([SHARD_BYTES, 1], [0, 1]),
        ([1, SHARD_BYTES + 1, 1], [0, 1, 2]),
        ([0] * (2 * SHARD_SNIPPETS + 1), [0, SHARD_SNIPPETS, 2 * SHARD_SNIPPETS]),
    ],
)
def test_shards_end_when_they_are_full(tmp_path, weights, starts):
    shards = Shards(tmp_path)
    series = Series(shards, "code")
    begun = [number for number, weight in enumerate(weights) if series.add(number, weight)]
    series.end()
    assert series.starts == begun == starts
    values = [opened((tmp_path / f"code-{i}.js").read_bytes())[1] for i in range(len(starts))]
    assert [each for value in values for each in value] == list(range(len(weights)))
    assert shards.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def buckets(text):
    """As search.js finds them."""
    data = text.encode("utf-8", "surrogatepass").lower()
    return {
        (a * 961 + b * 31 + c) % BUCKETS for a, b, c in zip(data, data[1:], data[2:], strict=False)
    }


@given(st.lists(st.text(max_size=40), max_size=4), st.data())
def test_every_text_of_a_shard_can_be_found_by_its_trigrams(texts, data):
    bits = np.unpackbits(
        np.frombuffer(base64.b64decode(trigrams(texts)), dtype=np.uint8), bitorder="little"
    )
    assert len(bits) == BUCKETS
    for text in texts:
        if len(text) > 2:
            start = data.draw(st.integers(0, len(text) - 3))
            assert all(bits[bucket] for bucket in buckets(text[start : start + 10]))


def test_missing_values_of_every_kind_are_none():
    frame = pd.DataFrame(
        {
            "number": [1.5, None],
            "text": pd.Series(["a", None], dtype="str"),
            "whole": pd.Series([1, None], dtype="Int64"),
            "time": pd.to_datetime(["2024-02-20T00:00:00Z", None]),
            "infinite": [1 / 3, float("inf")],
        }
    )
    assert columns_of(frame) == {
        "number": [1.5, None],
        "text": ["a", None],
        "whole": [1, None],
        "time": ["2024-02-20T00:00:00+00:00", None],
        "infinite": [0.3333333333, None],
    }
