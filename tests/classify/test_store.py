import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.judges import Answer, Completion, JudgeSettings, Request
from classify.migrations import MIGRATIONS
from classify.questions import Ask, Question
from classify.store import Failure, Store, Template, stored_votes
from mining.errors import ArtifactError
from mining.records import Kind, Snippet
from tests.classify.stored import all_votes

JUDGE = JudgeSettings("vllm", {"model": "m", "temperature": 0.7}, "vllm 0")
SNIPPET = Snippet("o/n", None, "p.py", 1, 1, Kind.FUNCTION, "f", None, "def f(): pass")
ASK = Ask(Question.LOSS_RELATED, SNIPPET)


def request(text="prompt", first=0, draws=2):
    return Request(ASK, (("user", text),), first, draws)


def completion(*texts, first=0, prompt="prompt"):
    answers = tuple(Answer(text, "stop", 3) for text in texts)
    return Completion(request(prompt, first, len(texts)), answers, prompt_tokens=7)


def texts(store, prompt="prompt", judge=JUDGE):
    return [v.text for v in store.votes(request(prompt).prompt_sha256, judge)]


def test_votes_come_back_after_reopening(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        store.add(completion("a", "b"), JUDGE)
        store.add(completion("c", first=2), JUDGE)
    with Store(tmp_path / "v.sqlite") as store:
        assert texts(store) == ["a", "b", "c"]
        assert store.judges() == [JudgeSettings("vllm", dict(JUDGE.text), "stored")]
    assert [p.name for p in tmp_path.iterdir()] == ["v.sqlite"]


def test_many_votes_are_kept_at_once_as_one_by_one_and_none_twice(tmp_path):
    given = [completion("a", "b"), completion("c", first=2), completion("d", prompt="other")]
    with Store(tmp_path / "one.sqlite") as one, Store(tmp_path / "all.sqlite") as many:
        for each in given:
            one.add(each, JUDGE)
        votes = [vote for each in given for vote in stored_votes(each)]
        assert many.add_all(votes[1:], JUDGE) == 3
        assert many.add_all(votes, JUDGE) == 1
        assert many.add_all(votes, JUDGE) == 0
        assert all_votes(many, JUDGE) == all_votes(one, JUDGE) == sorted(votes)
        assert list(many.costs(JUDGE)) == list(one.costs(JUDGE))
        assert many.failures(JUDGE) == {}


FLIPPED = [
    "text = substr(text, 2)",
    "text = replace(text, 'True', 'Tsue')",
    "finish_reason = 'stoq'",
    "max_tokens = 8192",
    "draw = 8",
]


@pytest.mark.parametrize("flip", FLIPPED)
def test_a_vote_that_was_damaged_on_disk_is_noticed_and_may_be_taken_out(tmp_path, flip):
    path = tmp_path / "v.sqlite"
    with Store(path) as store:
        store.add(completion("Decision: True"), JUDGE)
        store.add(completion("Decision: True", prompt="other"), JUDGE)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"UPDATE votes SET {flip} WHERE prompt_sha256 = ?", (request().prompt_sha256,)
        )
    with Store(path) as store:
        assert texts(store, "other") == ["Decision: True"]
        with pytest.raises(ArtifactError, match="was damaged") as error:
            texts(store)
    statement = str(error.value).split('"')[1]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    with Store(path) as store:
        assert texts(store) == []
        assert texts(store, "other") == ["Decision: True"]


