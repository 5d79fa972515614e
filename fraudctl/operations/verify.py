"""Recount the log independently and compare every landed row with what it must be."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fraudctl.broker.log import read_ranges
from fraudctl.broker.topics import end_offsets, identity
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.job import changed, fingerprint
from fraudctl.config.model import Settings
from fraudctl.database.snapshot import Snapshot, read_snapshot
from fraudctl.errors import RefusedError
from fraudctl.recount.alerts import AlertDifference, compare_alerts, expected_alerts
from fraudctl.recount.compare import (
    DeadLetterDifference,
    Place,
    WindowDifference,
    compare_dead_letters,
    compare_windows,
)
from fraudctl.recount.flags import FlagDifference, compare_flags, expected_flags
from fraudctl.recount.ledger import Ledger, LedgerFinding, Ranges, Tally
from fraudctl.recount.letters import LetterCheck
from fraudctl.recount.recount import ADMITTED_FATES, DROPPED_BY_ENGINE, Record, Recount, recount
from fraudctl.rules.model import RuleSet

# A broker that is starting, or fetching from a slow disk, may be silent for a while.
_SILENCE_SECONDS = 30.0
_OBSERVED_EVERY = 10_000


@dataclass(frozen=True)
class VerifyRequest:
    endpoints: Endpoints
    settings: Settings


@dataclass(frozen=True)
class Progress:
    """So many of the offsets have been read."""

    read: int
    offsets: int


Observer = Callable[[Progress], None]


@dataclass(frozen=True)
class Verification:
    """The verdict, what it rests on, and every difference by name."""

    verdict: Literal["ok", "differences"]
    topic: str
    cluster_id: str
    topic_id: str
    batches: int
    replays: int  # batches that were landed again and changed nothing
    ranges: dict[int, tuple[int, int]]
    events_read: int
    offsets_without_event: int  # transaction markers of a producer
    fates: dict[str, int]
    fates_by_partition: dict[int, dict[str, int]]
    conflicting_ids: tuple[str, ...]
    rows_expected: int
    rows_stored: int
    rows_compared: int
    dead_letters_compared: int
    alerts_compared: int
    flags_compared: int
    rule_sets: int  # versions of the rules that judged the batches
    # Places of letters not as long as dead_letters.payload_bytes says now; what was kept agrees.
    letters_cut_elsewhere: tuple[Place, ...]
    # Offsets of the log beyond the ledger when it was looked at; None without a ledger to measure from.
    not_landed: int | None
    window_differences: tuple[WindowDifference, ...]
    dead_letter_differences: tuple[DeadLetterDifference, ...]
    alert_differences: tuple[AlertDifference, ...]
    flag_differences: tuple[FlagDifference, ...]
    ledger_findings: tuple[LedgerFinding, ...]
    seconds: float

    @property
    def differences(self) -> int:
        rows = (self.window_differences, self.dead_letter_differences, self.ledger_findings)
        return sum(map(len, (*rows, self.alert_differences, self.flag_differences)))

    @property
    def dropped_by_engine(self) -> int:
        return self.fates.get(DROPPED_BY_ENGINE, 0)


def verify(request: VerifyRequest, observe: Observer = lambda _progress: None) -> Verification:
    """Compare what was landed with a recount of exactly what the ledger says was read.

    Raises:
        RefusedError: the question cannot be answered: nothing has landed, the log no longer holds the
            range, or topic or settings are not those of the ledger.
        ConfigError: the database refuses the login.
        UnreachableError: broker or database does not answer.
    """
    began = time.monotonic()
    connect_seconds = request.settings.timeouts.connect_seconds
    snapshot = read_snapshot(request.endpoints.postgres, connect_seconds=connect_seconds, tolerant=True)
    ledger = Ledger(snapshot.batches)
    # Batches without a single offset prove nothing either: agreement on nothing is no agreement.
    landed = snapshot.metrics or snapshot.dead_letters or snapshot.alerts or snapshot.flags
    if not (ledger.ranges or landed or _flawed(snapshot)):
        raise RefusedError(
            "nothing has landed yet, so there is nothing to verify",
            hint="run `fraudctl produce` and `fraudctl detect` first",
        )
    held: dict[int, tuple[int, int]] = {}
    if snapshot.batches:
        _refuse_other_origin(request, ledger)
        held = end_offsets(
            request.endpoints.bootstrap_servers,
            request.settings.kafka.topic,
            timeout_seconds=connect_seconds,
        )
    rules, unknown = ledger.rule_sets(snapshot.rule_sets)
    findings = [*ledger.contradictions(), *ledger.watermarks(), *ledger.strangers(held), *unknown]
    findings += ledger.beyond_horizon(rules)
    ranges = {partition: span for partition, span in ledger.ranges.items() if partition in held}
    tally = Tally(ledger, _observed(_log(request, ranges, findings), ranges, observe))
    letters = LetterCheck(
        request.settings.kafka.topic, snapshot.dead_letters, request.settings.dead_letters.payload_bytes
    )
    counted = _recount(request.settings, rules, tally, ledger, letters)
    findings += tally.unconfirmed(counted.rejects)
    return replace(
        _verification(snapshot, ledger, counted, letters, findings),
        not_landed=_not_landed(ranges, held) if snapshot.batches else None,
        seconds=round(time.monotonic() - began, 3),
    )


def _flawed(snapshot: Snapshot) -> bool:
    return any(batch.flaws for batch in snapshot.batches)


def _not_landed(ranges: Ranges, held: Ranges) -> int:
    """Offsets of the log that the ledger has not come to; what retention took before cannot land any more."""
    reached = {number: max(low, ranges.get(number, (low, low))[1]) for number, (low, _) in held.items()}
    return sum(max(0, high - reached[number]) for number, (_, high) in held.items())


def _refuse_other_origin(request: VerifyRequest, ledger: Ledger) -> None:
    """The ledger must be of one origin, and that must be the present settings and the present topic."""
    settings, batches = request.settings, ledger.batches
    topic = settings.kafka.topic
    _refuse_unless(
        "topic",
        {batch.topic for batch in batches},
        topic,
        hint="set kafka.topic to the topic that was read",
    )
    own = fingerprint(
        topic=topic,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        card_horizon_seconds=ledger.card_horizon_seconds,
    )
    other = {name for batch in batches for name in changed(batch.fingerprint, own)}
    if other:
        raise RefusedError(
            "the landed rows cannot be verified: the fingerprint of events, windows and lateness is not the "
            "one in the ledger",
            detail=f"changed: {', '.join(sorted(other))}",
            hint="verify with the settings that were in force during `fraudctl detect`",
        )
    present = identity(
        request.endpoints.bootstrap_servers, topic, timeout_seconds=settings.timeouts.connect_seconds
    )
    _refuse_unless(
        "Kafka cluster",
        {batch.cluster_id for batch in batches},
        present.cluster_id,
        hint="set kafka.bootstrap_servers to the cluster that was read, or start over with an empty database",
    )
    _refuse_unless(
        "topic's id",
        {batch.topic_id for batch in batches},
        present.topic_id,
        hint="the topic was created again: what was read is gone; start over with an empty database",
    )


def _refuse_unless(name: str, recorded: set[str], present: str, *, hint: str) -> None:
    if recorded != {present}:
        raise RefusedError(
            f"the landed rows cannot be verified: the {name} is not the one in the ledger",
            detail=f"ledger: {', '.join(sorted(recorded))}\nnow: {present}",
            hint=hint,
        )


def _log(request: VerifyRequest, ranges: Ranges, findings: list[LedgerFinding]) -> Iterable[Record]:
    try:
        return read_ranges(
            request.endpoints.bootstrap_servers,
            request.settings.kafka.topic,
            ranges,
            timeout_seconds=_SILENCE_SECONDS,
        )
    except RefusedError as error:
        if not findings:
            raise
        # The ledger contradicts itself already: that it names offsets the log never had adds to it.
        findings.append(LedgerFinding("log", "", None, None, "offsets that the log holds", error.detail))
        return ()


def _observed(records: Iterable[Record], ranges: Ranges, observe: Observer) -> Iterator[Record]:
    offsets = sum(end - start for start, end in ranges.values())
    number = 0
    for number, record in enumerate(records, start=1):
        yield record
        if number % _OBSERVED_EVERY == 0:
            observe(Progress(number, offsets))
    observe(Progress(number, offsets))


def _recount(
    settings: Settings,
    rules: Sequence[RuleSet],
    records: Iterable[Record],
    ledger: Ledger,
    letters: LetterCheck,
) -> Recount:
    return recount(
        records,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        rules=rules,
        card_horizon_seconds=ledger.card_horizon_seconds,
        watermark=ledger.watermark,
        batch_of=ledger.place,
        on_refused=letters.refused,
    )


def _verification(
    snapshot: Snapshot,
    ledger: Ledger,
    counted: Recount,
    letter_check: LetterCheck,
    findings: list[LedgerFinding],
) -> Verification:
    newest = ledger.batches[-1] if ledger.batches else None
    topic = newest.topic if newest else ""
    windows = tuple(compare_windows(counted.windows, snapshot.metrics))
    rejects = {(topic, *place): reason for place, reason in counted.rejects.items()}
    letters = (*compare_dead_letters(rejects, snapshot.reasons), *letter_check.differences())
    expected = expected_alerts(counted.raised, ledger.batches)
    alerts = tuple(compare_alerts(expected, snapshot.alerts))
    expected_marks = expected_flags(counted.marked, ledger.batches)
    flags = tuple(compare_flags(expected_marks, snapshot.flags))
    fates: Counter[str] = Counter(dict.fromkeys(ADMITTED_FATES, 0))
    for own in counted.fates.values():
        fates.update(own)
    return Verification(
        verdict="differences" if windows or letters or alerts or flags or findings else "ok",
        topic=topic,
        cluster_id=newest.cluster_id if newest else "",
        topic_id=newest.topic_id if newest else "",
        batches=len(ledger.batches),
        replays=sum(batch.replays for batch in ledger.batches),
        ranges=ledger.ranges,
        events_read=counted.read,
        offsets_without_event=sum(end - start for start, end in ledger.ranges.values()) - counted.read,
        fates=dict(fates),
        fates_by_partition={partition: dict(own) for partition, own in sorted(counted.fates.items())},
        conflicting_ids=counted.conflicts,
        rows_expected=len(counted.windows),
        rows_stored=len(snapshot.metrics),
        rows_compared=len(counted.windows.keys() | snapshot.metrics.keys()),
        dead_letters_compared=len(rejects.keys() | snapshot.dead_letters.keys()),
        alerts_compared=len(expected.keys() | snapshot.alerts.keys()),
        flags_compared=len(expected_marks.keys() | snapshot.flags.keys()),
        rule_sets=len({batch.rule_set for batch in ledger.batches}),
        letters_cut_elsewhere=tuple(letter_check.cut_elsewhere),
        not_landed=None,
        window_differences=windows,
        dead_letter_differences=letters,
        alert_differences=alerts,
        flag_differences=flags,
        ledger_findings=tuple(findings),
        seconds=0.0,
    )
