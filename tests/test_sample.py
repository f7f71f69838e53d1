import csv
from collections import Counter
from pathlib import Path

import pytest

from classify.special_cases import read
from mining.code import RepositoryCode
from mining.decode import decode
from mining.extract import extract
from mining.hierarchy import ancestry
from mining.shipped import shipped

SAMPLE = shipped("data/sample")
FOLDERS = sorted(folder for folder in SAMPLE.iterdir() if folder.is_dir())
FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))
COLUMNS = [
    "repository",
    "commit",
    "framework",
    "path",
    "start_line",
    "end_line",
    "kind",
    "qualname",
    "label",
    "loss_kind",
    "training_loop",
    "model_definition",
    "class_is_model",
    "class_is_runner",
    "unknown_type",
    "special_cases",
    "contested",
]
LABELS = {
    "no_loss",
    "loss_unknown",
    "loss_in_model",
    "loss_in_runner",
    "loss_in_model_runner",
}
UNKNOWN_TYPES = {
    "standalone_model_output_only",
    "standalone_model_dependency",
    "task_structure",
    "test",
    "evaluation",
    "optimizer",
    "tf_estimator",
    "sampler",
    "hook",
    "dataset",
    "quantizer",
    "gradient_calculation",
    "distribution",
    "reinforcement",
    "returns_loss_function",
    "other",
}
METHOD_LABELS = {
    ("False", "False"): "loss_unknown",
    ("True", "False"): "loss_in_model",
    ("False", "True"): "loss_in_runner",
    ("True", "True"): "loss_in_model_runner",
}


def where(path: Path) -> str:
    return path.relative_to(SAMPLE).as_posix()


def text_of(path: Path) -> str:
    decoded = decode(path.read_bytes())
    assert decoded is not None, where(path)
    return decoded.text


def code_of(folder: Path) -> RepositoryCode:
    texts = {p.relative_to(folder).as_posix(): text_of(p) for p in sorted(folder.rglob("*.py"))}
    return RepositoryCode(folder.name.replace("__", "/", 1), None, texts)


@pytest.fixture(scope="module")
def codes() -> dict[str, RepositoryCode]:
    return {folder.name: code_of(folder) for folder in FOLDERS}


@pytest.fixture(scope="module")
def gold() -> list[dict[str, str]]:
    with shipped("data/gold/sample.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_twelve_small_repositories():
    assert len(FOLDERS) == 12
    for folder in FOLDERS:
        assert 1 <= len(list(folder.rglob("*.py"))) <= 6, folder.name


def test_gold_covers_each_snippet_once(codes, gold):
    found = Counter(
        (s.repository, s.path, str(s.start_line), str(s.end_line), s.kind.value, s.qualname)
        for code in codes.values()
        for each in code.extractions.values()
        for s in each.snippets
    )
    columns = ("repository", "path", "start_line", "end_line", "kind", "qualname")
    labelled = Counter(tuple(row[c] for c in columns) for row in gold)
    assert max(found.values()) == 1
    assert labelled == found


def test_gold_has_every_label_often_enough(gold):
    counts = Counter(row["label"] for row in gold)
    assert set(counts) == LABELS
    assert min(counts.values()) >= 8


def test_gold_is_filled_in_as_the_guide_says(gold):
    for row in gold:
        assert list(row) == COLUMNS
        assert row["commit"] == "" and row["contested"] == "False"
        assert row["framework"] in ("pytorch", "tensorflow"), row
        assert row["loss_kind"] in ("none", "usage", "reduction", "definition"), row
        in_class = (row["class_is_model"], row["class_is_runner"])
        assert (in_class in METHOD_LABELS) == (row["kind"] == "method"), row
        if row["loss_kind"] in ("none", "usage"):
            expected = "no_loss"
        elif row["kind"] == "method":
            expected = METHOD_LABELS[in_class]
        elif row["kind"] == "loop" or row["training_loop"] == "True":
            expected = "loss_in_runner"
        else:
            expected = "loss_unknown"
        assert row["label"] == expected, row
        if row["label"] == "loss_unknown":
            assert row["unknown_type"] in UNKNOWN_TYPES, row
        else:
            assert row["unknown_type"] == "", row
        standalone = row["unknown_type"].startswith("standalone_")
        assert (read(row["special_cases"]) is not None) == standalone, row


def test_gold_describes_a_class_the_same_in_all_its_methods(codes, gold):
    class_of = {
        (s.repository, s.path, str(s.start_line)): (s.repository, s.path, s.class_qualname)
        for code in codes.values()
        for each in code.extractions.values()
        for s in each.snippets
        if s.class_qualname is not None
    }
    described: dict[tuple[str, str, str | None], tuple[str, str]] = {}
    for row in gold:
        if row["kind"] == "method":
            key = class_of[row["repository"], row["path"], row["start_line"]]
            seen = (row["class_is_model"], row["class_is_runner"])
            assert described.setdefault(key, seen) == seen, key


def test_one_file_is_broken_in_the_middle():
    broken = {where(p) for p in FILES if extract("r", None, where(p), text_of(p)).broken}
    assert broken == {"lampwickworks__dl-scripts/make_lists.py"}


def test_encodings():
    odd = {where(p): d.encoding for p in FILES if (d := decode(p.read_bytes())) is not None}
    assert {path: encoding for path, encoding in odd.items() if encoding != "utf-8"} == {
        "lampwickworks__dl-scripts/scores.py": "utf-8-sig",
        "oldkilnmill__charmodel-tf/reader.py": "latin-1",
        "oldkilnmill__charmodel-tf/sample.py": "iso-8859-1",
    }


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        pytest.param(
            b"\r\n",
            {"lampwickworks__dl-scripts/fetch.py", "wrenhollowml__simcon-keras/datasets.py"},
            id="CRLF",
        ),
        pytest.param(b"\xef\xbb\xbf", {"lampwickworks__dl-scripts/scores.py"}, id="BOM"),
        pytest.param(
            b"\n\t\t",
            {f"oldkilnmill__charmodel-tf/{name}.py" for name in ("charmodel", "reader", "vrae")},
            id="tabs",
        ),
    ],
)
def test_bytes_that_git_must_not_mend(mark, expected):
    assert {where(p) for p in FILES if mark in p.read_bytes()} == expected


def test_empty_files():
    assert {where(p) for p in FILES if not p.read_bytes().strip()} == {
        "moorgauge__tidecaster/tidecaster/__init__.py",
        "umbermoor__patchvae/patchvae/__init__.py",
    }


@pytest.mark.parametrize(
    ("folder", "subclass", "base"),
    [
        (
            "pinewickimaging__lesionkit",
            "networks/multi.py::DeepLesionNet",
            "networks/base.py::UNetBase",
        ),
        (
            "pinewickimaging__lesionkit",
            "networks/multi.py::BoundaryLesionNet",
            "networks/base.py::UNetBase",
        ),
        (
            "moorgauge__tidecaster",
            "tidecaster/distill.py::StudentTask",
            "pytorch_lightning.LightningModule",
        ),
        ("brackenmarsh__rbm-notes", "gaussian.py::GaussianRBM", "rbm.py::RBM"),
        ("sedgewold__citenode", "citenode/models.py::SmoothGCN", "citenode/models.py::NodeModel"),
    ],
)
def test_networks_that_hide_in_a_base_class_can_be_found(codes, folder, subclass, base):
    assert base in ancestry(subclass, codes[folder].classes)
