import pandas as pd
import pytest

from classify.manual_tables import (
    MISTAKES,
    agreement_note,
    confused_types,
    mistake_of,
    table_4_2,
    table_4_3,
    table_4_4,
    tables_a,
)
from classify.published import published
from classify.special_cases import SpecialCase, read, written
from classify.types import STANDALONE, UnknownType

THEIRS_4_2 = published("table_4_2_misclassified_unknown")
THEIRS_4_3 = published("table_4_3_unknown_types")
THEIRS_4_4 = published("table_4_4_standalone_special_cases")
THEIRS_A = published("appendix_a_frameworks")


@pytest.mark.parametrize(
    ("label", "loss_kind", "qualname", "mistake"),
    [
        ("loss_unknown", "definition", "f", None),
        ("loss_in_model", "definition", "C.f", "loss_in_model"),
        ("loss_in_runner", "usage", "f", "loss_in_runner"),
        ("loss_in_model_runner", "definition", "C.__init__", "loss_in_model_runner"),
        ("no_loss", "usage", "f", "loss_call"),
        ("no_loss", "none", "f", "no_loss"),
        ("no_loss", "", "f", "no_loss"),
        ("no_loss", "usage", "Loss.__init__", "loss_constructor"),
    ],
)
def test_kinds_of_mistakes(label, loss_kind, qualname, mistake):
    assert mistake_of(label, loss_kind, qualname) == mistake


ROWS = pd.DataFrame(
    {
        "label": ["loss_unknown", "no_loss", "no_loss", "loss_in_model", "loss_in_model"],
        "loss_kind": ["definition", "usage", "none", "definition", "definition"],
        "qualname": ["f", "f", "f", "M.f", "M.g"],
        "placement": [*["loss_unknown"] * 4, "loss_in_model"],
    }
)
NO_TYPES = dict.fromkeys([case.value for case in SpecialCase], False)
PROPOSED = pd.DataFrame(
    [
        {"type": "standalone_model_output_only", **NO_TYPES, "multiple_losses": True},
        {"type": "standalone_model_output_only", **NO_TYPES},
        {"type": "standalone_model_dependency", **NO_TYPES, "backward": True},
        {"type": "test", **NO_TYPES},
    ]
)
BY_HAND = pd.DataFrame(
    {"unknown_type": ["test", "test", "sampler", "other"], "type": ["test", "hook", "sampler", "hook"]}
)  # fmt: skip
CASES_BY_HAND = pd.DataFrame(
    [
        ("none", "none"),
        ("multiple_losses;backward", "multiple_losses;backward"),
        ("multiple_losses", "none"),
        ("backward", "multiple_losses"),
        ("", "regularization"),  # the reader was not asked
    ],
    columns=["special_cases", "proposed_cases"],
)


def test_4_4_by_rules_and_by_hand():
    table = table_4_4(PROPOSED, THEIRS_4_4, CASES_BY_HAND)
    frame = table.frame.set_index("type")
    seen = {case: (row["by_hand"], row["agreeing"]) for case, row in frame.iterrows()}
    assert seen == {
        **dict.fromkeys(SpecialCase, (0, 0)),
        SpecialCase.MULTIPLE_LOSSES: (2, 1),
        SpecialCase.BACKWARD: (2, 1),
    }
    assert "Rules and hand agree on 2 of 4 labelled standalone losses" in table.note


@pytest.mark.parametrize("by_hand", [None, CASES_BY_HAND.tail(1)])
def test_4_4_without_special_cases_by_hand(by_hand):
    table = table_4_4(PROPOSED, THEIRS_4_4, by_hand)
    assert table.frame["by_hand"].sum() == 0
    assert table.frame["by_hand"].isna().all() == (by_hand is None)
    assert "No standalone loss of this run has special cases by hand." in table.note


@pytest.mark.parametrize(
    ("text", "cases"),
    [
        ("", None),
        ("none", set()),
        ("backward", {"backward"}),
        ("backward; multiple_losses", {"multiple_losses", "backward"}),
    ],
)
def test_special_cases_are_written_in_one_order(text, cases):
    found = read(text)
    assert found == cases
    if found is not None:
        assert read(written(found)) == found
        assert written(found) == "multiple_losses;backward" or len(found) < 2


