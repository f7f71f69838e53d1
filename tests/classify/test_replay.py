import json

import pandas as pd
import pytest

from classify.classification import PLACEMENTS, STORE, classify
from classify.errors import JudgeError
from classify.placement import Verdict
from classify.replay import THIS_VERSION, Rules, moves_between, replay
from mining.errors import ArtifactError
from mining.study import override


@pytest.fixture
def finished(judged):
    study, run = judged
    classify(study, run)
    return study, run


def counts(replayed, when):
    return dict(zip(replayed.table["category"], replayed.table[f"instances_{when}"], strict=True))


def test_by_its_own_rules_nothing_moves_and_nobody_is_asked(finished, model):
    study, run = finished
    before = {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    model.paths.clear()
    replayed = replay(study, run, Rules())
    assert replayed.rules == (THIS_VERSION,)
    assert replayed.moves.empty
    assert counts(replayed, "before") == counts(replayed, "after")
    assert not model.paths
    assert {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()} == before


def test_each_move_has_its_rule(judged):
    study, run = judged
    study = override(study, savings={"stop_at_yes": False})  # so that all of a class is known
    classify(study, run)
    replayed = replay(study, run, Rules(votes=3, bases="ignore"))
    [moved] = replayed.moves[replayed.moves["rule"] == "bases = ignore"].to_dict("records")
    assert list(moved.values())[1:] == ["loss_in_model", "loss_unknown", 1, 1]
    after, before = counts(replayed, "after"), counts(replayed, "before")
    for category in before:
        gained = replayed.moves.loc[replayed.moves["to"] == category, "snippets"].sum()
        lost = replayed.moves.loc[replayed.moves["from"] == category, "snippets"].sum()
        if category not in ("any loss", "all snippets"):
            assert after[category] - before[category] == gained - lost
    shown = list(replayed.lines())
    assert any(
        "bases = ignore: loss_in_model -> loss_unknown: 1 snippets" in line for line in shown
    )
    assert json.loads(json.dumps(replayed.to_json()))["rules"] == list(replayed.rules)


def test_ties_decide_what_they_are_told_to(judged):
    study, run = judged
    study = override(study, judge={"votes": 2})
    classify(study, run)
    unplaced = run.read(PLACEMENTS)["placement"].isna().sum()
    assert unplaced
    for ties in (Verdict.YES, Verdict.NO):
        after = counts(replay(study, run, Rules(ties=ties)), "after")
        assert after["unplaced"] < unplaced


def test_votes_that_were_never_asked_for_are_said_to_be_missing(finished):
    study, run = finished
    replayed = replay(study, run, Rules(votes=9))
    assert replayed.missing == 7
    assert counts(replayed, "after")["unplaced"] == 7
    assert "never asked for" in " ".join(replayed.lines())
    printed = replay(study, run, Rules(gate="as_printed"))
    assert printed.missing > 0


def test_a_run_that_is_not_placed_cannot_be_replayed(judged, model):
    study, run = judged
    with pytest.raises(ArtifactError):
        replay(study, run, Rules())
    model.errors[":"] = 503
    with pytest.raises(JudgeError):
        classify(study, run)
    with pytest.raises(ArtifactError):
        replay(study, run, Rules())
    assert run.path(STORE).exists()


def test_moves_are_counted_by_cell():
    before = pd.DataFrame({"placement": ["a", "a", None, "b"], "repository": ["r", "s", "s", "s"]})
    after = before.assign(placement=["b", "b", "b", "b"])
    assert moves_between(before, after, "why").to_numpy().tolist() == [
        ["why", "a", "b", 2, 2],
        ["why", "unplaced", "b", 1, 1],
    ]
