"""Another protocol at an address is named, instead of a client's misreading of its answer."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fraudctl import protocols
from fraudctl.broker import topics
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect
from fraudctl.errors import UnreachableError

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """A server that does `serve` with each client, one after the other; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def work() -> None:
            while True:
                try:
                    client = listening.accept()[0]
                except OSError:
                    return
                with client, suppress(OSError):
                    client.settimeout(2)
                    serve(client)

        threading.Thread(target=work, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def says(beginning: bytes, answer: bytes) -> Serve:
    """Answer a question that begins so, and hang up at any other."""

    def serve(client: socket.socket) -> None:
        if client.recv(64).startswith(beginning):
            client.sendall(answer)

    return serve


def http(client: socket.socket) -> None:
    client.recv(64)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


postgresql = says(b"\0\0\0\x08", b"N")
kafka = says(b"\0\0\0\x0a\0\x12", b"\0\0\0\x0a\0\0\0\x01\0\x23\0\0\0\0")


def ssh(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    client.recv(64)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as wrapped:
            wrapped.recv(1)

    return serve


@pytest.mark.parametrize(
    ("serve", "name"),
    [(http, "HTTP"), (ssh, "SSH"), (postgresql, "PostgreSQL"), (kafka, "Kafka"), (says(b"?", b""), "")],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_protocol_is_recognised(serve: Serve, name: str) -> None:
    with serving(serve) as address:
        assert protocols.spoken_at(address) == name


def test_tls_is_recognised(tls: Serve) -> None:
    with serving(tls) as address:
        assert protocols.spoken_at(address) == "TLS"
        told = protocols.told_otherwise(address, protocols.KAFKA)
        assert told.endswith("and fraudctl speaks to brokers without TLS")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-port", "127.0.0.1:99999", "", "a..b:80"])
def test_where_nobody_answers_nothing_is_recognised(address: str) -> None:
    assert protocols.spoken_at(address) == ""


def test_a_broker_that_speaks_http_is_named() -> None:
    with serving(http) as address:
        with pytest.raises(UnreachableError, match="Kafka does not answer") as caught:
            topics.probe(address, timeout_seconds=2)
        told = f"something that speaks HTTP answers at {address}, no Kafka broker"
        assert caught.value.detail == told


def test_a_database_that_speaks_http_is_named(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret", encoding="utf-8")
    with serving(http) as address:
        host, _, port = address.partition(":")
        endpoint = PostgresEndpoint(host, int(port), "d", "u", tmp_path / "pw", external=True)
        with pytest.raises(UnreachableError, match="PostgreSQL does not answer") as caught:
            connect(endpoint, application="test", timeout_seconds=2)
        assert caught.value.detail == f"something that speaks HTTP answers at {address}, no PostgreSQL server"


def test_the_protocol_that_was_expected_is_no_finding() -> None:
    with serving(postgresql) as address:
        assert protocols.told_otherwise(address, protocols.POSTGRESQL) == ""
        assert "speaks PostgreSQL" in protocols.told_otherwise(f"127.0.0.1:1,{address}", protocols.KAFKA)
