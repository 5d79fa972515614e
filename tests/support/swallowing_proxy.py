"""A proxy before PostgreSQL that swallows what a client asks for at the start, as some poolers do."""

import contextlib
import socket
import struct
from threading import Thread

from fraudctl.config.endpoints import PostgresEndpoint

# Start-up parameters that every server needs; all others are left out.
_PASSED_ON = (b"user", b"database")
_KEY_DATA = b"K"


class SwallowingProxy:
    """Forwards from a port of its own; use as a context manager.

    Args:
        made_up_process: tell clients another process id than the server's, as poolers do.
    """

    def __init__(self, endpoint: PostgresEndpoint, *, made_up_process: bool = False) -> None:
        self._target = (endpoint.host, endpoint.port)
        self._made_up_process = made_up_process
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.swallowed: set[bytes] = set()
        self.clients = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> "SwallowingProxy":
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._target)
                self.clients += 1
                self._open += [client, server]
                server.sendall(self._startup(client))
                Thread(target=self._requests, args=(client, server), daemon=True).start()
                Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _startup(self, client: socket.socket) -> bytes:
        """Read the client's first message, and return it without what is swallowed."""
        length = struct.unpack("!I", _exactly(client, 4))[0]
        message = _exactly(client, length - 4)
        words = message[4:].rstrip(b"\0").split(b"\0")
        pairs = list(zip(words[::2], words[1::2], strict=False))
        self.swallowed |= {name for name, _value in pairs if name not in _PASSED_ON}
        body = b"".join(name + b"\0" + value + b"\0" for name, value in pairs if name in _PASSED_ON)
        return struct.pack("!I", 8 + len(body) + 1) + message[:4] + body + b"\0"

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either end is gone
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        """Pass messages on one by one until the server is ready, then whatever comes."""
        with contextlib.suppress(OSError):
            kind = b""
            while kind != b"Z":
                kind, length = _exactly(server, 1), _exactly(server, 4)
                rest = _exactly(server, struct.unpack("!I", length)[0] - 4)
                if kind == _KEY_DATA and self._made_up_process:
                    rest = struct.pack("!I", 7) + rest[4:]
                client.sendall(kind + length + rest)
            while data := server.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = source.recv(count - len(found))
        if not more:
            raise OSError("closed")
        found += more
    return found
