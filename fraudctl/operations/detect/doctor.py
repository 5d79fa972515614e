"""A report of all checks that `detect` runs before it starts Spark, not only of the first that fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from fraudctl import failpoints
from fraudctl.broker import topics
from fraudctl.checkpoint import inspect_folder
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.job import fingerprint, horizon_of
from fraudctl.config.lane import LIVE, REPLAY
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database import continuation, lease, migrations
from fraudctl.database.connection import connect
from fraudctl.errors import FraudctlError, RefusedError
from fraudctl.operations import preflight
from fraudctl.operations.detect.placement import check_place
from fraudctl.operations.detect.plan import check_writer
from fraudctl.operations.detect.promote_checkpoint import awaits_its_place
from fraudctl.operations.rules import card_lookback
from fraudctl.operations.rules.check import rules_warnings
from fraudctl.progress import Progress
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.runtime import stack
from fraudctl.runtime.jvm import spark_submit
from fraudctl.runtime.jvm.java import find_java
from fraudctl.runtime.process import identity

T = TypeVar("T")


@dataclass(frozen=True)
class DoctorRequest:
    """A request for a report, with the environment that `detect` would be run in."""

    settings: Settings
    paths: StackPaths
    rules_document: dict[str, Any]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """The answer of one check: `answer` is one line, `detail` has further lines, `hint` says what to do."""

    name: str
    well: bool
    answer: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """The report; `occupied` says that a detector has the lease, so a second one would be refused."""

    findings: tuple[Finding, ...]
    occupied: bool

    @property
    def healthy(self) -> bool:
        """Return whether no check failed."""
        return all(finding.well for finding in self.findings)


def doctor(request: DoctorRequest) -> DoctorReport:
    """Check everything that a detector would depend on, and start and change nothing.

    The checks of this machine and of Java are those that `detect` runs itself.
    """
    examined = _Examination()
    for check in preflight.for_detector(request.settings, request.paths, request.environ):
        examined.ask(check.name, check.run, str)
    examined.ask("java", lambda: _java(request), str)
    examined.ask("spark", lambda: _spark(request), str)
    examined.compare(
        "failpoints", lambda: failpoints.parse(request.environ.get(failpoints.VARIABLE, "")), "known"
    )
    endpoints = examined.ask(
        "stack",
        lambda: stack.endpoints(request.settings, request.paths),
        lambda found: found.bootstrap_servers,
    )
    if endpoints is None:
        return DoctorReport(tuple(examined.findings), occupied=False)
    return _services(request, endpoints, examined)


def _services(request: DoctorRequest, endpoints: Endpoints, examined: "_Examination") -> DoctorReport:
    """Ask the broker and the database, and compare what they hold with the checkpoint."""
    rules = examined.ask("rules", lambda: parse_rules(request.rules_document), partial(_rules, request))
    topic = examined.ask("topic", lambda: _topic(request, endpoints), lambda found: f"id {found.topic_id}")
    schema = examined.ask("schema", lambda: _schema(request, endpoints), lambda _found: "current")
    if schema:
        seconds = request.settings.timeouts.connect_seconds
        examined.compare(
            "writer", lambda: check_writer(endpoints, connect_seconds=seconds), "may write to the tables"
        )
    checkpoint = examined.ask(
        "checkpoint",
        lambda: _checkpoint(request, endpoints, migrated=bool(schema)),
        lambda found: found.described(),
    )
    held = examined.ask("lease", lambda: _lease(request, endpoints), _leased) if schema else None
    if topic and checkpoint and held:
        _compare(examined, request, endpoints, topic, checkpoint.folder, rules, running=_occupied(held))
    return DoctorReport(tuple(examined.findings), held is not None and _occupied(held))


@dataclass(frozen=True)
class _Checkpoint:
    """The checkpoint of the next start; `rebuilt` says that it comes from a rebuild and must be promoted."""

    folder: inspect_folder.CheckpointFolder
    rebuilt: bool

    def described(self) -> str:
        if self.folder.query_id is None:
            return "none yet"
        rest = ", of a rebuild that the next start puts in place" if self.rebuilt else ""
        return f"batch {self.folder.last_plan} is the newest{rest}"


class _Examination:
    """The checks that have been run, with their findings."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def ask(self, name: str, question: Callable[[], T], answer: Callable[[T], str]) -> T | None:
        """Record the answer to a question or its error; return its result, or None after an error."""
        try:
            found = question()
        except FraudctlError as error:
            self.findings.append(Finding(name, False, error.message, error.detail, error.hint))
            return None
        first, *rest = answer(found).splitlines()
        self.findings.append(Finding(name, True, first, "\n".join(rest)))
        return found

    def compare(self, name: str, check: Callable[[], object], answer: str) -> None:
        """Record a check that has no result: `answer` if it passes, or else its error."""

        def passes() -> bool:
            check()
            return True

        self.ask(name, passes, lambda _true: answer)


