"""The driver of the profile `docker`: the services of compose.yaml as containers."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fraudctl import assets
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.lane import Lane
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import ConfigError, RefusedError
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.compose.model import ComposeFile
from fraudctl.runtime.compose.read import load_compose
from fraudctl.runtime.docker.address import EngineAddress
from fraudctl.runtime.docker.detector.container import DetectorContainer
from fraudctl.runtime.docker.detector.packages import packages_folder
from fraudctl.runtime.docker.detector.spark_user import spark_user
from fraudctl.runtime.docker.engine import Engine
from fraudctl.runtime.docker.execute import Execution
from fraudctl.runtime.docker.identity import Identity, project_name
from fraudctl.runtime.docker.look import look
from fraudctl.runtime.docker.observed import Container, Network, Observed, Volume
from fraudctl.runtime.docker.plan import Plan, plan_down, plan_up
from fraudctl.runtime.docker.secret_files import SecretFiles
from fraudctl.runtime.driver import LogSource, Look, Probes, ServiceName
from fraudctl.runtime.files import make_folder
from fraudctl.runtime.ports import free_port
from fraudctl.runtime.role_passwords import password_file
from fraudctl.runtime.state import Ports, Profile, StackState, asked_ports, planned_state

# The memory that the broker needs beside its heap: threads, buffers, the class library.
_KAFKA_OVERHEAD_MB = 256
_OF_PROFILES: tuple[tuple[str, tuple[ServiceName, ...]], ...] = (
    ("grafana", ("grafana",)),
    ("spark", ("spark-master", "spark-worker")),
)
_UNITS_MB = {"m": 1, "g": 1024}


class DockerDriver:
    """The `Driver` of the profile `docker`, over one engine."""

    profile: Profile = "docker"

    def __init__(self, settings: Settings, paths: StackPaths, address: EngineAddress) -> None:
        """Connect to the engine, and read compose.yaml.

        Args:
            settings: the settings of this command.
            paths: the files and folders of the stack.
            address: the address of the engine.

        Raises:
            UnreachableError: no engine answers there.
        """
        self.changed: list[str] = []
        self._settings = settings
        self._paths = paths
        self._address = address
        self._engine = Engine(address)
        self._spark_user = spark_user(rootless=self._engine.rootless)
        self._file = self._read(asked_ports(settings))
        project = project_name(self._file.name, paths.stack)
        self._identity = Identity(project, str(paths.root), self._file.file)
        self._plan = Plan(())
        self._execution: Execution | None = None

    @property
    def _profiles(self) -> frozenset[str]:
        return frozenset(self._settings.docker.profiles)

    def services(self) -> tuple[ServiceName, ...]:
        """Return the names of the chosen services, and of others that run."""
        return self._services(self._observe())

    def _services(self, observed: Observed) -> tuple[ServiceName, ...]:
        """Return the chosen services, and those that run because they were chosen before, or by Compose."""
        running = self._running(observed)
        more = [
            name
            for profile, names in _OF_PROFILES
            for name in names
            if profile in self._profiles or name in running
        ]
        return ("kafka", "postgres", *more)

    def look(self) -> Mapping[ServiceName, Look]:
        """Return the state of each service, after copying missing passwords from the stack's volume."""
        self._secrets().gather()
        observed = self._observe()
        containers = {each.service: each for each in observed.containers if self._is_mine(each)}
        return {name: _look(containers.get(name)) for name in self._services(observed)}

    def plan(self, old: StackState | None, reason: str, *, any_port: bool) -> StackState:
        """Plan the steps from what the engine has to what the settings ask for, and choose the ports.

        Raises:
            ConfigError: the broker's memory is too small for its heap.
            RefusedError: a port, a volume or a name is taken.
        """
        self._refuse_too_little_memory()
        asked = asked_ports(self._settings)
        ports = old.ports if old is not None and old.configured == asked else asked
        self._file = self._read(ports)
        observed = self._observe()
        if any_port:
            ports = self._round(ports, observed)
            self._file = self._read(ports)
        self._plan = plan_up(self._file, self._profiles, self._identity, observed)
        return planned_state(
            self._settings,
            self._paths,
            "docker",
            reason,
            ports,
            engine=self._address.host,
            engine_tls=self._address.tls,
        )

    def steps(self) -> tuple[str, ...]:
        """Return the planned steps in words."""
        return tuple(step.text for step in self._plan.steps)

    def fetch(self, observe: Observe, stop: StopFlag) -> None:
        """Fetch the images that the plan needs.

        Raises:
            UnreachableError: an image cannot be fetched.
        """
        docker = self._settings.docker
        names = {
            docker.kafka_image: "docker.kafka_image",
            docker.postgres_image: "docker.postgres_image",
            docker.grafana_image: "docker.grafana_image",
            docker.spark_image: "docker.spark_image",
        }
        execution = self._execute(observe, stop, {})
        execution.pull(self._plan, names, Deadline(docker.pull_seconds))

    def start(self, probes: Probes, deadline: Deadline, observe: Observe, stop: StopFlag) -> None:
        """Carry out the plan, and return when every service answers.

        Raises:
            NotReadyError: one ended, or did not answer in time.
        """
        make_folder(self._paths.data)  # one volume lies in it
        make_folder(packages_folder(self._paths))
        self._spark_user.write_users(self._paths)
        self._execution = self._execute(observe, stop, probes)
        self._execution.run(self._plan, deadline)

    def undo(self, observe: Observe) -> None:
        """Take back what `start` did; secrets and logs are kept."""
        if self._execution is not None:
            self._execution.undo()
            observe(Progress("stack", "note", f"secrets and logs are kept in {self._paths.root}"))

    def halt(self, service: ServiceName, deadline: Deadline, observe: Observe) -> str:
        """Stop one service's container, and return how it ended: stopped, or was not running."""
        if not self.look().get(service, Look(False)).running:
            return "was not running"
        observe(Progress(service, "begun", "stopping"))
        grace = min(self._file.service(service).stop_seconds, max(5.0, deadline.remaining()))
        self._engine.stop(self._identity.container(service), grace)
        observe(Progress(service, "done", "stopped"))
        return "stopped"

    def stop(self, deadline: Deadline, observe: Observe, *, volumes: bool) -> dict[str, str]:
        """Remove the containers and the network, and return how each service ended.

        That is "stopped" or "was not running". With `volumes`, the stack's volumes are removed too.
        """
        observed = self._observe()
        running = self._running(observed)
        plan = plan_down(self._file, self._identity, observed, volumes=volumes)
        execution = self._execute(observe, StopFlag(), {})
        execution.run(plan, deadline)
        names = dict.fromkeys(["kafka", "postgres", *sorted(running)])
        return {name: "stopped" if name in running else "was not running" for name in names}

    @property
    def project(self) -> str:
        """Return the name of the stack's project, as Compose calls it."""
        return self._identity.project

    def leftovers(self) -> Literal["", "ours", "another's"]:
        """Tell who owns what the engine has under the project's name; Compose's counts as another's."""
        observed = self._observe()
        there: Sequence[Container | Volume | Network]
        there = (*observed.containers, *observed.volumes, *observed.networks)
        folders = {each.folder for each in there if each.project == self.project}
        if self._identity.folder in folders:
            return "ours"
        return "another's" if folders else ""

    def log(self, service: ServiceName) -> LogSource:
        """Return the log of one service's container."""
        return ContainerLog(self._engine, self._identity.container(service))

    def execute(
        self, service: ServiceName, argv: Sequence[str], on_output: Callable[[bytes, bool], None]
    ) -> int:
        """Run a command in a service's container, and return its exit code.

        Raises:
            RefusedError: the service does not run.
        """
        if not self.look().get(service, Look(False)).running:
            raise RefusedError(f"{service} does not run", hint="start it with `fraudctl up`")
        return self._engine.run(self._identity.container(service), argv, on_output)

    def detector(self, lane: Lane) -> DetectorContainer:
        """Return the container for one run of the detector."""
        return DetectorContainer(
            self._engine, self._file, self._identity, self._settings, self._paths, lane, self._spark_user
        )

    def _variables(self, ports: Ports) -> dict[str, str]:
        """Return the variables for compose.yaml: plain settings by their environment variable, and paths."""
        found = {
            f"FRAUDCTL_{section.upper()}__{key.upper()}": str(value)
            for section, values in self._settings.model_dump(mode="json").items()
            if isinstance(values, dict)
            for key, value in values.items()
            if isinstance(value, str | int | float)
        }
        users = self._spark_user.users_file(self._paths)
        if users is not None:
            found["FRAUD_SPARK_USERS"] = f"{users}:/etc/passwd"
        packages = packages_folder(self._paths)
        return found | {
            "FRAUD_SPARK_PACKAGES": f"{packages}:{packages}",
            "FRAUDCTL_KAFKA__PORT": str(ports.kafka),
            "FRAUDCTL_POSTGRES__PORT": str(ports.postgres),
            "FRAUDCTL_DOCKER__GRAFANA_PORT": str(ports.grafana),
            "FRAUD_SPARK_USER": self._spark_user.name,
            "FRAUD_CHECKPOINTS": str(self._paths.data),
        }

    def _read(self, ports: Ports) -> ComposeFile:
        return load_compose(assets.compose_file(), self._variables(ports))

    def _observe(self) -> Observed:
        services = self._file.chosen(self._profiles)
        return look(
            self._engine,
            self._identity,
            services=[each.name for each in services],
            images=[each.image for each in services],
            ports=[port.published for each in services for port in each.ports],
        )

    def _running(self, observed: Observed) -> frozenset[str]:
        return frozenset(
            each.service for each in observed.containers if self._is_mine(each) and each.state == "running"
        )

    def _is_mine(self, container: Container) -> bool:
        return container.project == self._identity.project and container.folder in (
            None,
            self._identity.folder,
        )

    def _round(self, ports: Ports, observed: Observed) -> Ports:
        """Return the ports, with another one for each that is taken."""
        wanted = {"kafka": ports.kafka, "postgres": ports.postgres, "grafana": ports.grafana}
        for name, port in wanted.items():
            if port in observed.ports and name in self._services(observed):
                wanted[name] = free_port(frozenset(wanted.values()))
        return Ports(wanted["kafka"], ports.controller, wanted["postgres"], wanted["grafana"])

    def _secrets(self) -> SecretFiles:
        secrets = self._file.secrets
        places = {name: self._paths.secrets / name for name in (secrets.files if secrets else ())}
        if "postgres.password" in places:
            places["postgres.password"] = password_file(self._paths, self._settings.postgres)
        container = self._identity.container(secrets.service) if secrets else ""
        return SecretFiles(self._engine, secrets, container, places, self._paths.secrets)

    def _execute(self, observe: Observe, stop: StopFlag, probes: Probes) -> Execution:
        return Execution(
            engine=self._engine,
            file=self._file,
            identity=self._identity,
            secrets=self._secrets(),
            logs=self._paths.logs,
            observe=observe,
            stop=stop,
            probes={str(name): probe for name, probe in probes.items()},
            changed=self.changed,
        )

    def _refuse_too_little_memory(self) -> None:
        text, heap = self._settings.docker.kafka_memory, self._settings.kafka.heap_mb
        if int(text[:-1]) * _UNITS_MB[text[-1]] < heap + _KAFKA_OVERHEAD_MB:
            raise ConfigError(
                f"docker.kafka_memory is {text}, which is too little for kafka.heap_mb = {heap}",
                hint=f"allow at least {heap + _KAFKA_OVERHEAD_MB}m, or make the heap smaller",
            )


def _look(container: Container | None) -> Look:
    if container is None:
        return Look(False)
    if container.state != "running":
        code = f" (exit code {container.exit_code})" if container.exit_code else ""
        return Look(False, container=container.name, problem=f"its container is {container.state}{code}")
    age = time.time() - container.started_at if container.started_at is not None else None
    problem = "its container is unhealthy" if container.health == "unhealthy" else ""
    return Look(True, age, container=container.name, problem=problem)


@dataclass
class ContainerLog:
    """A `LogSource` over the output of a container; the engine's timestamps tell which lines are new."""

    engine: Engine
    name: str
    newest: str = ""

    def exists(self) -> bool:
        """Tell whether the container exists."""
        return self.engine.inspect(self.name) is not None

    def tail(self, lines: int) -> list[str]:
        """Return the last `lines` lines of the log."""
        stamped = self.engine.stamped_log(self.name, lines=max(1, lines))
        if stamped:
            self.newest = stamped[-1][0]
        return [text for _, text in stamped][-lines:] if lines else []

    def new_lines(self) -> Iterator[str]:
        """Yield the lines written since the last call, or since `tail`."""
        for stamp, text in self.engine.stamped_log(self.name, after=self.newest):
            self.newest = stamp
            yield text
