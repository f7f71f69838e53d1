import os
import subprocess
import sys

import pytest

from classify import pipeline
from classify.classification import PLACEMENTS, STORE
from classify.errors import MissingVoteError
from classify.store import Store
from classify.subjects import COLUMNS
from mining.artifacts import Run
from mining.study import Study, override, write_study
from tests.opening import classified

FILES = {
    "o__one/train.py": (
        "import torch.nn.functional as F\n"
        "def loss_of(out, y, w):\n"
        "    return F.l1_loss(out, y) + w * F.mse_loss(out, y)\n"
        "def usage(out, y):\n"
        "    return F.mse_loss(out, y)\n"
        "for x, y in loader:\n"
        "    loss = F.l1_loss(net(x), y) + 0.1 * net.weight.pow(2).sum()\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
    ),
    "o__two/model.py": (
        "import torch.nn as nn\n"
        "from base import Net\n"
        "class Task(Net):\n"
        "    def loss(self, x, y):\n"
        "        return ((self.forward(x) - y) ** 2).mean() + self.penalty()\n"
    ),
    "o__two/base.py": (
        "import torch.nn as nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(2, 2)\n"
        "    def forward(self, x):\n"
        "        return self.layer(x)\n"
    ),
}


@pytest.fixture
def study(tmp_path):
    for path, text in FILES.items():
        place = tmp_path / "corpus" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return override(Study(name="s"), corpus={"local": tmp_path / "corpus"})


def finish(study, run):
    return [line for lines in pipeline.run_all(study, run) for line in lines]


def placed(run):
    frame = run.read(PLACEMENTS)
    return dict(zip(frame["qualname"], frame["placement"], strict=True))


def test_a_local_corpus_goes_all_the_way(study, tmp_path):
    run = Run(tmp_path / "run")
    lines = finish(study, run)
    assert placed(run) == {
        "loss_of": "loss_unknown",
        "usage": "no_loss",
        "<loop>": "loss_in_runner",
        "Task.loss": "loss_in_model",
        "Net.__init__": "no_loss",
        "Net.forward": "no_loss",
    }
    frame = run.read(PLACEMENTS)
    assert list(frame.columns) == list(COLUMNS)
    assert frame["reason"].isna().all()
    assert set(frame["judge"]) == {"rules"}
    asked = frame.set_index("qualname")[["loss_definition", "training_loop", "model_definition"]]
    assert asked.loc["Task.loss"].to_list() == ["yes", "no", "yes"]
    assert asked.loc["<loop>"].isna().to_list() == [False, True, True]
    assert any("Table 4.1" in line for line in lines)
    assert run.path("paper/figure_4_1.svg").exists()


def test_following_bases_is_what_finds_the_hidden_network(study, tmp_path):
    run = Run(tmp_path / "run")
    classified(override(study, placement={"bases": "ignore"}), run)
    assert placed(run)["Task.loss"] == "loss_unknown"


def test_a_second_run_changes_no_byte(study, tmp_path):
    run = Run(tmp_path / "run")
    finish(study, run)
    before = {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    lines = finish(study, run)
    assert {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()} == before
    assert any("nothing to ask" in line for line in lines)


COMMAND = (sys.executable, "-c", "from classify.cli import main; main()")
ELSEWHERE = (
    {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "2", "TZ": "Pacific/Chatham", "LC_ALL": "C.UTF-8"},
)


def test_runs_of_two_processes_are_byte_equal(study, tmp_path):
    gold = tmp_path / "gold.csv"
    gold.write_text(
        "repository,path,start_line,label\n"
        "o/one,train.py,2,loss_unknown\no/one,train.py,4,loss_in_runner\n"
        "o/one,train.py,6,loss_in_runner\no/two,model.py,4,loss_in_model\n"
    )
    write_study(override(study, evaluation={"gold": gold}), tmp_path / "s.json")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, environment in zip(folders, ELSEWHERE, strict=True):
        subprocess.run(
            [*COMMAND, "run", str(tmp_path / "s.json"), "--run-dir", str(folder)],
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
        )
    files, others = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in folders
    )
    assert {"table_d_1.tex", "table_4_3.csv", "figure_4_2_upset.pdf"} <= {p.name for p in files}
    assert files.keys() == others.keys()
    # SQLite's pages are not promised, its votes are
    assert [p for p in files if files[p] != others[p] and p.name != STORE] == []


def test_a_changed_file_is_judged_again_and_only_its_repository(study, tmp_path):
    run = Run(tmp_path / "run")
    classified(study, run)
    train = study.corpus.local / "o__one" / "train.py"
    train.write_text(train.read_text().replace("F.l1_loss(out, y) + w * ", ""))
    lines = classified(study, run)
    assert placed(run)["loss_of"] == "no_loss"
    (said,) = [line for line in lines if line.startswith("classify")]
    # is a loss defined in it, for each of the three snippets of the changed repository
    assert "3 prompts asked" in said


def test_replay_gives_the_same_placements_and_asks_nobody(study, tmp_path):
    run = Run(tmp_path / "run")
    classified(study, run)
    before = run.path(PLACEMENTS).read_bytes()
    for name in (PLACEMENTS, f"{PLACEMENTS}.meta.json"):
        run.path(name).unlink()
    classified(override(study, judge={"kind": "replay"}), run)
    assert run.path(PLACEMENTS).read_bytes() == before


def test_replay_with_a_vote_missing_names_it(study, tmp_path):
    run = Run(tmp_path / "run")
    replay = override(study, judge={"kind": "replay"})
    with pytest.raises(MissingVoteError, match="found those of 0"):
        classified(replay, run)
    classified(study, run)
    (study.corpus.local / "o__one" / "more.py").write_text("def loss(a, b):\n    return a - b\n")
    with pytest.raises(MissingVoteError, match=r"o/one:.*found 0 where 1"):
        classified(replay, run)


def test_every_vote_is_stored_with_its_text(study, tmp_path):
    run = Run(tmp_path / "run")
    classified(study, run)
    with Store(run.path(STORE)) as store:
        rows = store._connection.execute("SELECT text FROM votes").fetchall()
    assert rows
    assert all("Decision: " in text for (text,) in rows)
