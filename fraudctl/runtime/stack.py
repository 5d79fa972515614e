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
from fraudctl.errors import ConfigError, RefusedError
from fraudctl.runtime.files import is_locked, locked, make_folder, write_whole
from fraudctl.runtime.ports import LOOPBACK
from fraudctl.runtime.progress import Observe, Progress, silent
from fraudctl.runtime.services import postgres as postgres_service

Profile = Literal["local", "external"]


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
        return StackState(**{**document, "ports": Ports(**document["ports"])})
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
        database=settings.postgres.database,
        user=settings.postgres.user,
        password_file=str(postgres_service.password_file(paths, settings.postgres)),
    )


def endpoints(settings: Settings, paths: StackPaths) -> Endpoints:
    """Where clients find the broker and the database of this stack, running or not.

    Raises:
        ConfigError: the profile is external, and the settings do not say where its services are.
        RefusedError: the stack's state cannot be read.
    """
    if choose_profile(settings)[0] == "external":
        return _external(settings)
    state = read_state(paths) or planned_state(settings, paths)
    return state.endpoints


def _external(settings: Settings) -> Endpoints:
    for key, value in (
        ("kafka.bootstrap_servers", settings.kafka.bootstrap_servers),
        ("postgres.password_file", settings.postgres.password_file),
    ):
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
