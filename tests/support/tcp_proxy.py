"""A proxy between a client and PostgreSQL that fails on command: at COMMIT, or by falling silent.

It follows the protocol only as far as it must to find a COMMIT, so a cut falls exactly where it is meant to,
whatever packets the bytes happen to come in.
"""

import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from threading import Event, Lock, Thread

# Requests that come before the startup message, in its form, on the same connection.
_NEGOTIATIONS = {80877103, 80877104}  # SSLRequest, GSSENCRequest
_CHUNK = 65536
_COMMIT = b"COMMIT\0"
_COPY_DONE = b"c"


class Cut(Enum):
    """Where a connection is cut, seen from a COMMIT."""

    BEFORE = "the server never sees the COMMIT"
    DURING = "the server is given the COMMIT, and nobody waits for its answer"
    AFTER = "the server has committed, and its answer is lost"


@dataclass
class ClientMessages:
    """Splits what a client sends into whole messages; the rest waits for more bytes."""

    pending: bytes = b""
    started: bool = False

    def feed(self, data: bytes) -> list[bytes]:
        self.pending += data
        whole = []
        while (length := self._length()) and len(self.pending) >= length:
            message, self.pending = self.pending[:length], self.pending[length:]
            if not self.started:
                self.started = struct.unpack_from("!I", message, 4)[0] not in _NEGOTIATIONS
            whole.append(message)
        return whole

    def _length(self) -> int:
        """Of the next message, once it has come; before the start messages have no type byte."""
        kind = 1 if self.started else 0
        if len(self.pending) < kind + 4:
            return 0
        return int(struct.unpack_from("!I", self.pending, kind)[0]) + kind


def is_commit(message: bytes) -> bool:
    """A simple query (Q) or a statement to be parsed (P) that is COMMIT and nothing else."""
    return message[:1] in (b"Q", b"P") and message[5:].lstrip(b"\0").startswith(_COMMIT)


@dataclass(eq=False)
class _Line:
    """One client's connection, and the proxy's own to the server."""

    client: socket.socket
    server: socket.socket
    messages: ClientMessages = field(default_factory=ClientMessages)
    mute: bool = False  # bytes were lost: it can never be right again
    copied: bool = False  # rows were copied in since the last COMMIT
    # Called when the server answers a COMMIT, instead of telling the client.
    awaited: Callable[[], None] | None = None

    def reset(self) -> None:
        """The client's end breaks with an error, the server's with an orderly end."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        for side, how in ((self.client, socket.SHUT_RD), (self.server, socket.SHUT_RDWR)):
            with contextlib.suppress(OSError):  # it is gone already
                side.shutdown(how)  # wakes up whoever reads from it
            side.close()


class TcpProxy:
    """Forwards from a port of its own on 127.0.0.1 to `host`:`port`; use as a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._lock = Lock()
        self._lines: list[_Line] = []
        self._unheard: list[socket.socket] = []
        self._planned: tuple[Cut, Callable[[], None], bool] | None = None
        self._silent = False

    def __enter__(self) -> "TcpProxy":
        self._start(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for line in self._lines:
                line.close()
            for client in self._unheard:
                client.close()

    def cut_at_commit(
        self, where: Cut, note: Callable[[], None] = lambda: None, *, of_copy: bool = False
    ) -> Event:
        """Cut the connection of whoever is next to send COMMIT; the event is set when that is done.

        `of_copy`: only of a transaction in which rows were copied in, as the landing of a batch does.
        `note` is called when it comes to that, before the client can notice anything.
        """
        done = Event()

        def noted() -> None:
            note()
            done.set()

        with self._lock:
            self._planned = (where, noted, of_copy)
        return done

    def fall_silent(self) -> None:
        """Nobody hears anything any more: bytes and ends are swallowed, new connections get no answer."""
        self._silent = True

    def speak_again(self) -> None:
        """Serve new connections. One that has lost bytes stays mute: it is for its two ends to give it up."""
        self._silent = False

    @staticmethod
    def _start(work: Callable[..., None], *given: object) -> None:
        Thread(target=work, args=given, name="tcp proxy", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return  # closed
            if self._silent:
                with self._lock:
                    self._unheard.append(client)
                continue
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                client.close()  # as a server that is down would
                continue
            server.settimeout(None)
            line = _Line(client, server)
            with self._lock:
                self._lines.append(line)
            self._start(self._pump, line, line.client, self._to_server)
            self._start(self._pump, line, line.server, self._to_client)

    def _pump(self, line: _Line, source: socket.socket, deliver: Callable[[_Line, bytes], None]) -> None:
        with contextlib.suppress(OSError):  # either end is gone: that is an end, too
            while data := source.recv(_CHUNK):
                line.mute = line.mute or self._silent
                if not line.mute:
                    deliver(line, data)
        if not (line.mute or self._silent):
            line.close()

    def _to_server(self, line: _Line, data: bytes) -> None:
        for message in line.messages.feed(data):
            line.copied = line.copied or message[:1] == _COPY_DONE
            if not (is_commit(message) and self._cut(line, message)):
                line.server.sendall(message)

    @staticmethod
    def _to_client(line: _Line, data: bytes) -> None:
        if line.awaited is None:
            line.client.sendall(data)
            return
        line.awaited()
        line.reset()

    def _cut(self, line: _Line, commit: bytes) -> bool:
        """Do to this COMMIT what was planned; False when nothing was."""
        with self._lock:
            copied, line.copied = line.copied, False
            planned = self._planned
            if planned is None or (planned[2] and not copied):
                return False
            self._planned = None
        where, note, _ = planned
        if where is Cut.AFTER:
            line.awaited = note
            line.server.sendall(commit)
            return True
        note()
        if where is Cut.DURING:
            line.mute = True  # however fast the answer is, it must not get through
            line.server.sendall(commit)
        line.reset()
        return True
