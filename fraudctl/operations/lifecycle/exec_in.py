"""`fraudctl exec`: run a command inside the container of a service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime import stack
from fraudctl.runtime.driver import ServiceName


@dataclass(frozen=True)
class ExecuteRequest:
    """A request to run the command line `argv` in the container of `service`."""

    settings: Settings
    paths: StackPaths
    service: ServiceName
    argv: Sequence[str]
    environ: Mapping[str, str]


def execute(request: ExecuteRequest, *, on_output: Callable[[bytes, bool], None]) -> int:
    """Run the command, and return its exit code.

    Args:
        request: the service and the command.
        on_output: is called with each piece of output, and True if it comes from stderr.

    Raises:
        RefusedError: the stack has no such service, or it does not run, or not in a container.
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
