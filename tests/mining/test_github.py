import json
import logging
import re
import socket
from datetime import UTC, datetime, timedelta

import pytest
import zstandard

from mining.artifacts import Run
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.github import find_token, search_all
from mining.pages import REPOSITORIES, SEARCH, finished_search, page_name
from mining.study import SearchSettings
from tests.mining.github_server import (
    Fault,
    GitHubServer,
    item,
    primary_limit,
    secondary_limit,
    server_error,
)

GARBAGE = Fault(200, "<html>Log in to this network</html>")
CUT = Fault(200, json.dumps({"items": ["x" * 1000]}), cut=True)


class Waits(list):
    """Notes the waits and sits out none."""

    def __call__(self, seconds, why):
        self.append(seconds)


def items(count, prefix="o/r"):
    return [item(f"{prefix}{i}", stargazers_count=i) for i in range(count)]


def study(server, *architectures, **changes):
    fields = {"frameworks": ("PyTorch",), "architectures": architectures or ("CNN",)}
    return SearchSettings(**fields, base_url=server.base_url, **changes)


def search(folder, server, *architectures, waits=None, **changes):
    run = Run(folder)
    waits = Waits() if waits is None else waits
    search_all(run, study(server, *architectures, **changes), lambda: server.token, waits)
    return run


def no_token():
    raise AssertionError("a token was asked for")


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server():
    with GitHubServer({"PyTorch CNN": items(250), "PyTorch GAN": items(3, "g/")}) as running:
        yield running


def test_a_search_leaves_pages_a_table_and_a_record(tmp_path, server):
    run = search(tmp_path, server, "CNN", "GAN")

    table = run.read(REPOSITORIES)
    assert table["query"].value_counts().to_dict() == {"PyTorch CNN": 250, "PyTorch GAN": 3}
    assert table["search_position"].tolist() == [*range(1, 251), 1, 2, 3]
    assert table["repository"][:250].tolist() == [f"o/r{i}" for i in range(250)]
    assert table["stars"][:250].tolist() == list(range(250))

    record = finished_search(run)
    assert timedelta() <= datetime.now(UTC) - record.as_of < timedelta(hours=1)
    assert [(q.query, q.total_count, q.repositories) for q in record.queries] == [
        ("PyTorch CNN", 250, 250),
        ("PyTorch GAN", 3, 3),
    ]
    assert [page.results for page in record.queries[0].pages] == [100, 100, 50]
    assert record.warnings == []


def test_pages_are_kept_to_the_byte(tmp_path, server):
    run = search(tmp_path, server)
    stored = [
        zstandard.decompress(run.path(page_name("PyTorch CNN", n)).read_bytes()).decode()
        for n in (1, 2, 3)
    ]
    assert stored == server.sent
    assert "–" in stored[0]


def test_a_request_is_github_s_default_search(tmp_path, server):
    search(tmp_path, server)
    asked = server.asked[0]
    assert asked.parameters == {"q": "PyTorch CNN", "per_page": "100", "page": "1"}
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"] == "2022-11-28"
    assert asked.headers["user-agent"].startswith("lossplace/")


@pytest.mark.parametrize(
    ("results", "total_count", "pages", "repositories"),
    [
        (0, 0, 1, 0),
        (1, 1, 1, 1),
        (100, 100, 1, 100),
        (101, 101, 2, 101),
        (1000, 1000, 10, 1000),
        (1001, 12_679, 10, 1000),
        (150, 500, 3, 150),  # GitHub counts more than it gives: asked until nothing comes
    ],
)
def test_pages_asked(tmp_path, server, results, total_count, pages, repositories):
    server.results["PyTorch CNN"] = items(results)
    server.total_counts["PyTorch CNN"] = total_count
    run = search(tmp_path, server)
    assert [asked.page for asked in server.asked] == list(range(1, pages + 1))
    assert len(run.read(REPOSITORIES)) == repositories
    assert finished_search(run).queries[0].total_count == total_count


def test_what_a_reader_must_know_is_said(tmp_path, server):
    server.results["PyTorch CNN"][120] = item("o/r7")  # the answer moved between two pages
    server.results["PyTorch CNN"][130] = item("me/secret", private=True)
    server.incomplete.add(("PyTorch CNN", 1))
    record = finished_search(search(tmp_path, server, "CNN", "RvNN"))
    cnn, rvnn = record.queries
    assert (cnn.repositories, cnn.repeated, cnn.withheld) == (248, 1, 1)
    assert [page.incomplete for page in cnn.pages] == [True, False, False]
    assert (rvnn.repositories, len(rvnn.pages)) == (0, 1)
    assert [re.search("'.*'", warning)[0] for warning in record.warnings] == [
        "'PyTorch CNN'",
        "'PyTorch RvNN'",
    ]


