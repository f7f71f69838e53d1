import json
import logging
import re
import socket
from datetime import UTC, datetime, timedelta

import pytest
import zstandard

from mining.artifacts import Run
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.github import search_all
from mining.ledger import LEDGER
from mining.pages import REPOSITORIES, SEARCH, finished_search, page_name
from mining.study import SearchSettings
from mining.windows import Limits
from tests.mining.github_server import (
    NOW,
    Fault,
    GitHubServer,
    iso,
    item,
    primary_limit,
    secondary_limit,
    server_error,
)

GARBAGE = Fault(200, "<html>Log in to this network</html>")
CUT = Fault(200, json.dumps({"items": ["x" * 1000]}), cut=True)


SMALL = Limits(shown=20, per_page=5)


class Waits(list):
    """Notes the waits, and lets time pass on the server instead of here."""

    def __init__(self, server=None):
        super().__init__()
        self.server = server

    def __call__(self, seconds, why):
        self.append(seconds)
        if self.server is not None:
            self.server.virtual_now += seconds

    def now(self):
        return sum(self)


def items(count, prefix="o/r"):
    return [item(f"{prefix}{i}", stargazers_count=i) for i in range(count)]


def study(server, *architectures, **changes):
    fields = {"frameworks": ("PyTorch",), "architectures": architectures or ("CNN",)}
    return SearchSettings(**{**fields, "base_url": server.base_url, **changes})


def search(folder, server, *architectures, waits=None, tokens=None, limits=None, **changes):
    run = Run(folder)
    waits = Waits(server) if waits is None else waits
    settings = study(server, *architectures, **changes)
    limits = limits or Limits(server.shown, server.per_page)
    search_all(run, settings, lambda: tokens or (server.token,), waits, waits.now, limits)
    return run


def again(run, server, *architectures, **changes):
    """Search without a token, so that nothing can be asked."""
    limits = Limits(server.shown, server.per_page)
    return search_all(run, study(server, *architectures, **changes), no_token, limits=limits)


def row(run, query="PyTorch CNN"):
    return run.read(LEDGER).set_index("query").loc[query]


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
    assert [page.results for page in record.queries[0].pages] == [100, 100, 50]
    ledger = run.read(LEDGER).set_index("query")
    assert ledger["total_count_last"].to_dict() == {"PyTorch CNN": 250, "PyTorch GAN": 3}
    assert ledger["unique"].to_dict() == {"PyTorch CNN": 250, "PyTorch GAN": 3}
    assert ledger["pages"].to_dict() == {"PyTorch CNN": 3, "PyTorch GAN": 1}


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
    server.count = lambda query, page, total: total_count
    run = search(tmp_path, server, max_gap_percent=100)
    assert [asked.page for asked in server.asked] == list(range(1, pages + 1))
    assert len(run.read(REPOSITORIES)) == repositories
    assert row(run)["total_count_last"] == total_count


def test_what_a_reader_must_know_is_in_the_ledger(tmp_path, server):
    server.results["PyTorch CNN"][120] = item("o/r7")  # the answer moved between two pages
    server.results["PyTorch CNN"][130] = item("me/secret", private=True)
    server.incomplete = lambda text, page: (text, page) == ("PyTorch CNN", 1)
    run = search(tmp_path, server, "CNN", "RvNN")
    cnn, rvnn = row(run), row(run, "PyTorch RvNN")
    assert (cnn["unique"], cnn["duplicates"], cnn["withheld"]) == (248, 1, 1)
    assert (cnn["pages"], cnn["pages_incomplete"], cnn["retries"]) == (5, 3, 2)
    assert (cnn["gap_percent"], cnn["windows_unfinished"]) == (100 / 250, 1)
    assert (rvnn["unique"], rvnn["pages"], rvnn["gap_percent"]) == (0, 1, 0)
    stored = [page.file.rpartition("/")[2] for page in finished_search(run).queries[0].pages]
    assert stored == [
        "page-1.json.zst",
        "page-1-attempt-2.json.zst",
        "page-1-attempt-3.json.zst",
        "page-2.json.zst",
        "page-3.json.zst",
    ]


