"""Each fault of a network before each client: a bounded wait, one sentence, nothing wrong kept."""

import gzip
import shutil
import socket
import sqlite3
import ssl
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from classify import classification
from classify.errors import JudgeError
from classify.judges import client as judge_client
from classify.judges import servers
from classify.pipeline import plan
from classify.plan import Terms
from mining import connection
from mining import pipeline as mining
from mining.artifacts import Run
from mining.errors import ServiceError
from mining.fetch import fetch_repositories
from mining.github import search_all
from mining.pages import REPOSITORIES, SEARCH
from mining.study import CorpusSettings, ScaleSettings, SearchSettings, Study, override
from tests.classify.judges.llm_server import LLMServer, completion
from tests.mining.git_server import GitServer, Host
from tests.mining.github_server import GitHubServer, item
from tests.opening import begin
from tests.toxic_proxy import (
    Latency,
    LimitData,
    ResetPeer,
    Says,
    Slicer,
    SlowClose,
    Timeout,
    ToxicProxy,
    answer,
    bandwidth,
)

TOKEN = "ghp_markedToken"
KEY = "sk-marked-key"
MOST_BYTES = 1 << 20
HURRY_S = 0.2
"""The time for a request that is never to be answered."""
BOUND_S = 60
"""Far more than any of the bounds below add up to, and far less than a hang."""

BOMB = gzip.compress(bytes(64 * MOST_BYTES))
LOGIN = b"<html><title>Log in to this network</title></html>"
JSON = "Content-Type: application/json"


def chunked(*headers):
    return "\r\n".join(("HTTP/1.1 200 x", "Transfer-Encoding: chunked", *headers, "", "")).encode()


