import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.judges import Answer, Completion, JudgeSettings, Request
from classify.questions import Ask, Question
from classify.store import MIGRATIONS, Store
from mining.errors import ArtifactError
from mining.records import Kind, Snippet

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


def test_an_older_store_is_brought_up_to_date_with_its_votes(tmp_path):
    path = tmp_path / "v.sqlite"
    with Store(path) as store:
        store.add(completion("a"), JUDGE)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE refusals")  # as before the second migration
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Store(path) as store:
        assert texts(store) == ["a"]
        assert store.refusals(JUDGE) == {}
        store.refuse(request("long"), JUDGE, "too long")
        assert store.refusals(JUDGE) == {request("long").prompt_sha256: "too long"}
        assert store.refusals(OTHER_JUDGES[0]) == {}


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


@settings(max_examples=25, deadline=None)
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
