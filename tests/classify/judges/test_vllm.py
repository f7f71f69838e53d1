import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from classify.classification import PLACEMENTS, STORE, classify
from classify.errors import JudgeError
from classify.judges import Request, vllm
from classify.judges.openai import OpenAIJudge
from classify.judges.shortening import Shortener
from classify.judges.vllm import VllmJudge
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from classify.stopping import VotingRule
from classify.votes import decision, reading
from mining.artifacts import Run
from mining.errors import StudyError
from mining.extraction import extract_corpus
from mining.records import Kind, Snippet
from mining.study import (
    CorpusSettings,
    JudgeStudySettings,
    PromptSettings,
    ScaleSettings,
    Study,
)
from tests.classify.judges.conftest import MAX_MODEL_LEN
from tests.classify.judges.tiny_mixtral import TOKENS_OF_TEMPLATE
from tests.sources import source_of

needs_vllm = pytest.mark.vllm

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:vllm.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:xgrammar.*"),
]


def request(text="Is it so?", first_draw=0, draws=5):
    snippet = Snippet("o/n", None, "p.py", 1, 1, Kind.FUNCTION, text[:20], None, text)
    ask = Ask(Question.LOSS_RELATED, snippet)
    return Request(ask, (("user", text),), first_draw, draws)


asked = request


def texts(completion):
    return [answer.text for answer in completion.answers]


@pytest.fixture
def judge(in_process, engine, monkeypatch):
    monkeypatch.setattr(vllm, "start", lambda study: engine)
    return VllmJudge(in_process)


# without vLLM


