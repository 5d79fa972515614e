"""A port in use names its holder."""

import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from fraudctl.errors import RefusedError
from fraudctl.runtime import ports
from fraudctl.runtime.ports import Holder, free_port, is_free, require_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_free_port_is_free() -> None:
    port = free_port()
    assert is_free(port)
    require_free(port, service="kafka", setting="kafka.port")


def test_a_free_port_is_not_one_that_a_connection_could_be_given() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", free_port()))
        server.listen()
        client.connect(server.getsockname())
        assert client.getsockname()[1] in ports._near_ends()
    assert not {free_port() for _ in range(20)} & set(ports._near_ends())


def test_a_free_port_avoids_what_is_planned_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    two = (free_port(), free_port())
    monkeypatch.setattr(ports, "_LASTING", two)
    assert free_port(frozenset({two[0]})) == two[1]


def test_a_free_port_is_found_where_every_port_may_be_given_to_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "_near_ends", lambda: range(1024, 65_536))
    first, second = free_port(), free_port()
    offered = iter([first, second])

    class Offering(socket.socket):
        def getsockname(self) -> tuple[str, int]:
            return "127.0.0.1", next(offered)

    monkeypatch.setattr(ports.socket, "socket", Offering)
    assert free_port(frozenset({first})) == second


def test_the_holder_is_named_with_the_remedy(taken: int) -> None:
    assert not is_free(taken)
    with pytest.raises(RefusedError) as caught:
        require_free(taken, service="kafka", setting="kafka.port")
    name = psutil.Process().name()
    assert caught.value.message == f"port {taken} for kafka is held by {name} (pid {os.getpid()})"
    assert "kafka.port (or FRAUDCTL_KAFKA__PORT)" in caught.value.hint
    assert "--any-port" in caught.value.hint
    assert int(caught.value.exit_code) == 3


def test_a_holder_that_may_not_be_seen_is_said_to_be_so(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.psutil, "net_connections", lambda kind: [])
    with pytest.raises(RefusedError, match="a process that this user may not see"):
        require_free(taken, service="postgres", setting="postgres.port")
    assert ports.holder(taken) == Holder(None, "", "")


def test_a_long_command_line_is_cut(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _self: ["x" * 500])
    assert ports.holder(taken).command == "x" * 160 + " …"
