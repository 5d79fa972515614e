"""Ask every part of a stack how it is: by its process record, and by a client's own question."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from fraudctl.broker import topics
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database import creation, migrations
from fraudctl.errors import FraudctlError
from fraudctl.operations import detect
from fraudctl.runtime import stack
from fraudctl.runtime.processes import ProcessRecord, age_seconds, is_alive, read_record
from fraudctl.runtime.readiness import Probe, is_ready
from fraudctl.runtime.services import kafka, postgres

T = TypeVar("T")
State = Literal["running", "starting", "unhealthy", "stopped"]


@dataclass(frozen=True)
class StatusRequest:
    settings: Settings
    paths: StackPaths


@dataclass(frozen=True)
class KafkaStatus:
    state: State
    bootstrap_servers: str
    pid: int | None
    log: Path | None
    problem: str


@dataclass(frozen=True)
class PostgresStatus:
    """`dsn` never holds the password; it lies in `password_file`."""

    state: State
    dsn: str
    host: str
    port: int
    database: str
    user: str
    password_file: Path
    pid: int | None
    log: Path | None
    problem: str


@dataclass(frozen=True)
class DetectorStatus:
    state: State
    pid: int | None
    log: Path


@dataclass(frozen=True)
class Services:
    kafka: KafkaStatus
    postgres: PostgresStatus
    detector: DetectorStatus


@dataclass(frozen=True)
class TopicStatus:
    name: str
    exists: bool
    partitions: int | None
    problem: str


@dataclass(frozen=True)
class MigrationsStatus:
    applied: int
    pending: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class StatusReport:
    """`healthy`: both services answer, the topic exists and no migration is pending.

    The detector runs only when asked to; it has no part in that verdict.
    """

    profile: str
    reason: str
    healthy: bool
    services: Services
    topic: TopicStatus
    migrations: MigrationsStatus


def status(request: StatusRequest) -> StatusReport:
    """Look, and change nothing.

    Raises:
        ConfigError: the profile is external, and the settings do not say where its services are.
        RefusedError: the stack's own files cannot be read.
    """
    settings, paths = request.settings, request.paths
    profile, reason = stack.choose_profile(settings)
    endpoints = stack.addresses(settings, paths)
    seconds = settings.timeouts.connect_seconds
    own = profile == "local"
    broker = _kafka(endpoints, paths, settings, own)
    database = _postgres(endpoints, paths, settings, own)
    topic = _topic(endpoints, settings.kafka.topic, seconds, broker.state)
    schema = _migrations(endpoints, seconds, database.state)
    healthy = (
        broker.state == "running"
        and database.state == "running"
        and topic.exists
        and not schema.pending
        and not schema.problem
    )
    return StatusReport(profile, reason, healthy, Services(broker, database, _detector(paths)), topic, schema)


def _state(record: ProcessRecord | None, own: bool, probe: Probe, settings: Settings) -> tuple[State, str]:
    """What is not ours to start is judged by its answer alone."""
    if own and not is_alive(record):
        return "stopped", ""
    ready, problem = is_ready(probe, settings.timeouts.connect_seconds)
    if ready:
        return "running", ""
    young = own and record is not None and age_seconds(record) < settings.timeouts.up_seconds
    return "starting" if young else "unhealthy", problem


def _kafka(endpoints: Endpoints, paths: StackPaths, settings: Settings, own: bool) -> KafkaStatus:
    def probe(seconds: float) -> None:
        topics.probe(endpoints.bootstrap_servers, timeout_seconds=seconds)

    record = read_record(kafka.record_file(paths))
    state, problem = _state(record, own, probe, settings)
    pid, log = _whereabouts(record, kafka.log_file(paths), own, state)
    return KafkaStatus(state, endpoints.bootstrap_servers, pid, log, problem)


def _postgres(endpoints: Endpoints, paths: StackPaths, settings: Settings, own: bool) -> PostgresStatus:
    endpoint = endpoints.postgres

    def probe(seconds: float) -> None:
        creation.probe_server(endpoint, timeout_seconds=seconds)

    record = read_record(postgres.record_file(paths))
    state, problem = _state(record, own, probe, settings)
    pid, log = _whereabouts(record, postgres.log_file(paths), own, state)
    return PostgresStatus(
        state=state,
        dsn=endpoint.dsn(),
        host=endpoint.host,
        port=endpoint.port,
        database=endpoint.database,
        user=endpoint.user,
        password_file=endpoint.password_file,
        pid=pid,
        log=log,
        problem=problem,
    )


def _whereabouts(
    record: ProcessRecord | None, log: Path, own: bool, state: State
) -> tuple[int | None, Path | None]:
    if not own:
        return None, None
    return (record.pid if record is not None and state != "stopped" else None), log


def _detector(paths: StackPaths) -> DetectorStatus:
    record = read_record(detect.record_file(paths))
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
    """The answer, or the words of the failure: `status` reports what is wrong, it does not end with it."""
    try:
        return question(), ""
    except FraudctlError as error:
        return None, error.message
