"""Run a command inside the container of a service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime import stack
from fraudctl.runtime.driver import ServiceName


@dataclass(frozen=True)
class ExecuteRequest:
    settings: Settings
    paths: StackPaths
    service: ServiceName
    argv: Sequence[str]
    environ: Mapping[str, str]


def execute(request: ExecuteRequest, *, on_output: Callable[[bytes, bool], None]) -> int:
    """The command's exit code; `on_output` is given what it writes, with True for stderr.

    Raises:
        RefusedError: the service does not run in a container, or does not run.
        UnreachableError: the engine does not answer.
    """
    profile = stack.choose_profile(request.settings, request.paths)[0]
    driver = stack.driver_of(profile, request.settings, request.paths, request.environ)
    if request.service not in driver.services():
        raise RefusedError(
            f"this stack has no {request.service}",
            hint=f"it has {', '.join(driver.services())}; docker.profiles adds more",
        )
    return driver.execute(request.service, request.argv, on_output)
