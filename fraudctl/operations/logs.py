"""Read the logs of a stack's services, and follow them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fraudctl.clock import StopFlag
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime.files import tail

_POLL_SECONDS = 0.2


class Service(StrEnum):
    KAFKA = "kafka"
    POSTGRES = "postgres"
    DETECTOR = "detector"


@dataclass(frozen=True)
class LogsRequest:
    """`service` None means all of them; `lines` is how many of each to begin with."""

    paths: StackPaths
    service: Service | None
    lines: int
    follow: bool


@dataclass(frozen=True)
class LogLine:
    service: Service
    text: str


def logs(request: LogsRequest, *, stop: StopFlag, on_line: Callable[[LogLine], None]) -> None:
    """Hand out the last lines, then (with `follow`) every new one until `stop` is set.

    Raises:
        RefusedError: there is no log yet, and nothing to wait for was asked for.
    """
    services = (request.service,) if request.service else tuple(Service)
    files = {service: request.paths.logs / f"{service}.log" for service in services}
    if not request.follow and not any(file.is_file() for file in files.values()):
        raise RefusedError(
            f"there is no log of {request.service or 'any service'} in stack {request.paths.stack!r}",
            detail=f"in {request.paths.logs}",
            hint="run `fraudctl up` first",
        )
    followed = {service: _Followed(file) for service, file in files.items()}
    for service, file in files.items():
        for text in tail(file, request.lines):
            on_line(LogLine(service, text))
    while request.follow and not stop.is_set:
        for service, source in followed.items():
            for text in source.new_lines():
                on_line(LogLine(service, text))
        stop.wait(_POLL_SECONDS)


class _Followed:
    """A log file that grows, is rotated away, or is still to come."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._identity, self._position = self._now()

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
