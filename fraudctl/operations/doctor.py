"""All that `detect` checks before it starts Spark, as a report: not only the first check that fails."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fraudctl.broker import topics
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.job import fingerprint
from fraudctl.config.lane import LIVE, REPLAY
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database import continuation, lease, migrations
from fraudctl.database.connection import connect
from fraudctl.errors import FraudctlError, RefusedError
from fraudctl.operations.settle_checkpoint import awaits_its_place
from fraudctl.rules.model import parse_rules
from fraudctl.runtime import checkpoint_folder, stack

T = TypeVar("T")


@dataclass(frozen=True)
class DoctorRequest:
    settings: Settings
    paths: StackPaths
    rules_document: dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """One question and its answer; `detail` and `hint` only where something is wrong."""

    name: str
    well: bool
    answer: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True)
class DoctorReport:
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return all(finding.well for finding in self.findings)


def doctor(request: DoctorRequest) -> DoctorReport:
    """Look at everything that a detector would depend on, and change nothing.

    Raises:
        ConfigError: the profile is external, and the settings do not say where its services are.
        RefusedError: the stack's own files cannot be read.
    """
    examined = _Examination()
    endpoints = stack.endpoints(request.settings, request.paths)
    examined.ask(
        "rules", lambda: parse_rules(request.rules_document), lambda found: _count(found.rules, "rule")
    )
    topic = examined.ask("topic", lambda: _topic(request, endpoints), lambda found: f"id {found.topic_id}")
    schema = examined.ask("schema", lambda: _schema(request, endpoints), lambda _found: "current")
    rebuilt = schema and _rebuilt(request, endpoints)
    lane = REPLAY if rebuilt else LIVE
    folder = examined.ask(
        "checkpoint",
        lambda: checkpoint_folder.look(lane.checkpoint(request.paths)),
        lambda found: (
            "none yet"
            if found.query_id is None
            else f"batch {found.last_plan} is the newest"
            + (", of a rebuild that the next start puts in place" if rebuilt else "")
        ),
    )
    if schema:
        held = examined.ask("lease", lambda: _lease(request, endpoints), _leased)
        if topic and folder and held:
            _compare(examined, request, endpoints, topic, folder, running=not held.free)
    return DoctorReport(tuple(examined.findings))


class _Examination:
    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def ask(self, name: str, question: Callable[[], T], answer: Callable[[T], str]) -> T | None:
        """What the question gave, or None where it failed; either way it is written down."""
        try:
            found = question()
        except FraudctlError as error:
            self.findings.append(Finding(name, False, error.message, error.detail, error.hint))
            return None
        self.findings.append(Finding(name, True, answer(found)))
        return found

    def compare(self, name: str, check: Callable[[], None], answer: str) -> None:
        """A check that says nothing when all is well."""

        def passes() -> bool:
            check()
            return True

        self.ask(name, passes, lambda _true: answer)


def _topic(request: DoctorRequest, endpoints: Endpoints) -> topics.TopicIdentity:
    return topics.identity(
        endpoints.bootstrap_servers,
        request.settings.kafka.topic,
        timeout_seconds=request.settings.timeouts.connect_seconds,
    )


def _schema(request: DoctorRequest, endpoints: Endpoints) -> bool:
    seconds = request.settings.timeouts.connect_seconds
    pending = migrations.status(endpoints.postgres, connect_seconds=seconds).pending
    if pending:
        names = ", ".join(migration.name for migration in pending)
        raise RefusedError("the database lacks migrations", detail=names, hint="run `fraudctl migrate`")
    return True


def _rebuilt(request: DoctorRequest, endpoints: Endpoints) -> bool:
    """Would a detector first move a rebuild's checkpoint to the live one's place?"""
    seconds = request.settings.timeouts.connect_seconds
    return awaits_its_place(request.paths, endpoints.postgres, connect_seconds=seconds)


def _lease(request: DoctorRequest, endpoints: Endpoints) -> lease.Lease:
    return lease.look(endpoints.postgres, connect_seconds=request.settings.timeouts.connect_seconds)


def _leased(found: lease.Lease) -> str:
    return "free" if found.free else f"held by {found.described()}"


def _compare(
    examined: _Examination,
    request: DoctorRequest,
    endpoints: Endpoints,
    topic: topics.TopicIdentity,
    folder: checkpoint_folder.CheckpointFolder,
    *,
    running: bool,
) -> None:
    """The ledger against checkpoint, log and settings; not batch by batch while a detector lands some."""
    settings = request.settings
    present = continuation.Present(
        query_id=folder.query_id,
        last_commit=folder.last_commit,
        plans=folder.plans,
        cluster_id=topic.cluster_id,
        topic=settings.kafka.topic,
        topic_id=topic.topic_id,
        fingerprint=fingerprint(
            topic=settings.kafka.topic,
            events=settings.events,
            windows=settings.windows,
            lateness=settings.lateness,
        ),
    )
    seconds = settings.timeouts.connect_seconds
    with connect(endpoints.postgres, application="fraudctl doctor", timeout_seconds=seconds) as connection:
        examined.ask(
            "durability",
            lambda: continuation.check_durability(connection),
            lambda _none: "every commit lasts",
        )
        landed = continuation.newest(connection)
    for name, check, answer in (
        ("query", continuation.check_query, "the checkpoint belongs to the windows"),
        ("log", continuation.check_origin, "cluster and topic are those that were read"),
        ("settings", continuation.check_fingerprint, "those that the windows were counted under"),
        ("position", continuation.check_position, "ledger and checkpoint agree"),
    ):
        if name != "position" or not running:
            examined.compare(name, partial(check, landed, present), answer)


def _count(things: object, name: str) -> str:
    number = len(things)  # type: ignore[arg-type]
    return f"{number} {name}{'' if number == 1 else 's'}"
