import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from classify import pipeline
from mining.artifacts import STUDY, Run
from mining.pages import begin_search, finish_search, store_page
from mining.rank import rank_repositories
from mining.shipped import shipped
from mining.study import RankingSettings, SearchSettings, Study, read_study, write_study
from tests.mining.github_server import item
from tests.mining.test_pages import body

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
OF_A_SEARCH = {"rescore"}
"""What reads the artifacts of the search, which a run of a local corpus lacks."""


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("run"))
    study = read_study(shipped("data/studies/sample.toml"))
    write_study(study, run.path(STUDY))
    for _ in pipeline.run_all(study, run):
        pass
    return run


@pytest.fixture(scope="module")
def searched_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("searched"))
    settings = SearchSettings(frameworks=("PyTorch",), architectures=("CNN", "GAN"))
    begun = begin_search(run, settings.base_url, datetime(2024, 1, 1, tzinfo=UTC))
    for query in settings.queries:
        found = [
            item(f"o/{query[-3:]}{i}", stargazers_count=i, forks_count=9 - i) for i in range(9)
        ]
        store_page(run, query, 1, body(*found))
    finish_search(run, begun, settings)
    study = Study(name="searched", search=settings, ranking=RankingSettings(top=3))
    write_study(study, run.path(STUDY))
    rank_repositories(run, study.ranking)
    return run


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory):
    """The sample's gold with two labels changed, so that there is something to read."""
    gold = pd.read_csv(shipped("data/gold/sample.csv"), dtype=str)
    wrong = gold[gold["label"] == "loss_in_model"].index[:2]
    gold.loc[wrong, "label"] = "loss_unknown"
    path = tmp_path_factory.mktemp("gold") / "gold.csv"
    gold.to_csv(path, index=False)
    return path


def executed(path, monkeypatch, **environment):
    """Everything that the cells of a notebook print and show, as text; no credential is in it."""
    for name in ("OPENAI_API_KEY", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "mArKeD")
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": path.parent}}).execute()
    assert "mArKeD" not in nbformat.writes(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(
        o.get("text", "") or o.data.get("text/markdown", o.data.get("text/plain", ""))
        for o in outputs
    )


@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.stem not in OF_A_SEARCH], ids=lambda p: p.stem
)
def test_a_notebook_runs_on_the_sample(path, sample_run, monkeypatch):
    assert executed(path, monkeypatch, RUN=sample_run.folder)


def test_weights_are_tried_out_on_a_ranked_search(searched_run, monkeypatch):
    (path,) = (p for p in NOTEBOOKS if p.stem == "rescore")
    shown = executed(path, monkeypatch, RUN=searched_run.folder)
    assert "6 of 18 results selected" in shown
    # without forks, and all pushed to at the same time, those with the most stars are taken
    assert re.search(r"stars only +6 +6 +0\n", shown)
    assert re.search(r"forks only +0 +0 +6\n", shown)
    assert re.search(r"entered +o/CNN8 +PyTorch CNN", shown)


def test_errors_are_shown_with_code_and_reasons(sample_run, mislabelled, monkeypatch):
    (path,) = (p for p in NOTEBOOKS if p.stem == "errors")
    shown = executed(path, monkeypatch, RUN=sample_run.folder, GOLD=mislabelled)
    wrong = re.search(r"(\d+) of \d+ labelled snippets are placed elsewhere", shown)
    headings = re.findall(r"labelled \*\*loss_unknown\*\*, placed \*\*loss_in_model\*\*", shown)
    assert int(wrong[1]) >= 2 and len(headings) == 2
    assert re.search(r"^ *def \w+\(", shown, re.M)
    assert re.search(r"Line \d+ .*\\nDecision: True", shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_loads_calls_and_shows(path):
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert code
    for cell in code:
        assert not cell.outputs
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)