def test_neither_the_module_nor_its_settings_need_vllm():
    code = (
        "import sys; from classify.judges.vllm import VllmJudge;"
        "from mining.study import JudgeStudySettings as S;"
        "judge = VllmJudge(S(kind='vllm', model='m', revision='r', engine={'dtype': 'half'}));"
        "assert judge.settings.name == 'vllm:m';"
        "assert list(judge.answer([])) == [];"
        "assert 'vllm' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_vllm_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(JudgeError, match=r"lossplace\[vllm\]"):
        next(VllmJudge(JudgeStudySettings(kind="vllm")).answer([request()]))


@pytest.mark.parametrize(
    ("settings", "voids"),
    [
        ({"model": "other"}, True),
        ({"revision": "abc"}, True),
        ({"temperature": 0.1}, True),
        ({"top_p": 0.5}, True),
        ({"structured": True}, True),
        ({"max_tokens": 9}, False),  # which voids only what was cut off; see JudgeSettings
        ({"seed": 1}, True),
        ({"engine": {"dtype": "float16"}}, True),
        ({"engine": {"quantization": "awq"}}, True),
        ({"engine": {"max_model_len": 8192}}, True),
        ({"engine": {"chat_template": "mine.jinja"}}, True),
        ({"engine": {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.8}}, False),
        ({"engine": {"enable_prefix_caching": False, "max_num_seqs": 8}}, False),
        ({"concurrency": 1, "timeout_s": 1, "votes": 9, "base_url": "http://x/v1"}, False),
    ],
)
def test_settings_name_what_can_change_the_text(settings, voids):
    def sha256(**settings):
        return VllmJudge(JudgeStudySettings(kind="vllm", **settings)).settings.sha256

    assert (sha256(**settings) != sha256()) is voids


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        ({"tensor_parallel_size": 0}, "tensor_parallel_size .* found 0"),
        ({"tensor_parallel_size": "2"}, "found '2'"),
        ({"pipeline_parallel_size": True}, "found True"),
        ({"max_model_len": 0}, "max_model_len"),
        ({"gpu_memory_utilization": 90}, "share of the memory"),
        ({"gpu_memory_utilization": 0}, "share of the memory"),
        ({"dtype": "float3"}, "one of auto, half"),
        ({"quantization": 4}, "such as awq"),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_starts(engine, reason):
    with pytest.raises(StudyError, match=reason):
        VllmJudge(JudgeStudySettings(kind="vllm", engine=engine))


@pytest.mark.parametrize(
    "engine",
    [
        {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.95, "dtype": "half"},
        {"quantization": "awq", "max_model_len": -1},
        {"quantization": None, "gpu_memory_utilization": 1},
    ],
)
def test_what_may_be_right_passes_through(engine):
    VllmJudge(JudgeStudySettings(kind="vllm", engine=engine))


@pytest.mark.parametrize("name", ["model", "revision", "hf_token"])
def test_what_is_no_argument_of_the_engine(name):
    with pytest.raises(StudyError, match=name) as raised:
        VllmJudge(JudgeStudySettings(kind="vllm", engine={name: "hf_secret"}))
    assert "hf_secret" not in str(raised.value)


# the engine


@needs_vllm
def test_all_draws_of_a_prompt_at_once(judge):
    (completion,) = judge.answer([request()])
    assert completion.error is None
    assert len(set(texts(completion))) == 5
    assert completion.prompt_tokens == len("Is it so?") + TOKENS_OF_TEMPLATE
    for answer in completion.answers:
        assert answer.finish_reason in ("stop", "length")
        assert (answer.output_tokens == 24) or answer.finish_reason == "stop"
    assert judge.settings.engine.startswith("vllm ")
    assert "not installed" not in judge.settings.engine


@needs_vllm
def test_the_same_seed_gives_the_same_texts_and_another_does_not(judge, in_process):
    (first,) = judge.answer([request()])
    again = {c.request.messages: c for c in judge.answer([request("other"), request()])}
    assert texts(again[first.request.messages]) == texts(first)

    (more,) = judge.answer([request(first_draw=5)])
    (other,) = VllmJudge(in_process.model_copy(update={"seed": 1})).answer([request()])
    assert not set(texts(first)) & (set(texts(more)) | set(texts(other)))


@needs_vllm
def test_requests_stream_and_a_full_batch_is_all_that_is_taken_up(judge):
    taken = []

    def requests():
        for number in range(24):
            taken.append(number)
            yield request(f"Question {number}?")

    answers = judge.answer(requests())
    first = next(answers)
    # 16 draws run at once, so 7 prompts of 5 make the window full; one more waits outside
    assert len(taken) == 8
    seen = [first, *answers]
    assert len({c.request.prompt_sha256 for c in seen}) == 24
    assert all(len(c.answers) == 5 for c in seen)


@needs_vllm
def test_whoever_stops_listening_leaves_nothing_behind(judge, engine):
    answers = judge.answer(request(f"Question {number}?") for number in range(6))
    next(answers)
    answers.close()
    assert not engine.llm_engine.has_unfinished_requests()
    (completion,) = judge.answer([request()])
    assert completion.request == request()


@needs_vllm
def test_a_prompt_that_is_too_long_is_refused_and_the_others_are_answered(judge, in_process):
    room = MAX_MODEL_LEN - TOKENS_OF_TEMPLATE - in_process.max_tokens
    by_length = {
        len(c.request.messages[0][1]): c
        for c in judge.answer(request("x" * n) for n in (9, 10 * room, room + 1, room))
    }
    assert {n for n, c in by_length.items() if c.refused} == {10 * room, room + 1}
    assert "no room" in by_length[room + 1].error
    assert len(by_length[9].answers) == 5
    # the longest has room for whole answers
    assert "length" in {a.finish_reason for a in by_length[room].answers}
    for answer in by_length[room].answers:
        assert answer.finish_reason == "stop" or answer.output_tokens == in_process.max_tokens


@needs_vllm
def test_a_template_that_does_not_take_the_conversation(judge):
    asked = request()
    system = Request(asked.ask, (("system", "Be brief."), *asked.messages), 0, 1)
    with pytest.raises(JudgeError, match="must alternate") as raised:
        list(judge.answer([system]))
    assert "system, user" in str(raised.value)


@needs_vllm
def test_settings_that_cannot_be_sampled_with(judge, in_process):
    greedy = VllmJudge(in_process.model_copy(update={"temperature": 0.0}))
    with pytest.raises(JudgeError, match="greedy"):
        list(greedy.answer([request()]))
    (completion,) = greedy.answer([request(draws=1)])
    assert len(completion.answers) == 1


@needs_vllm
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "nobody/nothing"}, "load nobody/nothing, found that it cannot"),
        ({"engine": {"no_such_argument": 1}}, "'no_such_argument'; see"),
        ({"engine": {"max_modellen": 1}}, "did you mean 'max_model_len'"),
        ({"engine": {"quantization": "awk"}}, "'awk'; it knows .*awq"),
    ],
)
def test_an_engine_that_does_not_start(in_process, changes, reason):
    study = in_process.model_copy(update=changes)
    with pytest.raises(JudgeError, match=reason) as raised:
        next(VllmJudge(study).answer([request()]))
    assert "\n" not in str(raised.value)


@needs_vllm
def test_a_context_without_room_for_a_prompt(judge, in_process):
    greedy = VllmJudge(in_process.model_copy(update={"max_tokens": MAX_MODEL_LEN}))
    with pytest.raises(JudgeError, match=f"found {MAX_MODEL_LEN} of the {MAX_MODEL_LEN} tokens"):
        next(greedy.answer([request()]))


@needs_vllm
@pytest.mark.parametrize("method", ["add_request", "step"])
def test_an_engine_that_ends(method, judge, engine, monkeypatch):
    def ends(*_):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(engine.llm_engine, method, ends)
        with pytest.raises(JudgeError, match="out of memory"):
            list(judge.answer([request()]))
    engine.llm_engine.abort_request(["0"])


