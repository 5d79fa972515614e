"""Execution of a plan, step by step, under one deadline; what was done is taken back if it fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import FraudctlError, NotReadyError, UnreachableError
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.compose.model import ComposeFile, Service
from fraudctl.runtime.docker import look
from fraudctl.runtime.docker.container import config_hash
from fraudctl.runtime.docker.engine import Engine
from fraudctl.runtime.docker.identity import Identity
from fraudctl.runtime.docker.observed import Container
from fraudctl.runtime.docker.plan import Plan, Step
from fraudctl.runtime.docker.secret_files import SecretFiles
from fraudctl.runtime.files import make_folder, write_whole
from fraudctl.runtime.readiness import Probe

_POLL_SECONDS = 0.2
_PROBE_SECONDS = 1.0
_SHOWN_LINES = 8
_KEPT_LINES = 2000
_UNDO_STOP_SECONDS = 10.0
# The text in a service's own log when its disk is full, whichever service it is.
_NO_SPACE = "no space left on device"
_DONE = {
    "create network": "network created",
    "create volume": "created",
    "create": "created",
    "start": "started",
    "unpause": "unpaused",
    "restart": "restarted",
    "remove": "removed",
    "remove network": "network removed",
    "remove volume": "removed",
}


@dataclass
class Execution:
    """One run of a plan; `changed` lists what was done, `logs` is the folder for logs of a failed run."""

    engine: Engine
    file: ComposeFile
    identity: Identity
    secrets: SecretFiles
    logs: Path
    observe: Observe
    stop: StopFlag
    probes: Mapping[str, Probe] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    created: list[Step] = field(default_factory=list)
    started: list[Step] = field(default_factory=list)

    def run(self, plan: Plan, deadline: Deadline) -> None:
        """Do every step but the pulls, which have a deadline of their own.

        Raises:
            FraudctlError: a step failed; `undo` takes back what was done until then.
        """
        self.secrets.gather(anew=True)
        for step in plan.steps:
            if self.stop.is_set:
                raise KeyboardInterrupt
            self._do(step, plan, deadline)

    def pull(self, plan: Plan, settings: Mapping[str, str], deadline: Deadline) -> None:
        """Fetch the missing images; `settings` names for each image the setting that chooses it."""
        for step in plan.steps:
            if step.action == "pull":
                self.observe(Progress("image", "begun", f"fetching {step.name}"))
                setting = settings.get(step.name, "the image")
                self.engine.pull(step.name, setting, self._on_bytes(step.name), deadline, self.stop)
                self.observe(Progress("image", "done", f"{step.name} fetched"))
                self.changed.append(f"image {step.name} fetched")

    def _on_bytes(self, image: str) -> Callable[[int, int], None]:
        def tell(done: int, total: int) -> None:
            if total:
                share = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
                self.observe(
                    Progress("image", "tick", f"fetching {image}: {share} ({100 * done // total} %)")
                )

        return tell

    def _do(self, step: Step, plan: Plan, deadline: Deadline) -> None:
        match step.action:
            case "pull":
                return
            case "wait for":
                self._wait(self.file.service(step.subject), step.name, deadline)
                return
            case "create network":
                self.engine.create_network(step.name, self.identity.network_labels())
                self.created.append(step)
            case "create volume":
                place = self.identity.volume_place(step.subject, self.file)
                self.engine.create_volume(step.name, self.identity.volume_labels(step.subject), place)
                self.created.append(step)
            case "create":
                self._create(step, plan)
            case "start":
                self.observe(Progress(step.subject, "begun", "starting"))
                self.started.append(step)
                if step.subject == self.secrets.service:
                    self.secrets.hand_over()
                self.engine.start(step.name)
            case "unpause":
                self.engine.unpause(step.name)
            case "restart":
                self.observe(Progress(step.subject, "begun", "restarting"))
                self.engine.stop(step.name, self._stop_seconds(step.subject, deadline))
                self.engine.start(step.name)
            case "remove":
                self.observe(Progress(step.subject, "begun", "stopping"))
                self.engine.stop(step.name, self._stop_seconds(step.subject, deadline))
                self.engine.remove(step.name)
                self.observe(Progress(step.subject, "done", "removed"))
            case "remove network":
                self.engine.remove_network(step.name)
            case "remove volume":
                self.engine.remove_volume(step.name)
        self.changed.append(_change(step))

    def _create(self, step: Step, plan: Plan) -> None:
        service, config = self.file.service(step.subject), plan.configs[step.subject]
        image_id = self.engine.image_id(service.image) or ""
        labels = self.identity.container_labels(service, config_hash(config), image_id)
        self.engine.create(config, labels, step.name)
        self.created.append(step)

    def _stop_seconds(self, service: str, deadline: Deadline) -> float:
        """Return the service's own grace period, cut to the deadline; up to 5 s are left for a clean end."""
        graces = [each.stop_seconds for each in self.file.services if each.name == service]
        return min(graces[0] if graces else 10.0, max(5.0, deadline.remaining()))

    def _wait(self, service: Service, name: str, deadline: Deadline) -> None:
        """Wait until a task has ended well, or a service is healthy and has answered its client."""
        probe = self.probes.get(service.name)
        last = ""
        while True:
            container = self._inspect(service, name)
            if service.healthcheck is None and not service.ports:
                if container.state == "exited":
                    self.secrets.gather()
                    return
            else:
                ready, last = self._ask(container, probe, deadline, last)
                if ready:
                    where = ", ".join(f"{port.address}:{port.published}" for port in service.ports)
                    self.observe(Progress(service.name, "done", f"ready at {where}" if where else "ready"))
                    return
            if deadline.expired:
                text = f"{service.name} was not ready within {deadline.seconds:g} s"
                raise self._not_ready(text, last, name)
            self.observe(Progress(service.name, "tick", f"{container.state}, health {container.health}"))
            if self.stop.wait(_POLL_SECONDS):
                raise KeyboardInterrupt

    def _inspect(self, service: Service, name: str) -> Container:
        """Return the present state of a container.

        Raises:
            NotReadyError: there is nothing to wait for any more.
        """
        found = self.engine.inspect(name)
        if found is None:
            raise NotReadyError(f"the container {name} was removed while it was starting")
        container = look.of_inspection(found)
        if container.state in ("exited", "dead") and (
            container.exit_code or service.ports or service.healthcheck
        ):
            how = "ran out of memory" if found["State"].get("OOMKilled") else "ended"
            text = f"{service.name} {how} while it was starting (exit code {container.exit_code})"
            raise self._not_ready(text, str(found["State"].get("Error") or ""), name)
        if container.health == "unhealthy":
            raise self._not_ready(f"{service.name} is unhealthy", _last_check(found), name)
        return container

    def _ask(
        self, container: Container, probe: Probe | None, deadline: Deadline, last: str
    ) -> tuple[bool, str]:
        if probe is None:
            return container.state == "running" and container.health in ("healthy", "none"), last
        try:
            probe(max(0.1, min(_PROBE_SECONDS, deadline.remaining())))
        except UnreachableError as error:
            return False, error.detail or error.message
        return True, ""

    def _not_ready(self, message: str, last: str, name: str) -> NotReadyError:
        lines = self.engine.log(name, _SHOWN_LINES)
        detail = [f"last answer: {line}" for line in last.splitlines()[:3]]
        detail += [f"{name}: {line}" for line in lines]
        if any(_NO_SPACE in line.lower() for line in lines):
            hint = "make room where the engine keeps its volumes (`docker system df`), then run `fraudctl up`"
        else:
            hint = f"the whole log is kept in {self.logs}"
        return NotReadyError(message, detail="\n".join(detail), hint=hint)

    def undo(self) -> None:
        """Remove what this run created and stop what it started; what was there before keeps its data."""
        fresh = {step.name for step in self.created}
        actions: list[tuple[str, Callable[[], None]]] = []
        for step in reversed([each for each in self.created if each.action == "create"]):
            actions.append((step.name, self._removal(step)))
        for step in self.started:
            if step.name not in fresh:
                actions.append((step.name, self._stopping(step)))
        for step in reversed(self.created):
            if step.action == "create network":
                actions.append((step.name, lambda name=step.name: self.engine.remove_network(name)))  # type: ignore[misc]
            elif step.action == "create volume":
                actions.append((step.name, lambda name=step.name: self.engine.remove_volume(name)))  # type: ignore[misc]
        for name, action in actions:
            try:
                action()
            except FraudctlError as error:
                # The user is told the first failure; what could not be taken back is only noted.
                self.observe(Progress("stack", "note", f"{name} could not be removed again: {error.message}"))

    def _removal(self, step: Step) -> Callable[[], None]:
        fresh = {each.subject for each in self.created if each.action == "create volume"}
        mounts = self.file.service(step.subject).mounts
        volumes = {mount.source for mount in mounts if mount.kind == "volume"}

        def remove() -> None:
            self._keep_log(step)
            self.observe(Progress(step.subject, "begun", "removing again"))
            if not volumes <= fresh:  # a container with new volumes only has nothing to lose
                self.engine.stop(step.name, _UNDO_STOP_SECONDS)
            self.engine.remove(step.name)
            self.observe(Progress(step.subject, "done", "removed again"))

        return remove

    def _stopping(self, step: Step) -> Callable[[], None]:
        def stop() -> None:
            self.engine.stop(step.name, _UNDO_STOP_SECONDS)
            self.observe(Progress(step.subject, "done", "stopped again"))

        return stop

    def _keep_log(self, step: Step) -> None:
        lines = self.engine.log(step.name, _KEPT_LINES)
        if lines:
            make_folder(self.logs)
            write_whole(self.logs / f"{step.subject}.container.log", "\n".join(lines) + "\n", mode=0o644)


def _change(step: Step) -> str:
    kind = "volume " if "volume" in step.action else ""
    subject = "" if "network" in step.action else f"{kind}{step.subject} "
    cause = f" ({step.cause})" if step.action == "remove" and step.cause else ""
    return f"{subject}{_DONE[step.action]}{cause}"


def _last_check(found: dict[str, Any]) -> str:
    """Return the last output of the healthcheck."""
    checks = (found["State"].get("Health") or {}).get("Log") or []
    return str(checks[-1].get("Output", "")).strip() if checks else ""
