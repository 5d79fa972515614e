"""The content of compose.yaml as plain values: the subset of the Compose specification that fraudctl runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


@dataclass(frozen=True)
class Port:
    """A port of a container, published on one address of this machine."""

    address: str
    published: int
    target: int


@dataclass(frozen=True)
class Mount:
    """A named volume, or a folder of this machine, inside a container; a folder's `source` is absolute."""

    kind: Literal["volume", "bind"]
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Healthcheck:
    """A command inside the container that checks its health; all times are in seconds."""

    test: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float


@dataclass(frozen=True)
class Need:
    """A dependency: another service, and the state it must have reached before this one is started."""

    service: str
    condition: Condition


@dataclass(frozen=True)
class Logging:
    """The engine's log driver for a container, and the driver's options."""

    driver: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Service:
    """A service, which runs as one container.

    None leaves a value to the image. Without `profiles` the service belongs to every stack.
    """

    name: str
    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    user: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    healthcheck: Healthcheck | None = None
    needs: tuple[Need, ...] = ()
    profiles: tuple[str, ...] = ()
    isolated: bool = False
    read_only: bool = False
    tmpfs: tuple[tuple[str, str], ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    pids_limit: int | None = None
    stop_seconds: float = 10.0
    logging: Logging | None = None


@dataclass(frozen=True)
class Secrets:
    """Files that hold passwords: the service that makes them, and their folder in its container."""

    service: str
    folder: str
    files: tuple[str, ...]


# Services of these profiles run on demand: `up` leaves them alone.
ON_DEMAND = frozenset({"submit", "app"})


@dataclass(frozen=True)
class ComposeFile:
    """The content of one compose.yaml."""

    file: Path
    name: str
    services: tuple[Service, ...]
    volumes: tuple[str, ...]
    secrets: Secrets | None = None
    # Volumes that lie in a folder of the stack: name to folder.
    stack_folders: tuple[tuple[str, str], ...] = ()

    def service(self, name: str) -> Service:
        """Return the service of this name."""
        return next(service for service in self.services if service.name == name)

    def chosen(self, profiles: frozenset[str]) -> tuple[Service, ...]:
        """Return the services without a profile and those of `profiles`, each after everything it needs."""
        wanted = [each for each in self.services if not each.profiles or profiles & set(each.profiles)]
        ordered: list[Service] = []
        while len(ordered) < len(wanted):
            placed = {each.name for each in ordered}
            ordered.append(
                next(
                    each
                    for each in wanted
                    if each.name not in placed and all(need.service in placed for need in each.needs)
                )
            )
        return tuple(ordered)
