"""Run the detector over a time range again, into the shadow, and compare the result with the live windows.

The live detector may continue meanwhile: the replay has a schema, a checkpoint and a lease of its own, and
stops at the offsets where the ledger ended when it began. `apply` then replaces the live windows that lie
wholly inside the range, in one transaction.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from fraudctl.broker import topics
from fraudctl.clock import StopFlag, utc_now
from fraudctl.config.job import changed, fingerprint
from fraudctl.config.lane import REPLAY
from fraudctl.database.shadow import Shadow, endpoint_of
from fraudctl.database.snapshot import Snapshot, read_snapshot
from fraudctl.errors import RefusedError
from fraudctl.operations.inputs.join_labels import Subject
from fraudctl.operations.inputs.labels import labels_if_any
from fraudctl.operations.replay.offsets import (
    Arrivals,
    Held,
    LogSpan,
    Range,
    Ranges,
    arrivals,
    from_the_beginning,
    log_span,
    widened,
)
from fraudctl.operations.replay.precision import Detection, detection
from fraudctl.operations.replay.rule_changes import Change, change
from fraudctl.operations.replay.session import ReplayRequest, Views, alone, clear, run
from fraudctl.progress import Progress
from fraudctl.recount.alerts import Alert
from fraudctl.recount.compare import Timed, WindowDifference, compare_windows
from fraudctl.recount.flags import OF_THE_BATCH, Flags, compare_flags
from fraudctl.recount.instants import instant_text
from fraudctl.recount.ledger import Ledger
from fraudctl.recount.windows import Totals, WindowKey
from fraudctl.rules.model import RuleSet, parse_rules

Windows = dict[WindowKey, Totals]
Key = TypeVar("Key")
Row = TypeVar("Row", bound=Timed)


@dataclass(frozen=True)
class RangeRequest:
    """A request to replay a time range.

    `span`: begin and end; None: all that has been processed. `rules`: the rules file, if not that of the
    settings.
    """

    replay: ReplayRequest
    span: tuple[datetime, datetime] | None
    rules: str | None = None
    apply: bool = False


@dataclass(frozen=True)
class RangeReplay:
    """The result of replaying a range.

    In each difference `expected` is the replay's value, `stored` the live one. `range_from` and `range_to`
    are the requested times widened to whole slides, or the begin and end of the live windows. `detection` has
    precision and recall of both sides' alerts; it is None where no fraud of the range is known.
    """

    range_from: str
    range_to: str
    rules: str | None
    offsets: dict[int, tuple[int, int]]
    records: int
    windows_replayed: int
    windows_compared: int
    differences: tuple[WindowDifference, ...]
    flagged_live: int
    flagged_replayed: int
    alerts: Change
    flags: Change
    detection: Detection | None
    applied: bool
    rows_changed: int
    seconds: float

    @property
    def different(self) -> bool:
        """Return whether a window differs, or which transactions rules on a card's past flag."""
        return bool(self.differences or self.flags.won or self.flags.lost)


def replay_range(request: RangeRequest, *, stop: StopFlag, views: Views) -> RangeReplay:
    """Recompute the windows of a range and compare; with `apply`, replace the live ones.

    Raises:
        RefusedError: log or ledger do not cover the range, or the replay may not be applied.
        UsageError: no window fits into the range.
        FraudctlError: for the same reasons as `detect`.
    """
    began = time.monotonic()
    replay = request.replay
    rules = parse_rules(replay.rules_document)
    asked = widened(*request.span, replay.settings.windows) if request.span else None
    with alone(replay, views):
        before = read_snapshot(replay.endpoints.postgres, connect_seconds=replay.connect_seconds)
        refuse_foreign(replay, before)
        if request.apply:
            _refuse_other_settings(request, before)
        span = asked or _landed(before)
        part = _part(replay, asked, rules, Ledger(before.batches).ranges)
        _tell(views, span, part)
        shadow = Shadow(replay.endpoints.postgres, connect_seconds=replay.connect_seconds)
        clear(replay.paths)
        shadow.create()
        if part.records:
            lane = replace(REPLAY, starting_offsets=part.starts, ending_offsets=part.ends)
            run(replay, lane, stop=stop, views=views)
        after = read_snapshot(endpoint_of(replay.endpoints.postgres), connect_seconds=replay.connect_seconds)
        live, replayed = _inside(before.metrics, span), _inside(after.metrics, span)
        flags = _rows_inside(before.flags, span), _rows_inside(after.flags, span)
        rows_changed = 0
        if request.apply:
            _refuse_other_flags(*flags)
            unless = None if part.closed else len(before.batches)
            rows_changed = shadow.swap_windows(span.begin_us, span.finish_us, unless_grown_beyond=unless)
        shadow.drop()
        clear(replay.paths)
    alerts = _rows_inside(before.alerts, span), _rows_inside(after.alerts, span)
    return RangeReplay(
        range_from=instant_text(span.begin_us),
        range_to=instant_text(span.finish_us),
        rules=request.rules,
        offsets={number: (start, part.ends[number]) for number, start in part.starts.items()},
        records=part.records,
        windows_replayed=len(replayed),
        windows_compared=len(live.keys() | replayed.keys()),
        differences=tuple(compare_windows(replayed, live)),
        flagged_live=sum(totals.flagged_count for totals in live.values()),
        flagged_replayed=sum(totals.flagged_count for totals in replayed.values()),
        alerts=change(*alerts),
        flags=change(*flags),
        detection=detection(
            labels_if_any(replay.settings, replay.endpoints),
            *(_subjects(rows.values()) for rows in alerts),
            begin_us=span.begin_us,
            finish_us=span.finish_us,
            now_us=round(utc_now().timestamp() * 1_000_000),
        ),
        applied=request.apply,
        rows_changed=rows_changed,
        seconds=round(time.monotonic() - began, 1),
    )