@pytest.mark.parametrize("text", ["loss", "backward;", "none;backward"])
def test_what_is_no_special_case_is_refused(text):
    with pytest.raises(ValueError):
        read(text)


def test_4_2_counts_what_was_placed_loss_unknown():
    frame = table_4_2(ROWS, THEIRS_4_2).frame.set_index("type")
    assert frame["labelled"].to_dict() == {
        **dict.fromkeys(MISTAKES, 0),
        **{"loss_call": 1, "no_loss": 1, "loss_in_model": 1, "all mistakes": 3, "loss_unknown": 1},
    }
    assert frame.loc["loss_call", "share"] == 0.25
    assert frame.loc["loss_unknown", "published"] == 1183


def test_4_2_without_columns_that_tell_a_call():
    frame = table_4_2(ROWS[["label", "placement"]], THEIRS_4_2).frame.set_index("type")
    assert (frame.loc["no_loss", "labelled"], frame.loc["loss_call", "labelled"]) == (2, 0)


def test_4_2_where_nothing_was_placed_loss_unknown():
    frame = table_4_2(ROWS[ROWS["placement"] == "loss_in_model"], THEIRS_4_2).frame
    assert frame["labelled"].sum() == 0
    assert frame["share"].isna().all()


@pytest.mark.parametrize(
    ("table", "total", "parts"),
    [
        (table_4_3(PROPOSED, THEIRS_4_3, BY_HAND), "all", ["all standalone", "all others"]),
        (table_4_3(PROPOSED, THEIRS_4_3, BY_HAND), "all", list(UnknownType)),
        (table_4_3(PROPOSED, THEIRS_4_3, BY_HAND), "all standalone", list(STANDALONE)),
        (table_4_2(ROWS, THEIRS_4_2), "all mistakes", list(MISTAKES)),
    ],
)
def test_the_rows_add_up(table, total, parts):
    frame = table.frame.set_index("type").select_dtypes("number")
    added = frame.loc[parts].sum()
    assert added.to_numpy(dtype=float) == pytest.approx(frame.loc[total].to_numpy(dtype=float))


def test_4_3_has_the_published_totals():
    frame = table_4_3(PROPOSED, THEIRS_4_3, None).frame.set_index("type")
    totals = frame.loc[["all standalone", "all others", "all"], "published"]
    assert totals.tolist() == [956, 227, 1183]
    assert frame["by_hand"].isna().all()


def test_the_agreement_of_rules_and_hand():
    assert agreement_note(BY_HAND).startswith(
        "Rules and hand agree on 2 of 4 labelled snippets (0.50;"
    )
    assert "No snippet" in agreement_note(BY_HAND.head(0))
    rows = confused_types(BY_HAND).frame.to_records(index=False).tolist()
    assert ("test", "hook", 1) in rows
    assert sum(row[2] for row in rows) == 4


def test_a_says_nothing_of_frameworks_that_python_does_not_import():
    used = pd.DataFrame(
        {"repository": ["o/a", "o/b", "o/b"], "framework": ["PyTorch", "PyTorch", "Keras"]}
    )
    tables = tables_a(THEIRS_A, used, ["PyTorch", "Keras", "TensorFlow"], 4)
    assert [table.number for table in tables] == ["A.1", "A.2", "A.4"]
    frame = tables[1].frame.set_index("framework")
    assert frame.loc["PyTorch", ["importing", "share"]].tolist() == [2, 0.5]
    assert frame.loc["TensorFlow", "importing"] == 0
    assert pd.isna(frame.loc["torch", "importing"])
    assert sum(len(table.frame) for table in tables) == len(THEIRS_A)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("table_4_2", table_4_2(ROWS, THEIRS_4_2)),
        ("table_4_3", table_4_3(PROPOSED, THEIRS_4_3, BY_HAND)),
        ("table_4_4", table_4_4(PROPOSED, THEIRS_4_4, CASES_BY_HAND)),
        ("table_a_1", tables_a(THEIRS_A, pd.DataFrame({"repository": ["o/a"], "framework": ["Keras"]}), ["Keras"], 2)[0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("form", "write"), [("csv", "to_csv"), ("md", "to_markdown"), ("tex", "to_latex")]
)
def test_as_written(golden, name, table, form, write):
    golden(f"{name}.{form}", getattr(table, write)())
