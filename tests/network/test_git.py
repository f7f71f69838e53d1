"""Each fault before git: a bounded wait, one sentence, no repository dropped for it."""

import pytest

from mining.errors import ServiceError
from tests.mining.git_server import Host
from tests.network.clients import bounded, fetch, port_of, refused
from tests.network.faults import ELSEWHERE, GETS_THROUGH, NO_ANSWER
from tests.network.toxic_proxy import Latency, Says, ToxicProxy, answer


@pytest.mark.parametrize("toxic", GETS_THROUGH)
def test_a_fetch_gets_through(tmp_path, host, toxic):
    with ToxicProxy(port_of(host), toxic) as proxy:
        done, dropped = fetch(tmp_path / "run", proxy.port)
    assert (list(done), dropped) == (["ada/net"], [])


ALIKE = ("no JSON", "no UTF-8", "deep JSON", "work in progress", "chunks without end", "a bomb")
"""What differs from others only for those who read JSON."""


@pytest.mark.parametrize("fault", [f for f in NO_ANSWER | ELSEWHERE if f not in ALIKE])
def test_a_fetch_without_an_answer_ends_and_goes_on(tmp_path, host, fault):
    with ToxicProxy(port_of(host), (NO_ANSWER | ELSEWHERE)[fault]) as proxy:
        with bounded(), pytest.raises(ServiceError) as raised:
            fetch(tmp_path / "run", proxy.port, timeout_s=0.5)
        refused(raised, f"127.0.0.1:{proxy.port}", "does not answer")
        assert not list(tmp_path.glob("run/clones/*.git"))
        proxy.toxics = ()
        done, dropped = fetch(tmp_path / "run", proxy.port)
    assert (list(done), dropped) == (["ada/net"], [])


def test_a_network_that_wants_a_login_in_between_drops_nothing(tmp_path, host):
    Host(host.folder).add("bob/net", {"a.py": b"1"})
    with ToxicProxy(port_of(host)) as proxy:
        fetch(tmp_path / "run", proxy.port)
        proxy.toxics = (NO_ANSWER["a login page"],)
        with pytest.raises(ServiceError, match="a web page in place of a repository"):
            fetch(tmp_path / "run", proxy.port, names=("ada/net", "bob/net"))
        proxy.toxics = ()
        done, dropped = fetch(tmp_path / "run", proxy.port, names=("ada/net", "bob/net"))
    assert (list(done), dropped) == (["ada/net", "bob/net"], [])


def test_git_takes_no_more_memory_than_it_may(tmp_path, host, monkeypatch):
    monkeypatch.setattr("mining.git._FETCH_MEMORY", 150 * 2**20)
    body = Says(b"HTTP/1.1 200 x\r\nContent-Length: 9999999999\r\n\r\n", b" " * 2**20)
    with ToxicProxy(port_of(host), body) as proxy, pytest.raises(ServiceError, match="emory"):
        fetch(tmp_path / "run", proxy.port, max_repository_bytes=10_000)


def test_what_a_repository_may_take_holds_also_where_it_is_asked_again(tmp_path, host):
    with ToxicProxy(port_of(host), Latency(0.6)) as proxy, pytest.raises(ServiceError) as raised:
        fetch(tmp_path / "run", proxy.port, timeout_s=0.5)
    refused(raised, "not fetched within 0.5 s")


def test_a_header_of_the_user_s_goes_to_no_other_host(tmp_path, host):
    with ToxicProxy(port_of(host), host="127.0.0.2") as other:
        there = f"http://127.0.0.2:{other.port}/ada/net.git/info/refs?service=git-upload-pack"
        with ToxicProxy(port_of(host), answer(302, b"", f"Location: {there}")) as proxy:
            (tmp_path / ".gitconfig").write_text(
                f'[http "http://127.0.0.1:{proxy.port}/"]\n'
                "extraHeader = Authorization: Basic marked\n"
            )
            with pytest.raises(ServiceError, match="302"):
                fetch(tmp_path / "run", proxy.port)
            assert any(b"Basic marked" in head for head in proxy.heads)
            assert not other.heads
            (tmp_path / ".gitconfig").unlink()
            assert fetch(tmp_path / "run", proxy.port)[0].keys() == {"ada/net"}
