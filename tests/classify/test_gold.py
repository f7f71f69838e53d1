from pathlib import Path

import pandas as pd
import pytest

from classify.errors import GoldError
from classify.gold import match, read_gold, sampling_strata

HEAD = "repository,path,start_line,label,contested\n"
ROW = "o/r,a.py,3,loss_unknown,False\n"
SHARED = Path(__file__).parents[2].parent / "shared" / "gold" / "dev.csv"


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "gold.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def placements(*rows):
    return pd.DataFrame(
        rows, columns=["repository", "path", "start_line", "commit", "placement"]
    ).astype({"start_line": "int64", "placement": "str"})


# --- reading


def test_rows_keep_every_column_and_the_order_of_the_file(written):
    gold = read_gold(written("note,label,start_line,path,repository\nwhy,no_loss,07,b.py,o/r\n"))
    assert gold.rows.to_dict("records") == [
        {
            "note": "why",
            "label": "no_loss",
            "start_line": 7,
            "path": "b.py",
            "repository": "o/r",
        }
    ]
    assert gold.rows["start_line"].dtype == "int64"
    assert gold.contested == 0


@pytest.mark.parametrize(
    ("label", "contested", "left_out"),
    [
        ("no_loss", "False", False),
        ("no_loss", "", False),
        ("no_loss", "0", False),
        ("no_loss", "True", True),
        ("no_loss", "TRUE", True),
        ("no_loss", "1", True),
        ("no_loss", "yes", True),
        ("", "False", True),
        ("  ", "", True),
        ("undecided", "true", True),
    ],
)
def test_contested_rows_are_left_out_and_counted(written, label, contested, left_out):
    gold = read_gold(written(f"{HEAD}o/r,a.py,3,{label},{contested}\n"))
    assert (len(gold.rows), gold.contested) == ((0, 1) if left_out else (1, 0))


@pytest.mark.parametrize(
    "content",
    [
        HEAD + ROW,
        (HEAD + ROW).encode("utf-8-sig"),
        (HEAD + ROW).replace("\n", "\r\n"),
        HEAD + "\n" + ROW + "\n",
        HEAD.replace("label", " label ") + ROW.replace(",3,", ", 3 ,"),
        HEAD + ROW.rstrip("\n"),
    ],
    ids=["plain", "byte order mark", "CRLF", "blank lines", "spaces", "no last newline"],
)
def test_ways_to_write_the_same_file(written, content):
    assert read_gold(written(content)).rows["start_line"].tolist() == [3]


