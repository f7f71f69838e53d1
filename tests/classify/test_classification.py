import json
import sqlite3
from contextlib import closing

import pytest

from classify import cli, pipeline
from classify.ask import Budget
from classify.classification import PLACEMENTS, STORE, classify
from classify.costs import COSTS
from classify.errors import BudgetSpentError, JudgeError
from classify.gate import RULES_GATE
from mining.study import override
from tests.opening import begin

PLACED = {
    ("o/one", "loss_of"): "loss_unknown",
    ("o/one", "helper"): "no_loss",
    ("o/one", "<loop>"): "loss_in_runner",
    ("o/two", "Task.loss"): "loss_in_model",
    ("o/two", "Task.show"): "no_loss",
    ("o/two", "Net.forward"): "no_loss",
    ("o/two", "helper"): "no_loss",
}


def placed(run):
    frame = run.read(PLACEMENTS)
    keys = zip(frame["repository"], frame["qualname"], strict=True)
    return dict(zip(keys, frame["placement"], strict=True))


def rows(run, query):
    with closing(sqlite3.connect(run.path(STORE))) as store:
        return store.execute(query).fetchall()


def test_a_model_places_every_snippet_and_a_second_run_asks_nothing(judged, model):
    study, run = judged
    spent = classify(study, run)
    assert placed(run) == PLACED
    assert max(model.votes.values()) == 1
    assert spent.votes == model.votes.total()
    assert run.read(PLACEMENTS)["flip_risk"].eq(0).all()
    paths = model.paths.total()
    assert classify(study, run) is None
    assert model.paths.total() == paths


def test_each_vote_is_stored_with_where_it_came_from(judged):
    study, run = judged
    classify(study, run)
    found = rows(
        run,
        "SELECT provenance, seed, max_tokens, version, length(template_sha256), answered_at,"
        " finish_reason, prompt_tokens, output_tokens"
        " FROM votes JOIN provenances USING (provenance_id) JOIN prompts USING (prompt_sha256)",
    )
    assert len({seed for _, seed, *_ in found}) == len(found)
    for provenance, _, limit, version, sha, at, *rest in found:
        assert json.loads(provenance)["engine"]
        assert (limit, version, sha, at[-1]) == (1024, "own", 64, "Z")
        assert rest == ["stop", 7, 3]


SAVINGS = ["equal_code", "class_once", "stop_at_yes", "early_stop"]


@pytest.mark.parametrize("off", [*([each] for each in SAVINGS), SAVINGS])
def test_each_saving_can_be_switched_off_and_costs_votes(judged, off):
    study, run = judged
    frugal = classify(study, run)
    for name in (PLACEMENTS, STORE):
        run.path(name).unlink()
    lavish = classify(override(study, savings=dict.fromkeys(off, False)), run)
    assert set(placed(run)) == set(PLACED)
    assert lavish.votes >= frugal.votes
    if off == SAVINGS:
        costs = run.read(COSTS)
        # what the printed algorithm costs is what it costs when nothing is saved
        for ours, printed in (("asks", "printed_asks"), ("votes", "printed_votes")):
            assert costs[ours].sum() == costs[printed].sum()
        assert costs["prompt_tokens"].equals(costs["printed_prompt_tokens"])
        assert costs["output_tokens"].equals(costs["printed_output_tokens"])
        assert costs["printed_estimated"].sum() == 0


def test_what_was_paid_is_told_against_the_printed_algorithm(judged):
    study, run = judged
    lines = pipeline.classify(study, run)
    (said,) = [line for line in lines if line.startswith("paid in all")]
    assert "as printed: " in said
    costs = run.read(COSTS)
    assert (costs["votes"] < costs["printed_votes"]).all()
    (votes,) = rows(run, "SELECT count(*) FROM votes")[0]
    assert costs["votes"].sum() == votes
    assert pipeline.classify(study, run)[1] == said


def test_a_refused_prompt_leaves_its_snippets_unplaced_until_told_to_retry(judged, model):
    study, run = judged
    model.errors["def helper"] = 400
    lines = pipeline.classify(study, run)
    frame = run.read(PLACEMENTS)
    unplaced = frame[frame["placement"].isna()]
    assert set(unplaced["qualname"]) == {"helper"}
    assert unplaced["reason"].str.contains("loss_related: .*context length").all()
    assert any("1 prompts refused" in line and "--retry-errors" in line for line in lines)
    model.errors.clear()
    assert classify(study, run) is None
    assert classify(study, run, retry_errors=True).asks == 1
    assert placed(run) == PLACED
    assert rows(run, "SELECT * FROM failures") == []
    assert classify(study, run, retry_errors=True) is None


