"""A verification as text: what was read, the outcomes, every difference, and one verdict."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fraudctl.operations.verify.recount_log import Observer, Progress
from fraudctl.operations.verify.verify import Verification
from fraudctl.recount.alerts import AlertDifference, alert_value
from fraudctl.recount.compare import COLUMNS, DeadLetterDifference, WindowDifference
from fraudctl.recount.flags import FlagDifference, flag_value
from fraudctl.recount.ledger import LedgerFinding
from fraudctl.recount.windows import Totals
from fraudctl.ui import console

_TELL_EVERY_SECONDS = 10.0


@contextmanager
def progress() -> Iterator[Observer]:
    """Provide an observer: a bar with rate and time left on a terminal, a line every ten seconds else."""
    talk = console.talk()
    if not talk.is_terminal:
        yield _lines()
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("recounting"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        console=talk,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None, text="reading the landed rows")
        began = time.monotonic()

        def show(now: Progress) -> None:
            text = so_far(now, time.monotonic() - began)
            bar.update(task, completed=now.read, total=now.offsets, text=text)

        yield show


def _lines() -> Observer:
    began = told = time.monotonic()

    def show(now: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_EVERY_SECONDS:
            told = time.monotonic()
            console.say(f"recounting: {so_far(now, told - began)}")

    return show


def so_far(now: Progress, seconds: float) -> str:
    """Return how much has been read, how fast, and how long the rest takes at that rate."""
    text = f"{now.read:,} of {now.offsets:,} offsets"
    if not now.read or seconds <= 0:
        return text
    rate = now.read / seconds
    left = max(0, now.offsets - now.read) / rate
    return f"{text}, {rate:,.0f}/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """Return a number of seconds as people write it: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def verification(result: Verification, limit: int) -> str:
    """Return the whole report, with at most `limit` lines of differences."""
    return "\n".join([*_read(result), "", *_fates(result), "", *differences(result, limit), verdict(result)])


def verdict(result: Verification) -> str:
    """Return the last line: PASS or FAIL, and how much was compared."""
    if result.verdict == "ok":
        some = f"{result.rows_compared:,} rows, {result.dead_letters_compared:,} dead letters"
        alerts = _many(result.alerts_compared, "alert")
        rows = _listed(some, alerts, result.flags_compared)
        return (
            f"PASS: all {rows} agree with the log,"
            f" {result.events_read:,} events recounted in {result.seconds:.1f} s"
        )
    letters = {(row.topic, row.partition, row.offset) for row in result.dead_letter_differences}
    some = f"{_many(len(result.window_differences), 'row')}, {_many(len(letters), 'dead letter')}"
    rows = _listed(some, _many(len(result.alert_differences), "alert"), len(result.flag_differences))
    return (
        f"FAIL: {rows} disagree with the log, {_many(len(result.ledger_findings), 'finding')} in the ledger"
    )


def _listed(some: str, alerts: str, flags: int) -> str:
    """Return a list of what was compared; flags are named only if there are any."""
    return f"{some}, {alerts} and {_many(flags, 'flag')}" if flags else f"{some} and {alerts}"


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _read(result: Verification) -> Iterator[str]:
    yield f"topic      {result.topic or '-'}"
    yield f"batches    {result.batches:,} ({result.replays:,} of them landed again)"
    if result.rule_sets > 1:
        yield f"rules      {result.rule_sets:,} versions, each batch recounted with its own"
    for partition, (start, end) in result.ranges.items():
        yield f"partition  {partition}: offsets {start:,} to {end:,}"
    if result.events_kept:
        yield (
            f"kept       {result.events_kept:,} events from the recount of {result.kept_since};"
            f" read now {result.events_read - result.events_kept:,}"
        )
    if result.whole_because:
        yield f"note: the whole log was read, because {result.whole_because}"
    if result.offsets_without_event:
        yield f"           {_many(result.offsets_without_event, 'offset')} without an event (markers)"
    if result.not_landed is not None:
        yield f"           not landed yet: {result.not_landed:,}"


