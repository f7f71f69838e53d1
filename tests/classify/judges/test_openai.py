import logging
import socket
import threading
import traceback

import pytest

from classify.ask import Ballots, place_all
from classify.errors import JudgeError
from classify.judges import Request, openai
from classify.judges.openai import OpenAIJudge
from classify.placement import Category, place
from classify.questions import Ask, Question
from classify.store import Store
from mining.records import Kind, Snippet
from mining.study import JudgeStudySettings
from tests.classify.judges.llm_server import SOON, LLMServer, Reply, completion, draws, refusal

KEY = "sk-correct-horse-battery-staple"


def study(server, **settings):
    url = server if isinstance(server, str) else server.base_url
    return JudgeStudySettings(kind="openai", model="tiny", base_url=url, **settings)


def snippet(name, text=None):
    return Snippet("o/n", None, f"{name}.py", 1, 1, Kind.FUNCTION, name, None, text or f"# {name}")


def request(text="p", first_draw=0, draws=5):
    return Request(Ask(Question.LOSS_RELATED, snippet(text)), (("user", text),), first_draw, draws)


def ask(server, *requests, **settings):
    return list(OpenAIJudge(study(server, **settings)).answer(requests or [request()]))


@pytest.fixture
def server():
    with LLMServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def one(body):
    return draws(body | {"n": 1})


def only_one(reply):
    return lambda body: reply if body["n"] > 1 else draws(body)


@pytest.mark.parametrize(
    ("say", "numbers"),
    [
        pytest.param(draws, [5], id="honoured"),
        pytest.param(one, [5, 1, 1, 1, 1], id="ignored"),
        pytest.param(
            lambda body: draws(body | {"n": min(body["n"], 2)}), [5, 1, 1, 1], id="capped"
        ),
        pytest.param(lambda body: draws(body | {"n": body["n"] + 1}), [5], id="exceeded"),
        pytest.param(
            only_one(refusal(400, "n must be 1", param="n")), [5, 1, 1, 1, 1, 1], id="refused"
        ),
        pytest.param(
            only_one(refusal(422, "extra inputs are not permitted")),
            [5, 1, 1, 1, 1, 1],
            id="invalid",
        ),
        pytest.param(
            only_one(refusal(500, "Only one completion choice is allowed")),
            [5] * (1 + openai._RETRIES) + [1, 1, 1, 1, 1],
            id="an error of the server",
        ),
    ],
)
def test_all_draws_come_whatever_a_server_makes_of_n(server, say, numbers):
    server.say = say
    (completed,) = ask(server)
    seed = request().seed(0)
    assert [answer.text for answer in completed.answers] == [f"p {seed + i}" for i in range(5)]
    assert [body["n"] for body in server.asked] == numbers
    assert completed.prompt_tokens == 7
    assert {answer.finish_reason for answer in completed.answers} == {"stop"}


def test_a_server_that_refused_n_once_is_not_asked_so_again(server):
    server.say = only_one(refusal(400, "n must be 1"))
    ask(server, request("p"), request("q"), concurrency=1)
    assert [body["n"] for body in server.asked] == [5] + [1] * 10


def test_what_is_sent(server):
    ask(server, temperature=0.3, top_p=0.9, max_tokens=77, seed=4)
    assert server.asked == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "p"}],
            "n": 5,
            "seed": request().seed(4),
            "temperature": 0.3,
            "top_p": 0.9,
            "max_tokens": 77,
        }
    ]
    assert server.keys.keys() == {"none"}


@pytest.mark.parametrize(
    ("reply", "texts"),
    [
        (completion(["Decision: True"]), ["Decision: True"]),
        (completion([None]), [""]),
        (completion([""]), [""]),
        (Reply(200, {"choices": [{"message": {}}]}), [""]),
    ],
)
def test_an_answer_without_words_is_an_answer(server, reply, texts):
    server.faults.append(reply)
    (completed,) = ask(server, request(draws=1))
    assert completed.error is None
    assert [answer.text for answer in completed.answers] == texts


def test_the_tokens_of_a_reply_are_shared_out(server):
    server.faults.append(completion(["a", "b", "c"], prompt_tokens=11, each=0))
    server.faults[0].body["usage"]["completion_tokens"] = 8
    (completed,) = ask(server, request(draws=3))
    assert completed.prompt_tokens == 11
    assert [answer.output_tokens for answer in completed.answers] == [3, 3, 2]


@pytest.mark.parametrize(
    "fault",
    [
        refusal(429, "slow down"),
        refusal(500, "oh"),
        refusal(503, "starting"),
        Reply(408, None, SOON),
    ],
)
def test_what_may_pass_is_asked_again(server, fault):
    server.faults.extend([fault, fault])
    (completed,) = ask(server)
    assert len(completed.answers) == 5
    assert len(server.asked) == 3


