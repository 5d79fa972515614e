"""Recount the log independently and compare every row in the database with the expected one."""

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fraudctl.broker.log import held_ranges
from fraudctl.broker.topics import end_offsets, identity
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.job import changed, fingerprint
from fraudctl.config.model import Settings
from fraudctl.database.snapshot import open_snapshot
from fraudctl.errors import RefusedError
from fraudctl.operations.verify.kept_recount import BUCKETS, Kept, find_kept, keep, unread
from fraudctl.operations.verify.recount_log import (
    SILENCE_SECONDS,
    LogRecount,
    Observer,
    Recounted,
    enough_room,
    work_folder,
)
from fraudctl.operations.verify.worker_processes import Crew
from fraudctl.recount.alerts import AlertDifference
from fraudctl.recount.compare import DeadLetterDifference, Place, WindowDifference, compare_windows, in_order
from fraudctl.recount.flags import FlagDifference
from fraudctl.recount.ledger import Ledger, LedgerFinding, Ranges
from fraudctl.recount.recount import ADMITTED_FATES, DROPPED_BY_ENGINE
from fraudctl.recount.windows import Totals, WindowKey

_LOOKS_BACK = "rules may look back at a card, and what they ask cannot be taken up again half-way"


@dataclass(frozen=True)
class VerifyRequest:
    """A request to verify the database.

    Attributes:
        endpoints: the broker and the database.
        settings: the settings of the detector that wrote the rows.
        folder: where files may be kept while it runs; the default is the system's temporary folder.
        from_ledger: continue from the last recount with this folder that agreed, and keep what this one
            reads.
    """

    endpoints: Endpoints
    settings: Settings
    folder: Path | None = None
    from_ledger: bool = False


@dataclass(frozen=True)
class Verification:
    """The verdict, the numbers that it rests on, and every difference by name."""

    verdict: Literal["ok", "differences"]
    topic: str
    cluster_id: str
    topic_id: str
    batches: int
    replays: int  # batches that were committed again and changed nothing
    ranges: dict[int, tuple[int, int]]
    events_read: int
    # The part of `events_read` that only an earlier recount has read; `kept_since` is when that one agreed.
    events_kept: int
    kept_since: str
    # The reason for reading everything although only the new part was requested; empty otherwise.
    whole_because: str
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
    rule_sets: int  # versions of the rules that evaluated the batches
    # Dead letters whose payload is right, but longer or shorter than dead_letters.payload_bytes asks for.
    letters_cut_elsewhere: tuple[Place, ...]
    # Offsets of the log that were not yet processed; None without a ledger to measure from.
    not_landed: int | None
    window_differences: tuple[WindowDifference, ...]
    dead_letter_differences: tuple[DeadLetterDifference, ...]
    alert_differences: tuple[AlertDifference, ...]
    flag_differences: tuple[FlagDifference, ...]
    ledger_findings: tuple[LedgerFinding, ...]
    seconds: float

    @property
    def differences(self) -> int:
        """Return the number of rows and ledger findings that differ."""
        rows = (self.window_differences, self.dead_letter_differences, self.ledger_findings)
        return sum(map(len, (*rows, self.alert_differences, self.flag_differences)))

    @property
    def dropped_by_engine(self) -> int:
        """Return the number of records that Spark dropped behind its watermark."""
        return self.fates.get(DROPPED_BY_ENGINE, 0)


def verify(request: VerifyRequest, observe: Observer = lambda _progress: None) -> Verification:
    """Compare the rows in the database with a recount of exactly those offsets that the ledger names.

    Memory does not grow with the log: for each event about 56 bytes are written to files, which are removed
    at the end (`from_ledger` keeps those of a recount that agreed).

    Raises:
        RefusedError: the question cannot be answered: no batch is committed, the log no longer holds the
            range, topic or settings are not those of the ledger, or there is no room for the files.
        ConfigError: the database refuses the login.
        UnreachableError: broker or database does not answer.
    """
    began = time.monotonic()
    connect_seconds = request.settings.timeouts.connect_seconds
    servers, topic = request.endpoints.bootstrap_servers, request.settings.kafka.topic
    with work_folder(request.folder) as folder, ExitStack() as running:
        with open_snapshot(
            request.endpoints.postgres, connect_seconds=connect_seconds, tolerant=True
        ) as stored:
            ledger, metrics = Ledger(stored.batches()), dict(stored.metrics())
            # Batches without a single offset have nothing to compare, so they prove nothing either.
            flawed = any(batch.flaws for batch in ledger.batches)
            if not (ledger.ranges or metrics or flawed or stored.any_rows()):
                raise RefusedError(
                    "nothing has landed yet, so there is nothing to verify",
                    hint="run `fraudctl produce` and `fraudctl detect` first",
                )
            held: dict[int, tuple[int, int]] = {}
            if ledger.batches:
                _refuse_other_origin(request, ledger)
                held = end_offsets(servers, topic, timeout_seconds=connect_seconds)
            rules, unknown = ledger.rule_sets(stored.rule_sets())
            findings = [*ledger.contradictions(), *ledger.watermarks(), *ledger.strangers(held), *unknown]
            findings += ledger.beyond_horizon(rules)
            landed = {partition: span for partition, span in ledger.ranges.items() if partition in held}
            kept = _find_kept(request, ledger, findings)
            known = kept if isinstance(kept, Kept) else None
            recount = LogRecount(
                request.settings,
                servers,
                ledger,
                rules,
                _held(request, unread(landed, known), findings),
                folder,
                buckets=BUCKETS if request.from_ledger else None,
                kept=known,
                gone_before={partition: low for partition, (low, _high) in held.items()},
            )
            # While other processes read the log, this one reads the stored rows.
            crew = running.enter_context(Crew(recount.processes))
            recount.begin(crew)
            recount.store(stored)
        recounted = recount.result(crew, observe)
        findings += ledger.unconfirmed(recounted.intake)
        result = _verification(
            ledger,
            metrics,
            recounted,
            findings,
            not_landed=_not_landed(landed, held) if ledger.batches else None,
            events_kept=known.events if known else 0,
            kept_since=known.verified_at if known else "",
            whole_because=kept if isinstance(kept, str) else "",
            seconds=round(time.monotonic() - began, 3),
        )
        if request.from_ledger and request.folder and result.verdict == "ok" and kept != _LOOKS_BACK:
            with enough_room(request.folder):
                keep(request.folder, folder, ledger, landed, recounted.intake, known)
    return result