GETS_THROUGH = [
    pytest.param(Latency(0.02, 0.02), id="latency and jitter"),
    pytest.param(Slicer(7), id="in pieces of seven bytes"),
    pytest.param(bandwidth(40_000), id="40 kB a second"),
    pytest.param(SlowClose(0.1), id="closed late"),
]
NO_ANSWER = {
    "a byte now and then": Slicer(1, delay=0.05),
    "a byte of the body now and then": Slicer(1, delay=0.05, after=200),
    "never answered": Timeout(),
    "gone within the head": Timeout(30),
    "gone within the body": Timeout(300),
    "reset": ResetPeer(),
    "reset within the head": ResetPeer(30),
    "reset within the body": ResetPeer(300),
    "closed": LimitData(),
    "closed within the head": LimitData(30),
    "closed within the body": LimitData(300),
    "a header without end": Says(b"HTTP/1.1 200 x\r\nX: ", b"x" * 10_000),
    "headers without end": Says(b"HTTP/1.1 200 x\r\n", b"X: x\r\n" * 100, 0.001),
    "chunks without end": Says(chunked(), b"2710\r\n" + b" " * 10_000 + b"\r\n"),
    "empty chunks now and then": Says(chunked(), b"1\r\n \r\n", 0.05),
    "gigabytes": Says(b"HTTP/1.1 200 x\r\nContent-Length: 9999999999\r\n\r\n", b" " * 60_000),
    "a bomb": answer(200, BOMB, JSON, "Content-Encoding: gzip"),
    "a login page": answer(200, LOGIN, "Content-Type: text/html"),
    "no JSON": answer(200, b"{", JSON),
    "no UTF-8": answer(200, b'{"items": ["\xff\xfe"]}', JSON),
    "deep JSON": answer(200, b"[" * 200_000, JSON),
    "no HTTP": Says(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "work in progress": answer(202, b"{}", JSON),
    "no content": answer(204),
    "a redirection to no address": answer(308, b"", "Location: http://[::1"),
    "a gateway's error": answer(502, LOGIN, "Content-Type: text/html"),
    "a network's login": answer(511, LOGIN, "Content-Type: text/html"),
}
ELSEWHERE = {
    "a login page elsewhere": answer(302, b"", "Location: http://login.example/"),
    "a file": answer(301, b"", "Location: file:///etc/passwd"),
    "itself": answer(301, b"", "Location: /search/repositories"),
    "nowhere": answer(307),
}


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


class Waits(list):
    def __call__(self, seconds, why):
        self.append(seconds)

    def now(self):
        return sum(self)


# the search


@pytest.fixture
def github():
    with GitHubServer({"PyTorch CNN": [item(f"o/r{i}") for i in range(3)]}) as server:
        server.token = TOKEN
        yield server


def search(folder, port, scheme="http", host="127.0.0.1", **settings):
    waits = Waits()
    fields = {"frameworks": ("PyTorch",), "architectures": ("CNN",)}
    study = SearchSettings(**fields, base_url=f"{scheme}://{host}:{port}", **settings)
    run = Run(folder)
    search_all(run, study, lambda: (TOKEN,), waits, waits.now)
    return run


def artifacts(folder):
    """Return the bytes of each file of a run; what says when it was made is left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "search.json" and not path.name.startswith(".")
    }


@contextmanager
def bounded():
    """Fail after a bound that no clock of a busy machine reaches."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < BOUND_S


def refused(raised, *words):
    message = str(raised.value)
    assert message.startswith("Expected ") and ", found " in message and message.isprintable()
    assert [word for word in words if word not in message] == []
    assert TOKEN not in message and KEY not in message


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
            search(tmp_path / "run", proxy.port, timeout_s=HURRY_S)
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


# a judge


@pytest.fixture
def model():
    """A server that says yes to what adds."""

    def say(body):
        text = body["messages"][-1]["content"]
        return completion([f"Hm.\nDecision: {'+ w' in text}"] * body["n"])

    with LLMServer(say) as server:
        yield server


@pytest.fixture(scope="module")
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


def classify(extracted, folder, port, scheme="http", host="127.0.0.1", **settings):
    study, run = extracted
    if not folder.exists():
        shutil.copytree(run.folder, folder)
    address = f"{scheme}://{host}:{port}/v1"
    judge = {"kind": "openai", "model": "tiny", "base_url": address, "votes": 3, **settings}
    run = Run(folder)
    classification.classify(override(study, judge=judge), run)
    return run


def votes(run):
    with sqlite3.connect(run.path(classification.STORE)) as store:
        return sorted(store.execute("SELECT prompt_sha256, draw, text FROM votes"))


@pytest.mark.parametrize("toxic", GETS_THROUGH)
def test_a_judge_gets_through(tmp_path, extracted, model, toxic):
    with ToxicProxy(model.port, toxic) as proxy:
        classify(extracted, tmp_path / "run", proxy.port)


@pytest.mark.parametrize("fault", NO_ANSWER | ELSEWHERE)
def test_a_judge_without_an_answer_ends_and_goes_on(tmp_path, extracted, model, fault):
    folder = tmp_path / "run"
    with ToxicProxy(model.port, (NO_ANSWER | ELSEWHERE)[fault]) as proxy:
        with bounded(), pytest.raises(JudgeError) as raised:
            classify(extracted, folder, proxy.port, timeout_s=HURRY_S)
        refused(raised, f"127.0.0.1:{proxy.port}")
        assert not Run(folder).path(classification.PLACEMENTS).exists()
        proxy.toxics = ()
        run = classify(extracted, folder, proxy.port)
        again = classify(extracted, tmp_path / "other", proxy.port)
    assert len(votes(run)) > 4
    assert votes(run) == votes(again)
    name = classification.PLACEMENTS
    assert run.path(name).read_bytes() == again.path(name).read_bytes()


# git


@pytest.fixture
def host(tmp_path):
    (tmp_path / "host").mkdir()
    Host(tmp_path / "host").add("ada/net", {"a.py": b"print(1)\n" * 999})
    with GitServer(tmp_path / "host") as server:
        yield server


def fetch(folder, port, scheme="http", host="127.0.0.1", names=("ada/net",), **settings):
    url = f"{scheme}://{host}:{port}/{{repository}}.git"
    run = Run(folder)
    corpus, wanted = CorpusSettings(clone_url=url, **settings), dict.fromkeys(names)
    return fetch_repositories(run, wanted, corpus, Waits(), scale=ScaleSettings())


def port_of(server):
    return server.server_address[1]


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
            fetch(tmp_path / "run", proxy.port, timeout_s=1)
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
        fetch(tmp_path / "run", proxy.port, timeout_s=1)
    refused(raised, "not fetched within 1 s")


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


@pytest.mark.parametrize(
    "fault", ["a byte now and then", "reset within the body", "a login page", "a bomb"]
)
def test_a_plan_without_an_answer_ends_and_goes_on(tmp_path, extracted, model, fault):
    study, run = extracted[0], Run(shutil.copytree(extracted[1].folder, tmp_path / "run"))
    with ToxicProxy(model.port, NO_ANSWER[fault]) as proxy:
        address = f"http://127.0.0.1:{proxy.port}/v1"
        judge = {"kind": "openai", "model": "tiny", "base_url": address, "votes": 3}
        with bounded(), pytest.raises(JudgeError) as raised:
            plan(override(study, judge=judge | {"timeout_s": HURRY_S}), run, Terms(), pilot=2)
        refused(raised, f"127.0.0.1:{proxy.port}")
        proxy.toxics = ()
        planned = plan(override(study, judge=judge), run, Terms(), pilot=2)
    assert planned.pilot is not None
    assert planned.paid.sum() > 0


def test_no_prompt_and_no_key_goes_where_a_server_says(tmp_path, extracted, model):
    with ToxicProxy(model.port) as other:
        for status in (301, 302, 307, 308):
            there = f"Location: http://127.0.0.1:{other.port}/v1/chat/completions"
            with ToxicProxy(model.port, answer(status, b"", there)) as proxy:
                with pytest.raises(JudgeError) as raised:
                    classify(extracted, tmp_path / f"{status}", proxy.port)
                refused(raised, f"a redirection to http://127.0.0.1:{other.port}")
        assert not other.heads


# TLS, names, proxies, IPv6


def certificate(folder, name, host="127.0.0.1", days=1, issuer=None):
    """Make a key and a certificate, signed by an issuer's or by itself; return their files."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    issuer_key, issuer_name = issuer or (key, subject)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return files, (key, subject)


def tls(folder, name, **properties):
    files, _ = certificate(folder, name, **properties)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """Return the one who signs; all clients trust it."""
    (file, _), issuer = certificate(tmp_path, "authority")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO"):
        monkeypatch.setenv(name, str(file))
    return issuer


TLS = {
    "self-signed": ({}, "self-signed"),
    "expired": ({"days": -1}, "expired"),
    "of another host": ({"host": "127.0.0.9"}, "mismatch"),
}


@pytest.mark.parametrize("fault", TLS)
def test_a_certificate_that_is_not_valid(
    tmp_path, github, extracted, model, host, authority, fault
):
    properties, words = TLS[fault]
    context = tls(
        tmp_path, "host", **properties, issuer=None if fault == "self-signed" else authority
    )
    with ToxicProxy(github._http.server_port, tls=context) as proxy:
        with pytest.raises(ServiceError) as raised:
            search(tmp_path / "run", proxy.port, "https")
        refused(raised, f"127.0.0.1:{proxy.port}", "certificate", words)
    with ToxicProxy(model.port, tls=context) as proxy:
        with pytest.raises(JudgeError) as raised:
            classify(extracted, tmp_path / "judged", proxy.port, "https")
        refused(raised, f"127.0.0.1:{proxy.port}", words)
    with ToxicProxy(port_of(host), tls=context) as proxy:
        with pytest.raises(ServiceError) as raised:
            fetch(tmp_path / "fetched", proxy.port, "https")
        refused(raised, f"127.0.0.1:{proxy.port}", "ertificate", "does not answer")
    assert not github.asked
    assert not model.asked
    assert not host.requests
    assert not any(TOKEN.encode() in head or KEY.encode() in head for head in proxy.heads)


def test_a_certificate_of_a_known_authority(tmp_path, github, extracted, model, host, authority):
    context = tls(tmp_path, "host", issuer=authority)
    with ToxicProxy(github._http.server_port, tls=context) as proxy:
        search(tmp_path / "run", proxy.port, "https")
    with ToxicProxy(model.port, tls=context) as proxy:
        classify(extracted, tmp_path / "judged", proxy.port, "https")
    with ToxicProxy(port_of(host), tls=context) as proxy:
        assert not fetch(tmp_path / "fetched", proxy.port, "https")[1]


def test_tls_where_there_is_none(tmp_path, github, extracted, model):
    with pytest.raises(ServiceError) as raised:
        search(tmp_path / "run", github._http.server_port, "https")
    refused(raised, "127.0.0.1")
    with pytest.raises(JudgeError) as raised:
        classify(extracted, tmp_path / "judged", model.port, "https")
    refused(raised, "127.0.0.1")
    with pytest.raises(ServiceError) as raised:
        fetch(tmp_path / "fetched", github._http.server_port, "https")
    refused(raised, "127.0.0.1", "does not answer")


@pytest.mark.parametrize(
    ("host", "words"),
    [("nowhere.invalid", "Name or service|known|resol"), ("127.0.0.1", "refused")],
)
def test_nobody_there(tmp_path, extracted, host, words):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with bounded(), pytest.raises(ServiceError, match=words) as raised:
        search(tmp_path / "run", port, host=host)
    refused(raised, host)
    with bounded(), pytest.raises(JudgeError) as raised:
        classify(extracted, tmp_path / "judged", port, host=host)
    refused(raised, host)
    with bounded(), pytest.raises(ServiceError) as raised:
        fetch(tmp_path / "fetched", port, "https", host)
    refused(raised, host, "does not answer")


def test_a_proxy_that_is_down(tmp_path, github, extracted, model, host, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening.getsockname()[1]}")
    with pytest.raises(ServiceError) as raised:
        search(tmp_path / "run", github._http.server_port)
    refused(raised, "its proxy: Connection refused")
    with pytest.raises(JudgeError) as raised:
        classify(extracted, tmp_path / "judged", model.port)
    refused(raised, "http_proxy")
    with pytest.raises(ServiceError) as raised:
        fetch(tmp_path / "fetched", port_of(host))
    refused(raised, "does not answer")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    search(tmp_path / "run", github._http.server_port)
    classify(extracted, tmp_path / "judged", model.port)
    assert not fetch(tmp_path / "fetched", port_of(host))[1]


def test_ipv6_alone(tmp_path, github, extracted, model, host):
    try:
        with ToxicProxy(github._http.server_port, host="::1") as proxy:
            search(tmp_path / "run", proxy.port, host="[::1]")
        with ToxicProxy(model.port, host="::1") as proxy:
            classify(extracted, tmp_path / "judged", proxy.port, host="[::1]")
        with ToxicProxy(port_of(host), host="::1") as proxy:
            assert not fetch(tmp_path / "fetched", proxy.port, host="[::1]")[1]
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
