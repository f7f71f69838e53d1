"""Each fault before a search: a bounded wait, one sentence, nothing wrong kept."""

import pytest

from mining.errors import ServiceError
from mining.pages import REPOSITORIES, SEARCH
from tests.network.clients import HURRY_S, TOKEN, bounded, refused, search
from tests.network.faults import ELSEWHERE, GETS_THROUGH, NO_ANSWER
from tests.network.toxic_proxy import ToxicProxy, answer


def artifacts(folder):
    """Return the bytes of each file of a run; what says when it was made is left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "search.json" and not path.name.startswith(".")
    }


@pytest.mark.parametrize("toxic", GETS_THROUGH)
def test_a_search_gets_through(tmp_path, github, toxic):
    with ToxicProxy(github._http.server_port, toxic) as proxy:
        assert len(search(tmp_path / "run", proxy.port).read(REPOSITORIES)) == 3


@pytest.mark.parametrize("fault", NO_ANSWER)
def test_a_search_without_an_answer_ends_and_goes_on(tmp_path, github, fault):
    with ToxicProxy(github._http.server_port, NO_ANSWER[fault]) as proxy:
        with bounded(), pytest.raises(ServiceError) as raised:
            search(tmp_path / "run", proxy.port, timeout_s=HURRY_S)
        refused(raised, f"127.0.0.1:{proxy.port}", "5 times", "search.base_url")
        assert not (tmp_path / "run" / SEARCH).exists()
        proxy.toxics = ()
        run = search(tmp_path / "run", proxy.port)
        again = search(tmp_path / "other", proxy.port)
    assert len(run.read(REPOSITORIES)) == 3
    kept = [artifacts(each.folder) for each in (run, again)]
    assert {k: v for k, v in kept[0].items() if "meta" not in k} == {
        k: v for k, v in kept[1].items() if "meta" not in k
    }


@pytest.mark.parametrize("fault", ELSEWHERE)
def test_a_search_follows_no_redirection(tmp_path, github, fault):
    with ToxicProxy(github._http.server_port, ELSEWHERE[fault]) as proxy:
        with bounded(), pytest.raises(ServiceError) as raised:
            search(tmp_path / "run", proxy.port)
        refused(raised, f"127.0.0.1:{proxy.port}", "redirection", "search.base_url")
        assert len(proxy.heads) == 1
    assert not github.asked


@pytest.mark.parametrize(
    "header",
    [
        "X-RateLimit-Remaining: inf",
        "X-RateLimit-Remaining: 1e999",
        f"X-RateLimit-Remaining: {'9' * 5000}",
        "X-RateLimit-Reset: yesterday",
        "X-RateLimit-Limit: 30\r\nX-RateLimit-Limit: 30\r\nX-RateLimit-Remaining: 1, 1",
        "Date: Mon, 99 Foo 99999 00:00:00 GMT\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1",
        "Date: Fri, 01 Jan 99999 00:00:00 GMT\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1",
        f"Retry-After: {'9' * 400}",
        "Content-Type: text/html; charset=ebcdic-cp-be",
        "Content-Type: application/json; charset=none\r\nContent-Type: image/png",
        "Set-Cookie: a=b; Domain=example.com",
        "Link: <http://elsewhere.example/>; rel=next",
        "X-Odd: \xff\xfe",
    ],
)
def test_odd_headers_beside_a_good_page(tmp_path, github, header):
    body = github.answer(
        "/search/repositories?q=PyTorch+CNN", {"authorization": f"token {TOKEN}"}
    ).body.encode()
    with ToxicProxy(github._http.server_port, answer(200, body, header)) as proxy:
        assert len(search(tmp_path / "run", proxy.port).read(REPOSITORIES)) == 3


def test_a_limit_without_end_is_not_waited_for(tmp_path, github):
    fault = answer(403, b"", "X-RateLimit-Remaining: 0", f"X-RateLimit-Reset: {10**14}")
    with ToxicProxy(github._http.server_port, fault) as proxy:
        with pytest.raises(ServiceError) as raised:
            search(tmp_path / "run", proxy.port)
        refused(raised, "max_wait_s")
