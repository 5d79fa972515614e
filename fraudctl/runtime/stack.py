"""One named stack: which profile it runs under, at which addresses, and who may change it just now."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import ConfigError, RefusedError, UnreachableError
from fraudctl.runtime.files import is_locked, locked, make_folder, write_whole
from fraudctl.runtime.ports import LOOPBACK
from fraudctl.runtime.processes import is_alive, read_record
from fraudctl.runtime.progress import Observe, Progress, silent
from fraudctl.runtime.services import kafka as kafka_service
from fraudctl.runtime.services import postgres as postgres_service

Profile = Literal["local", "external"]
ServiceName = Literal["kafka", "postgres"]


@dataclass(frozen=True)
class Ports:
    kafka: int
    controller: int
    postgres: int


@dataclass(frozen=True)
class StackState:
    """What `up` decided, so that later commands agree with it."""

    profile: Profile
    reason: str
    ports: Ports
    # What the settings asked for; `ports` differs when --any-port went round a port in use.
    configured: Ports
    database: str
    user: str
    password_file: str

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(
            bootstrap_servers=f"{LOOPBACK}:{self.ports.kafka}",
            postgres=PostgresEndpoint(
                LOOPBACK, self.ports.postgres, self.database, self.user, Path(self.password_file)
            ),
        )


def read_state(paths: StackPaths) -> StackState | None:
    """What the last `up` wrote; None before the first one.

    Raises:
        RefusedError: the file holds something else.
    """
    try:
        document = json.loads(paths.state_file.read_text(encoding="utf-8"))
        ports = {name: Ports(**document[name]) for name in ("ports", "configured")}
        return StackState(**{**document, **ports})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RefusedError(
            f"the stack's state {paths.state_file} cannot be read",
            detail=str(error),
            hint="stop the stack with `fraudctl down`, remove the file, and run `fraudctl up`",
        ) from error


def write_state(paths: StackPaths, state: StackState) -> bool:
    """Write the state down; False if it was the same already."""
    if read_state(paths) == state:
        return False
    make_folder(paths.run)
    write_whole(paths.state_file, json.dumps(asdict(state), indent=2) + "\n", mode=0o644)
    return True


def choose_profile(settings: Settings) -> tuple[Profile, str]:
    """The profile in force, and why.

    Raises:
        RefusedError: the profile is not there yet.
    """
    if settings.profile == "external":
        return "external", "the settings name it"
    if settings.profile == "docker":
        raise RefusedError(
            "the profile docker cannot run anything yet",
            detail="this version starts its services as child processes only",
            hint="use `--profile local`",
        )
    if settings.profile == "local":
        return "local", "the settings name it"
    if settings.kafka.bootstrap_servers:
        return "external", "kafka.bootstrap_servers names a broker"
    return "local", "auto: this version starts services as child processes only, Docker is not supported yet"


def planned_state(settings: Settings, paths: StackPaths, ports: Ports | None = None) -> StackState:
    """The state of the stack's own services according to the settings (and other ports, if given)."""
    profile, reason = choose_profile(settings)
    wanted = Ports(settings.kafka.port, settings.kafka.controller_port, settings.postgres.port)
    return StackState(
        profile=profile,
        reason=reason,
        ports=ports or wanted,
        configured=wanted,
        database=settings.postgres.database,
        user=settings.postgres.user,
        password_file=str(postgres_service.password_file(paths, settings.postgres)),
    )


def endpoints(
    settings: Settings, paths: StackPaths, *, need: tuple[ServiceName, ...] = ("kafka", "postgres")
) -> Endpoints:
    """Where clients find the broker and the database of this stack.

    Args:
        need: services that must be running. With the stack's own one down, whatever else answers at its
            port is somebody else's: no client may talk to it by mistake.

    Raises:
        UnreachableError: a service of the stack's own that is needed does not run.
        ConfigError: the profile is external, and the settings do not say where its services are.
        RefusedError: the stack's state cannot be read.
    """
    if choose_profile(settings)[0] == "external":
        return _external(settings, need)
    state = read_state(paths)
    remedy = "start it with `fraudctl up`" + ("" if paths.stack == "default" else f" --stack {paths.stack}")
    if state is None:
        raise UnreachableError(f"stack {paths.stack!r} is not up", detail=f"in {paths.home}", hint=remedy)
    records = {"kafka": kafka_service.record_file(paths), "postgres": postgres_service.record_file(paths)}
    for name in need:
        if not is_alive(read_record(records[name])):
            raise UnreachableError(f"{name} of stack {paths.stack!r} does not run", hint=remedy)
    return state.endpoints


def addresses(settings: Settings, paths: StackPaths) -> Endpoints:
    """The same to look at: also of a stack that is down, or was never up."""
    if choose_profile(settings)[0] == "external":
        return _external(settings, ())
    return (read_state(paths) or planned_state(settings, paths)).endpoints


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
            Path(postgres.password_file).expanduser().absolute(),
        ),
    )


@contextmanager
def changing(
    paths: StackPaths, deadline: Deadline, stop: StopFlag | None = None, observe: Observe = silent
) -> Iterator[None]:
    """Only one command at a time may start or stop a stack's services; others wait their turn.

    Raises:
        NotReadyError: another command was still at it at the deadline.
    """
    purpose = f"changing stack {paths.stack!r}"

    def tell() -> None:
        observe(Progress("stack", "note", f"another fraudctl is {purpose}; waiting for it to finish"))

    with locked(paths.root / "lock", deadline, purpose=purpose, stop=stop, on_wait=tell):
        yield


def being_changed(paths: StackPaths) -> bool:
    """Is a command starting or stopping services of this stack right now?"""
    return is_locked(paths.root / "lock")
