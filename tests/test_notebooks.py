import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from classify import pipeline
from mining.artifacts import Run
from mining.opening import STUDY
from mining.shipped import shipped
from mining.study import read_study, write_study

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("run"))
    study = read_study(shipped("data/studies/sample.toml"))
    write_study(study, run.path(STUDY))
    for _ in pipeline.run_all(study, run):
        pass
    return run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_on_the_sample(path, sample_run, monkeypatch):
    monkeypatch.setenv("RUN", str(sample_run.folder))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": path.parent}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_loads_calls_and_shows(path):
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert code
    for cell in code:
        assert not cell.outputs
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)
