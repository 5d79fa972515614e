"""`fraudctl logs`: read the logs of a stack's services, and follow them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fraudctl.clock import StopFlag
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime import stack
from fraudctl.runtime.driver import LogSource
from fraudctl.runtime.log_files import LogFile, Service

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LogsRequest:
    """A request for logs: of all services if `service` is None, beginning with the last `lines` of each."""

    settings: Settings
    paths: StackPaths
    service: Service | None
    lines: int
    follow: bool
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogLine:
    """One line of a service's log, without its line end."""

    service: Service
    text: str


def logs(request: LogsRequest, *, stop: StopFlag, on_line: Callable[[LogLine], None]) -> None:
    """Pass on the last lines, and then with `follow` every new one until `stop` is set.

    Raises:
        RefusedError: there is no log yet and `follow` is not set, or the stack has no such service.
        UnreachableError: the services are containers, and their engine does not answer.
    """
    sources = _sources(request)
    if not request.follow and not any(source.exists() for source in sources.values()):
        raise RefusedError(
            f"there is no log of {request.service or 'any service'} in stack {request.paths.stack!r}",
            detail=f"in {request.paths.logs}",
            hint="run `fraudctl up` first",
        )
    for service, source in sources.items():
        for text in source.tail(request.lines):
            on_line(LogLine(service, text))
    while request.follow and not stop.is_set:
        for service, source in sources.items():
            for text in source.new_lines():
                on_line(LogLine(service, text))
        stop.wait(_POLL_SECONDS)


def _sources(request: LogsRequest) -> dict[Service, LogSource]:
    """Return the log of each service; the detector's is a file on this machine under every profile."""
    detector = {Service.DETECTOR: LogFile(request.paths.logs / "detector.log")}
    if request.service is Service.DETECTOR:
        return dict(detector)
    profile = stack.choose_profile(request.settings, request.paths)[0]
    if profile == "external":
        return dict(detector)
    driver = stack.driver_of(profile, request.settings, request.paths, request.environ)
    sources = {Service(name): driver.log(name) for name in driver.services()}
    if request.service is not None and request.service not in sources:
        raise RefusedError(
            f"this stack has no {request.service}",
            hint=f"it has {', '.join(sources)}; docker.profiles adds more",
        )
    if request.service is not None:
        return {name: source for name, source in sources.items() if name is request.service}
    return sources | detector
