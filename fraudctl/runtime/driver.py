"""Interface to anything that runs a stack's services, child processes and containers alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from fraudctl.clock import Deadline, StopFlag
from fraudctl.progress import Observe
from fraudctl.runtime.readiness import Probe
from fraudctl.runtime.state import Profile, StackState

ServiceName = Literal["kafka", "postgres", "grafana", "spark-master", "spark-worker"]
# A client's own request to each service. Without one, the runtime alone decides whether the service is ready.
Probes = Mapping[ServiceName, Probe]


@dataclass(frozen=True)
class Look:
    """The state of one service as its runtime reports it: a process has a pid, a container a name."""

    running: bool
    age_seconds: float | None = None
    pid: int | None = None
    container: str | None = None
    log: Path | None = None
    problem: str = ""


class LogSource(Protocol):
    """The log of one service."""

    def exists(self) -> bool:
        """Tell whether there is a log."""

    def tail(self, lines: int) -> list[str]:
        """Return the last `lines` lines, or all if there are fewer."""

    def new_lines(self) -> Iterator[str]:
        """Yield the whole lines that have been written since the last call.

        Before the first call that is since the object was made, or since `tail`.
        """


class Driver(Protocol):
    """The runtime of one stack's services, for one command; `changed` lists what it has done."""

    profile: Profile
    changed: list[str]

    def services(self) -> tuple[ServiceName, ...]:
        """Return the names of the services that belong to this stack."""

    def look(self) -> Mapping[ServiceName, Look]:
        """Return the state of each service; start and change nothing."""

    def plan(self, old: StackState | None, reason: str, *, any_port: bool) -> StackState:
        """Decide what `start` will do, and at which ports.

        Args:
            old: the state that the last `up` wrote; None before the first one.
            reason: why this profile was chosen, for the new state.
            any_port: use other ports instead of those that are taken.

        Raises:
            RefusedError: a port or a name is taken.
        """

    def steps(self) -> tuple[str, ...]:
        """Return the planned steps in words; empty if nothing is to be done."""

    def fetch(self, observe: Observe, stop: StopFlag) -> None:
        """Download what is missing on this machine: jars, images.

        Raises:
            UnreachableError: it cannot be downloaded.
        """

    def start(self, probes: Probes, deadline: Deadline, observe: Observe, stop: StopFlag) -> None:
        """Carry out the plan, and return when every service answers.

        Raises:
            NotReadyError: one ended, or did not answer in time.
        """

    def undo(self, observe: Observe) -> None:
        """Take back what `start` did, after a failure; data that was there before stays."""

    def halt(self, service: ServiceName, deadline: Deadline, observe: Observe) -> str:
        """Stop one service, and return how it ended: stopped, killed, or was not running."""

    def stop(self, deadline: Deadline, observe: Observe, *, volumes: bool) -> dict[str, str]:
        """Stop all services, and return how each ended.

        With `volumes`, data that lies outside the stack's folder is removed.
        """

    def log(self, service: ServiceName) -> LogSource:
        """Return the log of one service."""

    def execute(
        self, service: ServiceName, argv: Sequence[str], on_output: Callable[[bytes, bool], None]
    ) -> int:
        """Run a command where the service runs, and return its exit code.

        `on_output` is given pieces of the output, with True for stderr.

        Raises:
            RefusedError: the service runs in no container, or not at all.
        """