def test_an_answer_takes_the_place_of_an_error_also_among_many(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        store.fail(Completion(request(), error="down"), JUDGE)
        store.add_all(stored_votes(completion("a")), JUDGE)
        assert store.failures(JUDGE) == {}


OTHER_JUDGES = [
    JudgeSettings("vllm", {"model": "m", "temperature": 0.8}, "vllm 0"),
    JudgeSettings("openai", {"model": "m", "temperature": 0.7}, "vllm 0"),
]


@pytest.mark.parametrize("other", OTHER_JUDGES)
def test_another_judge_or_prompt_has_votes_of_its_own(tmp_path, other):
    with Store(tmp_path / "v.sqlite") as store:
        store.add(completion("a"), JUDGE)
        store.add(completion("b", prompt="other"), JUDGE)
        store.add(completion("c"), other)
        assert texts(store) == ["a"]
        assert texts(store, "other") == ["b"]
        assert texts(store, judge=other) == ["c"]


OLD_JUDGES = [
    {"model": "m", "temperature": 0.7, "max_tokens": 512},
    {"model": "m", "temperature": 0.7, "max_tokens": 1024},
]


def old_store(path, version):
    """A store as an earlier lossplace wrote it: two judges that differ in their limit only."""
    connection = sqlite3.connect(path, isolation_level=None)
    for migrate in MIGRATIONS[: min(version, 2)]:
        migrate(connection)
    connection.execute(f"PRAGMA user_version = {version}")
    asked = request()
    connection.execute(
        "INSERT INTO prompts VALUES (?, ?, ?, ?)",
        (asked.prompt_sha256, ASK.question, SNIPPET.code_sha256, json.dumps(asked.messages)),
    )
    for text in OLD_JUDGES:
        judge = JudgeSettings("vllm", text, "")
        connection.execute(
            "INSERT INTO judges VALUES (?, 'vllm', ?)", (judge.sha256, json.dumps(text))
        )
        said = f"under {text['max_tokens']}"
        votes = [
            (
                asked.prompt_sha256,
                judge.sha256,
                draw,
                f"{said}, draw {draw}",
                reason,
                7,
                3,
                "vllm 0",
            )
            for draw, reason in enumerate(["stop", "length"])
        ]
        connection.executemany("INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", votes)
    if version > 1:
        connection.execute(
            "INSERT INTO refusals VALUES (?, ?, 'too long')", (asked.prompt_sha256, judge.sha256)
        )
    for migrate in MIGRATIONS[2:version]:
        migrate(connection)
    connection.close()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_store_is_brought_up_to_date_and_no_vote_is_lost(tmp_path, version):
    path = tmp_path / "v.sqlite"
    old_store(path, version)
    with Store(path) as store:
        [judge] = store.judges()
        assert judge.text == {"model": "m", "temperature": 0.7}
        rows = store._connection.execute(
            "SELECT draw, max_tokens, text, prompt_tokens, output_tokens, provenance, seed"
            " FROM votes JOIN provenances USING (provenance_id) ORDER BY draw, max_tokens"
        ).fetchall()
        assert rows == [
            (draw, limit, f"under {limit}, draw {draw}", 7, 3, '{"engine":"vllm 0"}', None)
            for draw in (0, 1)
            for limit in (512, 1024)
        ]
        assert texts(store) == ["under 1024, draw 0", "under 1024, draw 1"]
        failed = {request().prompt_sha256: Failure("too long", True, 1)}
        assert store.failures(JUDGE) == (failed if version > 1 else {})
        store.add(completion("c", first=2), JUDGE)
        assert len(texts(store)) == 3


LIMITS = [
    # stored as (limit, finish reason), the present limit, and which of them counts
    ([(8, "stop")], 16, 0),
    ([(8, "length")], 8, 0),
    ([(8, "length")], 4, 0),
    ([(8, "length")], None, 0),
    ([(None, "length")], 16, 0),
    ([(8, "length")], 16, None),
    ([(8, "length"), (16, "stop")], 16, 1),
    ([(8, "length"), (16, "stop")], 8, 1),
    ([(8, "length"), (16, "length")], 16, 1),
    ([(8, "length"), (16, "length")], 32, None),
]


@pytest.mark.parametrize(("stored", "limit", "counts"), LIMITS)
def test_a_limit_voids_only_what_a_lower_one_cut_off(tmp_path, stored, limit, counts):
    with Store(tmp_path / "v.sqlite") as store:
        for number, (under, reason) in enumerate(stored):
            answered = Completion(request(draws=1), (Answer(f"{number}", reason, 3),))
            store.add(answered, replace(JUDGE, max_tokens=under))
        judge = replace(JUDGE, max_tokens=limit)
        assert texts(store, judge=judge) == ([] if counts is None else [str(counts)])
        assert store.cut_below(judge) == (
            (0, 0) if counts is not None else (len(stored), 3 * len(stored))
        )
        assert store.voted(judge) == (len(stored), 3 * len(stored))


def test_each_vote_says_what_gave_it_and_when(tmp_path):
    said = {"model": "m", "revision": "abc", "dtype": "bfloat16"}
    answered = replace(completion("a", "b", first=3), provenance=said, seed=40)
    judge = replace(JUDGE, max_tokens=64)
    with Store(tmp_path / "v.sqlite") as store:
        store.add(answered, judge, Template("v1", "feed"))
        rows = store._connection.execute(
            "SELECT draw, seed, max_tokens, finish_reason, engine, provenance, prompt_tokens,"
            " output_tokens, answered_at FROM counted_votes ORDER BY draw"
        ).fetchall()
        prompt = store._connection.execute(
            "SELECT version, template_sha256 FROM prompts"
        ).fetchone()
        assert store._connection.execute("SELECT count(*) FROM provenances").fetchone() == (1,)
    assert prompt == ("v1", "feed")
    provenance = json.dumps({"engine": "vllm 0", **said}, sort_keys=True, separators=(",", ":"))
    assert [row[:-1] for row in rows] == [
        (3, 40, 64, "stop", "vllm 0", provenance, 7, 3),
        (4, 41, 64, "stop", "vllm 0", provenance, 0, 3),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[-1]) for row in rows)


