"""Recompute everything from the log into the shadow and compare; `apply` replaces the live state with it.

Use it when the checkpoint is lost, damaged or foreign, when somebody else changed rows, or to change a
setting that decides the numbers. It uses nothing of the live checkpoint.
"""

import os
import socket
import time
from dataclasses import dataclass, replace

from fraudctl.broker import topics
from fraudctl.clock import StopFlag
from fraudctl.config.lane import REPLAY, Lane
from fraudctl.database.lease import Holder
from fraudctl.database.shadow import Shadow, endpoint_of
from fraudctl.database.snapshot import Snapshot, read_snapshot
from fraudctl.errors import RefusedError
from fraudctl.operations.detect.claim_lease import claim_lease
from fraudctl.operations.replay.offsets import from_the_beginning
from fraudctl.operations.replay.session import ReplayRequest, Views, alone, clear, refuse_running, run, settle
from fraudctl.operations.replay.time_range import refuse_foreign
from fraudctl.recount.alerts import AlertDifference, compare_alerts
from fraudctl.recount.compare import (
    DeadLetterDifference,
    WindowDifference,
    compare_dead_letters,
    compare_windows,
)
from fraudctl.recount.flags import OF_THE_BATCH, FlagDifference, compare_flags
from fraudctl.recount.ledger import Ledger
from fraudctl.rules.model import parse_rules
from fraudctl.runtime.process import identity

# The rebuild cuts the log into other batches, so another copy may come first: the alert is the same.
_OF_THE_ALERT = OF_THE_BATCH | {"arrival_us"}
# A card's past becomes known batch by batch, and an alert names the rules that matched at that time.
_OF_THE_MOMENT = _OF_THE_ALERT | {"rules", "score"}


@dataclass(frozen=True)
class RebuildRequest:
    """A request for a rebuild; `apply` replaces the live state with its result."""

    replay: ReplayRequest
    apply: bool = False


@dataclass(frozen=True)
class Rebuild:
    """The result of a rebuild; in each difference `expected` is the rebuild's value, `stored` the live one.

    `unread` counts the offsets that the rebuild has read and the detector had not: only with `apply` does it
    go beyond the ledger. `resumed`: an earlier rebuild was killed before its checkpoint was promoted; this
    run promoted it and computed nothing.
    """

    records: int
    unread: int
    windows_compared: int
    window_differences: tuple[WindowDifference, ...]
    dead_letters_compared: int
    dead_letter_differences: tuple[DeadLetterDifference, ...]
    alerts_compared: int
    alert_differences: tuple[AlertDifference, ...]
    flags_compared: int
    flag_differences: tuple[FlagDifference, ...]
    applied: bool
    resumed: bool
    seconds: float

    @property
    def differences(self) -> int:
        """Return the number of rows that differ."""
        rows = (self.window_differences, self.dead_letter_differences)
        return sum(map(len, (*rows, self.alert_differences, self.flag_differences)))


def rebuild(request: RebuildRequest, *, stop: StopFlag, views: Views) -> Rebuild:
    """Recompute everything; with `apply`, replace windows, dead letters, ledger and checkpoint.

    Raises:
        RefusedError: the log no longer holds what was counted, or a detector is running (`apply`).
        FraudctlError: for the same reasons as `detect`.
    """
    began = time.monotonic()
    replay = request.replay
    rules = parse_rules(replay.rules_document)
    if request.apply:
        refuse_running(replay.paths, "a rebuild cannot take its place meanwhile")
    with alone(replay, views) as mended:
        if mended and request.apply:
            return Rebuild(0, 0, 0, (), 0, (), 0, (), 0, (), True, True, round(time.monotonic() - began, 1))
        if request.apply:
            _claim(replay, views)
        before = read_snapshot(replay.endpoints.postgres, connect_seconds=replay.connect_seconds)
        refuse_foreign(replay, before)
        lane = _lane(request, before)
        shadow = Shadow(replay.endpoints.postgres, connect_seconds=replay.connect_seconds)
        clear(replay.paths)
        shadow.create()
        run(replay, lane, stop=stop, views=views)
        after = read_snapshot(endpoint_of(replay.endpoints.postgres), connect_seconds=replay.connect_seconds)
        if request.apply:
            refuse_running(replay.paths, "it was started while the rebuild ran")
            shadow.replace_live(_holder(), rules.digest)
            settle(replay, views)
        shadow.drop()
        clear(replay.paths)
    return _compared(before, after, request.apply, round(time.monotonic() - began, 1))


def _claim(replay: ReplayRequest, views: Views) -> None:
    claim_lease(
        replay.endpoints.postgres,
        takeover=False,
        connect_seconds=replay.connect_seconds,
        observe=views.step,
    )


def _lane(request: RebuildRequest, landed: Snapshot) -> Lane:
    """Return the run target: from the ledger's first offset to its last, or with `apply` to the log's end."""
    replay = request.replay
    log = topics.end_offsets(
        replay.endpoints.bootstrap_servers,
        replay.settings.kafka.topic,
        timeout_seconds=replay.connect_seconds,
    )
    read = Ledger(landed.batches).ranges
    starts = from_the_beginning(log, read)
    beyond = {number: span[1] for number, span in read.items() if span[1] > log.get(number, (0, 0))[1]}
    if beyond:
        raise RefusedError(
            "the log ends before the place up to which it was read",
            detail=f"read up to {beyond}, the log holds {log}",
            hint="the broker has lost records; what was counted cannot be counted again: "
            "`fraudctl detect --new-generation` keeps it aside and begins anew",
        )
    if all(high <= starts[number] for number, (_low, high) in log.items()):
        raise RefusedError("there is nothing to rebuild from: the log holds no record")
    if request.apply or not read:
        return replace(REPLAY, starting_offsets=starts)
    ends = {number: read.get(number, (start, start))[1] for number, start in starts.items()}
    return replace(REPLAY, starting_offsets=starts, ending_offsets=ends)


def _holder() -> Holder:
    name = f"{socket.gethostname()} pid {os.getpid()}, replay --rebuild"
    return Holder(name, identity.of_process(os.getpid()))


def _compared(before: Snapshot, after: Snapshot, applied: bool, seconds: float) -> Rebuild:
    by_card = any(Ledger(one.batches).card_horizon_seconds for one in (before, after))
    ignoring = _OF_THE_MOMENT if by_card else _OF_THE_ALERT
    return Rebuild(
        records=_offsets(after),
        unread=_offsets(after) - _offsets(before),
        windows_compared=len(before.metrics.keys() | after.metrics.keys()),
        window_differences=tuple(compare_windows(after.metrics, before.metrics)),
        dead_letters_compared=len(before.dead_letters.keys() | after.dead_letters.keys()),
        dead_letter_differences=tuple(compare_dead_letters(after.reasons, before.reasons)),
        alerts_compared=len(before.alerts.keys() | after.alerts.keys()),
        alert_differences=tuple(compare_alerts(after.alerts, before.alerts, ignoring=ignoring)),
        flags_compared=len(before.flags.keys() | after.flags.keys()),
        flag_differences=tuple(compare_flags(after.flags, before.flags, ignoring=OF_THE_BATCH)),
        applied=applied,
        resumed=False,
        seconds=seconds,
    )


def _offsets(snapshot: Snapshot) -> int:
    return sum(end - start for start, end in Ledger(snapshot.batches).ranges.values())
