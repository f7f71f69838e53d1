import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.evaluate import evaluate
from classify.gold import Gold
from classify.metrics import CATEGORIES
from classify.tables import (
    evaluation_tables,
    table_4_1,
    table_4_1_corrected,
    table_4_1_transferred,
)

RUN, MOD, BOTH, UNK, NOT = CATEGORIES


def placed(*rows):
    """Placements from (repository, text, placement) triples."""
    frame = pd.DataFrame(rows, columns=["repository", "code_sha256", "placement"])
    return frame.astype({"placement": "str"})


SMALL = placed(
    ("o/a", "t1", UNK),
    ("o/a", "t2", UNK),
    ("o/b", "t1", UNK),
    ("o/b", "t3", MOD),
    ("o/b", "t1", NOT),
    ("o/c", "t4", None),
)


def test_table_4_1_counts_snippets_repositories_and_texts():
    frame = table_4_1(SMALL).frame
    assert frame.to_records(index=False).tolist() == [
        (UNK, 3, 2, 2),
        (RUN, 0, 0, 0),
        (MOD, 1, 1, 1),
        (BOTH, 0, 0, 0),
        ("any loss", 4, 2, 3),
        (NOT, 1, 1, 1),
        ("unplaced", 1, 1, 1),
        ("all snippets", 6, 3, 4),
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from([*CATEGORIES, None])
        )
    )
)
def test_the_instances_of_table_4_1_add_up(rows):
    instances = table_4_1(placed(*rows)).frame.set_index("category")["instances"]
    assert instances["any loss"] == instances[[UNK, RUN, MOD, BOTH]].sum()
    assert instances["all snippets"] == len(rows)
    assert len(rows) == instances[["any loss", NOT, "unplaced"]].sum()


@pytest.mark.parametrize(("form", "write"), [("csv", "to_csv"), ("md", "to_markdown")])
def test_table_4_1_as_written(golden, form, write):
    golden(f"table_4_1.{form}", getattr(table_4_1(SMALL), write)())


def test_table_4_1_in_latex(golden):
    golden("table_4_1.tex", table_4_1(SMALL).to_latex())


@pytest.fixture
def tables():
    labels = [MOD, UNK, NOT, NOT]
    keys = {"repository": "o/r", "path": "a_b.py", "start_line": [2, 4, 6, 8]}
    placements = pd.DataFrame({**keys, "placement": [MOD, None, NOT, UNK]})
    evaluation = evaluate(Gold(pd.DataFrame({**keys, "label": labels}), 0), placements, 0.9)
    return {table.name: table.frame for table in evaluation_tables(evaluation)}


def test_d_1_lists_the_labelled_snippets(tables):
    assert tables["table_d_1"].to_dict("list") == {
        "repository": ["o/r"] * 4,
        "path": ["a_b.py"] * 4,
        "row": [2, 4, 6, 8],
        "actual": [MOD, UNK, NOT, NOT],
        "predicted": [MOD, "unplaced", NOT, UNK],
    }


@pytest.mark.parametrize(
    ("name", "columns", "rows_a_sample"),
    [
        ("table_d_2", ["actual", *CATEGORIES, "unplaced"], 5),
        ("table_d_3", ["category", "tp", "tn", "fp", "fn"], 5),
        ("table_d_4", ["category", "f1"], 6),
        ("table_d_5", ["method", "n", "confidence", "f1", "centre", "half_width"], 2),
    ],
)
def test_each_sample_has_its_rows(tables, name, columns, rows_a_sample):
    frame = tables[name]
    assert list(frame.columns) == ["sample", *columns]
    assert frame["sample"].tolist() == ["all"] * rows_a_sample + ["losses"] * rows_a_sample


