"""Each client before certificates, names that nobody has, proxies, and IPv6."""

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from classify.errors import JudgeError
from mining.errors import ServiceError
from tests.network.clients import KEY, TOKEN, bounded, classify, fetch, port_of, refused, search
from tests.network.toxic_proxy import ToxicProxy


def certificate(folder, name, host="127.0.0.1", days=1, issuer=None):
    """Make a key and a certificate, signed by an issuer's or by itself; return their files."""
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