def test_an_interrupted_search_goes_on_where_it_stopped(tmp_path, server):
    server.results["PyTorch CNN"] = items(450)
    server.token, good = "ghp_another", server.token
    with pytest.raises(ServiceError):
        search_all(Run(tmp_path), study(server), lambda: good, Waits())
    assert not (tmp_path / "search").exists()

    server.token = good
    server.remaining = 2
    with pytest.raises(ServiceError):
        search(tmp_path, server, max_wait_s=0)
    begun = json.loads((tmp_path / SEARCH).read_text())
    assert Run(tmp_path).sidecar(SEARCH) is None

    server.remaining = 30
    server.asked.clear()
    record = finished_search(search(tmp_path, server))
    assert [asked.page for asked in server.asked] == [3, 4, 5]
    assert record.queries[0].repositories == 450
    assert json.loads((tmp_path / SEARCH).read_text())["as_of"] == begun["as_of"]


def test_a_finished_search_is_made_again_without_network_or_token(tmp_path, server):
    run = search(tmp_path, server, "CNN", "GAN")
    settings = study(server, "CNN", "GAN")
    files = [run.path(n) for n in (REPOSITORIES, f"{REPOSITORIES}.meta.json", SEARCH)]
    before = [file.read_bytes() for file in files]
    for file in files[:2]:
        file.unlink()
    server.asked.clear()
    search_all(run, settings, no_token, Waits())
    assert [file.read_bytes() for file in files] == before
    assert server.asked == []


def test_a_query_that_is_added_is_the_only_one_asked(tmp_path, server):
    search(tmp_path, server, "CNN")
    server.asked.clear()
    run = search(tmp_path, server, "GAN", "CNN")
    assert [asked.query for asked in server.asked] == ["PyTorch GAN"]
    assert run.read(REPOSITORIES)["query"].unique().tolist() == ["PyTorch GAN", "PyTorch CNN"]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([], []),
        ([primary_limit(reset_in=42)], [43]),
        ([primary_limit(429, reset_in=42)], [43]),
        ([primary_limit(reset_in=-5)], [1]),
        ([secondary_limit(403, retry_after=7)], [7]),
        ([secondary_limit(429, retry_after=7)], [7]),
        ([secondary_limit(429, retry_after=0)], [1]),
        ([secondary_limit()] * 3, [60, 120, 240]),
        ([secondary_limit(429)], [60]),
        ([Fault(429, "slow down")], [60]),
        ([server_error(502)], [1]),
        ([server_error(500), server_error(503), CUT, GARBAGE], [1, 2, 4, 8]),
        ([Fault(200, "")], [1]),
        ([server_error(502), primary_limit(), server_error(502)], [1, 43, 2]),
    ],
    ids=lambda value: "-".join(f"{f.status}" for f in value if isinstance(f, Fault)) or None,
)
def test_waits(tmp_path, server, faults, expected):
    server.faults.extend(faults)
    waits = Waits()
    run = search(tmp_path, server, waits=waits)
    assert waits == expected
    assert len(run.read(REPOSITORIES)) == 250


def test_a_limit_that_is_used_up_is_sat_out_before_it_is_overrun(tmp_path, server):
    server.remaining = 1
    waits = Waits()

    def refill(seconds, why):
        waits.append(seconds)
        server.remaining = 30

    search_all(Run(tmp_path), study(server), lambda: server.token, refill)
    assert waits == [61]
    assert [asked.page for asked in server.asked] == [1, 2, 3]