def _find_kept(request: VerifyRequest, ledger: Ledger, findings: list[LedgerFinding]) -> Kept | str:
    """Return the kept files of an earlier recount, or why they cannot be used; "" if `from_ledger` is off."""
    if not request.from_ledger:
        return ""
    if ledger.card_horizon_seconds:
        return _LOOKS_BACK
    if request.folder is None:
        return "this stack has no folder to keep anything in"
    if findings:
        return "the ledger contradicts itself"
    return find_kept(request.folder, ledger)


def _not_landed(ranges: Ranges, held: Ranges) -> int:
    """Return the number of offsets not yet processed; those that retention has removed do not count."""
    reached = {number: max(low, ranges.get(number, (low, low))[1]) for number, (low, _) in held.items()}
    return sum(max(0, high - reached[number]) for number, (_, high) in held.items())


def _refuse_other_origin(request: VerifyRequest, ledger: Ledger) -> None:
    """Raise an error unless the whole ledger comes from the present settings, cluster and topic."""
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


def _held(request: VerifyRequest, ranges: Ranges, findings: list[LedgerFinding]) -> Ranges:
    """Return the ranges to read; none if the log never had them and the ledger already contradicts itself."""
    try:
        return held_ranges(
            request.endpoints.bootstrap_servers,
            request.settings.kafka.topic,
            ranges,
            timeout_seconds=SILENCE_SECONDS,
        )
    except RefusedError as error:
        if not findings:
            raise
        # The ledger names offsets that the log never had: that is a further finding.
        findings.append(LedgerFinding("log", "", None, None, "offsets that the log holds", error.detail))
        return {}


def _verification(
    ledger: Ledger,
    metrics: Mapping[WindowKey, Totals],
    recounted: Recounted,
    findings: list[LedgerFinding],
    *,
    not_landed: int | None,
    events_kept: int,
    kept_since: str,
    whole_because: str,
    seconds: float,
) -> Verification:
    newest = ledger.batches[-1] if ledger.batches else None
    windows = tuple(compare_windows(recounted.windows, metrics))
    letters, rows = recounted.letter_differences, recounted.rows
    fates: Counter[str] = Counter(dict.fromkeys(ADMITTED_FATES, 0))
    for own in recounted.outcomes.values():
        fates.update(own)
    read = fates.total()
    different = windows or letters or rows.alert_differences or rows.flag_differences or findings
    return Verification(
        verdict="differences" if different else "ok",
        topic=newest.topic if newest else "",
        cluster_id=newest.cluster_id if newest else "",
        topic_id=newest.topic_id if newest else "",
        batches=len(ledger.batches),
        replays=sum(batch.replays for batch in ledger.batches),
        ranges=ledger.ranges,
        events_read=read,
        events_kept=events_kept,
        kept_since=kept_since,
        whole_because=whole_because,
        offsets_without_event=sum(end - start for start, end in ledger.ranges.values()) - read,
        fates=dict(fates),
        fates_by_partition={partition: dict(own) for partition, own in sorted(recounted.outcomes.items())},
        conflicting_ids=recounted.conflicts,
        rows_expected=len(recounted.windows),
        rows_stored=len(metrics),
        rows_compared=len(recounted.windows.keys() | metrics.keys()),
        dead_letters_compared=recounted.letters_compared,
        alerts_compared=rows.alerts,
        flags_compared=rows.flags,
        rule_sets=len({batch.rule_set for batch in ledger.batches}),
        letters_cut_elsewhere=recounted.letters_cut_elsewhere,
        not_landed=not_landed,
        window_differences=windows,
        dead_letter_differences=letters,
        alert_differences=tuple(in_order(rows.alert_differences)),
        flag_differences=tuple(in_order(rows.flag_differences)),
        ledger_findings=tuple(findings),
        seconds=seconds,
    )