def test_an_unplaced_loss_is_a_false_negative_and_nothing_else(tables):
    matrix = tables["table_d_2"].set_index(["sample", "actual"])
    assert matrix.loc[("losses", UNK), "unplaced"] == 1
    frame = tables["table_d_3"].set_index(["sample", "category"])
    assert frame.loc[("losses", UNK)].to_dict() == {"tp": 0, "tn": 1, "fp": 0, "fn": 1}
    assert frame.loc[("losses", NOT)].to_dict() == {"tp": 0, "tn": 2, "fp": 0, "fn": 0}


def test_d_4_ends_with_the_weighted_mean(tables):
    f1 = tables["table_d_4"].set_index(["sample", "category"])["f1"]
    assert f1[("losses", "weighted_mean")] == pytest.approx(0.5)
    assert f1[("all", "weighted_mean")] == pytest.approx((1 + 0 + 2 * 2 / 3) / 4)


def labelled(*pairs, **columns):
    """Placements of (label, placement, times) snippets, of which the first of each is labelled."""
    rows = [(label, place, k == 0) for label, place, times in pairs for k in range(times)]
    frame = pd.DataFrame(rows, columns=["label", "placement", "known"])
    frame = frame.assign(repository="o/r", path="a.py", start_line=range(1, len(frame) + 1))
    keys = ["repository", "path", "start_line"]
    gold = Gold(frame.loc[frame["known"], [*keys, "label"]].assign(**columns), 0)
    placements = frame[[*keys, "placement"]].astype({"placement": "str"})
    return placements, evaluate(gold, placements)


def test_table_4_1_corrected_as_written(golden):
    pairs = [(UNK, UNK, 10), (MOD, UNK, 10), (MOD, MOD, 1), (NOT, NOT, 900), (UNK, NOT, 60)]
    table = table_4_1_corrected(*labelled(*pairs, (UNK, None, 0)))
    golden("table_4_1_corrected.md", table.to_markdown())
    frame = table.frame.set_index("category")
    assert frame.loc["any loss", "instances"] == frame["instances"].iloc[:4].sum() == 21
    assert frame.loc["any loss", "corrected"] == pytest.approx(frame["corrected"].iloc[:4].sum())
    assert frame.loc["loss_unknown", "corrected"] == pytest.approx(20 / 2 + 960 / 2)
    assert (frame["low"] <= frame["corrected"]).all()
    assert (frame["corrected"] <= frame["high"]).all()


def test_a_placement_without_labels_leaves_the_corrected_cells_empty():
    placements, evaluation = labelled((UNK, UNK, 3), (NOT, NOT, 3))
    placements.loc[1, "placement"] = MOD
    table = table_4_1_corrected(placements, evaluation)
    assert table.frame[["corrected", "low", "high"]].isna().all(axis=None)
    assert "placed as loss_in_model, so that nothing is known of 1 snippets" in table.note
    assert "nan" not in table.to_csv() + table.to_markdown() + table.to_latex()


def test_unplaced_snippets_without_labels_are_left_out_and_counted():
    placements, evaluation = labelled((UNK, UNK, 3), (NOT, NOT, 4))
    placements.loc[1, "placement"] = None
    table = table_4_1_corrected(placements, evaluation)
    assert table.frame.set_index("category")["corrected"]["any loss"] == pytest.approx(2)
    assert "Leaves out the 1 unplaced snippets" in table.note


def test_a_transferred_table_says_that_it_is_one():
    _, evaluation = labelled((UNK, UNK, 3), (UNK, UNK, 1), (NOT, NOT, 4), (UNK, NOT, 2))
    other = pd.DataFrame({"placement": pd.Series([UNK] * 10 + [NOT] * 90, dtype="str")})
    table = table_4_1_transferred(other, evaluation.rows, 0.95)
    frame = table.frame.set_index("category")
    assert frame.loc["loss_unknown", "corrected"] == pytest.approx(10 / (2 / 3))
    assert pd.isna(frame.loc["loss_in_model", "corrected"])
    assert table.note.startswith("Only for transfer")
