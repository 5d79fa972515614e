"""`fraudctl restart`: stop one service or all, and bring the stack up again."""

from dataclasses import dataclass

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import RefusedError
from fraudctl.operations.lifecycle.up import UpReport, UpRequest, up
from fraudctl.progress import Observe
from fraudctl.runtime import stack
from fraudctl.runtime.driver import ServiceName


@dataclass(frozen=True)
class RestartRequest:
    """A request to restart a service, or all of them if `service` is None."""

    up: UpRequest
    service: ServiceName | None


def restart(request: RestartRequest, *, stop: StopFlag, observe: Observe) -> UpReport:
    """Stop the service or all services cleanly, and bring the stack up again.

    Nothing is lost, and nothing but the services is changed. A running detector waits for them.

    Raises:
        RefusedError: this stack has no such service, or was never up.
        FraudctlError: for the same reasons as in `up`.
    """
    settings, paths = request.up.settings, request.up.paths
    profile = stack.choose_profile(settings, paths)[0]
    if profile != "external" and stack.read_state(paths) is None:
        raise RefusedError(
            f"stack {paths.stack!r} was never up", detail=f"in {paths.home}", hint="run `fraudctl up`"
        )
    driver = stack.driver_of(profile, settings, paths, request.up.environ)
    if request.service is not None and request.service not in driver.services():
        raise RefusedError(
            f"this stack has no {request.service}",
            hint=f"it has {', '.join(driver.services())}; docker.profiles adds more",
        )
    deadline = Deadline(settings.timeouts.down_seconds)
    with stack.changing(paths, deadline, stop, observe):
        for service in driver.services():
            if request.service in (None, service):
                driver.halt(service, deadline, observe)
    return up(request.up, stop=stop, observe=observe)
