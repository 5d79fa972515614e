"""A service's log in a file, which grows and may be rotated away or still to come."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from fraudctl.runtime.files import tail


class Service(StrEnum):
    """Whoever writes a log."""

    KAFKA = "kafka"
    POSTGRES = "postgres"
    GRAFANA = "grafana"
    SPARK_MASTER = "spark-master"
    SPARK_WORKER = "spark-worker"
    DETECTOR = "detector"


class LogFile:
    """A `LogSource` over one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._identity, self._position = self._now()

    def exists(self) -> bool:
        return self._file.is_file()

    def tail(self, lines: int) -> list[str]:
        return tail(self._file, lines)

    def new_lines(self) -> Iterator[str]:
        """Whole lines only: what has no end yet is left for the next time."""
        identity, size = self._now()
        if identity != self._identity or size < self._position:
            self._identity, self._position = identity, 0
        if size == self._position:
            return
        with self._file.open("rb") as stream:
            stream.seek(self._position)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                yield line.decode("utf-8", errors="replace").rstrip("\r\n")

    def _now(self) -> tuple[int, int]:
        if not self._file.is_file():
            return 0, 0
        found = self._file.stat()
        return found.st_ino, found.st_size
