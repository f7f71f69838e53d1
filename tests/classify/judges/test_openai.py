import json
import logging
import math
import re
import socket
import sqlite3
import threading
import time
import traceback
from contextlib import closing
from dataclasses import replace
from functools import partial

import httpx2
import pytest
from openai import APIStatusError, AsyncOpenAI

from classify.ask import Ballots, Subject, Unseen, place_all
from classify.errors import JudgeError
from classify.judges import Request, servers
from classify.judges.openai import OpenAIJudge
from classify.judges.replies import Fault
from classify.judges.replies import Reply as AReply
from classify.judges.sampling import structure
from classify.judges.shortening import Shortener
from classify.placement import Category, place
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from classify.stopping import VotingRule
from classify.store import Store
from classify.votes import reading
from mining.records import Kind, Snippet
from mining.study import JudgeStudySettings
from tests.classify.judges.llm_server import SOON, LLMServer, Reply, completion, draws, refusal

NAMES = [f"name{number}" for number in range(24)]
PROMPTS = read_prompts()
KEY = "sk-correct-horse-battery-staple"


def study(server, **settings):
    url = server.base_url if isinstance(server, LLMServer) else server
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


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(servers, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(servers, "PATIENCE", 8)


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
            [5, 1, 1, 1, 1, 1],
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
        Reply(409, None, SOON),
        Reply(429, None),
        Reply(429, None, {"retry-after": "0"}),
        Reply(429, None, {"retry-after": "Thu, 01 Jan 2015 00:00:00 GMT"}),
        Reply(429, None, {"retry-after": "nonsense"}),
        Reply(429, "<html>slow down</html>"),
        Reply(400, None, SOON | {"x-should-retry": "true"}),
        Reply(502, "<html>Bad gateway</html>"),
        replace(draws({"messages": [{"content": "p"}], "seed": 1, "n": 5}), cut=True),
        Reply(500, "", cut=True),
    ],
)
def test_what_may_pass_is_asked_again(server, fault):
    server.faults.extend([fault, fault])
    (completed,) = ask(server)
    assert len(completed.answers) == 5
    assert len(server.asked) == 3


def counted(**usage):
    return Reply(200, {**completion(["Decision: True"]).body, "usage": usage})


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
    (Reply(200, '{"choices": []}', {"content-type": "text/plain"}), "no chat completion"),
    (Reply(200, "Hello!", {"content-type": "application/json"}), "no chat completion"),
    (Reply(200, "data: {}\n\n", {"content-type": "text/event-stream"}), "no chat completion"),
    (refusal(429, "You have no money left", code="insufficient_quota"), "no money left"),
    (Reply(429, {"error": {"message": "busy"}}), "busy"),
    (replace(completion(["x"] * 99), cut=True), ""),
    (counted(prompt_tokens=2**70), "no chat completion"),
    (counted(completion_tokens=-5), "no chat completion"),
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


def test_of_a_long_reply_that_is_none_only_the_beginning_is_looked_at():
    text = "<p> " * 10_000
    with pytest.raises(ValueError, match="no chat completion: <p> <p>") as found:
        AReply.parse(text.encode(), text)
    assert len(str(found.value)) < 3_000


def test_draws_that_came_before_an_error_are_kept(server):
    server.say = lambda body: one(body) if len(server.asked) < 3 else refusal(400, "oh")
    (completed,) = ask(server)
    assert completed.error is None
    assert len(completed.answers) == 2


def test_a_server_that_takes_too_long(server, monkeypatch):
    monkeypatch.setattr(servers, "RETRIES", 0)
    free = threading.Event()
    server.say = lambda body: (free.wait(60), draws(body))[1]
    (completed,) = ask(server, timeout_s=0.2)
    free.set()
    assert "timed out" in completed.error
    assert not completed.refused


def test_a_hang_costs_the_others_nothing(server):
    free = threading.Event()
    hanging = []

    def say(body):
        if body["messages"][0]["content"] == "a" and len(hanging) < 2:
            hanging.append(body)
            free.wait(60)
        return draws(body)

    server.say = say
    answers = OpenAIJudge(study(server, timeout_s=0.5)).answer(map(request, "abcdef"))
    completed = list(answers)
    free.set()
    assert all(c.error is None for c in completed)
    names = [c.request.ask.snippet.qualname for c in completed]
    assert names[-1] == "a"  # after two more tries
    assert sorted(names) == list("abcdef")


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


