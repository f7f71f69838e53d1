import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.evaluate import evaluate
from classify.gold import Gold
from classify.metrics import CATEGORIES
from classify.tables import evaluation_tables, table_4_1

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
