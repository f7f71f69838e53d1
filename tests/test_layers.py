import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "mining").rglob("*.py"))
PURE = [
    "mining/answers.py",
    "mining/decode.py",
    "mining/extract.py",
    "mining/funnel.py",
    "mining/hierarchy.py",
    "mining/imports.py",
    "mining/ledger.py",
    "mining/loss_hints.py",
    "mining/notebooks.py",
    "mining/ranking.py",
    "mining/records.py",
    "mining/secrets.py",
    "mining/selection.py",
    "mining/sensitivity.py",
    "mining/sensitivity_figure.py",
    "mining/untrusted_json.py",
    "mining/windows.py",
    "classify/agreement.py",
    "classify/compare.py",
    "classify/designs.py",
    "classify/export/annotations.py",
    "classify/export/argilla.py",
    "classify/export/guidelines.py",
    "classify/export/huggingface.py",
    "classify/export/label_studio.py",
    "classify/evaluate.py",
    "classify/forecast.py",
    "classify/intervals.py",
    "classify/latex.py",
    "classify/manual_tables.py",
    "classify/metrics.py",
    "classify/placement.py",
    "classify/plan.py",
    "classify/prevalence.py",
    "classify/questions.py",
    "classify/reading.py",
    "classify/readings.py",
    "classify/replication/checklist.py",
    "classify/sampling.py",
    "classify/special_cases.py",
    "classify/tables.py",
    "classify/types.py",
    "classify/votes.py",
]
IO = {"github", "openai", "os", "pyarrow", "requests", "socket", "sqlite3", "subprocess", "vllm"}


def imported(path):
    """The top-level names of all modules that a file imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_mining_never_imports_classify(path):
    assert "classify" not in imported(path)


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_import_no_io(name):
    assert not imported(ROOT / name) & IO
