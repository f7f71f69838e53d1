import sqlite3
from contextlib import closing

import pytest

from classify.judges import Answer, Completion, JudgeSettings, Request
from classify.questions import Ask, Question
from classify.schema import MOST_BYTES
from classify.store import Store
from mining.errors import ArtifactError
from mining.records import Kind, Snippet

JUDGE = JudgeSettings("openai", {"model": "m"}, "e")
SNIPPET = Snippet("o/n", None, "a.py", 1, 1, Kind.FUNCTION, "f", None, "def f(): 0")
REQUEST = Request(Ask(Question.LOSS_RELATED, SNIPPET), (("user", "p"),), 0, 1)
COMPLETION = Completion(REQUEST, (Answer("Decision: True", "stop", 1),))


@pytest.fixture
def path(tmp_path):
    """A store with one vote."""
    with Store(tmp_path / "v.sqlite") as store:
        store.add(COMPLETION, JUDGE)
    return tmp_path / "v.sqlite"


def change(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def read_all(path):
    with Store(path) as store:
        store.add(COMPLETION, JUDGE)
        return (
            store.votes(REQUEST.prompt_sha256, JUDGE),
            store.judges(),
            list(store.costs(JUDGE)),
            store.failures(JUDGE),
            list(store.answered(JUDGE)),
        )


def remade(table, columns):
    return [f"ALTER TABLE {table} RENAME TO x", f"CREATE TABLE {table} {columns}"]


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (
            ["CREATE TRIGGER t AFTER INSERT ON judges BEGIN DELETE FROM votes; END"],
            "trigger 't'",
        ),
        (["CREATE VIEW w AS SELECT load_extension('x')"], "view 'w'"),
        (
            ["DROP VIEW counted_votes", "CREATE VIEW counted_votes AS SELECT 1 AS draw"],
            "view 'counted_votes'",
        ),
        (["CREATE VIRTUAL TABLE f USING fts5(a)"], "table 'f'"),
        (
            ["DROP VIEW counted_votes", "ALTER TABLE votes RENAME TO v",
             "CREATE VIEW votes AS SELECT * FROM v"],
            "'votes'",
        ),
        (["DROP VIEW counted_votes", *remade("votes", "(a, b AS (zeroblob(1000000000)))")], "votes"),
        (["DROP TABLE failures"], "'failures'"),
        (["ALTER TABLE prompts ADD COLUMN more TEXT DEFAULT 'x'"], "'prompts'"),
        (["PRAGMA user_version = -1"], "'counted_votes'"),
        (["PRAGMA user_version = 99"], "version 99"),
        (["PRAGMA user_version = 1"], "not lossplace's"),
    ],
)  # fmt: skip
def test_a_schema_that_is_not_ours_is_refused(path, statements, found):
    change(path, *statements)
    with pytest.raises(ArtifactError) as caught:
        read_all(path)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE votes SET text = x'ff00'",
        "UPDATE votes SET draw = 'first'",
        "UPDATE votes SET output_tokens = 'many'",
        "UPDATE prompts SET question = 'who?'",
        "UPDATE judges SET settings = '[]'",
        "UPDATE judges SET settings = '{'",
        f"UPDATE judges SET settings = '{'[' * 9999}'",
        "UPDATE votes SET text = cast(x'fffe' AS TEXT)",
        f"UPDATE votes SET text = cast(zeroblob({MOST_BYTES + 1}) AS TEXT)",
    ],
)
def test_values_that_are_not_ours_are_damage(path, statement):
    change(path, statement)
    with pytest.raises(ArtifactError, match="Expected a store of votes at"):
        read_all(path)


def test_what_a_reader_added_is_let_be(path):
    change(path, "CREATE INDEX i ON votes (text)", "CREATE TABLE mine (a)", "ANALYZE")
    votes, judges, *_ = read_all(path)
    assert [vote.text for vote in votes] == ["Decision: True"]
    assert len(judges) == 1


def test_extensions_cannot_be_loaded(path):
    with Store(path) as store, pytest.raises(sqlite3.OperationalError, match="not authorized"):
        store._connection.execute("SELECT load_extension('x')")
