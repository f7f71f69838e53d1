import pytest

from classify.judges import client as judge_client
from classify.judges import servers
from mining import connection
from mining import pipeline as mining
from mining.artifacts import Run
from mining.study import Study, override
from tests.classify.judges.llm_server import LLMServer, completion
from tests.mining.git_server import GitServer, Host
from tests.mining.github_server import GitHubServer, item
from tests.network.clients import KEY, TOKEN
from tests.network.faults import MOST_BYTES
from tests.opening import begin


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No proxy and no configuration of this machine, and no patience."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(connection, "MOST_BYTES", MOST_BYTES)
    monkeypatch.setattr(judge_client, "MOST_BYTES", MOST_BYTES)
    monkeypatch.setattr(servers, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(servers, "RETRIES", 1)
    monkeypatch.setattr(servers, "TIMES_GONE", 2)


@pytest.fixture
def github():
    with GitHubServer({"PyTorch CNN": [item(f"o/r{i}") for i in range(3)]}) as server:
        server.token = TOKEN
        yield server


@pytest.fixture
def model():
    """A server that says yes to what adds."""

    def say(body):
        text = body["messages"][-1]["content"]
        return completion([f"Hm.\nDecision: {'+ w' in text}"] * body["n"])

    with LLMServer(say) as server:
        yield server


@pytest.fixture(scope="session")
def extracted(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("extracted")
    place = tmp_path / "corpus/o__one/train.py"
    place.parent.mkdir(parents=True)
    place.write_text("def a(x, w):\n    return x + w\ndef b(x):\n    return x\n")
    study = override(Study(name="s"), corpus={"local": tmp_path / "corpus"})
    run = Run(tmp_path / "extracted")
    mining.fetch(*begin(study, run))
    mining.extract(study, run)
    return study, run


@pytest.fixture
def host(tmp_path):
    (tmp_path / "host").mkdir()
    Host(tmp_path / "host").add("ada/net", {"a.py": b"print(1)\n" * 999})
    with GitServer(tmp_path / "host") as server:
        yield server