def test_the_prompt_of_a_request_is_paid_once(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        store.add(completion("a", "b", "c"), JUDGE)
        store.add(completion("d", "e", first=3), JUDGE)
        store.add(completion("f", prompt="other"), JUDGE)
        store.add(completion("g"), OTHER_JUDGES[0])
        costs = {
            (c.votes, c.requests, c.prompt_tokens, c.output_tokens) for c in store.costs(JUDGE)
        }
    assert costs == {(5, 2, 14, 15), (1, 1, 7, 3)}


def test_a_failure_is_kept_until_an_answer_comes(tmp_path):
    prompt = request().prompt_sha256
    with Store(tmp_path / "v.sqlite") as store:
        store.fail(Completion(request(), error="timeout"), JUDGE)
        store.fail(Completion(request(), error="too long", refused=True), JUDGE)
        assert store.failures(JUDGE) == {prompt: Failure("too long", True, 2)}
        assert store.failures(OTHER_JUDGES[0]) == {}
        assert texts(store) == []
        store.add(completion("a"), JUDGE)
        assert store.failures(JUDGE) == {}


def test_votes_by_an_earlier_prompt_are_counted(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        store.add(completion("a", "b"), JUDGE, Template("v1", "one"))
        store.add(completion("c", prompt="other"), JUDGE, Template("v2", "two"))
        store.add(completion("d", prompt="unknown"), JUDGE)
        assert store.voted_by_others(JUDGE, Question.LOSS_RELATED, "two") == (2, 6)
        assert store.voted_by_others(JUDGE, Question.TRAINING_LOOP, "two") == (0, 0)


def test_another_engine_version_voids_nothing(tmp_path):
    newer = JudgeSettings(JUDGE.kind, JUDGE.text, "vllm 1")
    with Store(tmp_path / "v.sqlite") as store:
        store.add(completion("a"), JUDGE)
        assert texts(store, judge=newer) == ["a"]


def test_a_vote_is_never_overwritten(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        store.add(completion("a"), JUDGE)
        store.add(completion("b"), JUDGE)
        assert texts(store) == ["a"]


def test_an_error_is_no_answer(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        with pytest.raises(ValueError, match="not an answer"):
            store.add(Completion(request(), error="timeout"), JUDGE)
        assert texts(store) == []


def test_what_was_added_survives_a_store_that_is_never_closed(tmp_path):
    store = Store(tmp_path / "v.sqlite")
    store.add(completion("a"), JUDGE)
    with Store(tmp_path / "v.sqlite") as second:
        assert texts(second) == ["a"]


def test_a_store_that_cannot_grow_is_one_sentence_and_keeps_what_it_has(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        store.add(completion("a"), JUDGE)
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ArtifactError, match="disk is full"):
            store.add(completion("b" * 100_000, prompt="other"), JUDGE)
        assert texts(store) == ["a"]


def test_a_text_that_is_too_long_is_one_sentence(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        store._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        with pytest.raises(ArtifactError, match=r"lower corpus\.max_file_bytes"):
            store.add(completion("b" * 20_000), JUDGE)
        assert texts(store) == []


def test_a_store_that_cannot_be_opened_is_not_called_damaged(tmp_path):
    with pytest.raises(ArtifactError, match=r"unable to open.*give access"):
        Store(tmp_path)


def test_votes_that_are_there_are_not_written_again(tmp_path):
    votes = list(stored_votes(completion("a", "b")))
    with Store(tmp_path / "v.sqlite") as store:
        store.add_all(votes, JUDGE)
        written = store._connection.total_changes
        store.add_all(votes, JUDGE)
        assert store._connection.total_changes == written


def test_a_file_that_is_no_store_is_refused(tmp_path):
    path = tmp_path / "v.sqlite"
    path.write_bytes(b"not a database, but long enough to look like one" * 50)
    with pytest.raises(ArtifactError, match="found one that SQLite cannot use"):
        Store(path)


def test_a_store_of_a_later_version_is_refused(tmp_path):
    path = tmp_path / "v.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(ArtifactError, match="upgrade lossplace"):
        Store(path)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from("pq"), st.lists(st.text(max_size=8), min_size=1, max_size=4)),
        max_size=8,
    )
)
def test_whatever_text_and_order_each_vote_is_kept_once(tmp_path_factory, batches):
    """Appending draws behind those there are keeps every text, in order."""
    kept = {"p": [], "q": []}
    path = tmp_path_factory.mktemp("store") / "v.sqlite"
    for prompt, batch in batches:
        with Store(path) as store:
            store.add(completion(*batch, first=len(kept[prompt]), prompt=prompt), JUDGE)
        kept[prompt] += batch
    with Store(path) as store:
        for prompt, expected in kept.items():
            assert texts(store, prompt) == expected
