"""Results of replays as text."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from fraudctl.operations.replay.precision import Detection
from fraudctl.operations.replay.rebuild import Rebuild
from fraudctl.operations.replay.rerun import LastBatches
from fraudctl.operations.replay.rule_changes import Change
from fraudctl.operations.replay.session import Views
from fraudctl.operations.replay.time_range import RangeReplay
from fraudctl.progress import Observe
from fraudctl.recount.alerts import AlertDifference, alert_value
from fraudctl.recount.compare import COLUMNS, DeadLetterDifference, WindowDifference
from fraudctl.recount.flags import FlagDifference, flag_value
from fraudctl.recount.windows import Totals
from fraudctl.ui.text.detect import BatchView


@contextmanager
def views(step: Observe) -> Iterator[Views]:
    """Provide views of a replay that show batches as the detector's own view does."""
    with BatchView() as view:
        yield Views(step, view.show)


def last_batches(result: LastBatches) -> str:
    """Return each batch that ran again, and whether any row has changed."""
    lines = [
        f"batch {batch.batch_id}: {batch.records:,} records, {batch.windows:,} windows; "
        f"replays {batch.replays_before} -> {batch.replays_after}"
        for batch in result.batches
    ]
    lines += [f"{name} was run again too, although nobody asked for it" for name in result.others]
    same = result.hash_before == result.hash_after
    lines += [
        f"sha256 of all rows before  {result.hash_before}",
        f"sha256 of all rows after   {result.hash_after}",
        f"{'PASS' if result.unchanged else 'FAIL'}: {len(result.batches)} batches ran again in "
        f"{result.seconds:.1f} s, {'no row has changed' if same else 'rows have changed'}",
    ]
    return "\n".join(lines)


def range_replay(result: RangeReplay, limit: int) -> str:
    """Return what was read, how it differs from the live rows, and what was done about it."""
    lines = [
        f"windows    {result.range_from} to {result.range_to}",
        f"rules      {result.rules or 'those in force'}",
        *(
            f"partition  {number}: offsets {start:,} to {end:,}"
            for number, (start, end) in result.offsets.items()
        ),
        f"flagged    live {result.flagged_live:,}, replayed {result.flagged_replayed:,}"
        " (sums over windows that overlap)",
        *change("alerts", result.alerts),
        *(detection(result.detection) if result.detection is not None else ()),
        *(change("flags by what the card did", result.flags) if _has_flags(result) else ()),
        "",
        *_limited([_window(row) for row in result.differences], limit),
    ]
    if result.applied:
        verdict = f"APPLIED: {result.rows_changed:,} rows changed, in one transaction"
    elif result.different:
        flags = len(result.flags.won) + len(result.flags.lost)
        more = f" and {flags:,} {'flag' if flags == 1 else 'flags'}" if flags else ""
        verdict = (
            f"DIFFERENT: {len(result.differences):,} of {result.windows_compared:,} rows{more};"
            " nothing was changed"
        )
    elif result.windows_compared or result.records:
        verdict = f"SAME: all {result.windows_compared:,} rows agree with the replay"
    else:
        verdict = "EMPTY: neither the log nor the landed windows have anything in this range"
    return "\n".join([*lines, f"{verdict} ({result.records:,} offsets in {result.seconds:.1f} s)"])


def rebuild(result: Rebuild, limit: int) -> str:
    """Return how the recomputed state differs from the live one, and whether it has replaced it."""
    if result.resumed:
        return (
            "APPLIED: a rebuild was killed after its rows were in place; now its checkpoint is, too.\n"
            "`fraudctl detect` goes on from it."
        )
    rows = [_window(row) for row in result.window_differences]
    rows += [_letter(letter) for letter in result.dead_letter_differences]
    rows += [_alert(alert) for alert in result.alert_differences]
    lines = _limited(rows + [_flag(flag) for flag in result.flag_differences], limit)
    if result.unread:
        lines.append(f"note: {result.unread:,} offsets were read that the detector had not come to")
    compared = f"{result.windows_compared:,} rows, {result.dead_letters_compared:,} dead letters"
    if result.flags_compared:
        compared += f", {result.alerts_compared:,} alerts and {result.flags_compared:,} flags"
    else:
        compared += f" and {result.alerts_compared:,} alerts"
    if result.applied:
        verdict = f"APPLIED: {result.differences:,} differences among {compared} are settled"
    elif result.differences:
        verdict = f"DIFFERENT: {result.differences:,} of {compared}; nothing was changed"
    else:
        verdict = f"SAME: {compared} agree with the rebuild"
    return "\n".join([*lines, f"{verdict} ({result.records:,} offsets in {result.seconds:.1f} s)"])


