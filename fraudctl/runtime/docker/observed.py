"""Plain values found by one inspection of the engine; the planner needs no engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["created", "running", "paused", "restarting", "exited", "removing", "dead"]
Health = Literal["none", "starting", "healthy", "unhealthy"]


@dataclass(frozen=True)
class Container:
    """A container of the stack's project, or one that has a name which the stack needs."""

    id: str
    name: str
    state: State
    project: str = ""
    service: str = ""
    health: Health = "none"
    exit_code: int = 0
    image_id: str = ""
    # None: fraudctl did not create it.
    config_hash: str | None = None
    folder: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    network_ids: frozenset[str] = frozenset()
    started_at: float | None = None


@dataclass(frozen=True)
class Volume:
    """A volume on the engine; `folder` is that of the stack, None if fraudctl did not create it."""

    name: str
    project: str = ""
    folder: str | None = None


@dataclass(frozen=True)
class Network:
    """A network on the engine; `folder` is that of the stack, None if fraudctl did not create it."""

    id: str
    name: str
    project: str = ""
    folder: str | None = None


@dataclass(frozen=True)
class Holder:
    """The process or container that has a port which the stack wants."""

    kind: Literal["process", "container"]
    described: str
    detail: str = ""


@dataclass(frozen=True)
class Observed:
    """Everything that one inspection of the engine found.

    `images` maps a reference to its id, None where the engine has none. `ports` holds those that are taken.
    """

    images: Mapping[str, str | None]
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    networks: tuple[Network, ...] = ()
    ports: Mapping[int, Holder] = field(default_factory=dict)
