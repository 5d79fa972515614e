"""What every way of running a stack's services can do: child processes and containers alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from fraudctl.clock import Deadline, StopFlag
from fraudctl.progress import Observe
from fraudctl.runtime.readiness import Probe
from fraudctl.runtime.state import Profile, StackState

ServiceName = Literal["kafka", "postgres", "grafana", "spark-master", "spark-worker"]
# The client's own question to each service; one that is missing is judged by its runtime alone.
Probes = Mapping[ServiceName, Probe]


@dataclass(frozen=True)
class Look:
    """One service as its runtime sees it: a process has a pid, a container a name."""

    running: bool
    age_seconds: float | None = None
    pid: int | None = None
    container: str | None = None
    log: Path | None = None
    problem: str = ""


class LogSource(Protocol):
    """The log of one service."""

    def exists(self) -> bool: ...

    def tail(self, lines: int) -> list[str]:
        """The last lines there are."""

    def new_lines(self) -> Iterator[str]:
        """Whole lines that have been written since the last call (or since `tail`)."""


class Driver(Protocol):
    """Runs the services of one stack, for one command. `changed` tells what it has done."""

    profile: Profile
    changed: list[str]

    def services(self) -> tuple[ServiceName, ...]:
        """What belongs to this stack."""

    def look(self) -> Mapping[ServiceName, Look]:
        """How each service is; starts and changes nothing."""

    def plan(self, old: StackState | None, reason: str, *, any_port: bool) -> StackState:
        """Decide what `start` will do, at which ports.

        Raises:
            RefusedError: a port or a name is taken.
        """

    def steps(self) -> tuple[str, ...]:
        """What has been planned, in words; empty if nothing is to be done."""

    def fetch(self, observe: Observe, stop: StopFlag) -> None:
        """Bring what is missing on this machine: jars, images.

        Raises:
            UnreachableError: it cannot be had.
        """

    def start(self, probes: Probes, deadline: Deadline, observe: Observe, stop: StopFlag) -> None:
        """Carry out the plan, and return when every service answers.

        Raises:
            NotReadyError: one ended, or did not answer in time.
        """

    def undo(self, observe: Observe) -> None:
        """Take back what `start` did, after a failure; data that was there before stays."""

    def halt(self, service: ServiceName, deadline: Deadline, observe: Observe) -> str:
        """Stop one service: stopped, killed, or was not running."""

    def stop(self, deadline: Deadline, observe: Observe, *, volumes: bool) -> dict[str, str]:
        """Stop all, and say how each ended; `volumes` removes data that lies outside the stack's folder."""

    def log(self, service: ServiceName) -> LogSource: ...

    def execute(
        self, service: ServiceName, argv: Sequence[str], on_output: Callable[[bytes, bool], None]
    ) -> int:
        """Run a command where the service runs; `on_output` is given pieces, True for stderr. Its exit code.

        Raises:
            RefusedError: there is no such place.
        """
