import pandas as pd
import pytest

from classify.published import compare_published, compare_table_4_1, published


@pytest.mark.parametrize("table", compare_published(), ids=lambda table: table.name)
def test_every_published_cell_comes_out(table):
    assert not table.frame.empty
    assert table.frame.loc[~table.frame["agrees"]].empty


def test_the_published_result_comes_out():
    *_, f1, interval = (table.frame for table in compare_published())
    weighted = f1.set_index("category").loc["weighted_mean"]
    assert (round(weighted["ours"], 2), weighted["published"]) == (0.83, 0.83)
    cells = interval.set_index("cell")["ours"].round(2).to_dict()
    assert cells == {"n": 30, "confidence": 0.9, "f1": 0.83, "centre": 0.8, "half_width": 0.11}


def test_as_written(golden):
    golden("published.md", "\n".join(table.to_markdown() for table in compare_published()))


def test_a_wrong_number_would_not_agree(monkeypatch):
    def misprinted(name):
        table = published(name)
        return table.assign(f1=table["f1"] + 0.01) if name == "table_d_4_f1" else table

    monkeypatch.setattr("classify.published.published", misprinted)
    agrees = {table.name: table.frame["agrees"] for table in compare_published()}
    assert not agrees.pop("table_d_4_published").any()
    assert all(each.all() for each in agrees.values())


def test_table_4_1_stands_beside_the_published_counts():
    placements = pd.DataFrame(
        {"repository": ["o/a", "o/a"], "code_sha256": ["x", "y"], "placement": ["loss_unknown"] * 2}
    )
    frame = compare_table_4_1(placements).frame
    assert frame.iloc[:2].to_records(index=False).tolist() == [
        ("loss_unknown", "instances", 2, 1314, -1312),
        ("loss_unknown", "repositories", 1, 217, -216),
    ]
    assert frame.loc[frame["counted"] == "instances", "published"].tolist() == [
        1314,
        421,
        1038,
        335,
    ]