@pytest.mark.parametrize("population", ["first-1000", "all"])
def test_a_gap_is_an_error_with_the_ledger_shown(tmp_path, server, capsys, population):
    server.count = lambda query, page, total: total + 5
    changes = {"population": population, "max_gap_percent": 1.9}
    with pytest.raises(ServiceError, match=r"1\.96 % for 'PyTorch CNN'") as raised:
        search(tmp_path, server, **changes)
    assert "max_gap_percent = 1.9 %" in str(raised.value)
    shown = capsys.readouterr().err
    assert re.search(r"PyTorch CNN +255 .* 250 +0 +1\.96 %", shown)
    run = Run(tmp_path)
    assert run.sidecar(LEDGER) is not None
    assert run.sidecar(SEARCH) is None
    assert not run.path(REPOSITORIES).exists()

    # the pages were kept: a study that takes the gap needs nothing more of GitHub
    again(run, server, **{**changes, "max_gap_percent": 2})
    assert len(run.read(REPOSITORIES)) == 250


def test_an_interrupted_search_goes_on_where_it_stopped(tmp_path, server):
    server.results["PyTorch CNN"] = items(450)
    with pytest.raises(ServiceError):
        search(tmp_path, server, tokens=("ghp_another",))
    assert not (tmp_path / "search").exists()

    server.asked.clear()
    server.per_minute = 2
    with pytest.raises(ServiceError):
        search(tmp_path, server, max_wait_s=0)
    begun = json.loads((tmp_path / SEARCH).read_text())
    assert Run(tmp_path).sidecar(SEARCH) is None
    assert [asked.page for asked in server.asked] == [1, 2]

    server.budgets.clear()
    server.per_minute = 30
    run = search(tmp_path, server)
    assert [asked.page for asked in server.asked] == [1, 2, 3, 4, 5]
    assert row(run)["unique"] == 450
    assert json.loads((tmp_path / SEARCH).read_text())["as_of"] == begun["as_of"]


@pytest.mark.parametrize("population", ["first-1000", "all"])
def test_a_finished_search_is_made_again_without_network_or_token(tmp_path, server, population):
    server.shown, server.per_page, server.per_minute = 100, 10, 1000
    server.results["PyTorch CNN"] = spread(250)
    run = search(tmp_path, server, "CNN", "GAN", population=population)
    names = (REPOSITORIES, f"{REPOSITORIES}.meta.json", LEDGER, SEARCH)
    before = [run.path(name).read_bytes() for name in names]
    for name in names[:3]:
        run.path(name).unlink()
    server.asked.clear()
    again(run, server, "CNN", "GAN", population=population)
    assert [run.path(name).read_bytes() for name in names] == before
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
        ([server_error(502), primary_limit(), server_error(502)], [1, 42, 2]),
    ],
    ids=lambda value: "-".join(f"{f.status}" for f in value if isinstance(f, Fault)) or None,
)
def test_waits(tmp_path, server, faults, expected):
    server.faults.extend(faults)
    waits = Waits(server)
    run = search(tmp_path, server, waits=waits)
    assert waits == expected
    assert len(run.read(REPOSITORIES)) == 250


def test_a_limit_that_is_used_up_is_sat_out_before_it_is_overrun(tmp_path, server):
    server.per_minute = 1
    waits = Waits(server)
    search(tmp_path, server, waits=waits)
    assert waits == [61, 61]
    assert [asked.page for asked in server.asked] == [1, 2, 3]


def test_a_wait_is_announced_and_sat_out(tmp_path, server, capsys):
    server.faults.append(secondary_limit(retry_after=1))
    search_all(Run(tmp_path), study(server), lambda: (server.token,))
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
    settings, waits = study(server).model_copy(update=changes), Waits(server)
    with pytest.raises(ServiceError) as raised:
        search_all(Run(tmp_path), settings, lambda: (server.token,), waits, waits.now)
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
        search_all(Run(tmp_path), SearchSettings(base_url=base_url), lambda: ("t",))


def test_no_query(tmp_path, server):
    with pytest.raises(StudyError, match="at least one query"):
        search_all(Run(tmp_path), SearchSettings(frameworks=()), no_token)


def test_a_run_folder_of_another_github(tmp_path, server):
    search(tmp_path, server)
    with pytest.raises(ArtifactError, match="another run folder"):
        search_all(Run(tmp_path), SearchSettings(), no_token)


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
        search_all(run, study(server), no_token)
    assert str(run.path(name)) in str(raised.value)


def spread(count, prefix="o/s"):
    """Repositories a day apart, of which a third have more than one neighbour at the same day."""
    day = 86_400
    return [
        item(
            f"{prefix}{i}",
            created_at=iso(NOW - (2000 - i + i % 3) * day),
            updated_at=iso(NOW - i * 37_123 % (900 * day)),
            stargazers_count=i % 7,
        )
        for i in range(count)
    ]


