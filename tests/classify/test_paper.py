import pandas as pd
import pytest

from classify.evaluate import evaluate
from classify.gold import Gold
from classify.paper import write_paper
from mining.artifacts import Artifact, Run

PLACEMENTS = pd.DataFrame(
    {
        "repository": ["o/a", "o/a", "o/b", "o/b"],
        "path": "a.py",
        "start_line": [1, 5, 1, 9],
        "code_sha256": list("wxyz"),
        "placement": ["loss_unknown", "no_loss", "loss_in_model", None],
    }
)
CORPUS = pd.DataFrame(
    {"repository": ["o/a", "o/b"], "query": "q", "position": [1, 2], "reason": [None, None]}
)
GOLD = PLACEMENTS[["repository", "path", "start_line"]].assign(
    label=["loss_unknown", "no_loss", "loss_in_model", "no_loss"]
)
PROVENANCE = Artifact("paper", {"confidence": 0.9}, {"placements.parquet": "00"})
ALWAYS = {"table_4_1", "table_4_1_published", "figure_4_1", "figure_4_2"}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "study")


def write(run, with_gold=True):
    evaluation = evaluate(Gold(GOLD, 0), PLACEMENTS, 0.9) if with_gold else None
    return write_paper(run, PLACEMENTS, CORPUS, evaluation, PROVENANCE)


@pytest.mark.parametrize(
    ("with_gold", "stems"),
    [
        (False, ALWAYS),
        (True, ALWAYS | {"table_4_1_corrected"} | {f"table_d_{i}" for i in range(1, 6)}),
    ],
)
def test_each_table_and_figure_is_written_in_every_form(run, with_gold, stems):
    names = write(run, with_gold)
    kinds = {"table": ("csv", "md", "tex"), "figure": ("csv", "svg", "pdf")}
    expected = {f"paper/{s}.{k}" for s in stems for k in kinds[s.split("_")[0]]}
    assert set(names) == expected | {f"paper/figure_4_2_upset.{k}" for k in ("svg", "pdf")}
    assert len(names) == len(set(names))
    for name in names:
        assert run.path(name).stat().st_size > 0
        assert run.sidecar(name).command == "paper"
        assert run.is_done(name, PROVENANCE.settings, PROVENANCE.inputs)


def test_the_sidecar_counts_the_rows_of_the_table(run):
    write(run)
    assert run.sidecar("paper/table_d_1.csv").rows == 4
    assert run.sidecar("paper/figure_4_2.pdf").rows == 16


def test_the_csv_of_a_figure_holds_its_numbers(run):
    write(run)
    shares = pd.read_csv(run.path("paper/figure_4_1.csv"))
    assert shares["holding"].tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 1, 0]
    assert pd.read_csv(run.path("paper/figure_4_2.csv"))["repositories"].sum() == 2


def test_two_runs_write_the_same_bytes(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    first, second = (
        {path.name: path.read_bytes() for path in (folder / "paper").iterdir()}
        for folder in folders
        if write(Run(folder))
    )
    assert first == second