def test_a_reply_in_the_wrong_kind_of_content_is_read_all_the_same(server):
    reply = completion(["Decision: True"])
    server.faults.append(Reply(200, json.dumps(reply.body), {"content-type": "text/plain"}))
    (completed,) = ask(server, request(draws=1))
    assert [answer.text for answer in completed.answers] == ["Decision: True"]


def test_one_bad_request_among_many(server):
    server.say = lambda body: (
        refusal(400, "no") if body["messages"][0]["content"] == "c" else draws(body)
    )
    completed = ask(server, *map(request, "abcdefgh"), concurrency=3)
    assert {c.request.ask.snippet.qualname for c in completed if c.error} == {"c"}
    assert sum(len(c.answers) for c in completed) == 7 * 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_has_answered_is_not_given_up_for_one_refusal(server, status):
    server.say = lambda body: (
        refusal(status, "no") if body["messages"][0]["content"] == "c" else draws(body)
    )
    completed = ask(server, *map(request, "abcdefgh"), concurrency=1)
    assert {c.request.ask.snippet.qualname for c in completed if c.error} == {"c"}


# how many at once


def test_fewer_at_once_where_a_server_says_so_and_more_again_later(server):
    # it takes three at once, and refuses any more
    busy = threading.Lock()
    now, most, refused = [0], [0], [0]

    def say(body):
        with busy:
            now[0] += 1
            most[0] = max(most[0], now[0])
            full = now[0] > 3
            refused[0] += full
        time.sleep(0.005)
        with busy:
            now[0] -= 1
        return Reply(429, None, SOON) if full else draws(body)

    server.say = say
    names = [f"{number}" for number in range(200)]
    completed = ask(server, *map(request, names), concurrency=32)
    assert {c.request.ask.snippet.qualname for c in completed} == set(names)
    assert all(c.error is None for c in completed)
    assert most[0] > 3
    # if it went on with 32 at once, nine of ten were refused
    assert refused[0] < 200


def slot(**settings):
    return servers.Server(AsyncOpenAI(api_key="none"), **({"most": 16} | settings))


def error(status, **headers):
    answered = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "http://x"))
    return APIStatusError("no", response=answered, body=None)


def test_the_number_at_once_halves_once_for_each_burst_and_grows_again():
    one = slot()
    sent = time.monotonic()
    for _ in range(10):  # all of them sent before the first came back
        one.failed(error(429), Fault.BUSY, sent)
    assert one.room == 8
    one.failed(error(429), Fault.BUSY, time.monotonic())
    assert one.room == 4
    for _ in range(4):  # one more for each round
        one.replied()
    assert one.room == 4
    one.replied()
    assert one.room == 5
    for _ in range(1000):
        one.replied()
    assert one.room == 16
    for _ in range(10):
        one.failed(error(429), Fault.BUSY, time.monotonic())
    assert one.room == 1


def test_a_server_that_was_away_starts_from_one_and_is_soon_at_half():
    one = slot()
    before = time.monotonic()
    one.failed(error(500), Fault.GONE, before)
    assert one.room == 1
    assert one.not_before > before
    for _ in range(7):
        one.replied()
    assert one.room == 8
    one.replied()
    assert one.room == 8


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "7000"}, 7),
        ({"retry-after": "86400"}, 60),  # bounded
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "-5"}, 0),
        ({}, 0),
    ],
)
def test_how_long_a_server_is_left_alone(headers, seconds):
    one = slot()
    before = time.monotonic()
    one.failed(error(429, **headers), Fault.BUSY, before)
    after = time.monotonic()
    assert before <= max(one.not_before, before) - seconds <= after


@pytest.mark.parametrize("times", [1, 2, 5, 100])
def test_waiting_grows_is_jittered_and_bounded(times, monkeypatch):
    monkeypatch.setattr(servers, "FIRST_WAIT_S", 0.5)
    longest = min(0.5 * 2 ** (times - 1), 60)
    waits = {servers.waiting(times) for _ in range(50)}
    assert len(waits) > 10
    assert all(longest / 2 <= wait <= longest for wait in waits)


