import re

import pytest

from classify.classification import STORE, classify
from classify.standing import dry_run
from mining.study import override

CHANGES = [
    (
        {"judge": {"temperature": 0.9}},
        "votes .* of openai:tiny stay .* `temperature` changed from 0.7 to 0.9",
    ),
    (
        {"judge": {"seed": 1, "model": "big"}},
        "`model` changed from tiny to big and `seed` changed from 0 to 1",
    ),
    ({"judge": {"kind": "rules"}}, "`kind` changed from openai to rules"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_what_a_changed_setting_voids_is_said_and_nothing_is_asked(judged, model, change, said):
    study, run = judged
    classify(study, run)
    before = run.path(STORE).read_bytes()
    model.votes.clear()
    *voided, last = dry_run(override(study, **change), run)
    assert len(voided) == 1
    assert re.search(said, voided[0])
    assert "0 of 7 snippets are decided" in last
    assert not model.votes
    assert run.path(STORE).read_bytes() == before


def test_what_changes_nothing_voids_nothing(judged):
    study, run = judged
    classify(study, run)
    for judge in ({"votes": 9}, {"max_tokens": 2048}, {"concurrency": 1}, {"spare_votes": 0}):
        [line] = dry_run(override(study, judge=judge), run)
        assert ("all 7 snippets are decided" in line) == ("votes" not in judge)


def test_a_changed_prompt_voids_its_own_votes_only(judged):
    study, run = judged
    classify(study, run)
    prompt = study.prompts.folder / "loss_definition.md"
    prompt.write_text(f"Well, {prompt.read_text()}")
    voided, last = dry_run(study, run)
    assert "on loss_definition stay in the store unused: its prompt changed" in voided
    assert "would ask: 3 prompts for 9 votes first" in last
    assert "4 of 7 snippets are decided" in last


def test_a_higher_limit_says_what_it_asks_again(judged, model):
    study, run = judged
    model.cut_at = 100
    classify(override(study, judge={"max_tokens": 50}), run)
    said, last = dry_run(override(study, judge={"max_tokens": 100}), run)
    assert "were cut off and are asked for again, since `max_tokens` was raised to 100" in said
    assert "0 of 7 snippets are decided" in last