# the whole stage

CODE = """
import torch


def squared(x, y):
    return ((x - y) ** 2).mean()


class Net(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.cross_entropy(x, x)


for step in range(3):
    pass
"""
LONG = "def long(x):\n" + "    x = x + 1\n" * 600


@pytest.fixture
def extracted(tmp_path):
    """Return a function that makes a run of some files of code."""

    def extract(**files):
        folder = tmp_path / "corpus"
        folder.mkdir()
        for name, code in files.items():
            (folder / f"{name}.py").write_text(code)
        run = Run(tmp_path / "run")
        extract_corpus(run, [source_of("o/n", folder)], [], CorpusSettings(), {}, ScaleSettings())
        return run

    return extract


def study(settings, **prompts):
    return Study(name="tiny", judge=settings, prompts=PromptSettings(**prompts))


def placements(run):
    return run.read(PLACEMENTS).set_index("qualname")


def stored(run, query):
    with closing(sqlite3.connect(run.path(STORE))) as store:
        return store.execute(query).fetchall()


@needs_vllm
@pytest.mark.parametrize("where", ["in_process", "served"])
def test_a_corpus_is_asked_about_and_every_answer_kept(where, judge, extracted, request):
    settings = request.getfixturevalue(where)
    run = extracted(train=CODE, long=LONG)
    spent = classify(study(settings, too_long="refuse"), run)

    placed = placements(run)
    assert len(placed) == 4
    # a random model writes no decision, so nothing is placed, and every snippet says why
    assert placed["placement"].isna().all()
    assert (placed["judge"] == f"{settings.kind}:{settings.model}").all()
    reasons = placed["reason"].str.partition(": ")[2]
    assert str(MAX_MODEL_LEN) in reasons.pop("long")
    assert all(reason.startswith("0 yes, 0 no") for reason in reasons)
    assert spent.refused == 1

    votes = stored(run, "SELECT prompt_sha256, draw, text, prompt_tokens, output_tokens FROM votes")
    assert len(votes) == spent.votes >= 15
    assert {(prompt, draw) for prompt, draw, *_ in votes} >= {
        (prompt, draw) for prompt, *_ in votes for draw in range(5)
    }
    assert all(text and prompt_tokens > 1000 for _, _, text, prompt_tokens, _ in votes)
    assert spent.output_tokens == sum(output_tokens for *_, output_tokens in votes) > 0
    prompts = stored(run, "SELECT messages FROM prompts")
    assert sum("cross_entropy" in messages for (messages,) in prompts) == 1


@needs_vllm
@pytest.mark.parametrize("where", ["in_process", "served"])
@pytest.mark.parametrize(
    ("rule", "sent"),
    [("outline", "1"), ("head_and_tail", r"1-(\d\d+),[345]\d\d-601")],
)
def test_what_is_too_long_is_asked_by_the_rule(where, rule, sent, judge, request):
    settings = request.getfixturevalue(where)
    prompts = read_prompts()
    snippet = Snippet("o/n", None, "p.py", 1, 601, Kind.FUNCTION, "long", None, LONG.strip())
    requests = [
        Request(ask, prompts.messages(ask), 0, 2)
        for ask in (Ask(question, snippet) for question in Question)
    ]
    judge_of = {"vllm": VllmJudge, "openai": OpenAIJudge}[settings.kind]
    completed = list(judge_of(settings, Shortener(rule, prompts)).answer(requests))
    assert len(completed) == 4
    for completion in completed:
        assert len(completion.answers) == 2
        how = completion.provenance["too_long"]
        assert how["rule"] == rule
        assert re.fullmatch(sent, how["lines_sent"])
        assert completion.prompt_tokens <= how["room"] == MAX_MODEL_LEN - settings.max_tokens
        assert how["tokens"] > how["room"]
        if rule == "head_and_tail":  # and not much is wasted
            assert completion.prompt_tokens > 0.7 * how["room"]


@needs_vllm
@pytest.mark.parametrize("where", ["in_process", "served"])
def test_a_structured_answer_can_always_be_read(where, judge, request):
    # a random model never stops by itself, so every answer runs into the limit of its reasons
    settings = request.getfixturevalue(where).model_copy(
        update={"structured": True, "max_tokens": 40}
    )
    judge_of = {"vllm": VllmJudge, "openai": OpenAIJudge}[settings.kind]
    judge = judge_of(settings)
    assert judge.settings.text["structured"] is True
    completed = list(judge.answer(asked(f"Question {n}?") for n in range(8)))
    answers = [answer for completion in completed for answer in completion.answers]
    assert len(answers) == 40
    for answer in answers:
        found = reading(answer.text, answer.finish_reason)
        assert found.decision is not None, answer
        assert answer.finish_reason == "stop"
        assert answer.text.endswith(f"\nDecision: {found.decision}")
        assert len(answer.text) > len("\nDecision: False")
    assert len({answer.text for answer in answers}) > 30