# several servers


@pytest.fixture
def other():
    with LLMServer() as other:
        yield other


def both(server, other):
    return [server.base_url, other.base_url]


def ask_both(server, other, names, **settings):
    judge = OpenAIJudge(study(both(server, other), **settings))
    completed = list(judge.answer(map(request, names)))
    assert sorted(c.request.ask.snippet.qualname for c in completed) == sorted(names)
    return completed


def test_work_goes_to_who_is_free(server, other):
    free = threading.Event()

    def slow(body):
        free.wait(60)
        return draws(body)

    server.say = slow
    answers = OpenAIJudge(study(both(server, other), concurrency=2)).answer(map(request, NAMES))
    for _ in range(len(NAMES) - 2):  # the slow one has two of them, and keeps them
        next(answers)
    free.set()
    assert len(list(answers)) == 2
    assert len(server.asked) == 2
    assert len(other.asked) == len(NAMES) - 2


def test_each_server_has_as_many_at_once_as_the_study_says(server, other):
    together = threading.Barrier(4, timeout=60)
    server.say = other.say = lambda body: (together.wait(), draws(body))[1]
    completed = ask_both(server, other, "abcdefgh", concurrency=2)
    assert all(c.error is None for c in completed)
    assert server.most_at_once == other.most_at_once == 2


def test_the_work_of_a_server_that_dies_goes_to_the_others(server, other):
    dying = threading.Lock()

    def die(body):
        if dying.acquire(blocking=False):
            server._http.shutdown()
            server._http.server_close()
        return replace(draws(body), cut=True)

    server.say = die
    completed = ask_both(server, other, NAMES, concurrency=2)
    assert all(c.error is None and len(c.answers) == 5 for c in completed)
    assert set(other.prompts) == set(NAMES)


