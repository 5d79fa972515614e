"""The log file of a service, which grows, and may be rotated or not exist yet."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from fraudctl.runtime.files import tail


class Service(StrEnum):
    """A program that writes a log."""

    KAFKA = "kafka"
    POSTGRES = "postgres"
    GRAFANA = "grafana"
    SPARK_MASTER = "spark-master"
    SPARK_WORKER = "spark-worker"
    DETECTOR = "detector"


class LogFile:
    """A `LogSource` over one file."""

    def __init__(self, file: Path) -> None:
        """Start at the present end of the file, which need not exist."""
        self._file = file
        self._identity, self._position = self._now()

    def exists(self) -> bool:
        """Tell whether the file exists."""
        return self._file.is_file()

    def tail(self, lines: int) -> list[str]:
        """Return the last `lines` lines of the file."""
        return tail(self._file, lines)

    def new_lines(self) -> Iterator[str]:
        """Yield the whole lines written since the last call; a line without an end is left for the next call.

        A file that was replaced or shortened is read from its beginning.
        """
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
