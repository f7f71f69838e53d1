import csv

import pandas as pd
import pytest

from mining.artifacts import Artifact, Run
from mining.licenses import Licenses, licenses_of, redistributable
from mining.rank import RANKING
from mining.shipped import shipped


@pytest.mark.parametrize(
    ("license_id", "allowed"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0", True),
        ("CC0-1.0", True),
        ("NOASSERTION", False),
        ("CC-BY-NC-4.0", False),
        ("CC-BY-ND-4.0", False),
        ("other", False),
        (None, False),
    ],
)
def test_what_a_licence_allows(license_id, allowed):
    of = {} if license_id is None else {"o/n": license_id}
    assert Licenses(of).allows("o/n") is allowed
    assert Licenses(of, with_text=True).allows("o/n")


def test_a_local_corpus_has_none(tmp_path):
    assert licenses_of(Run(tmp_path)) == Licenses({})
    ranking = pd.DataFrame({"repository": ["o/a", "o/b", "o/a"], "license": ["MIT", None, "MIT"]})
    Run(tmp_path).write(RANKING, ranking, Artifact("rank", {}, {}))
    assert licenses_of(Run(tmp_path)) == Licenses({"o/a": "MIT"})


def test_the_list_is_whole():
    with shipped("data/licenses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["spdx_id"].lower() for row in rows]
    assert names == sorted(set(names))
    assert {row["redistribution"] for row in rows} == {"yes", "no"}
    assert all(row["reason"] for row in rows if row["redistribution"] == "no")
    assert len(redistributable()) == sum(row["redistribution"] == "yes" for row in rows)