def test_a_passing_error_is_asked_again_by_the_next_run(judged, model):
    study, run = judged
    model.errors["def show"] = 503
    lines = pipeline.classify(study, run)
    frame = run.read(PLACEMENTS)
    # what is not known of one function is not known of its class
    assert set(frame.loc[frame["placement"].isna(), "qualname"]) == {"Task.show", "Task.loss"}
    assert any("prompts without an answer" in line for line in lines)
    model.errors.clear()
    assert pipeline.classify(study, run)[0].startswith("classify: 7 of 7 snippets placed")
    assert placed(run) == PLACED
    assert max(model.votes.values()) == 1


def test_a_server_that_only_fails_is_an_error(judged, model):
    model.errors[":"] = 503
    study, run = judged
    with pytest.raises(JudgeError):
        classify(study, run)
    assert run.sidecar(PLACEMENTS) is None


def test_only_truncated_answers_are_asked_again_under_a_higher_limit(judged, model):
    study, run = judged
    model.cut_at = 100
    low = override(study, judge={"max_tokens": 50, "spare_votes": 1})
    lines = pipeline.classify(low, run)
    assert "cut off" in lines[0]
    assert run.read(PLACEMENTS)["reason"].str.contains("abstained .* truncated").any()
    first = model.votes.total()
    high = classify(override(study, judge={"max_tokens": 100}), run)
    assert placed(run) == PLACED
    assert high.votes == model.votes.total() - first
    model.votes.clear()
    classify(override(study, judge={"max_tokens": 60}), run)
    assert not model.votes


def test_a_budget_ends_the_run_and_the_next_goes_on(judged, model):
    study, run = judged
    with pytest.raises(BudgetSpentError, match="within 40 tokens"):
        classify(study, run, budget=Budget(max_tokens=40))
    assert run.sidecar(PLACEMENTS) is None
    assert model.votes.total() > 0
    classify(study, run)
    assert placed(run) == PLACED
    assert max(model.votes.values()) == 1


def test_the_command_line_says_what_it_would_do_and_ends_with_3_at_its_budget(
    judged, monkeypatch, capsys
):
    study, run = judged
    begin(study, run)

    def command(*options):
        monkeypatch.setattr("sys.argv", ["lossplace", "classify", str(run.folder), *options])
        try:
            cli.main()
        except SystemExit as end:
            return end.code, capsys.readouterr()
        return 0, capsys.readouterr()

    status, said = command("--dry-run")
    assert (status, said.out.count("would ask: 6 prompts for 18 votes first")) == (0, 1)
    assert not run.path(STORE).exists()
    status, said = command("--max-tokens", "10")
    assert (status, said.err.count("every vote is kept")) == (3, 1)
    status, said = command("--max-hours", "1", "--retry-errors")
    assert (status, said.out.count("7 of 7 snippets placed")) == (0, 1)


GOLD = "repository,path,start_line,label\no/one,train.py,2,loss_unknown\no/two,base.py,5,no_loss\n"


def test_the_rules_gate_asks_only_about_what_speaks_of_a_loss(judged, model, tmp_path):
    (tmp_path / "gold.csv").write_text(GOLD)
    study, run = judged
    study = override(
        study, savings={"rules_gate": True}, evaluation={"gold": tmp_path / "gold.csv"}
    )
    lines = pipeline.classify(study, run)
    assert placed(run) == PLACED
    frame = run.read(PLACEMENTS).set_index("qualname")
    assert frame.loc["helper", "reason"].eq(RULES_GATE).all()
    assert frame["loss_related"].isna().all()  # the rules have answered it
    assert not any("def helper" in text for text, _ in model.votes)
    assert not any("training_loop" in text for text, _ in model.votes)  # nothing there repeats
    (said,) = [line for line in lines if line.startswith("rules gate")]
    assert "4 of 7 snippets placed without asking; recall 1 of 1 labelled losses" in said
    assert classify(study, run) is None


def test_a_taken_flip_risk_is_stored(judged):
    study, run = judged
    study = override(study, savings={"max_flip_risk": 0.2})
    certain = classify(study, run)
    frame = run.read(PLACEMENTS)
    assert set(frame["flip_risk"]) <= {0.0, 0.125, 0.1875}
    assert frame["flip_risk"].max() > 0
    assert certain.votes < 60
