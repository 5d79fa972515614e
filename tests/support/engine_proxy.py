"""A socket before the engine's own that falls silent for ever once a certain request, if any, has come by."""

import contextlib
import socket
import threading
from pathlib import Path


class EngineProxy:
    """Listens at `path`, hands everything on to `target`; `dies_at` is a piece of a request's first line."""

    def __init__(self, path: Path, target: str, dies_at: str | None = None) -> None:
        self.path = path
        self._target = target
        self._dies_at = dies_at.encode() if dies_at else None
        self._dead = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def has_died(self) -> bool:
        return self._dead.is_set()

    def close(self) -> None:
        """As an engine that is killed: its socket refuses, and every connection is cut."""
        self._dead.set()
        self._listener.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while not self._dead.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._target)
            self._open += [client, engine]
            threading.Thread(target=self._hand_on, args=(client, engine, True), daemon=True).start()
            threading.Thread(target=self._hand_on, args=(engine, client, False), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, requests: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if requests and self._dies_at is not None and self._dies_at in piece:
                    self.close()
                    return
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
