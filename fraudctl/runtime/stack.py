"""One named stack: its profile, its addresses, and the lock of the command that changes it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths, user_path
from fraudctl.errors import ConfigError, RefusedError, UnreachableError
from fraudctl.progress import Observe, Progress, silent
from fraudctl.runtime.driver import Driver, ServiceName
from fraudctl.runtime.files import is_locked, locked
from fraudctl.runtime.local.driver import LocalDriver
from fraudctl.runtime.ports import LOOPBACK
from fraudctl.runtime.state import (
    Ports,
    Profile,
    StackState,
    planned_state,
    read_state,
    write_state,
)

if TYPE_CHECKING:  # load Docker's SDK only where there are containers
    from fraudctl.runtime.docker.driver import DockerDriver

__all__ = [
    "Ports",
    "Profile",
    "StackState",
    "addresses",
    "being_changed",
    "changing",
    "choose_profile",
    "container_driver",
    "driver_of",
    "endpoints",
    "planned_state",
    "read_state",
    "unused_settings",
    "write_state",
]


def choose_profile(
    settings: Settings, paths: StackPaths, environ: Mapping[str, str] | None = None
) -> tuple[Profile, str]:
    """Return the profile to use, and why.

    The profile in the settings comes first, then what the stack's first `up` chose. Only a new stack with the
    profile `auto` looks for an engine, and only if `environ` is given.

    Raises:
        RefusedError: the stack's state cannot be read.
    """
    if settings.profile != "auto":
        return settings.profile, "the settings name it"
    if settings.kafka.bootstrap_servers:
        return "external", "kafka.bootstrap_servers names a broker"
    state = read_state(paths)
    if state is not None:
        return state.profile, state.reason
    if environ is None:
        return "local", "auto: nobody has looked for Docker yet"
    from fraudctl.runtime.docker.choice import docker_suits

    suits, reason = docker_suits(settings, environ)
    return ("docker" if suits else "local"), reason


def unused_settings(settings: Settings, profile: Profile) -> tuple[str, ...]:
    """Return a line for each setting that names a service elsewhere, under a profile that runs its own."""
    if profile == "external":
        return ()
    remedy = "only the profile external uses it"
    named = {"kafka.bootstrap_servers": settings.kafka.bootstrap_servers}
    if settings.postgres.host not in (LOOPBACK, "localhost"):
        named["postgres.host"] = settings.postgres.host
    return tuple(
        f"{key} = {value} is not used: this stack runs services of its own ({remedy})"
        for key, value in named.items()
        if value
    )


def driver_of(
    profile: Profile, settings: Settings, paths: StackPaths, environ: Mapping[str, str] | None = None
) -> Driver:
    """Return the driver that runs the services of a stack under this profile.

    A stack stays with the engine that it was first brought up on, unless `environ` names another one.

    Raises:
        UnreachableError: the engine does not answer.
        RefusedError: the profile external runs nothing.
    """
    if profile == "local":
        return LocalDriver(settings, paths, environ or {})
    if profile == "external":
        raise RefusedError(
            "there is nothing to start or stop: the profile external uses services that run elsewhere",
            hint="run `fraudctl migrate`, then `fraudctl status`",
        )
    state = read_state(paths)
    given = environ or {}
    if state is not None and state.engine and not (given.get("DOCKER_HOST") or given.get("DOCKER_CONTEXT")):
        from fraudctl.runtime.docker.address import EngineAddress
        from fraudctl.runtime.docker.driver import DockerDriver

        address = EngineAddress(state.engine, "the stack's state", state.engine_tls)
        return DockerDriver(settings, paths, address)
    return container_driver(settings, paths, given)


def container_driver(settings: Settings, paths: StackPaths, environ: Mapping[str, str]) -> "DockerDriver":
    """Return the driver for the engine that `environ` names, whatever the stack's state says.

    Raises:
        UnreachableError: no engine answers.
        RefusedError: it runs on another machine.
    """
    from fraudctl.runtime.docker.address import find_engine
    from fraudctl.runtime.docker.driver import DockerDriver

    return DockerDriver(settings, paths, find_engine(environ))


def endpoints(
    settings: Settings, paths: StackPaths, *, need: tuple[ServiceName, ...] = ("kafka", "postgres")
) -> Endpoints:
    """Return the addresses at which clients find the broker and the database of this stack.

    Args:
        settings: the settings of this command.
        paths: the files and folders of the stack.
        need: services that must be running. With the stack's own one down, whatever else answers at its port
            is somebody else's: no client may talk to it by mistake.

    Raises:
        UnreachableError: a service of the stack's own that is needed does not run.
        ConfigError: the profile is external, and the settings do not say where its services are.
        RefusedError: the state cannot be read, or names another profile or database than the settings.
    """
    profile = choose_profile(settings, paths)[0]
    if profile == "external":
        return _external(settings, need)
    state = read_state(paths)
    remedy = "start it with `fraudctl up`"
    if state is None:
        raise UnreachableError(f"stack {paths.stack!r} is not up", detail=f"in {paths.home}", hint=remedy)
    if state.profile != profile:
        raise RefusedError(
            f"stack {paths.stack!r} was brought up under the profile {state.profile}, not {profile}",
            hint="leave --profile and FRAUDCTL_PROFILE away, or choose another stack with --stack",
        )
    if settings.postgres.database != state.database:
        raise RefusedError(
            f"the settings name the database {settings.postgres.database}, and stack {paths.stack!r} uses "
            f"{state.database}",
            hint=f"{remedy} to change over to it, or take the setting back",
        )
    looks = driver_of(state.profile, settings, paths).look() if need else {}
    for name in need:
        if name not in looks or not looks[name].running:
            raise UnreachableError(f"{name} of stack {paths.stack!r} does not run", hint=remedy)
    return state.endpoints


def addresses(settings: Settings, paths: StackPaths, profile: Profile) -> Endpoints:
    """Return the stack's addresses for display, also of a stack that is down or was never up."""
    if profile == "external":
        return _external(settings, ())
    state = read_state(paths)
    if state is None or state.profile != profile:
        state = planned_state(settings, paths, profile, "")
    return state.endpoints