def _java(request: DoctorRequest) -> str:
    """Return the Java that is used, and in a line each those that are named and cannot be."""
    heard: list[Progress] = []
    found = find_java(request.paths, request.environ, heard.append)
    passed_over = (f"not used: {step.text}" for step in heard if step.kind == "note")
    return "\n".join((f"{found.version} from {found.source}", *passed_over))


def _spark(request: DoctorRequest) -> str:
    check_place(request.settings)
    return f"{spark_submit.spark_version()} in {spark_submit.spark_home()}"


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


def _checkpoint(request: DoctorRequest, endpoints: Endpoints, *, migrated: bool) -> _Checkpoint:
    seconds = request.settings.timeouts.connect_seconds
    rebuilt = migrated and awaits_its_place(request.paths, endpoints.postgres, connect_seconds=seconds)
    lane = REPLAY if rebuilt else LIVE
    return _Checkpoint(inspect_folder.look(lane.checkpoint(request.paths)), rebuilt)


def _lease(request: DoctorRequest, endpoints: Endpoints) -> lease.Lease:
    return lease.look(endpoints.postgres, connect_seconds=request.settings.timeouts.connect_seconds)


def _leased(found: lease.Lease) -> str:
    if found.free:
        return "free"
    gone = "; its process is gone, so it need not be waited for"
    return f"held by {found.described()}{'' if _occupied(found) else gone}"


def _occupied(found: lease.Lease) -> bool:
    """Return whether `detect` would be refused the lease; a holder that is surely dead does not count."""
    return not (found.free or identity.is_surely_dead(found.process))


def _compare(
    examined: _Examination,
    request: DoctorRequest,
    endpoints: Endpoints,
    topic: topics.TopicIdentity,
    folder: inspect_folder.CheckpointFolder,
    rules: RuleSet | None,
    *,
    running: bool,
) -> None:
    """Compare the ledger with checkpoint, log and settings.

    While a detector is `running`, ledger and checkpoint are not compared batch by batch, because it may be
    writing one.
    """
    settings, seconds = request.settings, request.settings.timeouts.connect_seconds
    with connect(endpoints.postgres, application="fraudctl doctor", timeout_seconds=seconds) as connection:
        examined.ask(
            "durability",
            lambda: continuation.check_durability(connection),
            lambda _none: "every commit lasts",
        )
        landed = continuation.newest(connection)
    horizon = horizon_of(landed.fingerprint) if landed else 0
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
            card_horizon_seconds=horizon,
        ),
    )
    for name, check, answer in (
        ("query", continuation.check_query, "the checkpoint belongs to the windows"),
        ("log", continuation.check_origin, "cluster and topic are those that were read"),
        ("settings", continuation.check_fingerprint, "those that the windows were counted under"),
        ("position", continuation.check_position, "ledger and checkpoint agree"),
    ):
        if name != "position" or not running:
            examined.compare(name, partial(check, landed, present), answer)
    if landed and rules:
        examined.compare(
            "look back",
            lambda: card_lookback.refuse_rules_in_force(
                endpoints.postgres, rules, horizon, connect_seconds=seconds
            ),
            f"the state of cards reaches back {horizon // 60} min, no rule in force further"
            if horizon
            else "no rule in force asks what a card did before",
        )


def _rules(request: DoctorRequest, found: RuleSet) -> str:
    """Return the number of rules, and then a line for each warning of `detect` (rules that never match)."""
    number = len(found.rules)
    warnings = rules_warnings(request.settings, found, request.rules_document)
    return "\n".join((f"{number} rule{'' if number == 1 else 's'}", *(f"warning: {one}" for one in warnings)))