TOO_LONG = [
    refusal(
        400,
        "This model's maximum context length is 2048 tokens. However, your prompt contains 9000 "
        "characters (more than 8192 characters).",
        param="input_text",
    ),
    refusal(400, "Your input exceeds the context window of this model."),
    refusal(
        400,
        "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
        type="exceed_context_size_error",
    ),
    refusal(413, "prompt is too long: 9000 tokens > 8192 maximum"),
    refusal(422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"),
    Reply(200, {"error": {"message": "the request exceeds the available context size"}}),
]
ERRORS = [
    (refusal(400, "temperature must be at most 1"), "temperature must be at most 1"),
    (refusal(500, "Context size has been exceeded."), "Context size has been exceeded"),
    (refusal(500, "oh"), "oh"),
    (refusal(402, "insufficient credits"), "insufficient credits"),
    (Reply(200, "<html>Hello!</html>"), "no chat completion: <html>Hello!"),
    (Reply(200, "{"), "no chat completion"),
    (Reply(200, None), "no chat completion"),
    (Reply(200, [1]), "no chat completion"),
    (Reply(200, {"choices": [{"text": "of another kind"}]}), "no chat completion"),
    (Reply(200, {"choices": [{"message": {"content": ["a"]}}]}), "no chat completion"),
    (completion([]), "no chat completion"),
]


@pytest.mark.parametrize("reply", TOO_LONG)
def test_a_prompt_that_is_too_long_is_refused_and_the_others_are_answered(server, reply):
    server.say = lambda body: reply if body["messages"][0]["content"] == "long" else draws(body)
    completed = {c.request.ask.snippet.qualname: c for c in ask(server, request("long"), request())}
    assert completed["long"].refused
    assert completed["long"].error
    assert completed["long"].answers == ()
    assert len(completed["p"].answers) == 5


@pytest.mark.parametrize(("reply", "reason"), ERRORS)
def test_an_error_is_no_answer_and_no_refusal(server, reply, reason):
    server.say = lambda body: reply
    (completed,) = ask(server)
    assert reason in completed.error
    assert "\n" not in completed.error
    assert not completed.refused
    assert completed.answers == ()


def test_draws_that_came_before_an_error_are_kept(server):
    server.say = lambda body: one(body) if len(server.asked) < 3 else refusal(400, "oh")
    (completed,) = ask(server)
    assert completed.error is None
    assert len(completed.answers) == 2


def test_a_server_that_takes_too_long(server, monkeypatch):
    monkeypatch.setattr(openai, "_RETRIES", 0)
    free = threading.Event()
    server.say = lambda body: (free.wait(60), draws(body))[1]
    (completed,) = ask(server, timeout_s=0.2)
    free.set()
    assert "timed out" in completed.error
    assert not completed.refused


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal(401, "Incorrect API key provided"), "Incorrect API key"),
        (refusal(403, "not in your country"), "not in your country"),
        (refusal(404, "The model `tiny` does not exist."), "does not exist"),
    ],
)
def test_an_unknown_key_or_model_ends_it_at_once(server, reply, reason):
    server.say = lambda body: reply
    with pytest.raises(JudgeError, match=reason) as raised:
        ask(server, *map(request, "abcdefgh"), concurrency=2)
    assert len(server.asked) <= 2
    assert "tiny" in str(raised.value)


def test_nobody_there():
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        prompts = map(request, "abcdefgh")
        with pytest.raises(JudgeError, match="none that answers"):
            next(OpenAIJudge(study(url)).answer(prompts))
    assert len(list(prompts)) == 7


def test_a_server_without_a_list_of_models(server):
    server.models = Reply(404, "<html>")
    (completed,) = ask(server)
    assert len(completed.answers) == 5


def test_no_request_no_connection(server):
    assert list(OpenAIJudge(study(server)).answer([])) == []
    assert not server.paths


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_the_key_is_sent_and_never_shown(server, monkeypatch, caplog, status):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    caplog.set_level(logging.DEBUG)
    server.say = lambda body: refusal(status, f"you sent {KEY}, which {'is ' * 200} {KEY}")
    judge = OpenAIJudge(study(server))
    try:
        (completed,) = judge.answer([request()])
        shown = str(completed.error)
    except JudgeError as error:
        shown = "".join(traceback.format_exception(error))
    assert "you sent ***" in shown
    assert KEY not in shown
    assert KEY not in caplog.text
    assert KEY not in repr(judge.settings)
    assert server.keys.keys() == {KEY}