@pytest.fixture
def many():
    """300 repositories at a GitHub that shows 20 of a search, five on a page."""
    with GitHubServer({"PyTorch CNN": spread(300)}, *SMALL) as running:
        running.per_minute = 10_000
        yield running


def names(run):
    return set(run.read(REPOSITORIES)["repository"])


def test_all_of_a_query_is_found(tmp_path, many):
    run = search(tmp_path, many, population="all")
    assert names(run) == {f"o/s{i}" for i in range(300)}
    ledger = row(run)
    assert (ledger["total_count_first"], ledger["total_count_last"]) == (300, 300)
    assert (ledger["unique"], ledger["duplicates"], ledger["gap_percent"]) == (300, 0, 0)
    assert ledger["pages"] == len(many.asked)
    assert ledger["pages_least"] == 60
    assert ledger["windows"] >= 15
    positions = run.read(REPOSITORIES)["search_position"]
    assert positions.is_unique


def test_a_long_query_says_how_far_it_is(tmp_path, many, monkeypatch, capsys):
    monkeypatch.setattr("mining.github._SECONDS_BETWEEN_LINES", 0.0)
    search(tmp_path, many, population="all")
    said = capsys.readouterr().err
    assert re.search(r"PyTorch CNN: 30 of about 69 pages, .* left", said)


def test_windows_are_asked_by_the_last_update(tmp_path, many):
    search(tmp_path, many, population="all")
    for asked in many.asked:
        assert re.fullmatch(r"PyTorch CNN created:\S+Z\.\.\S+Z", asked.parameters["q"])
        assert (asked.parameters["sort"], asked.parameters["order"]) == ("updated", "desc")


@pytest.mark.parametrize("after", [1, 2, 7, 40, 60])
def test_all_goes_on_with_the_next_missing_page(tmp_path, many, after):
    whole = search(tmp_path / "whole", many, population="all")
    expected = len(many.asked)
    many.asked.clear()
    many.per_minute = after
    many.budgets.clear()
    with pytest.raises(ServiceError, match="rate limit"):
        search(tmp_path / "parts", many, population="all", max_wait_s=0)
    many.per_minute = 10_000
    many.budgets.clear()
    parts = search(tmp_path / "parts", many, population="all")
    assert names(parts) == names(whole)
    asked = [(each.parameters["q"], each.page) for each in many.asked]
    twice = {each for each in asked if asked.count(each) > 1}
    whole_query = {asked[0]}  # its count is asked once more at the end
    assert twice == whole_query
    # the two searches differ by the second up to which they ask, and so in a page or two
    assert abs(len(asked) - expected) <= expected // 10


def test_what_changes_while_it_is_read_is_neither_lost_nor_doubled(tmp_path, many):
    """With each request some repositories get pushes or stars, and one gets another name."""
    found = many.results["PyTorch CNN"]

    def change(asked):
        step = len(many.asked)
        for i in range(step, 300, 41):
            found[i] = found[i] | {"updated_at": iso(NOW + step), "stargazers_count": step}
        found[step % 300] = found[step % 300] | {"full_name": f"new/name{step}"}

    many.before = change
    many.count = lambda query, page, total: total + len(many.asked) % 3 - 1
    run = search(tmp_path, many, population="all")
    table = run.read(REPOSITORIES)
    assert set(table["repository_id"]) == {each["id"] for each in found}
    assert table["repository"].is_unique
    assert row(run)["unique"] == 300


def test_a_repository_that_was_renamed_has_one_name_in_all_queries(tmp_path, server):
    server.results["PyTorch GAN"] = [item("g/new", id=77), item("g/other")]
    server.results["PyTorch CNN"] = [item("g/old", id=77)]
    table = search(tmp_path, server, "CNN", "GAN").read(REPOSITORIES)
    assert table[["query", "repository"]].values.tolist() == [
        ["PyTorch CNN", "g/new"],
        ["PyTorch GAN", "g/new"],
        ["PyTorch GAN", "g/other"],
    ]


def test_the_minute_of_a_token_is_kept(tmp_path, many):
    """Thirty requests a minute: never refused, since what is left is told with each answer."""
    many.per_minute = 30
    waits = Waits(many)
    search(tmp_path, many, population="all", waits=waits)
    minutes = (len(many.asked) - 1) // 30
    assert waits == [61] * minutes
    assert all('"message"' not in text for text in many.sent)


