import json

import pandas as pd
import pytest

from classify.classification import PLACEMENTS
from classify.designs import Design, Margin
from classify.margins import lead_of, margin_of, smallest_lead, vote_margins
from classify.queue import write_queue
from classify.stopping import VotingRule
from tests.classify.replication.studies import finished, finished_by_model

YES, NO, NONE = True, False, None


@pytest.mark.parametrize(
    ("decisions", "lead", "margin"),
    [
        ([YES] * 5, 1, "unanimous"),
        ([NO] * 3, -1, "unanimous"),
        ([YES] * 4 + [NO], 0.6, "clear"),
        ([YES] * 3 + [NO], 0.5, "clear"),
        ([NO] * 3 + [YES] * 2, -0.2, "close"),
        ([YES, YES, NONE], 2 / 3, "clear"),  # an abstention is no yes
        ([YES, NO], 0, "close"),
        ([NONE], 0, "close"),
        ([], 0, "close"),
    ],
)
def test_by_how_much_votes_decide(decisions, lead, margin):
    tally = VotingRule(max(1, len(decisions)), early_stop=False).tally(decisions)
    assert lead_of(tally) == pytest.approx(lead)
    assert margin_of(abs(lead_of(tally))) == margin


R, D, T, M = "loss_related", "loss_definition", "training_loop", "model_definition"
PATHS = [
    ("nothing was asked", {}, {}, (), 1.0),
    ("one question", {R: "no"}, {("s", R): -0.6}, (), 0.6),
    ("the closest of two", {R: "yes", D: "no"}, {("s", R): 1.0, ("s", D): -0.2}, (), 0.2),
    ("no verdict", {D: "none"}, {("s", D): 0.0}, (), 0.0),
    ("a vote that is not there", {D: "yes"}, {}, (), 0.0),
    ("a function's own loop", {D: "yes", T: "no"}, {("s", D): 1.0, ("s", T): -0.6}, (), 0.6),
    ("a class: its clearest yes", {D: "yes", T: "yes"}, {("s", D): 1.0, ("a", T): 0.2, ("b", T): 0.6}, ("s", "a", "b"), 0.6),
    ("a class: its closest no", {D: "yes", T: "no"}, {("s", D): 1.0, ("a", T): -0.2, ("b", T): -1.0}, ("s", "a", "b"), 0.2),
    ("a method's definition is its own", {D: "no"}, {("s", D): -0.2, ("a", D): -1.0}, ("s", "a"), 0.2),
    ("no function of the class was asked", {D: "yes", M: "no"}, {("s", D): 1.0}, ("s",), 0.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "leads", "functions", "smallest"),
    [p[1:] for p in PATHS],
    ids=[p[0] for p in PATHS],
)
def test_the_closest_verdict_on_the_way(verdicts, leads, functions, smallest):
    for apart in ("", "s", "{}", "s{}"):
        found = {(of, q, apart.format(of)): lead for (of, q), lead in leads.items()}
        of_class = dict.fromkeys((T, M), functions) if functions else {}
        assert smallest_lead("s", of_class, verdicts, found) == pytest.approx(smallest)


def test_a_judge_that_votes_once_has_no_margins(tmp_path):
    assert vote_margins(*finished(tmp_path)) is None


def test_a_queue_is_stratified_by_vote_margin(tmp_path):
    study, run = finished_by_model(tmp_path)
    placements = run.read(PLACEMENTS)
    margins = vote_margins(study, run)
    assert margins.index.equals(placements.index)
    assert set(margins) == {Margin.UNANIMOUS, Margin.CLOSE}
    assert (margins[placements["placement"].isna()] == Margin.CLOSE).all()
    assert (margins[placements["placement"] == "loss_in_runner"] == Margin.UNANIMOUS).all()
    write_queue(study, run, tmp_path / "q.csv", Design.STRATIFIED, labels=6)
    strata = pd.DataFrame(json.loads((tmp_path / "q.csv.design.json").read_text())["strata"])
    assert set(zip(strata["placement"], strata["margin"], strict=True)) == set(
        zip(placements["placement"].fillna("unplaced"), margins, strict=True)
    )
    assert strata["size"].sum() == len(placements)
    assert not {"margin", "placement"} & set(pd.read_csv(tmp_path / "q.csv").columns)
