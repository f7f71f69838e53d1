import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from classify import by_repository, pipeline
from classify.ask import Budget
from classify.classification import PLACEMENTS, STORE, classify
from classify.costs import COSTS, PrintedAsks, costs_of
from classify.errors import BudgetSpentError, JudgeError
from classify.gate import RULES_GATE
from classify.judging import open_ballots, open_rules
from classify.standing import dry_run
from classify.store import Store
from classify.subjects import placed, plan_of, with_snippets
from mining import pipeline as mining
from mining.artifacts import Run
from mining.engines.processes import Processes
from mining.extracted import Corpus
from mining.extraction import FILES
from mining.study import Study, override
from tests.classify.stored import all_votes
from tests.opening import begin

NET = """
import torch.nn as nn
from base import Base
class Net{n}(Base):
    def forward(self, x):
        return self.layer(x)
    def loss(self, x, y):
        return ((self.forward(x) - y) ** 2).mean() + self.penalty()
    def penalty(self):
        return 0.1 * self.layer.weight.norm()
def criterion(out, y, w):
    return nn.functional.l1_loss(out, y) + w * nn.functional.mse_loss(out, y)
def fit(net, loader, optimizer):
    for x, y in loader:
        loss = net.loss(x, y)
        loss.backward()
        optimizer.step()
def helper{n}(path):
    return open(path)
"""
BASE = """
import torch.nn as nn
class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
for step in range(3):
    total_loss = cost(step) + 0.5 * penalty_loss(step)
"""
REPOSITORIES = [f"o/r{n}" for n in range(4)]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A study by the rules, and its extracted run, which nobody changes."""
    folder = tmp_path_factory.mktemp("rules")
    for number, name in enumerate(REPOSITORIES):
        home = folder / "corpus" / name.replace("/", "__")
        home.mkdir(parents=True)
        (home / "net.py").write_text(NET.replace("{n}", str(number)))
        (home / "base.py").write_text(BASE)
    study = Study(name="s", corpus={"local": folder / "corpus"}, scale={"workers": 1})
    run = Run(folder / "run")
    mining.fetch(*begin(study, run))
    mining.extract(study, run)
    return study, run


@pytest.fixture
def ruled(extracted, tmp_path):
    """The same study, and a copy of the run."""
    study, run = extracted
    copy = Run(tmp_path / "run")
    copy.folder.mkdir()
    for path in run.folder.iterdir():
        if path.is_file():
            copy.path(path.name).write_bytes(path.read_bytes())
    return study, copy


def votes(store, study, run):
    return all_votes(store, open_rules(study, Corpus(run)).judge.settings)


def stored(study, run):
    with Store(run.path(STORE)) as store:
        return votes(store, study, run)


def streamed(study, run):
    """What the stream that serves every judge makes of it: placements, costs, votes, spent."""
    corpus, printed = Corpus(run), PrintedAsks()
    with Store(Path(":memory:")) as store:
        ballots = open_ballots(study, open_rules(study, corpus), store, {})
        added = placed(corpus, plan_of(study, corpus), ballots, printed=printed)
        return (
            pa.concat_tables(with_snippets(run, added)).to_pandas(),
            costs_of(printed, ballots.paid(), 1),
            votes(store, study, run),
            ballots.spent,
        )


SETTINGS = [
    {},
    {"placement": {"gate": "as_printed"}},
    {"placement": {"bases": "ignore"}},
    {"savings": {"rules_gate": True}},
    {"savings": dict.fromkeys(("equal_code", "class_once", "stop_at_yes"), False)},
    {"scale": {"workers": 2}},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_repository_by_repository_gives_what_the_stream_gives(ruled, settings):
    study, run = ruled
    study = override(study, **settings)
    frame, costs, expected, spent = streamed(study, run)
    assert frame["placement"].nunique() > 3
    assert classify(study, run) == spent
    pd.testing.assert_frame_equal(run.read(PLACEMENTS), frame)
    pd.testing.assert_frame_equal(run.read(COSTS), costs)
    assert stored(study, run) == expected
    assert classify(study, run) is None
    assert not list(run.folder.glob("*.parts"))


def test_workers_of_their_own_give_the_same(ruled, monkeypatch):
    study, run = ruled
    classify(study, run)
    alone = [run.path(name).read_bytes() for name in (PLACEMENTS, COSTS)]
    expected = stored(study, run)
    for name in (PLACEMENTS, STORE):
        run.path(name).unlink()
    monkeypatch.setattr(by_repository, "open_engine", lambda _: Processes(2, alone_s=0))
    classify(study, run)
    assert [run.path(name).read_bytes() for name in (PLACEMENTS, COSTS)] == alone
    assert stored(study, run) == expected


def test_what_other_settings_ask_again_is_stored_once(ruled):
    study, run = ruled
    first = classify(study, run)
    assert dry_run(study, run)[-1].startswith("would ask: nothing")
    changed = override(study, placement={"gate": "as_printed"})
    second = classify(changed, run)
    assert second.stored > 0
    assert len(stored(study, run)) == first.votes + second.votes
    assert second.asks + second.stored == streamed(changed, run)[3].asks
    assert classify(study, run) == type(first)(stored=first.asks)
    (line,) = pipeline.classify(study, run)
    assert line.endswith("snippets placed (nothing to ask, all was done)")


@pytest.mark.parametrize("name", [COSTS, PLACEMENTS])
@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"PAR1")])
def test_a_table_that_is_gone_or_damaged_is_written_again(ruled, name, spoil):
    study, run = ruled
    classify(study, run)
    whole = run.path(name).read_bytes()
    spoil(run.path(name))
    assert classify(study, Run(run.folder)) is not None
    assert run.path(name).read_bytes() == whole


def test_what_is_done_needs_no_storage(ruled):
    study, run = ruled
    classify(study, run)
    assert classify(override(study, scale={"storage": "nowhere://bucket"}), run) is None


def test_the_gate_and_the_rules_read_a_repository_once(ruled, monkeypatch):
    study, run = ruled
    read = Counter()
    rows = Corpus._rows

    def counted(corpus, name, repository, columns):
        read[repository] += name == FILES
        return rows(corpus, name, repository, columns)

    monkeypatch.setattr(Corpus, "_rows", counted)
    classify(override(study, savings={"rules_gate": True}), run)
    assert read == dict.fromkeys(REPOSITORIES, 1)


class Loses:
    """An engine whose workers all die on some repositories."""

    def __init__(self, *lost):
        self.lost = lost

    def map(self, work, items, lost, expected_s):
        return (lost(i, "killed by SIGKILL, twice") if i in self.lost else work(i) for i in items)


def test_a_repository_that_kills_every_worker_leaves_its_snippets_unplaced(ruled, monkeypatch):
    study, run = ruled
    monkeypatch.setattr(by_repository, "open_engine", lambda _: Loses("o/r1"))
    lines = pipeline.classify(study, run)
    frame = run.read(PLACEMENTS)
    unplaced = frame[frame["placement"].isna()]
    assert set(unplaced["repository"]) == {"o/r1"}
    assert unplaced["reason"].eq("no verdict: killed by SIGKILL, twice").all()
    assert f"{len(unplaced)} prompts without an answer (the first: killed" in lines[-1]
    monkeypatch.undo()
    classify(study, run)
    pd.testing.assert_frame_equal(run.read(PLACEMENTS), streamed(study, run)[0])


def test_where_every_repository_kills_there_is_an_error_and_no_table(ruled, monkeypatch):
    study, run = ruled
    monkeypatch.setattr(by_repository, "open_engine", lambda _: Loses(*REPOSITORIES))
    with pytest.raises(JudgeError, match="Expected answers from rules"):
        classify(study, run)
    assert run.sidecar(PLACEMENTS) is None


def test_a_budget_of_time_ends_between_repositories_and_the_next_run_goes_on(ruled):
    study, run = ruled
    with pytest.raises(BudgetSpentError, match="every vote is kept"):
        classify(study, run, budget=Budget(max_hours=1e-12))
    assert by_repository._opened.cache_info().currsize == 0
    kept = stored(study, run)
    assert kept
    spent = classify(study, run)
    assert spent.stored == len(kept)
    pd.testing.assert_frame_equal(run.read(PLACEMENTS), streamed(study, run)[0])


def test_parts_that_are_there_are_not_made_again(ruled, monkeypatch):
    study, run = ruled
    read = Counter()
    snippets = Corpus.snippets

    def counted(corpus, repository):
        read[repository] += 1
        return snippets(corpus, repository)

    monkeypatch.setattr(Corpus, "snippets", counted)

    def full(*_):
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write", full)  # all is computed, and nothing is written down
        with pytest.raises(OSError, match="no room"):
            classify(study, run)
    classify(study, run)
    assert read == dict.fromkeys(REPOSITORIES, 1)


class Elsewhere:
    """An engine whose workers do not see the tables of the run."""

    def __init__(self, run):
        self.run = run

    def map(self, work, items, lost, expected_s):
        hidden = self.run.folder.with_name("hidden")
        self.run.folder.rename(hidden)
        try:
            yield from [work(item) for item in items]
        finally:
            hidden.rename(self.run.folder)


def test_workers_elsewhere_read_the_corpus_from_storage(ruled, monkeypatch, tmp_path):
    study, run = ruled
    frame = streamed(study, run)[0]
    storage = tmp_path / "storage"
    shared = override(study, scale={"engine": "ray", "storage": str(storage)})
    monkeypatch.setattr(by_repository, "open_engine", lambda _: Elsewhere(run))
    classify(shared, run)
    pd.testing.assert_frame_equal(run.read(PLACEMENTS), frame)
    assert not [path for path in storage.rglob("*") if path.is_file()]


def test_killed_at_any_moment_it_goes_on_without_loss(ruled):
    study, run = ruled
    frame, costs, expected, _ = streamed(study, run)
    command = [
        *(sys.executable, "-c"),
        "import sys; from pathlib import Path; from classify.classification import classify;"
        "from mining.opening import open_run; classify(*open_run(Path(sys.argv[1])))",
        str(run.folder),
    ]
    parts = run.path("classify.parts")
    for wanted in (1, 2, 3):
        with subprocess.Popen(command) as process:
            while process.poll() is None and len(list(parts.glob("*.arrow"))) < wanted:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
    classify(study, run)
    pd.testing.assert_frame_equal(run.read(PLACEMENTS), frame)
    pd.testing.assert_frame_equal(run.read(COSTS), costs)
    assert stored(study, run) == expected


def test_a_model_is_not_asked_what_the_gate_finds_beforehand(judged, model, monkeypatch):
    study, run = judged
    study = override(study, savings={"rules_gate": True}, scale={"workers": 1})
    classify(study, run)
    corpus = Corpus(run)
    passes = plan_of(study, corpus).passes_gate
    snippets = [each for name in corpus.repositories for each in corpus.snippets(name)]
    gated = run.read(PLACEMENTS)["reason"].eq(RULES_GATE).tolist()
    assert gated == [not passes(each) for each in snippets]
    assert 0 < sum(gated) < len(gated)
    run.path(PLACEMENTS).unlink()
    monkeypatch.setattr(by_repository, "open_engine", lambda _: Loses("o/two"))
    classify(study, run)  # where nobody could look, everything passes
    reason = run.read(PLACEMENTS).set_index("repository")["reason"]
    assert reason["o/two"].isna().all()
    assert reason["o/one"].eq(RULES_GATE).any()