def test_tokens_take_turns(tmp_path, many):
    many.per_minute = 20
    many.other_tokens = {"ghp_two", "ghp_three"}
    waits = Waits(many)
    search(
        tmp_path, many, population="all", waits=waits, tokens=(many.token, "ghp_two", "ghp_three")
    )
    by_token = [asked.token for asked in many.asked]
    assert by_token[:60] == [many.token] * 20 + ["ghp_two"] * 20 + ["ghp_three"] * 20
    assert len(waits) == (len(by_token) - 1) // 60


def test_a_token_that_is_limited_is_passed_over(tmp_path, server):
    server.other_tokens = {"ghp_two"}
    server.faults.extend([secondary_limit(retry_after=600), secondary_limit(retry_after=30)])
    waits = Waits(server)
    search(tmp_path, server, waits=waits, tokens=(server.token, "ghp_two"))
    assert [asked.token for asked in server.asked] == [server.token] + ["ghp_two"] * 4
    assert waits == [30]


@pytest.mark.parametrize(
    "fault", [Fault(401, '{"message": "Bad credentials"}'), Fault(403, '{"message": "suspended"}')]
)
def test_a_bad_token_among_good_ones_is_left_out(tmp_path, server, capsys, fault):
    server.faults.append(fault)
    search(tmp_path, server, tokens=("ghp_bad", server.token))
    assert [asked.token for asked in server.asked] == ["ghp_bad"] + [server.token] * 3
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "warning" in each]
    assert "token 1 of 2" in line
    assert "going on without it" in line
    assert "ghp_bad" not in line


def test_only_bad_tokens(tmp_path, server):
    with pytest.raises(ServiceError, match="GITHUB_TOKEN") as raised:
        search(tmp_path, server, tokens=("ghp_bad", "ghp_worse"))
    assert "ghp_" not in str(raised.value)


def test_a_server_that_says_the_token_again_is_left(tmp_path, server):
    server.faults.append(Fault(200, json.dumps({"message": f"hello {server.token}"})))
    with pytest.raises(ServiceError, match="repeated in an answer") as raised:
        search(tmp_path, server)
    assert server.token not in repr(raised.value)
    assert not list(tmp_path.iterdir())


def test_an_answer_that_does_not_come_is_asked_again(tmp_path, server):
    server.faults.append(Fault(200, "{}", late_s=1.5))
    waits = Waits(server)
    run = search(tmp_path, server, waits=waits, timeout_s=1)
    assert waits[0] == 1  # and again where this machine is as slow
    assert len(run.read(REPOSITORIES)) == 250


def test_github_enterprise(tmp_path):
    """Its API is below /api/v3, and by default it has no rate limit."""
    with GitHubServer({"PyTorch CNN": spread(50)}, *SMALL, path="/api/v3") as server:
        server.per_minute = 10_000
        run = search(tmp_path, server, population="all")
        again(run, server, population="all")
    assert names(run) == {f"o/s{i}" for i in range(50)}
    assert finished_search(run).base_url.endswith("/api/v3")


@pytest.mark.parametrize(
    ("framework", "population", "words"),
    [
        ("x" * 253, "first-1000", "256 characters"),
        ("a OR b OR c OR d OR e OR f OR g", "first-1000", "five|5 operators"),
        ("PyTorch created:>2020-01-01", "all", "created:>2020-01-01"),
        ("PyTorch stars:1..5", "all", "stars:1..5"),
    ],
)
def test_a_query_that_cannot_be_asked(tmp_path, server, framework, population, words):
    settings = study(server, population=population, frameworks=(framework,))
    with pytest.raises(StudyError, match=words):
        search_all(Run(tmp_path), settings, no_token)
    assert server.asked == []


@pytest.mark.parametrize(
    ("framework", "population"),
    [
        ("x" * 252, "first-1000"),
        ("a OR b OR c OR d OR e OR f", "all"),
        ("PyTorch language:python stars:5..9", "first-1000"),
        ("PyTorch -language:" + "python" * 50, "all"),  # qualifiers do not count
    ],
)
def test_a_query_that_can_be_asked(tmp_path, server, framework, population):
    run = search(tmp_path, server, population=population, frameworks=(framework,))
    assert len(server.asked) == len(run.read(LEDGER)) == 1
