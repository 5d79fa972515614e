"""`fraudctl up`: bring the stack up, with broker, database, schema and topic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fraudctl.broker import topics
from fraudctl.broker.topics import TopicReport
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database import creation, migrations, roles
from fraudctl.errors import NotReadyError, RefusedError
from fraudctl.operations import preflight
from fraudctl.operations.preflight import free_bytes
from fraudctl.progress import Observe, Progress
from fraudctl.runtime import stack
from fraudctl.runtime.driver import Driver, Probes
from fraudctl.runtime.files import make_folder
from fraudctl.runtime.local.driver import DOWNLOAD_SECONDS
from fraudctl.runtime.role_passwords import role_passwords
from fraudctl.runtime.stack import StackState


@dataclass(frozen=True)
class UpRequest:
    """A request to bring a stack up; `environ` locates Java and Docker, and has the proxies for downloads.

    With `any_port`, another port is used where one is taken.
    """

    settings: Settings
    paths: StackPaths
    environ: Mapping[str, str]
    any_port: bool = False


@dataclass(frozen=True)
class KafkaUp:
    """A running broker: a process on this machine, or a container."""

    bootstrap_servers: str
    pid: int | None
    container: str | None
    log: Path | None


@dataclass(frozen=True)
class PostgresUp:
    """A running database: a process on this machine, or a container; `dsn` has no password."""

    dsn: str
    pid: int | None
    container: str | None
    log: Path | None
    password_file: Path


@dataclass(frozen=True)
class GrafanaUp:
    """A running Grafana, and the user and password file for its login."""

    url: str
    user: str
    password_file: Path
    container: str | None


@dataclass(frozen=True)
class ServicesUp:
    """The running services that every stack has."""

    kafka: KafkaUp
    postgres: PostgresUp


@dataclass(frozen=True)
class UpReport:
    """The result of `up`: the addresses, and the changes of this run (none if all was up already).

    `notes` name settings without effect.
    """

    profile: str
    reason: str
    services: ServicesUp
    endpoints: Endpoints
    topic: TopicReport
    schema_version: int
    changed: tuple[str, ...]
    grafana: GrafanaUp | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class UpPlan:
    """The steps by which `up` would start the services; database, schema and topic are not among them.

    `notes` name settings without effect.
    """

    profile: str
    reason: str
    steps: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Run:
    """The data that the steps of one `up` share."""

    request: UpRequest
    driver: Driver
    state: StackState
    deadline: Deadline
    changed: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return self.request.settings


def up(
    request: UpRequest, *, stop: StopFlag, observe: Observe, room: Callable[[Path], int] = free_bytes
) -> UpReport:
    """Start every service that is not running, and wait until all answer their clients.

    After an error, or when `stop` is set, the services that this run started are stopped again; data and logs
    stay.

    Args:
        request: the stack and its settings.
        stop: cancels the start.
        observe: is told of the steps.
        room: returns the free bytes of a folder's file system.

    Raises:
        RefusedError: the profile has nothing to start, a port or a name is taken, or the disk is too full.
        UnreachableError: no engine answers, or jars or images cannot be downloaded.
        DataError: a download is damaged, or a migration failed.
        NotReadyError: a service ended or was not ready in time.
    """
    settings, paths = request.settings, request.paths
    profile, reason = stack.choose_profile(settings, paths, request.environ)
    driver = stack.driver_of(profile, settings, paths, request.environ)
    preflight.run_all(preflight.for_stack(settings, paths, request.environ, profile, room))
    make_folder(paths.root)
    # Another command that holds the lock may be downloading.
    turn = Deadline(settings.timeouts.up_seconds + DOWNLOAD_SECONDS)
    with stack.changing(paths, turn, stop, observe):
        old = stack.read_state(paths)
        _refuse_other_profile(old, driver, request)
        state = driver.plan(old, reason, any_port=request.any_port)
        driver.fetch(observe, stop)
        run = _Run(request, driver, state, Deadline(settings.timeouts.up_seconds))
        try:
            if stack.write_state(paths, state):
                observe(Progress("stack", "note", f"profile {state.profile} ({state.reason})"))
            driver.start(_probes(state), run.deadline, observe, stop)
            return _furnish(run)
        except BaseException:
            driver.undo(observe)
            raise


def plan(request: UpRequest) -> UpPlan:
    """Return the steps of `up` without carrying them out.

    Raises:
        RefusedError: `up` would be refused.
        UnreachableError: no engine answers.
    """
    settings, paths = request.settings, request.paths
    profile, reason = stack.choose_profile(settings, paths, request.environ)
    driver = stack.driver_of(profile, settings, paths, request.environ)
    preflight.run_all(preflight.for_stack(settings, paths, request.environ, profile))
    old = stack.read_state(paths)
    _refuse_other_profile(old, driver, request)
    driver.plan(old, reason, any_port=request.any_port)
    return UpPlan(profile, reason, driver.steps(), stack.unused_settings(settings, profile))


def _refuse_other_profile(old: StackState | None, driver: Driver, request: UpRequest) -> None:
    """Make sure that no services run under another profile: two brokers would each get a part of the log.

    Raises:
        RefusedError: services of the stack run under another profile.
    """
    if old is None or old.profile == driver.profile:
        return
    before = stack.driver_of(old.profile, request.settings, request.paths, request.environ)
    running = [name for name, found in before.look().items() if found.running]
    if running:
        raise RefusedError(
            f"this stack runs under the profile {old.profile}, not {driver.profile}",
            detail=f"{' and '.join(running)} of it run",
            hint=f"stop it with `fraudctl down --profile {old.profile}`, or choose another name with --stack",
        )


def _probes(state: StackState) -> Probes:
    """Return the client requests that test the services; each takes its time limit in seconds."""
    endpoints = state.endpoints
    return {
        "kafka": lambda seconds: topics.probe(endpoints.bootstrap_servers, timeout_seconds=seconds),
        "postgres": lambda seconds: creation.probe_server(endpoints.postgres, timeout_seconds=seconds),
    }


def _furnish(run: _Run) -> UpReport:
    """Create database, schema, roles and topic where they are missing, and return the report."""
    endpoints = run.state.endpoints
    connect_seconds = run.settings.timeouts.connect_seconds
    if creation.ensure_database(endpoints.postgres, timeout_seconds=connect_seconds):
        run.changed.append(f"database {endpoints.postgres.database} created")
    migrated = migrations.migrate(
        endpoints.postgres,
        connect_seconds=connect_seconds,
        lock_wait_seconds=max(1.0, run.deadline.remaining()),
    )
    run.changed += [f"migration {migration.name} applied" for migration in migrated.applied]
    roles.close_to_others(endpoints.postgres, connect_seconds=connect_seconds)
    given = roles.set_passwords(
        endpoints.postgres,
        role_passwords(run.request.paths, run.settings.postgres),
        connect_seconds=connect_seconds,
    )
    run.changed += [f"password of {role} set" for role in given]
    topic = topics.ensure_topic(
        endpoints.bootstrap_servers,
        run.settings.kafka,
        timeout_seconds=max(connect_seconds, run.deadline.remaining()),
    )
    if topic.change == "created":
        run.changed.append(f"topic {topic.topic} created")
    return _report(run, endpoints, topic, len(migrated.applied) + len(migrated.already))


def _grafana(run: _Run, container: str | None) -> GrafanaUp:
    return GrafanaUp(
        url=f"http://127.0.0.1:{run.state.ports.grafana}",
        user="admin",
        password_file=run.request.paths.secrets / "grafana.password",
        container=container,
    )


def _report(run: _Run, endpoints: Endpoints, topic: TopicReport, schema_version: int) -> UpReport:
    found = run.driver.look()
    if not all(look.running for look in found.values()):
        raise NotReadyError(
            "a service ended right after it had been ready", hint="look at `fraudctl logs`, then try again"
        )
    kafka, postgres, grafana = found["kafka"], found["postgres"], found.get("grafana")
    password_file = endpoints.postgres.password_file
    return UpReport(
        profile=run.state.profile,
        reason=run.state.reason,
        services=ServicesUp(
            KafkaUp(endpoints.bootstrap_servers, kafka.pid, kafka.container, kafka.log),
            PostgresUp(
                endpoints.postgres.dsn(), postgres.pid, postgres.container, postgres.log, password_file
            ),
        ),
        endpoints=endpoints,
        topic=topic,
        schema_version=schema_version,
        changed=(*run.driver.changed, *run.changed),
        grafana=_grafana(run, grafana.container) if grafana else None,
        notes=stack.unused_settings(run.settings, run.state.profile),
    )