def test_a_server_that_is_away_at_first_gets_work_once_it_is_there(server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    late = []

    def say(body):
        if len(server.asked) == 3:
            late.append(LLMServer(port=port))
            late[0].__enter__()
        time.sleep(0.01)
        return draws(body)

    server.say = say
    urls = [f"http://127.0.0.1:{port}/v1", server.base_url]
    judge = OpenAIJudge(study(urls, concurrency=1))
    completed = list(judge.answer(map(request, NAMES)))
    late[0].__exit__()
    assert all(c.error is None for c in completed)
    assert len(completed) == len(NAMES)
    assert late[0].asked
    assert len(late[0].asked) + len(server.asked) == len(NAMES)


def test_servers_that_all_go_away_end_it_and_say_so(server, monkeypatch):
    monkeypatch.setattr(servers, "TIMES_GONE", 3)

    def last(body):
        server._http.shutdown()
        server._http.server_close()
        return replace(draws(body), cut=True)

    server.say = last
    with pytest.raises(JudgeError, match="Connection error"):
        ask(server, *map(request, NAMES), concurrency=4)


def test_a_server_without_the_model_is_left_out(server, other):
    server.say = lambda body: refusal(404, "The model `tiny` does not exist.")
    completed = ask_both(server, other, NAMES, concurrency=2)
    assert all(c.error is None for c in completed)
    assert len(server.asked) <= 2
    other.say = server.say
    with pytest.raises(JudgeError, match="does not exist"):
        ask_both(server, other, NAMES)


# what a server tells of itself


def vllm_like(server, context=100, count=lambda body: len(body["messages"][0]["content"])):
    model = {"id": "tiny", "owned_by": "vllm", "root": "o/tiny", "max_model_len": context}
    server.models = Reply(200, {"data": [{"id": "big"}, model]}, {"Server": "uvicorn"})
    server.beside["/version"] = lambda _: Reply(200, {"version": "0.32.0"})
    server.beside["/tokenize"] = lambda body: Reply(200, {"count": count(body)})


def test_provenance_is_what_the_server_tells(server):
    vllm_like(server, context=4096)
    server.say = lambda body: replace(
        one(body), body=one(body).body | {"model": "tiny-2026", "system_fingerprint": "fp_1"}
    )
    (completed,) = ask(server)
    assert completed.provenance == {
        "engine": "vllm 0.32.0",
        "model": "tiny-2026",
        "system_fingerprint": "fp_1",
        "owned_by": "vllm",
        "root": "o/tiny",
        "max_model_len": 4096,
    }
    assert completed.seed == request().seed(0)


@pytest.mark.parametrize(
    "models",
    [
        Reply(200, {"data": []}, {"Server": "llama.cpp"}),
        Reply(200, {"data": [{"id": "other", "owned_by": "x"}]}, {"Server": "llama.cpp"}),
        Reply(200, "<html>", {"Server": "llama.cpp"}),
        Reply(200, {"data": [{"id": 7}]}, {"Server": "llama.cpp"}),
    ],
)
def test_a_server_that_tells_little(server, models):
    server.models = models
    (completed,) = ask(server)
    assert completed.provenance == {"engine": "llama.cpp"}


@pytest.mark.parametrize(
    ("version", "sent"),
    [
        ({"version": "0.32.0"}, "structured_outputs"),
        ({"version": "0.9.2"}, "guided_regex"),
        ({}, "structured_outputs"),
    ],
)
def test_how_vllm_is_told_to_constrain_an_answer(server, version, sent):
    vllm_like(server, context=4096)
    server.beside["/version"] = lambda _: Reply(200, version)
    ask(server, structured=True, max_tokens=99)
    pattern = structure(99)
    assert server.asked[0][sent] == (pattern if sent == "guided_regex" else {"regex": pattern})


def test_how_any_other_server_is_told(server):
    ask(server, structured=True)
    schema = server.asked[0]["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["reasoning", "decision"]
    assert reading('{"reasoning": "Decision: False?", "decision": true}').decision is True


@pytest.mark.parametrize("max_tokens", [18, 40, 1024])
def test_the_last_line_has_room_whatever_the_reasons(max_tokens):
    longest = max_tokens - len("\nDecision: False") - 1
    for reasons in ("x", "\n", "x" * longest, "Decision: True"[:longest]):
        text = f"{reasons}\nDecision: False"
        assert re.fullmatch(structure(max_tokens), text)
        assert len(text) < max_tokens  # one is left for the end
    for text in ("Decision: True", "x" * (longest + 1) + "\nDecision: True", "x\nDecision: no"):
        assert not re.fullmatch(structure(max_tokens), text)


# prompts that are too long

LONG = "def f():\n" + "\n".join(f"    x{n} = {n}" for n in range(400))


def long_request():
    asked = Ask(Question.LOSS_RELATED, snippet("long", LONG))
    return Request(asked, PROMPTS.messages(asked), 0, 2)


def shortening(server, rule, **settings):
    judge = OpenAIJudge(study(server, max_tokens=10, **settings), Shortener(rule, PROMPTS))
    (completed,) = judge.answer([long_request()])
    return completed


LONG_TOKENS = len(long_request().messages[0][1])
ROOM = LONG_TOKENS - 2000


def test_a_prompt_is_measured_by_the_server_before_it_is_asked(server):
    vllm_like(server, context=ROOM + 10)
    completed = shortening(server, "head_and_tail")
    how = completed.provenance["too_long"]
    assert (how["tokens"], how["room"]) == (LONG_TOKENS, ROOM)
    assert len(completed.answers) == 2
    (sent,) = server.prompts
    assert f"# ... lines left out here: {how['lines_left_out']} ..." in sent
    assert 0.8 * ROOM < len(sent) <= ROOM


def test_a_prompt_that_fits_for_certain_is_not_measured(server):
    vllm_like(server, context=LONG_TOKENS + 100)
    completed = shortening(server, "outline")
    assert "too_long" not in completed.provenance
    assert not server.paths["/tokenize"]


@pytest.mark.parametrize("tell", ["server", "study", "no tokenizer"])
def test_without_a_tokenizer_the_length_is_estimated(server, tell):
    settings = {}
    if tell == "study":
        settings = {"context": 1000}
    else:
        vllm_like(server, context=1000)
        server.beside.pop("/tokenize")
        if tell == "server":
            server.models.body["data"][1]["owned_by"] = "somebody"
        else:
            server.beside["/tokenize"] = lambda _: Reply(404, "no")
    completed = shortening(server, "head_and_tail", **settings)
    how = completed.provenance["too_long"]
    assert how["tokens"] == math.ceil(LONG_TOKENS / 2.5) + 64
    assert len(server.prompts[0]) / 2.5 + 64 <= 990


@pytest.mark.parametrize("rule", ["outline", "head_and_tail"])
def test_a_server_that_tells_nothing_is_asked_with_ever_less(server, rule):
    server.say = lambda body: (
        TOO_LONG[0] if len(body["messages"][0]["content"]) > 3000 else draws(body)
    )
    completed = shortening(server, rule)
    assert completed.error is None
    assert completed.provenance["too_long"]["rule"] == rule
    assert len(server.asked) < 8


def test_what_is_still_too_long_or_not_to_be_shortened_is_refused(server):
    vllm_like(server, context=500)
    for rule in ("outline", "head_and_tail", "refuse"):
        completed = shortening(server, rule)
        assert completed.refused
        assert "leaves no room for an answer of 10 in 500" in completed.error
        assert rule in completed.error
    assert not server.asked


def test_a_context_without_room_for_a_prompt(server):
    with pytest.raises(JudgeError, match="found 1024 of the 512 tokens"):
        ask(server, context=512)


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
        {"seed": 1},
        {"structured": True},
    ):
        assert voids(**setting)
    for setting in (
        {"base_url": "http://x/v1"},
        {"base_url": ["http://x/v1", "http://y/v1"]},
        {"concurrency": 1},
        {"timeout_s": 1},
        {"context": 4096},
        {"max_tokens": 9},  # which voids only what was cut off; see JudgeSettings
    ):
        assert not voids(**setting)


SNIPPETS = [snippet(name) for name in "abcdefgh"]


def messages(ask):
    return (("user", f"{ask.question} {ask.snippet.code}"),)


def decides(body):
    says = "False" if "training_loop" in body["messages"][0]["content"] else "True"
    return completion([f"Because.\nDecision: {says}"] * body["n"])


def classified(server, path, progress=None):
    """Return the categories, in the order of the snippets."""
    placed = {}

    def place_one(one, verdict_of):
        return place(one, [one], verdict_of, lambda _: False)

    with Store(path) as store:
        judge = OpenAIJudge(study(server, concurrency=3))
        place_all(
            [Subject(n, partial(place_one, one)) for n, one in enumerate(SNIPPETS)],
            Ballots(store, judge, messages, VotingRule(5, early_stop=False)),
            lambda number, placement, _: placed.setdefault(number, placement.category),
            progress,
        )
    return [placed[number] for number in range(len(SNIPPETS))]


class Killed(Unseen):
    answers = 0

    def answered(self, completion):
        self.answers += 1
        if self.answers == 11:
            raise KeyboardInterrupt


def test_a_run_that_is_killed_goes_on_where_it_was(server, tmp_path):
    server.say = decides
    with pytest.raises(KeyboardInterrupt):
        classified(server, tmp_path / "votes.sqlite", Killed())
    query = "SELECT DISTINCT messages FROM votes JOIN prompts USING (prompt_sha256)"
    with closing(sqlite3.connect(tmp_path / "votes.sqlite")) as store:
        kept = {json.loads(row)[0][1] for (row,) in store.execute(query)}
    assert len(kept) >= 10
    server.asked.clear()
    categories = classified(server, tmp_path / "votes.sqlite")
    questions = (Question.LOSS_RELATED, Question.LOSS_DEFINITION, Question.TRAINING_LOOP)
    every = {f"{question} {one.code}" for question in questions for one in SNIPPETS}
    assert sorted(server.prompts) == sorted(every - kept)
    assert categories == [Category.LOSS_UNKNOWN] * 8

    server.asked.clear()
    server.paths.clear()
    assert classified(server, tmp_path / "votes.sqlite") == categories
    assert not server.paths


def test_a_server_that_fails_after_a_while_loses_nothing(tmp_path, server):
    server.say = lambda body: (
        decides(body) if len(server.asked) <= 5 else Reply(500, "gone", {"x-should-retry": "false"})
    )
    assert classified(server, tmp_path / "votes.sqlite") == [None] * 8
    server.say = decides
    first = server.prompts[:5]
    server.asked.clear()
    assert classified(server, tmp_path / "votes.sqlite") == [Category.LOSS_UNKNOWN] * 8
    assert not set(first) & set(server.prompts)