def _alert(row: AlertDifference) -> str:
    what = f"{row.kind:<8} fraud_alerts {row.transaction_id}:"
    if row.expected is not None and row.stored is not None:
        ours, theirs = row.expected, row.stored
        pairs = (f"{name} {alert_value(theirs, name)} -> {alert_value(ours, name)}" for name in row.columns)
        return f"{what} {'; '.join(pairs)}"
    return f"{what} {'no alert -> an alert' if row.stored is None else 'an alert -> no alert'}"


def change(what: str, change: Change) -> list[str]:
    """Return the live and the replayed count, and the categories and rules of those that differ."""
    lines = [f"{what}: {change.live:,} -> {change.replayed:,}"]
    for name, total, by_category, by_rule in (
        ("won", change.won, change.won_by_category, change.won_by_rule),
        ("lost", change.lost, change.lost_by_category, change.lost_by_rule),
    ):
        if total:
            parts = f"{_parts(by_category)}; {_parts(by_rule)}"
            lines.append(f"  {name} {len(total):,}: {parts}")
    return lines


def detection(found: Detection) -> list[str]:
    """Return precision and recall of both sides, and the number of known frauds."""
    live, replayed = found.live, found.replayed
    return [
        f"  frauds known {found.frauds:,}: alerted {live.frauds:,} -> {replayed.frauds:,}",
        f"  precision {_share(live.precision)} -> {_share(replayed.precision)}"
        f"  recall {_share(live.recall)} -> {_share(replayed.recall)}",
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _flag(row: FlagDifference) -> str:
    what = f"{row.kind:<8} fraud_flags {row.transaction_id} of partition {row.partition}:"
    if row.expected is not None and row.stored is not None:
        ours, theirs = row.expected, row.stored
        pairs = (f"{name} {flag_value(theirs, name)} -> {flag_value(ours, name)}" for name in row.columns)
        return f"{what} {'; '.join(pairs)}"
    return f"{what} {'no flag -> a flag' if row.stored is None else 'a flag -> no flag'}"


def _has_flags(result: RangeReplay) -> bool:
    return bool(result.flags.live or result.flags.replayed)


def _parts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def _limited(lines: Sequence[str], limit: int) -> list[str]:
    shown = list(lines[:limit])
    if len(lines) > limit:
        shown.append(f"… and {len(lines) - limit:,} more: --limit N shows more, --json shows all")
    return shown


def _window(row: WindowDifference) -> str:
    place = f"{row.kind:<8} fraud_metrics {row.window_start} to {row.window_end} {row.category}:"
    if row.expected is not None and row.stored is not None:
        pairs = (
            f"{name} {getattr(row.stored, name)} -> {getattr(row.expected, name)}" for name in row.columns
        )
        return f"{place} {'; '.join(pairs)}"
    return f"{place} {_totals(row.stored)} -> {_totals(row.expected)}"


def _totals(totals: Totals | None) -> str:
    if totals is None:
        return "no row"
    return "(" + ", ".join(f"{name} {getattr(totals, name)}" for name in COLUMNS) + ")"


def _letter(letter: DeadLetterDifference) -> str:
    return (
        f"{letter.kind:<8} dead_letters {letter.topic} partition {letter.partition} offset {letter.offset}: "
        f"{letter.stored or 'no row'} -> {letter.expected or 'no row'}"
    )