@pytest.mark.parametrize("key", ["sk-pasted\u2019", "sk-two\nlines"])
def test_a_key_that_cannot_be_sent(server, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setattr(openai, "_RETRIES", 0)
    with pytest.raises(JudgeError) as raised:
        ask(server)
    assert key not in str(raised.value)


def test_as_many_at_once_as_the_study_says(server):
    # four must be there before any is answered, and a fifth is never there
    together = threading.Barrier(4, timeout=60)
    server.say = lambda body: (together.wait(), draws(body))[1]
    completed = ask(server, *map(request, "abcdefghijkl"), concurrency=4)
    assert {c.request.ask.snippet.qualname for c in completed} == set("abcdefghijkl")
    assert all(c.error is None for c in completed)
    assert server.most_at_once == 4


def test_requests_are_taken_up_as_answers_are_taken(server):
    taken = []

    def requests():
        for name in "abcdefgh":
            taken.append(name)
            yield request(name)

    answers = OpenAIJudge(study(server, concurrency=2)).answer(requests())
    next(answers)
    assert len(taken) <= 4
    answers.close()


def test_whoever_stops_listening_does_not_wait(server):
    free = threading.Event()
    server.say = lambda body: (
        draws(body) if body["messages"][0]["content"] == "a" else (free.wait(60), draws(body))[1]
    )
    answers = OpenAIJudge(study(server, concurrency=3)).answer(map(request, "abcdefgh"))
    assert next(answers).request.ask.snippet.qualname == "a"
    answers.close()
    assert not free.is_set()
    assert len(server.asked) <= 3
    free.set()


def test_settings_name_all_that_changes_the_text_and_nothing_else(server):
    def voids(**settings):
        changed = JudgeStudySettings(kind="openai", **settings)
        return OpenAIJudge(changed).settings.sha256 != base

    base = OpenAIJudge(JudgeStudySettings(kind="openai")).settings.sha256
    for setting in (
        {"model": "other"},
        {"temperature": 0.1},
        {"top_p": 0.5},
        {"max_tokens": 9},
        {"seed": 1},
    ):
        assert voids(**setting)
    for setting in ({"base_url": "http://x/v1"}, {"concurrency": 1}, {"timeout_s": 1}):
        assert not voids(**setting)


SNIPPETS = [snippet(name) for name in "abcdefgh"]


def place_one(subject, verdict_of):
    return place(subject, [subject], verdict_of, lambda _: False)


def messages(ask):
    return (("user", f"{ask.question} {ask.snippet.code}"),)


def decides(body):
    says = "False" if "training_loop" in body["messages"][0]["content"] else "True"
    return completion([f"Because.\nDecision: {says}"] * body["n"])


def classified(server, store, watch=None):
    ballots = Ballots(store, OpenAIJudge(study(server, concurrency=3)), messages, votes=5)
    more = {} if watch is None else {"watch": watch}
    return [p.category for p in place_all(SNIPPETS, place_one, ballots, **more)]


def test_a_run_that_is_killed_goes_on_where_it_was(server, tmp_path):
    server.say = decides
    answered = []

    def killed(stream, _):
        for completed in stream:
            answered.append(completed.request.messages[0][1])
            yield completed
            if len(answered) == 11:  # in the second wave of questions
                raise KeyboardInterrupt

    with Store(tmp_path / "votes.sqlite") as store, pytest.raises(KeyboardInterrupt):
        classified(server, store, killed)
    server.asked.clear()
    with Store(tmp_path / "votes.sqlite") as store:
        categories = classified(server, store)
    questions = (Question.LOSS_RELATED, Question.LOSS_DEFINITION, Question.TRAINING_LOOP)
    every = {f"{question} {one.code}" for question in questions for one in SNIPPETS}
    assert sorted(server.prompts) == sorted(every - set(answered))
    assert categories == [Category.LOSS_UNKNOWN] * 8

    server.asked.clear()
    server.paths.clear()
    with Store(tmp_path / "votes.sqlite") as store:
        assert classified(server, store) == categories
    assert not server.paths


def test_a_server_that_goes_away_loses_nothing(tmp_path, server):
    server.say = lambda body: (
        decides(body) if len(server.asked) <= 5 else Reply(500, "gone", {"x-should-retry": "false"})
    )
    with Store(tmp_path / "votes.sqlite") as store:
        with pytest.raises(JudgeError, match="gone"):
            classified(server, store)
        server.say = decides
        first = server.prompts[:5]
        server.asked.clear()
        classified(server, store)
        assert not set(first) & set(server.prompts)