def _fates(result: Verification) -> Iterator[str]:
    shown = {"read": result.events_read, **result.fates}
    width = max(len(name) for name in shown)
    for name, number in shown.items():
        yield f"{name:<{width}}  {number:>12,}"
    if result.conflicting_ids:
        yield (
            f"note: {_many(len(result.conflicting_ids), 'transaction id')} came with more than one payload,"
            f" each counted once: {', '.join(result.conflicting_ids[:3])}"
        )
    if result.dropped_by_engine:
        yield (
            f"note: Spark dropped {_many(result.dropped_by_engine, 'admitted event')} behind its watermark;"
            " raise lateness.slack_seconds"
        )
    if result.letters_cut_elsewhere:
        first = ", ".join(
            f"{partition}/{offset}" for _, partition, offset in result.letters_cut_elsewhere[:3]
        )
        yield (
            f"note: {_many(len(result.letters_cut_elsewhere), 'payload')} of dead letters not as long as"
            f" dead_letters.payload_bytes says now (a flood, or another setting then), each the begin of its"
            f" record: {first} (partition/offset)"
        )


def differences(result: Verification, limit: int) -> Iterator[str]:
    """Yield every difference by name, at most `limit` of them, and a blank line; nothing if there is none."""
    lines = [_finding(finding) for finding in result.ledger_findings]
    lines += [_window(row) for row in result.window_differences]
    lines += [_letter(letter) for letter in result.dead_letter_differences]
    lines += [_alert(alert) for alert in result.alert_differences]
    lines += [_flag(flag) for flag in result.flag_differences]
    yield from lines[:limit]
    if len(lines) > limit:
        yield f"… and {len(lines) - limit:,} more: --limit N shows more, --json shows all"
    if lines:
        yield ""


def _window(row: WindowDifference) -> str:
    place = f"{row.kind:<8} fraud_metrics {row.window_start} to {row.window_end} {_word(row.category)}:"
    if row.expected is not None and row.stored is not None:
        pairs = (
            f"{name} expected {getattr(row.expected, name)}, stored {getattr(row.stored, name)}"
            for name in row.columns
        )
        return f"{place} {'; '.join(pairs)}"
    return f"{place} expected {_totals(row.expected)}, stored {_totals(row.stored)}"


def _totals(totals: Totals | None) -> str:
    if totals is None:
        return "no row"
    return "(" + ", ".join(f"{name} {getattr(totals, name)}" for name in COLUMNS) + ")"


def _letter(letter: DeadLetterDifference) -> str:
    column = "" if letter.column == "reason" else f"{letter.column} "
    return (
        f"{letter.kind:<8} dead_letters {_word(letter.topic)} partition {letter.partition} offset"
        f" {letter.offset}: {column}expected {_value(letter.expected)}, stored {_value(letter.stored)}"
    )


def _alert(row: AlertDifference) -> str:
    place = f"{row.kind:<8} fraud_alerts {_word(row.transaction_id)} ({row.digest[:12]}):"
    if row.expected is not None and row.stored is not None:
        ours, theirs = row.expected, row.stored
        pairs = (
            f"{name.removesuffix('_us')} expected {_word(alert_value(ours, name))},"
            f" stored {_word(alert_value(theirs, name))}"
            for name in row.columns
        )
        return f"{place} {'; '.join(pairs)}"
    if row.expected is not None:
        own = row.expected
        return f"{place} expected an alert of {own.rules} in batch {own.batch_id}, stored no row"
    return f"{place} expected no row, stored an alert"


def _flag(row: FlagDifference) -> str:
    place = (
        f"{row.kind:<8} fraud_flags {_word(row.transaction_id)} ({row.digest[:12]})"
        f" of partition {row.partition}:"
    )
    if row.expected is not None and row.stored is not None:
        ours, theirs = row.expected, row.stored
        pairs = (
            f"{name.removesuffix('_us')} expected {_word(flag_value(ours, name))},"
            f" stored {_word(flag_value(theirs, name))}"
            for name in row.columns
        )
        return f"{place} {'; '.join(pairs)}"
    if row.expected is not None:
        own = row.expected
        return f"{place} expected a flag of {own.rules} in batch {own.batch_id}, stored no row"
    return f"{place} expected no row, stored a flag"


def _value(text: str | None) -> str:
    return "no row" if text is None else _word(text)


def _word(text: str) -> str:
    """Return a text as it is, or quoted if it could be mistaken: a stored line break must start no line."""
    return text if text.isprintable() and text.strip() else repr(text)


def _finding(finding: LedgerFinding) -> str:
    place = ""
    if finding.batch_id is not None:
        place = f" batch {finding.batch_id} of query {finding.query_id}"
    if finding.partition is not None:
        place += f", partition {finding.partition}"
    return f"{finding.kind:<8} batch_ledger{place}: expected {finding.expected}, stored {finding.stored}"
