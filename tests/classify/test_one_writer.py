"""Two commands in one run: who writes is alone, who reads goes on beside."""

import pytest

from tests.holding import holding


@pytest.fixture
def held(tmp_path):
    """A run into which another process writes, and that process."""
    (tmp_path / "run").mkdir()
    (tmp_path / "corpus" / "o__one").mkdir(parents=True)
    (tmp_path / "corpus" / "o__one" / "a.py").write_text("def a(): pass\n")
    (tmp_path / "s.toml").write_text('[corpus]\nlocal = "corpus"\n')
    with holding(tmp_path / "run") as process:
        yield process


WRITES = ["run", "search", "rank", "fetch", "extract", "plan", "classify", "paper", "types"]


def test_the_second_writer_is_refused_in_one_sentence(held, lossplace, tmp_path):
    for command in (*WRITES, "report"):
        status, out, err = lossplace(command, "s.toml", "--run-dir", "run")
        assert (status, out) == (1, ""), command
        assert f"found another lossplace at work there (process {held.pid} on " in err, command
        assert err.count("\n") == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "command", [["status"], ["plan", "--pilot", "0"], ["classify", "--dry-run"], ["evaluate"]]
)
def test_who_reads_goes_on_beside_a_writer(held, lossplace, command):
    _, _, err = lossplace(*command, "s.toml", "--run-dir", "run")
    assert "at work" not in err


def test_the_next_may_write_when_the_first_has_ended(held, lossplace):
    held.communicate()
    assert lossplace("extract", "s.toml", "--run-dir", "run")[0] == 1  # as nothing is fetched
    assert lossplace("fetch", "s.toml", "--run-dir", "run")[0] == 0
    assert lossplace("extract", "s.toml", "--run-dir", "run")[0] == 0
