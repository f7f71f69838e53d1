import csv

import pytest

from mining.artifacts import Run
from mining.code import RepositoryCode
from mining.errors import ArtifactError, InputError
from mining.loss_mining import COLUMNS, uses_of, write_loss_names
from mining.loss_names import known_loss_names
from mining.pipeline import extract, fetch
from mining.study import CorpusSettings, Study

KNOWN = frozenset(["l1_loss", "CrossEntropyLoss", "Poisson"])
LOSSES = "def dice_loss(a, b):\n    return 1\n\nclass FocalLoss:\n    pass\n"


def uses(text, **files):
    """Library and name of each use in ``main.py``, beside ``losses.py`` and other files."""
    texts = {"losses.py": LOSSES, **{f"{k}.py": v for k, v in files.items()}, "main.py": text}
    code = RepositoryCode("o/r", None, texts)
    return [f"{u.library}.{u.name}" for u in uses_of(code, KNOWN) if u.path == "main.py"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import torch.nn.functional as F\nF.l1_loss(a, b)", ["torch.nn.functional.l1_loss"]),
        ("import torch\ntorch.nn.CrossEntropyLoss()", ["torch.nn.CrossEntropyLoss"]),
        ("from torch.nn import MSELoss as M\nc = M()", ["torch.nn.MSELoss"]),
        ("import torch.nn as nn\nx = (nn\n     .MSELoss)(1)", ["torch.nn.MSELoss"]),
        ("import torch\nF = torch.nn.functional\nF.l1_loss(a)", ["torch.nn.functional.l1_loss"]),
        (
            "import torch\nnn = torch.nn\nF = nn.functional\nxent = F.cross_entropy\nxent(a)",
            ["torch.nn.functional.cross_entropy"] * 2,
        ),
        (
            "try:\n    import torch\n    F = torch.nn.functional\nexcept ImportError:\n    pass\n"
            "F.l1_loss(a)",
            ["torch.nn.functional.l1_loss"],
        ),
        ("def f():\n    import optax\n    return optax.l2_loss(1)", ["optax.l2_loss"]),
        ("import keras\nm.compile(loss=keras.losses.Poisson)", ["keras.losses.Poisson"]),
        ("from torch.nn import *\nCrossEntropyLoss()", ["torch.nn.CrossEntropyLoss"]),
        ("from torch.nn import *\ncriterion = CrossEntropyLoss\ncriterion(a)", []),
        ("from losses import dice_loss\ndice_loss(a, b)", ["(repository).dice_loss"]),
        ("from losses import *\nFocalLoss()", ["(repository).FocalLoss"]),
        ("import losses\nlosses.made_by_magic_loss()", ["(repository).made_by_magic_loss"]),
        ("from .losses import later_loss\nlater_loss(1)", ["(repository).later_loss"]),
        ("self.gan_loss(x)\nf(1).kl_loss()", ["(object).gan_loss", "(object).kl_loss"]),
        ("q.loss_of_something", []),  # neither called nor imported
        ("def my_loss(x): pass\nmy_loss(1)", []),  # its own is no import
        ("from torch.nn import MSELoss", []),  # imported, and not used
        ("import torch\ntorch.nn.MSELoss()(a, b)", ["torch.nn.MSELoss"]),
        ("import loss_tools\ndef f(loss_tools): pass\nf(loss_tools=1)", []),
        ("print 'python 2'\nimport torch\ntorch.nn.MSELoss()", ["torch.nn.MSELoss"]),
        ("import torch\ntorch.load(x)", []),
        ("a = b\nb = a\nb.kl_loss()", ["(object).kl_loss"]),  # aliases in a circle
    ],
)
def test_uses_are_resolved_through_imports(text, expected):
    assert uses(text) == expected


def test_uses_come_in_the_order_of_the_text():
    """Or the place that the list names would be another one in each process."""
    text = "import torch.nn.functional as F\n" + "F.l1_loss(F.l1_loss(a, b), c)\n" * 200
    code = RepositoryCode("o/r", None, {"main.py": text})
    lines = [use.line for use in uses_of(code, KNOWN)]
    assert lines == [line for line in range(2, 202) for _ in range(2)]


def test_a_module_of_the_repository_does_not_hide_a_framework():
    text = "import tensorflow as tf\ntf.losses.huber_loss(a, b)"
    assert uses(text, tensorflow="x = 1") == ["tensorflow.losses.huber_loss"]


FILES = {
    "o__one/losses.py": LOSSES,
    "o__one/train.py": (
        "import torch.nn as nn\nfrom losses import dice_loss\n\n"
        "def step(a, b):\n    return dice_loss(a, b) + nn.L1Loss()(a, b) + nn.L1Loss()(b, a)\n"
    ),
    "o__two/main.py": "from torch import nn\n\nfor x in y:\n    nn.L1Loss()(x, nn.RaritanLoss())\n",
}


@pytest.fixture
def run(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    study = Study(name="s", corpus=CorpusSettings(local=tmp_path / "corpus"))
    mined = Run(tmp_path / "run")
    fetch(study, mined)
    extract(study, mined)
    return mined


def test_the_list_counts_repositories_and_says_where(run, tmp_path):
    out = tmp_path / "names.csv"
    lines = write_loss_names(run, out, None)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    by_name = {row["full_name"]: row for row in rows}
    assert by_name["torch.nn.L1Loss"] == {
        "name": "L1Loss",
        "library": "torch.nn",
        "form": "constructor",
        "full_name": "torch.nn.L1Loss",
        "framework": "PyTorch",
        "repositories": "2",
        "files": "2",
        "uses": "3",
        "suggestion": "known",
        "why": "in the list",
        "example": "o/one:train.py:5",
        "confirmed": "",
    }
    assert [row["full_name"] for row in rows] == [
        "torch.nn.L1Loss",
        "(repository).dice_loss",
        "torch.nn.RaritanLoss",
    ]
    assert lines[0] == "loss-names: 3 names that may be losses, 1 known, 2 likely, 0 unlikely"


def test_what_a_person_confirms_is_what_the_gate_knows(run, tmp_path):
    out = tmp_path / "names.csv"
    write_loss_names(run, out, None)
    with pytest.raises(InputError, match="no confirmed name"):
        known_loss_names(out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1]["confirmed"], rows[2]["confirmed"] = "yes", "no"
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    assert known_loss_names(out) == ("dice_loss",)
    again = write_loss_names(run, tmp_path / "again.csv", out)
    assert again[0] == "loss-names: 3 names that may be losses, 1 known, 2 likely, 0 unlikely"


def test_answers_are_not_overwritten(run, tmp_path):
    out = tmp_path / "names.csv"
    out.write_text("mine")
    with pytest.raises(InputError, match="choose another name"):
        write_loss_names(run, out, None)
    assert out.read_text() == "mine"


def test_a_list_that_nobody_changed_is_written_again(run, tmp_path):
    out = tmp_path / "names.csv"
    wanted = write_loss_names(run, out, None)
    before = out.read_bytes()
    assert write_loss_names(run, out, None) == wanted
    assert out.read_bytes() == before


def test_without_an_extraction(tmp_path):
    with pytest.raises(ArtifactError, match="run the stage"):
        write_loss_names(Run(tmp_path), tmp_path / "names.csv", None)