@needs_vllm
def test_provenance_of_what_ran_here(judge, engine):
    (completion,) = judge.answer([request()])
    assert completion.seed == request().seed(0)
    assert dict(completion.provenance) == {
        "engine": judge.settings.engine,
        "model": Path(engine.model_config.model).name,
        "revision": None,
        "commit": None,
        "architecture": "MixtralForCausalLM",
        "dtype": "float32",
        "quantization": None,
        "max_model_len": MAX_MODEL_LEN,
        "load_format": "auto",
        "tensor_parallel_size": 1,
    }
    json.dumps(dict(completion.provenance))


@needs_vllm
def test_provenance_of_what_a_server_ran(judge, served, tiny_mixtral):
    (completion,) = OpenAIJudge(served).answer([request()])
    told = dict(completion.provenance)
    assert told.pop("system_fingerprint", "vllm").startswith("vllm")
    assert told == {
        "engine": judge.settings.engine,
        "model": "tiny",
        "owned_by": "vllm",
        "root": tiny_mixtral.name,
        "max_model_len": MAX_MODEL_LEN,
    }
    assert served.base_url not in json.dumps(dict(completion.provenance))


@needs_vllm
@pytest.mark.parametrize("where", ["in_process", "served"])
def test_what_is_stored_starts_no_engine_and_asks_no_server(
    where, judge, extracted, request, monkeypatch
):
    settings = request.getfixturevalue(where)
    run = extracted(train=CODE)
    classify(study(settings), run)
    first = placements(run)
    assert classify(study(settings), run) is None

    run.path(PLACEMENTS).unlink()
    monkeypatch.delattr(vllm, "start")
    gone = settings.model_copy(update={"base_url": "http://127.0.0.1:1/v1"})
    spent = classify(study(gone), run)
    assert spent.asks == 0
    pd.testing.assert_frame_equal(placements(run), first)


@needs_vllm
def test_decisions_of_an_engine_become_placements(
    judge, engine, extracted, in_process, monkeypatch
):
    from vllm.sampling_params import StructuredOutputsParams

    add_request = engine.llm_engine.add_request

    def add_constrained(key, prompt, params):
        # left to itself, the model hardly ever writes a T
        word = "True" if params.seed % 2 else "(True|False)"
        pattern = rf"[a-z ]{{1,8}}\nDecision: {word}"
        params.structured_outputs = StructuredOutputsParams(regex=pattern)
        add_request(key, prompt, params)

    monkeypatch.setattr(engine.llm_engine, "add_request", add_constrained)
    run = extracted(train=CODE)
    classify(study(in_process.model_copy(update={"max_tokens": 64, "temperature": 2.0})), run)
    placed = placements(run)
    assert placed["placement"].notna().all()
    assert placed["placement"].nunique() > 1
    votes = stored(
        run, "SELECT question, code_sha256, text FROM votes JOIN prompts USING (prompt_sha256)"
    )
    by_ask = {}
    for question, code, text in votes:
        by_ask.setdefault((question, code), []).append(decision(text))
    assert {vote for ask in by_ask.values() for vote in ask} == {True, False}
    for question in ("loss_related", "loss_definition"):
        for code, verdict in placed[["code_sha256", question]].dropna().values:
            assert verdict == VotingRule(5).tally(by_ask[question, code]).verdict


@needs_vllm
def test_the_same_texts_in_this_process_and_from_a_server(judge, served):
    requests = [request(f"Question {number}?") for number in range(4)]
    here = {c.request.prompt_sha256: c for c in judge.answer(requests)}
    for there in OpenAIJudge(served).answer(requests):
        assert texts(there) == texts(here[there.request.prompt_sha256])
        assert there.prompt_tokens == here[there.request.prompt_sha256].prompt_tokens
        assert sum(a.output_tokens for a in there.answers) == sum(
            a.output_tokens for a in here[there.request.prompt_sha256].answers
        )


@needs_vllm
def test_a_server_refuses_what_is_too_long(served):
    answers = {
        c.request.messages[0][1][0]: c
        for c in OpenAIJudge(served).answer([request("x" * MAX_MODEL_LEN), request("short")])
    }
    assert answers["x"].refused
    assert len(answers["s"].answers) == 5


@needs_vllm
def test_a_server_does_not_know_the_model(served):
    with pytest.raises(JudgeError, match="does not exist"):
        list(OpenAIJudge(served.model_copy(update={"model": "huge"})).answer([request()]))
