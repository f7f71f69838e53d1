"""Each fault before a judge: a bounded wait, one sentence, no vote lost and none wrong."""

import shutil
import sqlite3

import pytest

from classify import classification
from classify.errors import JudgeError
from classify.pipeline import plan
from classify.plan import Terms
from mining.artifacts import Run
from mining.study import override
from tests.network.clients import HURRY_S, bounded, classify, refused
from tests.network.faults import ELSEWHERE, GETS_THROUGH, NO_ANSWER
from tests.network.toxic_proxy import ToxicProxy, answer


def votes(run):
    with sqlite3.connect(run.path(classification.STORE)) as store:
        return sorted(store.execute("SELECT prompt_sha256, draw, text FROM votes"))


@pytest.mark.parametrize("toxic", GETS_THROUGH)
def test_a_judge_gets_through(tmp_path, extracted, model, toxic):
    with ToxicProxy(model.port, toxic) as proxy:
        classify(extracted, tmp_path / "run", proxy.port)


@pytest.mark.parametrize("fault", NO_ANSWER | ELSEWHERE)
def test_a_judge_without_an_answer_ends_and_goes_on(tmp_path, extracted, model, fault):
    folder = tmp_path / "run"
    with ToxicProxy(model.port, (NO_ANSWER | ELSEWHERE)[fault]) as proxy:
        with bounded(), pytest.raises(JudgeError) as raised:
            classify(extracted, folder, proxy.port, timeout_s=HURRY_S)
        refused(raised, f"127.0.0.1:{proxy.port}")
        assert not Run(folder).path(classification.PLACEMENTS).exists()
        proxy.toxics = ()
        run = classify(extracted, folder, proxy.port)
        again = classify(extracted, tmp_path / "other", proxy.port)
    assert len(votes(run)) > 4
    assert votes(run) == votes(again)
    name = classification.PLACEMENTS
    assert run.path(name).read_bytes() == again.path(name).read_bytes()


@pytest.mark.parametrize(
    "fault", ["a byte now and then", "reset within the body", "a login page", "a bomb"]
)
def test_a_plan_without_an_answer_ends_and_goes_on(tmp_path, extracted, model, fault):
    study, run = extracted[0], Run(shutil.copytree(extracted[1].folder, tmp_path / "run"))
    with ToxicProxy(model.port, NO_ANSWER[fault]) as proxy:
        address = f"http://127.0.0.1:{proxy.port}/v1"
        judge = {"kind": "openai", "model": "tiny", "base_url": address, "votes": 3}
        with bounded(), pytest.raises(JudgeError) as raised:
            plan(override(study, judge=judge | {"timeout_s": HURRY_S}), run, Terms(), pilot=2)
        refused(raised, f"127.0.0.1:{proxy.port}")
        proxy.toxics = ()
        planned = plan(override(study, judge=judge), run, Terms(), pilot=2)
    assert planned.pilot is not None
    assert planned.paid.sum() > 0


def test_no_prompt_and_no_key_goes_where_a_server_says(tmp_path, extracted, model):
    with ToxicProxy(model.port) as other:
        for status in (301, 302, 307, 308):
            there = f"Location: http://127.0.0.1:{other.port}/v1/chat/completions"
            with ToxicProxy(model.port, answer(status, b"", there)) as proxy:
                with pytest.raises(JudgeError) as raised:
                    classify(extracted, tmp_path / f"{status}", proxy.port)
                refused(raised, f"a redirection to http://127.0.0.1:{other.port}")
        assert not other.heads
