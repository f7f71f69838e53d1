"""What lossplace never does with what others wrote: nothing in the code so much as names it."""

import ast
from pathlib import Path

import pytest

from classify.judges.engine import arguments, naming
from mining.study import JudgeStudySettings

ROOT = Path(__file__).parents[1]
MODULES = sorted([*(ROOT / "mining").rglob("*.py"), *(ROOT / "classify").rglob("*.py")])
RUNS_WHAT_IT_READS = {"marshal", "shelve", "yaml", "dill", "cloudpickle", "joblib", "code", "runpy"}
READS_XML = {"xml.etree", "xml.dom", "xml.sax", "lxml", "plistlib"}


def of_own_processes(path):
    """Whether a module pickles between lossplace's own processes, as Ray itself does."""
    return path.name.startswith("ray") or path.parent.name == "engines"


OPENS_SQLITE = {"classify/schema.py", "classify/migrations.py", "classify/export/database.py"}


def tree(path):
    return ast.parse(path.read_text("utf-8"))


def imported(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_that_is_read_is_run(path):
    name = path.relative_to(ROOT).as_posix()
    for module in imported(path):
        assert module.split(".")[0] not in RUNS_WHAT_IT_READS
        assert module.split(".")[0] != "pickle" or of_own_processes(path)
        assert not module.startswith(tuple(READS_XML)) or module == "xml.sax.saxutils.quoteattr"
    for called, keywords in calls(path):
        assert called not in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
        assert called.rpartition(".")[2] not in {"read_pickle", "to_pickle", "load_extension"}
        assert called.rpartition(".")[2] not in {"enable_load_extension", "extractall"} or (
            name == "classify/replication/verify.py"
        )
        assert keywords.get("shell", "False") == "False"
        assert keywords.get("allow_pickle", "False") == "False"
        assert "trust_remote_code" not in keywords
        assert called != "sqlite3.connect" or name in OPENS_SQLITE


def test_a_models_own_code_runs_only_where_the_study_names_it():
    assert "trust_remote_code" not in arguments(JudgeStudySettings(kind="vllm"))
    asked = JudgeStudySettings(kind="vllm", engine={"trust_remote_code": True})
    assert arguments(asked)["trust_remote_code"] is True
    assert naming(asked.engine) == {"trust_remote_code": True}  # and every vote says so
