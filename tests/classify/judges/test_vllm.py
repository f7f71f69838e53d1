import sqlite3
import subprocess
import sys
from contextlib import closing

import pandas as pd
import pytest

from classify.classification import PLACEMENTS, STORE, classify
from classify.errors import JudgeError
from classify.judges import Request, vllm
from classify.judges.openai import OpenAIJudge
from classify.judges.vllm import VllmJudge
from classify.questions import Ask, Question
from classify.votes import decision, majority
from mining.artifacts import Run
from mining.errors import StudyError
from mining.extraction import extract_corpus
from mining.records import Kind, Snippet
from mining.study import CorpusSettings, JudgeStudySettings, Study
from tests.classify.judges.conftest import MAX_MODEL_LEN
from tests.classify.judges.tiny_mixtral import TOKENS_OF_TEMPLATE

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


def texts(completion):
    return [answer.text for answer in completion.answers]


@pytest.fixture
def judge(in_process, engine, monkeypatch):
    monkeypatch.setattr(vllm, "_start", lambda study: engine)
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
        ({"max_tokens": 9}, True),
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
def test_a_prompt_that_is_too_long_is_refused_and_the_others_are_answered(judge):
    room = MAX_MODEL_LEN - TOKENS_OF_TEMPLATE
    by_length = {
        len(c.request.messages[0][1]): c
        for c in judge.answer(request("x" * n) for n in (9, 10 * room, room, room - 15, room - 16))
    }
    assert {n for n, c in by_length.items() if c.refused} == {10 * room, room, room - 15}
    assert "no room" in by_length[room].error
    assert len(by_length[9].answers) == 5
    # what is left for the last one ends its answers, unless they end by themselves
    ends = {(a.output_tokens, a.finish_reason) for a in by_length[room - 16].answers}
    assert (16, "length") in ends
    assert all(tokens < 16 and why == "stop" for tokens, why in ends - {(16, "length")})


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
        ({"model": "nobody/nothing"}, "nobody/nothing"),
        ({"engine": {"no_such_argument": 1}}, "no_such_argument"),
        ({"engine": {"dtype": "float3"}}, "float3"),
    ],
)
def test_an_engine_that_does_not_start(in_process, changes, reason):
    with pytest.raises(JudgeError, match=reason) as raised:
        next(VllmJudge(in_process.model_copy(update=changes)).answer([request()]))
    assert raised.value.__cause__ is not None
    assert "\n" not in str(raised.value)


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
        extract_corpus(run, [("o/n", None, folder)], [], CorpusSettings(), {})
        return run

    return extract


def study(settings):
    return Study(name="tiny", judge=settings)


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
    spent = classify(study(settings), run)

    placed = placements(run)
    assert len(placed) == 4
    # a random model writes no decision, so nothing is placed, and every snippet says why
    assert placed["placement"].isna().all()
    assert (placed["judge"] == f"{settings.kind}:{settings.model}").all()
    reasons = placed["reason"].str.partition(": ")[2]
    assert str(MAX_MODEL_LEN) in reasons.pop("long")
    assert set(reasons) == {"0 yes, 0 no, 5 abstained"}
    assert (spent.asks, spent.votes, spent.refused) == (3, 15, 1)

    votes = stored(run, "SELECT draw, text, prompt_tokens, output_tokens FROM votes")
    assert sorted(draw for draw, *_ in votes) == sorted([0, 1, 2, 3, 4] * 3)
    assert all(text and prompt_tokens > 1000 for _, text, prompt_tokens, _ in votes)
    assert spent.output_tokens == sum(output_tokens for *_, output_tokens in votes) > 0
    prompts = stored(run, "SELECT messages FROM prompts")
    assert sum("cross_entropy" in messages for (messages,) in prompts) == 1


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
    monkeypatch.delattr(vllm, "_start")
    gone = settings.model_copy(update={"base_url": "http://127.0.0.1:1/v1"})
    spent = classify(study(gone), run)
    assert (spent.asks, spent.stored) == (0, 3)
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
    spent = classify(
        study(in_process.model_copy(update={"max_tokens": 64, "temperature": 2.0})), run
    )
    placed = placements(run)
    assert placed["placement"].notna().all()
    assert placed["placement"].nunique() > 1
    assert spent.votes == 5 * spent.asks

    votes = stored(
        run, "SELECT question, code_sha256, text FROM votes JOIN prompts USING (prompt_sha256)"
    )
    by_ask = {}
    for question, code, text in votes:
        by_ask.setdefault((question, code), []).append(decision(text))
    assert {vote for ask in by_ask.values() for vote in ask} == {True, False}
    for question in ("loss_related", "loss_definition"):
        for code, verdict in placed[["code_sha256", question]].dropna().values:
            assert verdict == majority(by_ask[question, code])


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
