"""`fraudctl status`: the state of every part of a stack, from its runtime and from a client's request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from fraudctl.broker import topics
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.lane import LIVE
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database import creation, migrations
from fraudctl.errors import FraudctlError
from fraudctl.runtime import stack
from fraudctl.runtime.driver import Look, ServiceName
from fraudctl.runtime.process import detector
from fraudctl.runtime.process.supervise import is_alive
from fraudctl.runtime.readiness import Probe, is_ready

T = TypeVar("T")
State = Literal["running", "starting", "unhealthy", "stopped"]


@dataclass(frozen=True)
class StatusRequest:
    """A request for a status; `environ` locates the engine of a stack that `docker compose` has started."""

    settings: Settings
    paths: StackPaths
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KafkaStatus:
    """The state of the broker; `problem` says why it is not running."""

    state: State
    bootstrap_servers: str
    pid: int | None
    container: str | None
    log: Path | None
    problem: str


@dataclass(frozen=True)
class PostgresStatus:
    """The state of the database; `dsn` never contains the password, which is in `password_file`."""

    state: State
    dsn: str
    host: str
    port: int
    database: str
    user: str
    password_file: Path
    pid: int | None
    container: str | None
    log: Path | None
    problem: str


@dataclass(frozen=True)
class GrafanaStatus:
    """The state of Grafana, as reported by its container's health check."""

    state: State
    url: str
    container: str | None
    problem: str


@dataclass(frozen=True)
class SparkStatus:
    """The state of one member of the standalone Spark cluster."""

    state: State
    container: str | None
    problem: str


@dataclass(frozen=True)
class DetectorStatus:
    """The state of the detector's process; `pid` is None if it is stopped."""

    state: State
    pid: int | None
    log: Path


@dataclass(frozen=True)
class Services:
    """The states of the services that every stack has."""

    kafka: KafkaStatus
    postgres: PostgresStatus
    detector: DetectorStatus


@dataclass(frozen=True)
class TopicStatus:
    """The state of the topic of transactions; `partitions` is None if it is not known."""

    name: str
    exists: bool
    partitions: int | None
    problem: str


@dataclass(frozen=True)
class MigrationsStatus:
    """The number of applied migrations, and the names of the pending ones."""

    applied: int
    pending: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class StatusReport:
    """The status of a stack.

    `healthy` says that broker and database answer, that the optional services run, that the topic exists and
    that no migration is pending. The detector does not count, because it runs on request only. `spark` has
    the members of the cluster in containers, if there is one.
    """

    profile: str
    reason: str
    healthy: bool
    services: Services
    topic: TopicStatus
    migrations: MigrationsStatus
    grafana: GrafanaStatus | None = None
    spark: Mapping[ServiceName, SparkStatus] = field(default_factory=dict)


def status(request: StatusRequest) -> StatusReport:
    """Return the status of a stack, and change nothing.

    A process whose record was lost is found by its command line.

    Raises:
        ConfigError: the profile is external, and the settings lack the addresses of its services.
        RefusedError: the stack's own files cannot be read.
    """
    settings, paths = request.settings, request.paths
    profile, reason = stack.choose_profile(settings, paths, request.environ)
    endpoints = stack.addresses(settings, paths, profile)
    seconds = settings.timeouts.connect_seconds
    looks: Mapping[ServiceName, Look] = {}
    if profile != "external":
        looks = stack.driver_of(profile, settings, paths, request.environ).look()
    broker = _kafka(endpoints, settings, looks.get("kafka"))
    database = _postgres(endpoints, settings, looks.get("postgres"))
    board = _grafana(settings, paths, looks.get("grafana"))
    spark = {name: _spark(look) for name, look in looks.items() if name.startswith("spark-")}
    topic = _topic(endpoints, settings.kafka.topic, seconds, broker.state)
    schema = _migrations(endpoints, seconds, database.state)
    healthy = (
        broker.state == "running"
        and database.state == "running"
        and all(each.state == "running" for each in (board, *spark.values()) if each is not None)
        and topic.exists
        and not schema.pending
        and not schema.problem
    )
    services = Services(broker, database, _detector(paths))
    return StatusReport(profile, reason, healthy, services, topic, schema, board, spark)


