"""Bring the stack up: broker, database, schema and topic, or a named reason why not."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from fraudctl.broker import topics
from fraudctl.broker.topics import TopicReport
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database import creation, migrations
from fraudctl.errors import NotReadyError, RefusedError
from fraudctl.runtime import stack
from fraudctl.runtime.files import make_folder
from fraudctl.runtime.jars import SET_NAMES, SetName, ensure_jars
from fraudctl.runtime.java import Java, find_java
from fraudctl.runtime.ports import free_port, is_free, require_free
from fraudctl.runtime.processes import ProcessRecord, is_alive, read_record
from fraudctl.runtime.processes import stop as stop_process
from fraudctl.runtime.progress import Observe, Progress
from fraudctl.runtime.readiness import wait_ready
from fraudctl.runtime.services import kafka, postgres
from fraudctl.runtime.stack import Ports, StackState

MINIMUM_FREE_BYTES = 500_000_000
# A first download of about 110 MB has its own time, whatever timeouts.up_seconds says.
DOWNLOAD_SECONDS = 900.0
_UNDO_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class UpRequest:
    """`environ` tells where Java is, and how downloads leave this machine."""

    settings: Settings
    paths: StackPaths
    environ: Mapping[str, str]
    any_port: bool = False


@dataclass(frozen=True)
class KafkaUp:
    bootstrap_servers: str
    pid: int
    log: Path


@dataclass(frozen=True)
class PostgresUp:
    dsn: str
    pid: int
    log: Path
    password_file: Path


@dataclass(frozen=True)
class ServicesUp:
    kafka: KafkaUp
    postgres: PostgresUp


@dataclass(frozen=True)
class UpReport:
    """Addresses, and what this run changed (nothing, the second time)."""

    profile: str
    reason: str
    services: ServicesUp
    endpoints: Endpoints
    topic: TopicReport
    schema_version: int
    changed: tuple[str, ...]


@dataclass
class _Run:
    """What one `up` shares between its two threads. Appending to a list is atomic."""

    request: UpRequest
    observe: Observe
    deadline: Deadline
    state: StackState
    # Set when the user asks to stop, and when the other service has failed.
    stop: StopFlag = field(default_factory=StopFlag)
    started: list[ProcessRecord] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    @property
    def paths(self) -> StackPaths:
        return self.request.paths

    @property
    def settings(self) -> Settings:
        return self.request.settings


def free_bytes(folder: Path) -> int:
    """Room for an ordinary user on the file system that holds `folder`."""
    return shutil.disk_usage(folder).free


def up(
    request: UpRequest, *, stop: StopFlag, observe: Observe, room: Callable[[Path], int] = free_bytes
) -> UpReport:
    """Start what is not running, and wait until all of it answers its clients.

    On failure (or when `stop` is set) whatever this run started is stopped again; data and logs stay.

    Raises:
        RefusedError: nothing to start under this profile, a port is taken, or there is no room.
        UnreachableError, DataError: the jars cannot be had, or are not the locked ones.
        NotReadyError: a service ended or was not ready in time.
    """
    if stack.choose_profile(request.settings)[0] == "external":
        raise RefusedError(
            "there is nothing to start: the profile external uses services that run elsewhere",
            hint="run `fraudctl migrate`, then `fraudctl status`",
        )
    settings, paths = request.settings, request.paths
    make_folder(paths.root)
    _refuse_without_room(paths.root, room)
    # Whoever is before us may be downloading.
    turn = Deadline(settings.timeouts.up_seconds + DOWNLOAD_SECONDS)
    with stack.changing(paths, turn, stop, observe):
        running = _running(paths)
        # Before the download: who has to change a port should not have to wait for it.
        state = stack.planned_state(settings, paths, _ports(request, running, stack.read_state(paths)))
        java: Java | None = None
        jars: dict[SetName, tuple[Path, ...]] = {}
        if "kafka" not in running:
            java, jars = _java_and_jars(request, observe, stop)
        run = _Run(request, observe, Deadline(settings.timeouts.up_seconds), state)
        try:
            if stack.write_state(paths, state):
                observe(Progress("stack", "note", f"profile {state.profile} ({state.reason})"))
            _start_services(run, running, java, jars.get("broker", ()), stop)
            return _furnish(run)
        except BaseException:
            _undo(run)
            raise


def _refuse_without_room(folder: Path, room: Callable[[Path], int]) -> None:
    free = room(folder)
    if free < MINIMUM_FREE_BYTES:
        raise RefusedError(
            f"there is too little room for a stack: {free / 1e6:.0f} MB free, "
            f"{MINIMUM_FREE_BYTES / 1e6:.0f} MB needed",
            detail=f"on the file system of {folder}",
            hint="make room, or choose another place with --home",
        )


def _running(paths: StackPaths) -> dict[str, ProcessRecord]:
    records = {
        "kafka": read_record(kafka.record_file(paths)),
        "postgres": read_record(postgres.record_file(paths)),
    }
    return {name: record for name, record in records.items() if record is not None and is_alive(record)}


def _java_and_jars(
    request: UpRequest, observe: Observe, stop: StopFlag
) -> tuple[Java, dict[SetName, tuple[Path, ...]]]:
    java = find_java(request.paths, request.environ, observe)
    observe(Progress("java", "done", f"{java.version} from {java.source}"))
    deadline = Deadline(DOWNLOAD_SECONDS)
    # The detector's sets are fetched as well: once `up` has succeeded, nothing needs the network any more.
    jars = {name: ensure_jars(name, java, request.paths, deadline, observe, stop=stop) for name in SET_NAMES}
    return java, jars


def _ports(request: UpRequest, running: Mapping[str, ProcessRecord], old: StackState | None) -> Ports:
    """A stack keeps its ports, so that clients find it again; new ones come from the settings.

    With --any-port, one that is in use is gone round.
    """
    kafka_settings, postgres_settings = request.settings.kafka, request.settings.postgres
    asked = Ports(kafka_settings.port, kafka_settings.controller_port, postgres_settings.port)
    if running and old is None:
        raise RefusedError(
            f"{' and '.join(sorted(running))} of this stack run, but the stack's state is gone",
            detail=f"{request.paths.state_file} is missing: nobody knows at which ports",
            hint="stop them with `fraudctl down`, then run `fraudctl up`",
        )
    base = old.ports if old is not None and old.configured == asked else asked
    wanted = {
        "kafka.port": base.kafka,
        "kafka.controller_port": base.controller,
        "postgres.port": base.postgres,
    }
    if old is not None:
        if "kafka" in running:
            wanted |= {"kafka.port": old.ports.kafka, "kafka.controller_port": old.ports.controller}
        if "postgres" in running:
            wanted["postgres.port"] = old.ports.postgres
    chosen: dict[str, int] = {}
    for setting, port in wanted.items():
        service = setting.partition(".")[0]
        if service not in running:
            if request.any_port and (not is_free(port) or port in chosen.values()):
                port = free_port(frozenset(wanted.values()) | frozenset(chosen.values()))
            require_free(port, service=service, setting=setting)
        if port in chosen.values():
            raise RefusedError(f"{setting} is {port}, which another service of the stack has already")
        chosen[setting] = port
    return Ports(chosen["kafka.port"], chosen["kafka.controller_port"], chosen["postgres.port"])


def _start_services(
    run: _Run, running: Mapping[str, ProcessRecord], java: Java | None, jars: tuple[Path, ...], stop: StopFlag
) -> None:
    """Both at the same time; as soon as one fails or the user has had enough, neither is waited for."""
    with ThreadPoolExecutor(2, thread_name_prefix="up") as pool:
        try:
            left: set[Future[None]] = {
                pool.submit(_start_postgres, run, running.get("postgres")),
                pool.submit(_start_kafka, run, running.get("kafka"), java, jars),
            }
            while left:
                done, left = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                if stop.is_set:
                    raise KeyboardInterrupt
        finally:
            run.stop.set()
    # From here on only this thread is left.
    run.stop = stop


def _start_postgres(run: _Run, record: ProcessRecord | None) -> None:
    endpoint = run.state.endpoints.postgres
    if record is None:
        run.observe(Progress("postgres", "begun", "starting"))
        if postgres.prepare(run.paths, run.settings.postgres, run.deadline, run.stop):
            run.changed.append("postgres initialised")
        record = postgres.start(run.paths, run.deadline, port=endpoint.port)
        run.started.append(record)
        run.changed.append("postgres started")

    def probe(seconds: float) -> None:
        creation.probe_server(endpoint, timeout_seconds=seconds)

    wait_ready(record, probe, run.deadline, postgres.log_file(run.paths), run.stop)
    run.observe(Progress("postgres", "done", f"ready at {endpoint.host}:{endpoint.port}"))


def _start_kafka(run: _Run, record: ProcessRecord | None, java: Java | None, jars: tuple[Path, ...]) -> None:
    servers = run.state.endpoints.bootstrap_servers
    if record is None:
        assert java is not None
        run.observe(Progress("kafka", "begun", "starting"))
        if kafka.prepare(run.paths, java, jars, run.deadline, run.stop):
            run.changed.append("kafka formatted")
        ports = run.state.ports
        record = kafka.start(
            run.paths,
            java,
            jars,
            run.settings.kafka,
            port=ports.kafka,
            controller_port=ports.controller,
        )
        run.started.append(record)
        run.changed.append("kafka started")

    def probe(seconds: float) -> None:
        topics.probe(servers, timeout_seconds=seconds)

    wait_ready(record, probe, run.deadline, kafka.log_file(run.paths), run.stop)
    run.observe(Progress("kafka", "done", f"ready at {servers}"))


def _furnish(run: _Run) -> UpReport:
    """Database, schema and topic."""
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
    topic = topics.ensure_topic(
        endpoints.bootstrap_servers,
        run.settings.kafka,
        timeout_seconds=max(connect_seconds, run.deadline.remaining()),
    )
    if topic.change == "created":
        run.changed.append(f"topic {topic.topic} created")
    return _report(run, endpoints, topic, len(migrated.applied) + len(migrated.already))


def _report(run: _Run, endpoints: Endpoints, topic: TopicReport, schema_version: int) -> UpReport:
    running = _running(run.paths)
    if len(running) < 2:
        raise NotReadyError(
            "a service ended right after it had been ready", hint="look at `fraudctl logs`, then try again"
        )
    return UpReport(
        profile=run.state.profile,
        reason=run.state.reason,
        services=ServicesUp(
            KafkaUp(endpoints.bootstrap_servers, running["kafka"].pid, kafka.log_file(run.paths)),
            PostgresUp(
                endpoints.postgres.dsn(),
                running["postgres"].pid,
                postgres.log_file(run.paths),
                endpoints.postgres.password_file,
            ),
        ),
        endpoints=endpoints,
        topic=topic,
        schema_version=schema_version,
        changed=tuple(run.changed),
    )


def _undo(run: _Run) -> None:
    for record in run.started:
        first = postgres.STOP_SIGNAL if record.name == postgres.NAME else kafka.STOP_SIGNAL
        stop_process(record, _UNDO_GRACE_SECONDS, first)
        run.observe(Progress(record.name, "done", "stopped again"))
    if run.started:
        run.observe(Progress("stack", "note", f"data and logs are kept in {run.paths.root}"))
