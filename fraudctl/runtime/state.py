"""The state of a stack: the decisions of `up`, written down so that later commands agree with them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime.files import make_folder, write_whole
from fraudctl.runtime.ports import LOOPBACK
from fraudctl.runtime.role_passwords import password_file, writer_password_file

Profile = Literal["local", "docker", "external"]


@dataclass(frozen=True)
class Ports:
    """The ports of a stack's services on 127.0.0.1."""

    kafka: int
    controller: int
    postgres: int
    grafana: int = 3000


@dataclass(frozen=True)
class StackState:
    """The decisions of `up` about one stack.

    `configured` is what the settings asked for; `ports` differs when --any-port replaced a port in use.
    """

    profile: Profile
    reason: str
    ports: Ports
    configured: Ports
    database: str
    user: str
    password_file: str
    # The address of the containers' engine, and the folder of its certificates; empty without containers.
    engine: str = ""
    engine_tls: str = ""
    writer_password_file: str = ""  # empty in the state of an older version

    @property
    def endpoints(self) -> Endpoints:
        """Return the addresses at which clients find the broker and the database."""
        return Endpoints(
            bootstrap_servers=f"{LOOPBACK}:{self.ports.kafka}",
            postgres=PostgresEndpoint(
                LOOPBACK, self.ports.postgres, self.database, self.user, Path(self.password_file)
            ),
            writer_password_file=Path(self.writer_password_file) if self.writer_password_file else None,
        )


def asked_ports(settings: Settings) -> Ports:
    """Return the ports that the settings ask for."""
    return Ports(
        settings.kafka.port,
        settings.kafka.controller_port,
        settings.postgres.port,
        settings.docker.grafana_port,
    )


def planned_state(
    settings: Settings,
    paths: StackPaths,
    profile: Profile,
    reason: str,
    ports: Ports | None = None,
    *,
    engine: str = "",
    engine_tls: str = "",
) -> StackState:
    """Return the state of a stack's own services according to the settings (and other ports, if given)."""
    asked = asked_ports(settings)
    return StackState(
        profile=profile,
        reason=reason,
        ports=ports or asked,
        configured=asked,
        database=settings.postgres.database,
        user=settings.postgres.user,
        password_file=str(password_file(paths, settings.postgres)),
        engine=engine,
        engine_tls=engine_tls,
        writer_password_file=str(writer_password_file(paths, settings.postgres)),
    )


def read_state(paths: StackPaths) -> StackState | None:
    """Return what the last `up` wrote; None before the first one.

    Raises:
        RefusedError: the file holds something else.
    """
    try:
        document = json.loads(paths.state_file.read_text(encoding="utf-8"))
        ports = {name: Ports(**document[name]) for name in ("ports", "configured")}
        return StackState(**{**document, **ports})
    except (FileNotFoundError, NotADirectoryError):  # a home that is a file is refused by the checks of `up`
        return None
    except OSError as error:
        raise RefusedError(
            f"the stack's state {paths.state_file} cannot be read",
            detail=error.strerror or str(error),
            hint="let this user read the file, or choose another folder with --home",
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise RefusedError(
            f"the stack's state {paths.state_file} cannot be read",
            detail=str(error),
            hint="stop the stack with `fraudctl down`, remove the file, and run `fraudctl up`",
        ) from error


def write_state(paths: StackPaths, state: StackState) -> bool:
    """Write the state; return False if the file already held it."""
    if read_state(paths) == state:
        return False
    make_folder(paths.run)
    write_whole(paths.state_file, json.dumps(asdict(state), indent=2) + "\n", mode=0o644)
    return True