def _state(look: Look | None, probe: Probe, settings: Settings) -> tuple[State, str]:
    """Return state and problem of a service; without a `look` (an external one), its answer alone decides."""
    if look is not None and not look.running:
        return "stopped", look.problem
    ready, problem = is_ready(probe, settings.timeouts.connect_seconds)
    if ready:
        return "running", ""
    age = look.age_seconds if look is not None else None
    young = age is not None and age < settings.timeouts.up_seconds
    return "starting" if young else "unhealthy", problem


def _kafka(endpoints: Endpoints, settings: Settings, look: Look | None) -> KafkaStatus:
    def probe(seconds: float) -> None:
        topics.probe(endpoints.bootstrap_servers, timeout_seconds=seconds)

    state, problem = _state(look, probe, settings)
    place = look or Look(True)
    return KafkaStatus(state, endpoints.bootstrap_servers, place.pid, place.container, place.log, problem)


def _postgres(endpoints: Endpoints, settings: Settings, look: Look | None) -> PostgresStatus:
    endpoint = endpoints.postgres

    def probe(seconds: float) -> None:
        creation.probe_server(endpoint, timeout_seconds=seconds)

    state, problem = _state(look, probe, settings)
    place = look or Look(True)
    return PostgresStatus(
        state=state,
        dsn=endpoint.dsn(),
        host=endpoint.host,
        port=endpoint.port,
        database=endpoint.database,
        user=endpoint.user,
        password_file=endpoint.password_file,
        pid=place.pid,
        container=place.container,
        log=place.log,
        problem=problem,
    )


def _grafana(settings: Settings, paths: StackPaths, look: Look | None) -> GrafanaStatus | None:
    if look is None:
        return None
    known = stack.read_state(paths)
    port = known.ports.grafana if known is not None else settings.docker.grafana_port
    return GrafanaStatus(_believed(look), f"http://127.0.0.1:{port}", look.container, look.problem)


def _spark(look: Look) -> SparkStatus:
    return SparkStatus(_believed(look), look.container, look.problem)


def _believed(look: Look) -> State:
    """Return the state by the runtime's own health check, for a service that fraudctl is no client of."""
    if not look.running:
        return "stopped"
    return "unhealthy" if look.problem else "running"


def _detector(paths: StackPaths) -> DetectorStatus:
    record = detector.record(paths, LIVE)
    alive = record is not None and is_alive(record)
    return DetectorStatus(
        "running" if alive else "stopped",
        record.pid if record is not None and alive else None,
        paths.logs / "detector.log",
    )


def _topic(endpoints: Endpoints, name: str, seconds: float, broker: State) -> TopicStatus:
    if broker != "running":
        return TopicStatus(name, False, None, "Kafka does not answer")
    found, problem = _answer(
        lambda: topics.identity(endpoints.bootstrap_servers, name, timeout_seconds=seconds)
    )
    return TopicStatus(name, found is not None, found.partitions if found else None, problem)


def _migrations(endpoints: Endpoints, seconds: float, database: State) -> MigrationsStatus:
    if database != "running":
        return MigrationsStatus(0, (), "PostgreSQL does not answer")
    found, problem = _answer(lambda: migrations.status(endpoints.postgres, connect_seconds=seconds))
    if found is None:
        return MigrationsStatus(0, (), problem)
    return MigrationsStatus(len(found.already), tuple(each.name for each in found.pending), "")


def _answer(question: Callable[[], T]) -> tuple[T | None, str]:
    """Return the answer, or None and the error's message: `status` reports errors and does not fail."""
    try:
        return question(), ""
    except FraudctlError as error:
        return None, error.message
