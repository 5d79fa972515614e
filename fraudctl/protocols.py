"""Find out which protocol answers at an address, where another one was expected.

Clients tell of such a mistake in the words of their own protocol: "Invalid response size 1213486160" is the
beginning of an answer in HTTP. Asked only once a connection has failed.
"""

import socket
import ssl
import struct
from collections.abc import Callable

KAFKA = "Kafka"
POSTGRESQL = "PostgreSQL"
TLS = "TLS"
_SECONDS = 0.5
_MOST_ADDRESSES = 3
# ApiVersions, version 0, correlation id 1, no client id: https://kafka.apache.org/protocol
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
# https://www.postgresql.org/docs/current/protocol-message-formats.html
_SSL_REQUEST = struct.pack(">ii", 8, 80877103)


def told_otherwise(addresses: str, expected: str) -> str:
    """Return which other protocol answers at an address, in a line each; empty if none is recognised.

    Args:
        addresses: host:port[,host:port…].
        expected: KAFKA or POSTGRESQL.
    """
    lines = []
    for address in map(str.strip, addresses.split(",")[:_MOST_ADDRESSES]):
        found = spoken_at(address)
        if found and found != expected:
            lines.append(f"something that speaks {found} answers at {address}, {_missed(found, expected)}")
    return "\n".join(lines)


def _missed(found: str, expected: str) -> str:
    if expected == KAFKA:
        return "and fraudctl speaks to brokers without TLS" if found == TLS else "no Kafka broker"
    return "no PostgreSQL server"


def spoken_at(address: str) -> str:
    """Return the protocol of whoever answers at host:port; empty if nobody does, or it is another one."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return ""
    where = (host.strip("[]"), int(port))
    try:
        if said := _first_words(where):
            return said
        return next((name for name, speaks in _QUESTIONS.items() if speaks(where)), "")
    except (OSError, OverflowError, UnicodeError):
        return ""  # nobody is there, or the name is none


def _first_words(where: tuple[str, int]) -> str:
    """Ask in HTTP: a server of HTTP answers so, and one of SSH or mail has spoken first."""
    answer = _answer(where, b"GET / HTTP/1.0\r\n\r\n")
    beginnings = {b"HTTP/": "HTTP", b"SSH-": "SSH", b"220": "SMTP or FTP", b"-ERR": "Redis"}
    return next((name for begin, name in beginnings.items() if answer.startswith(begin)), "")


def _speaks_kafka(where: tuple[str, int]) -> bool:
    return _answer(where, _API_VERSIONS)[4:8] == struct.pack(">i", 1)


def _speaks_postgresql(where: tuple[str, int]) -> bool:
    return _answer(where, _SSL_REQUEST) in (b"S", b"N")


def _speaks_tls(where: tuple[str, int]) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # nothing is sent: only who answers is asked
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(where, _SECONDS) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        # Whoever asks for a certificate speaks TLS too.
        return "ALERT" in (error.reason or "").upper()
    except OSError:
        return False


def _answer(where: tuple[str, int], question: bytes) -> bytes:
    """Return the beginning of the answer; empty if there is none in time. A refused connection is raised."""
    with socket.create_connection(where, _SECONDS) as connection:
        try:
            connection.sendall(question)
            return connection.recv(64)
        except OSError:
            return b""


_QUESTIONS: dict[str, Callable[[tuple[str, int]], bool]] = {
    KAFKA: _speaks_kafka,
    POSTGRESQL: _speaks_postgresql,
    TLS: _speaks_tls,
}