def test_a_wait_is_announced_and_sat_out(tmp_path, server, capsys):
    server.faults.append(secondary_limit(retry_after=1))
    search_all(Run(tmp_path), study(server), lambda: server.token)
    assert "rate limit for searches is reached; waiting 1 s" in capsys.readouterr().err


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.parametrize(
    ("faults", "changes", "words"),
    [
        ([Fault(401, '{"message": "Bad credentials"}')], {}, ["token", "Bad credentials"]),
        ([Fault(401, "")], {}, ["token", "status 401"]),
        ([primary_limit()], {"max_wait_s": 42}, ["rate limit", "max_wait_s = 42", "43 s"]),
        ([secondary_limit(403, 7000)], {}, ["rate limit", "1 h 56 min"]),
        ([secondary_limit(429, 7000)], {}, ["rate limit", "1 h 56 min"]),
        ([secondary_limit()] * 9, {"max_wait_s": 400}, ["rate limit"]),
        ([secondary_limit()], {"max_wait_s": 59}, ["rate limit", "1 min 0 s"]),
        ([server_error(503)] * 5, {}, ["status 503", "5 times"]),
        ([GARBAGE] * 5, {}, ["not JSON", "5 times"]),
        ([CUT] * 5, {}, ["no answer", "5 times"]),
        ([Fault(200, '{"total_count": 1}')] * 5, {}, ["items", "5 times"]),
        ([Fault(404, '{"message": "Not Found"}')], {}, ["search.base_url", "Not Found"]),
        ([Fault(422, '{"message": "Validation\\nFailed"}')], {}, ["Validation Failed"]),
        ([Fault(403, '{"message": "Use \\u001b[1mSSO"}')], {}, ["Use [1mSSO"]),
        ([Fault(301, "", {"Location": "http://127.0.0.2/"})], {}, ["redirection"]),
        ([], {"base_url": f"http://127.0.0.1:{closed_port()}"}, ["Connection refused", "5 times"]),
        ([], {"base_url": "http://nowhere.invalid"}, ["no answer", "5 times"]),
    ],
)
def test_errors(tmp_path, server, caplog, capsys, faults, changes, words):
    caplog.set_level(logging.DEBUG)
    server.faults.extend(faults)
    settings = study(server).model_copy(update=changes)
    with pytest.raises(ServiceError) as raised:
        search_all(Run(tmp_path), settings, lambda: server.token, Waits())
    message = str(raised.value)
    assert message.startswith("Expected ") and ", found " in message and message.isprintable()
    assert [word for word in words if word not in message] == []
    assert server.token not in message + caplog.text + capsys.readouterr().err


def test_the_token_is_nowhere(tmp_path, server, caplog):
    caplog.set_level(logging.DEBUG)
    search(tmp_path, server)
    assert server.asked[0].headers["authorization"].endswith(server.token)
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 4
    assert not any(server.token.encode() in content for content in kept)
    assert server.token not in caplog.text


@pytest.mark.parametrize("base_url", ["api.github.com", "ftp://host", "http://h:port", "http://"])
def test_an_address_that_is_none(tmp_path, base_url):
    with pytest.raises(StudyError, match=r"search\.base_url"):
        search_all(Run(tmp_path), SearchSettings(base_url=base_url), lambda: "t", Waits())


def test_no_query(tmp_path, server):
    with pytest.raises(StudyError, match="at least one query"):
        search_all(Run(tmp_path), SearchSettings(frameworks=()), no_token, Waits())


def test_a_run_folder_of_another_github(tmp_path, server):
    search(tmp_path, server)
    with pytest.raises(ArtifactError, match="another run folder"):
        search_all(Run(tmp_path), SearchSettings(), no_token, Waits())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (page_name("PyTorch CNN", 2), b"\x28\xb5\x2f\xfd garbage", "damaged"),
        (page_name("PyTorch CNN", 2), zstandard.compress(b"{}"), "damaged"),
        (page_name("PyTorch CNN", 2), b"", "damaged"),
        (SEARCH, b"{", "damaged"),
        (SEARCH, None, "it is gone"),
    ],
)
def test_a_damaged_run_folder(tmp_path, server, name, content, words):
    run = search(tmp_path, server)
    if content is None:
        run.path(name).unlink()
    else:
        run.path(name).write_bytes(content)
    with pytest.raises(ArtifactError, match=words) as raised:
        search_all(run, study(server), no_token, Waits())
    assert str(run.path(name)) in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "gh", "expected"),
    [
        ("ghp_a", None, "ghp_a"),
        (" ghp_a\n", None, "ghp_a"),
        ("ghp_a", "echo gho_b", "ghp_a"),
        ("", "echo gho_b", "gho_b"),
        (None, "echo gho_b", "gho_b"),
        (None, "echo gho_b; exit 1", None),
        (None, "exit 0", None),
        (None, None, None),
        ("ghp_a b", None, None),
        ("ghp_ä", None, None),
    ],
)
def test_find_token(tmp_path, monkeypatch, variable, gh, expected):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    if variable is not None:
        monkeypatch.setenv("GITHUB_TOKEN", variable)
    if gh is not None:
        script = tmp_path / "gh"
        script.write_text(f'#!/bin/sh\ntest "$*" = "auth token" || exit 9\n{gh}\n')
        script.chmod(0o755)
    if expected is not None:
        assert find_token() == expected
        return
    with pytest.raises(StudyError, match="GITHUB_TOKEN") as raised:
        find_token()
    assert not variable or variable not in str(raised.value)