def refuse_foreign(replay: ReplayRequest, landed: Snapshot) -> None:
    """Raise an error if the live rows were computed from another log than the present one.

    Raises:
        RefusedError: the live rows came from another log than the present one.
    """
    topic = replay.settings.kafka.topic
    present = topics.identity(
        replay.endpoints.bootstrap_servers, topic, timeout_seconds=replay.connect_seconds
    )
    now = (present.cluster_id, topic, present.topic_id)
    for batch in landed.batches:
        was = (batch.cluster_id, batch.topic, batch.topic_id)
        if was != now:
            raise RefusedError(
                "what has landed was read from another log than the present one, and cannot be replayed",
                detail="cluster, topic and topic id in the ledger: {}, {}, {}\nnow: {}, {}, {}".format(
                    *was, *now
                ),
                hint="set kafka.topic and the servers to the log that was read, if it still exists",
            )


def _refuse_other_settings(request: RangeRequest, landed: Snapshot) -> None:
    settings = request.replay.settings
    own = fingerprint(
        topic=settings.kafka.topic,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        card_horizon_seconds=Ledger(landed.batches).card_horizon_seconds,
    )
    other = {name for batch in landed.batches for name in changed(batch.fingerprint, own)}
    if other:
        raise RefusedError(
            "the present settings are not those of what has landed: applying a part would mix the two",
            detail=f"changed: {', '.join(sorted(other))}",
            hint="look at the difference without --apply; `fraudctl replay --rebuild --apply` changes all",
        )
    rules = parse_rules(request.replay.rules_document).digest
    if {batch.rule_set for batch in landed.batches} != {rules}:
        what = f"the rules of {request.rules} are" if request.rules else "the rules in force are"
        raise RefusedError(
            f"{what} not those that judged all landed batches: applying a part would mix the two",
            detail="the ledger says which rules judged each batch; a recount would disagree with the windows",
            hint="look at the difference without --apply; `fraudctl replay --rebuild --apply` judges all "
            "anew, and `fraudctl rules apply` what is still to come",
        )


def _refuse_other_flags(live: Flags, replayed: Flags) -> None:
    """Raise an error if the flags of the range differ: a range cannot replace flags.

    Each flag names the batch that evaluated it, so flags are not swapped by range; equal ones stay.
    """
    other = list(compare_flags(replayed, live, ignoring=OF_THE_BATCH))
    if other:
        raise RefusedError(
            "the flags of the range are not what the rules in force give, and a range does not replace flags",
            detail=f"{len(other)} differ, the first is {other[0].transaction_id} ({other[0].kind})",
            hint="look at the difference without --apply; `fraudctl replay --rebuild --apply` makes all anew",
        )


def _landed(before: Snapshot) -> Range:
    if not before.metrics:
        raise RefusedError(
            "nothing has landed yet, so there is nothing to replay", hint="run `fraudctl detect` first"
        )
    return Range(min(key.start_us for key in before.metrics), max(key.end_us for key in before.metrics))


def _part(replay: ReplayRequest, asked: Range | None, rules: RuleSet, ledger: Ranges) -> LogSpan:
    """Return the part of the log that a range needs, or without a range all that the detector has read."""
    if asked is None:
        servers, topic = replay.endpoints.bootstrap_servers, replay.settings.kafka.topic
        log = topics.end_offsets(servers, topic, timeout_seconds=replay.connect_seconds)
        starts = from_the_beginning(log, ledger)
        ends = {number: ledger.get(number, (start, start))[1] for number, start in starts.items()}
        return LogSpan(starts, ends, closed=False)
    needed = arrivals(asked, replay.settings.lateness, rules.card_horizon_seconds)
    return log_span(needed, _held(replay, needed), ledger)


def _held(replay: ReplayRequest, needed: Arrivals) -> Held:
    servers, topic = replay.endpoints.bootstrap_servers, replay.settings.kafka.topic
    seconds = replay.connect_seconds

    def at(instant_ms: int) -> dict[int, int | None]:
        return topics.offsets_at(servers, topic, instant_ms, timeout_seconds=seconds)

    ordered = replay.settings.kafka.timestamp_type == "LogAppendTime"
    return Held(
        log=topics.end_offsets(servers, topic, timeout_seconds=seconds),
        at_warm_up=at(needed.warm_up_ms),
        at_first=at(needed.first_ms),
        after_last=at(needed.last_ms + 1) if ordered else None,
        now_ms=int(utc_now().timestamp() * 1000),
    )


def _tell(views: Views, span: Range, part: LogSpan) -> None:
    views.step(
        Progress(
            "replay",
            "note",
            f"windows from {instant_text(span.begin_us)} to {instant_text(span.finish_us)}, "
            f"{part.records:,} offsets to read",
        )
    )


def _subjects(alerts: Iterable[Alert]) -> list[Subject]:
    return [Subject(alert.transaction_id, alert.card_id, alert.event_time_us) for alert in alerts]


def _rows_inside(rows: Mapping[Key, Row], span: Range) -> dict[Key, Row]:
    """Return the alerts or flags of transactions in the range."""
    return {key: row for key, row in rows.items() if span.begin_us <= row.event_time_us < span.finish_us}


def _inside(windows: Windows, span: Range) -> Windows:
    return {key: totals for key, totals in windows.items() if span.holds(key.start_us, key.end_us)}