def test_a_file_without_rows_has_none(written):
    gold = read_gold(written(HEAD))
    assert gold.rows.empty
    assert {"repository", "path", "start_line", "label"} <= set(gold.rows.columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "Expected the column 'repository' in .*gold.csv, found none", id="empty"),
        pytest.param(
            "repository,path,label\n",
            "Expected the column 'start_line' .* found repository, path",
            id="no start_line",
        ),
        pytest.param(
            "path,path,repository,start_line,label\n", "'path' more than once", id="a column twice"
        ),
        pytest.param(
            HEAD + "o/r,a.py,3\n", "Expected 5 fields .* found 3 in line 2;", id="a short row"
        ),
        pytest.param(
            HEAD + ROW + "o/r,a,b.py,3,no_loss,False\n",
            "found 6 in line 3;",
            id="a comma in a path",
        ),
        pytest.param(
            HEAD + "o/r,a.py,0,no_loss,\n", "'start_line', found '0' in line 2 ", id="line 0"
        ),
        pytest.param(HEAD + "o/r,a.py,-3,no_loss,\n", "found '-3' in line 2 ", id="negative line"),
        pytest.param(
            HEAD + "o/r,a.py,3.0,no_loss,\n", r"found '3\.0' in line 2 ", id="decimal line"
        ),
        pytest.param(HEAD + "o/r,a.py,,no_loss,\n", "found '' in line 2 ", id="no line"),
        pytest.param(HEAD + "o/r,a.py,²,no_loss,\n", "found '²' in line 2 ", id="no digit"),
        pytest.param(HEAD + f"o/r,a.py,{10**30},no_loss,\n", "found '1000", id="too many digits"),
        pytest.param(
            HEAD + ROW + "o/r,b.py,3,loss_model,\n",
            "label out of .* found 'loss_model' in line 3 ",
            id="unknown label",
        ),
        pytest.param(
            HEAD + '"o/\nr",a.py,3,no_loss,\no/r,a.py,3,nothing,\n',
            "'nothing' in line 4 ",
            id="after a quoted newline",
        ),
        pytest.param(
            HEAD + ROW + ROW.replace("3", "03"), "o/r a.py 3 in lines 2 and 3", id="same snippet"
        ),
        pytest.param(
            HEAD + ROW + ROW.replace("loss_unknown", ""),
            "in lines 2 and 3",
            id="same snippet, contested",
        ),
        pytest.param(HEAD + '"o/r,a.py,3', "found an error in line 2", id="open quote"),
        pytest.param(
            HEAD.encode() + b"o/\xff,a.py,3,no_loss,\n", "Expected CSV in UTF-8", id="Latin-1"
        ),
        pytest.param(
            b"PK\x03\x04\x14\x00\x08\x08\xe9\x00", "Expected CSV in UTF-8", id="a spreadsheet"
        ),
        pytest.param(b"PAR1\x15\x04\x15", "Expected the column 'repository'", id="a Parquet file"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(written, content, message):
    path = written(content)
    with pytest.raises(GoldError, match=message) as caught:
        read_gold(path)
    text = str(caught.value)
    assert str(path) in text
    assert text.startswith("Expected ")
    assert text.endswith(".")


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_a_file_that_cannot_be_read(tmp_path, name):
    with pytest.raises(GoldError, match="found none that can be read"):
        read_gold(tmp_path / name)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared gold file is not here")
def test_the_shared_gold_file():
    gold = read_gold(SHARED)
    assert (len(gold.rows), gold.contested) == (241, 1)
    assert gold.rows["repository"].nunique() == 38


# --- matching


def test_rows_are_joined_by_repository_path_and_line(written):
    gold = read_gold(
        written(
            "repository,path,start_line,label,commit,kind\n"
            "o/r,a.py,3,loss_unknown,c1,function\n"
            "o/r,a.py,9,no_loss,c1,function\n"
            "o/s,a.py,3,no_loss,c2,loop\n"
            "o/t,a.py,3,no_loss,,loop\n"
        )
    )
    found = match(
        gold.rows,
        placements(
            ("o/t", "a.py", 3, "c3", None),
            ("o/s", "a.py", 3, "c9", "no_loss"),
            ("o/r", "a.py", 3, "c1", "loss_in_model"),
            ("o/r", "b.py", 9, "c1", "loss_in_model"),
        ),
    )
    assert found.rows[["repository", "label", "commit_gold", "commit", "kind"]].values.tolist() == [
        ["o/r", "loss_unknown", "c1", "c1", "function"],
        ["o/s", "no_loss", "c2", "c9", "loop"],
        ["o/t", "no_loss", "", "c3", "loop"],
    ]
    assert found.rows["placement"].isna().tolist() == [False, False, True]
    assert (found.without_snippet, found.other_commit) == (1, 1)


def test_a_gold_file_without_commits_matches_any(written):
    found = match(
        read_gold(written(HEAD + ROW)).rows, placements(("o/r", "a.py", 3, None, "no_loss"))
    )
    assert (len(found.rows), found.other_commit) == (1, 0)


def test_of_two_snippets_in_one_line_the_first_counts(written):
    found = match(
        read_gold(written(HEAD + ROW)).rows,
        placements(("o/r", "a.py", 3, "c", "no_loss"), ("o/r", "a.py", 3, "c", "loss_in_model")),
    )
    assert found.rows["placement"].tolist() == ["no_loss"]


# --- how it was drawn


def designed(*rows):
    return pd.DataFrame(rows, columns=["sampling_stratum", "stratum_size", "stratum_sampled"])


def test_strata_weigh_each_row():
    strata = sampling_strata(designed(("m", "90", "3"), ("f", "8", "2"), ("m", "90", "3")))
    assert strata.weights.tolist() == [30, 4, 30]
    assert strata.size.tolist() == [90, 8]


@pytest.mark.parametrize("missing", ["sampling_stratum", "stratum_size", "stratum_sampled"])
def test_without_all_its_columns_there_is_no_design(missing):
    assert sampling_strata(designed(("m", "90", "3")).drop(columns=missing)) is None


@pytest.mark.parametrize(
    "rows",
    [
        [("m", "90", "3"), ("m", "91", "3")],
        [("m", "90", "1"), ("m", "90", "1")],
        [("m", "2", "3")],
        [("m", "", "3")],
        [("m", "9.5", "3")],
        [("m", "nan", "1")],
        [("m", "0", "0")],
    ],
    ids=["two sizes", "more rows than drawn", "more than all", "empty", "broken", "nan", "none"],
)
def test_a_design_that_cannot_be_is_one_sentence(rows):
    with pytest.raises(GoldError, match=r"^Expected one stratum_size .* 'm', .* found .*; mend"):
        sampling_strata(designed(*rows))


@pytest.mark.skipif(not SHARED.exists(), reason="the shared gold file is not here")
def test_the_design_of_the_shared_gold_file():
    strata = sampling_strata(read_gold(SHARED).rows)
    assert (strata.size.sum(), strata.drawn.sum(), len(strata.size)) == (6965, 420, 8)