def _external(settings: Settings, need: tuple[ServiceName, ...]) -> Endpoints:
    wanted = {
        "kafka": ("kafka.bootstrap_servers", settings.kafka.bootstrap_servers),
        "postgres": ("postgres.password_file", settings.postgres.password_file),
    }
    for key, value in (wanted[name] for name in need or wanted):
        if not value:
            raise ConfigError(
                f"the profile external needs {key}",
                hint=f"set it in your settings file, or as FRAUDCTL_{key.upper().replace('.', '__')}",
            )
    postgres = settings.postgres
    return Endpoints(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        postgres=PostgresEndpoint(
            postgres.host,
            postgres.port,
            postgres.database,
            postgres.user,
            user_path(postgres.password_file, "postgres.password_file"),
            external=True,
        ),
        writer_password_file=user_path(postgres.writer_password_file, "postgres.writer_password_file")
        if postgres.writer_password_file
        else None,
    )


@contextmanager
def changing(
    paths: StackPaths, deadline: Deadline, stop: StopFlag | None = None, observe: Observe = silent
) -> Iterator[None]:
    """Hold the lock that lets one command at a time start or stop a stack's services; others wait for it.

    Raises:
        NotReadyError: another command still held the lock at the deadline.
    """
    purpose = f"changing stack {paths.stack!r}"

    def tell() -> None:
        observe(Progress("stack", "note", f"another fraudctl is {purpose}; waiting for it to finish"))

    with locked(paths.root / "lock", deadline, purpose=purpose, stop=stop, on_wait=tell):
        yield


def being_changed(paths: StackPaths) -> bool:
    """Tell whether a command is starting or stopping services of this stack right now."""
    return is_locked(paths.root / "lock")
