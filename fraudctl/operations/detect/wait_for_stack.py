"""Find the services of a stack, waiting for one that another command is bringing up."""

from fraudctl.broker import topics
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database import migrations
from fraudctl.errors import ConfigError, RefusedError, UnreachableError
from fraudctl.progress import Observe, Progress
from fraudctl.runtime import stack

_POLL_SECONDS = 0.5


def wait_for_stack(settings: Settings, paths: StackPaths, *, stop: StopFlag, observe: Observe) -> Endpoints:
    """Return the endpoints once broker, topic and migrated database answer.

    It waits as long as a command is changing this stack, and then `timeouts.stack_grace_seconds` more,
    because an `up` may be about to start.

    Raises:
        UnreachableError: broker or database does not answer.
        RefusedError: they answer, but the topic or the migrations are missing.
        ConfigError: the settings lack an address, or the database refuses the connection.
        KeyboardInterrupt: `stop` was set.
    """
    grace = Deadline(settings.timeouts.stack_grace_seconds)
    told = False
    while True:
        try:
            return _look(settings, paths)
        except (UnreachableError, RefusedError, ConfigError) as error:
            if stack.being_changed(paths):
                grace = Deadline(settings.timeouts.stack_grace_seconds)
            elif grace.expired:
                raise
            if not told:
                observe(Progress("stack", "begun", f"waiting for it ({error.message})"))
                told = True
        if stop.wait(_POLL_SECONDS):
            raise KeyboardInterrupt


def _look(settings: Settings, paths: StackPaths) -> Endpoints:
    found = stack.endpoints(settings, paths)
    seconds = settings.timeouts.connect_seconds
    topics.identity(found.bootstrap_servers, settings.kafka.topic, timeout_seconds=seconds)
    report = migrations.status(found.postgres, connect_seconds=seconds)
    if report.pending:
        names = ", ".join(migration.name for migration in report.pending)
        raise RefusedError(
            "the database lacks migrations", detail=f"pending: {names}", hint="run `fraudctl migrate`"
        )
    return found
