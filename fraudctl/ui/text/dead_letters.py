"""Dead letters as text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from fraudctl.operations.dead_letters.inspect_letters import LetterLine, LetterShown, LettersListed, Purged
from fraudctl.operations.dead_letters.requeue import NotSent, Requeued

_PREVIEW = 60
_NAMED = 20


def listed(result: LettersListed) -> str:
    """Return the counts by reason, then one line for each dead letter."""
    if not result.counts:
        return f"no dead letters of topic {result.topic}"
    width = max(len(each.reason) for each in result.counts)
    lines = [f"{result.total:,} dead letters of topic {result.topic}"]
    for each in result.counts:
        notes = [f"{each.requeued:,} requeued"] if each.requeued else []
        notes += [f"{each.purged:,} purged"] if each.purged else []
        lines.append(f"  {each.reason:<{width}}  {each.letters:>9,}  {', '.join(notes)}".rstrip())
    if result.letters:
        lines.append("")
        lines += [_line(letter, width) for letter in result.letters]
    if len(result.letters) < result.total:
        lines.append(f"… and {result.total - len(result.letters):,} more: --limit N shows more")
    return "\n".join(lines)


def shown(result: LetterShown) -> str:
    """Return everything about one dead letter; the payload comes last, as it may be long."""
    letter = result.letter
    rows = [
        ("place", f"{letter.topic} partition {letter.partition} offset {letter.offset}"),
        ("reason", letter.reason),
        ("why", result.why),
        ("arrival", _instant(letter.arrival)),
        ("recorded", _instant(letter.recorded_at)),
        ("bytes", f"{letter.payload_bytes:,}"),
    ]
    if letter.requeued_at is not None:
        times = f", {letter.requeues} times in all" if letter.requeues > 1 else ""
        rows.append(("requeued", f"{_instant(letter.requeued_at)} as offset {letter.requeued_to}{times}"))
    if letter.purged_at is not None:
        rows.append(("purged", f"{_instant(letter.purged_at)}: the payload has been removed"))
    else:
        rows.append(("payload", letter.payload or "(empty)"))
    return "\n".join(f"{name:<9} {value}" for name, value in rows)


def requeued(result: Requeued) -> str:
    """Return what was sent, and what was not and why, with at most a few lines of each."""
    done = "would be sent again" if result.dry_run else "sent again"
    number = result.sendable if result.dry_run else len(result.sent)
    lines = [f"{result.selected:,} dead letters of topic {result.topic}: {number:,} {done}"]
    if result.already:
        lines.append(f"  {result.already:,} were sent again before (--again repeats it)")
    if result.recovered:
        lines.append(f"  {result.recovered:,} of an earlier run that broke off had arrived in the log")
    for name, group in (
        ("would only be refused again (--force sends them)", result.refused),
        ("are gone from the log", result.gone),
        ("failed", result.failed),
    ):
        lines += _not_sent(name, group)
    return "\n".join(lines)


def purged(result: Purged) -> str:
    """Return how many payloads were removed."""
    return (
        f"{result.letters:,} payloads recorded before {_instant(result.before)} removed"
        f" ({result.payload_bytes:,} bytes); place, reason and length stay"
    )


def question(letters: int) -> str:
    """Return the question to ask before payloads are removed."""
    return f"Remove the payloads of {letters:,} dead letters for good?"


def _not_sent(name: str, group: Sequence[NotSent]) -> Iterator[str]:
    if not group:
        return
    reasons = Counter(each.reason for each in group if each.reason)
    summary = ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common())
    yield f"  {len(group):,} {name}" + (f": {summary}" if summary else "")
    for each in group[:_NAMED]:
        yield f"    partition {each.partition} offset {each.offset}: {each.text}"
    if len(group) > _NAMED:
        yield f"    … and {len(group) - _NAMED:,} more: --json shows all"


def _line(letter: LetterLine, width: int) -> str:
    state = "purged" if letter.purged_at else "requeued" if letter.requeued_at else ""
    preview = letter.payload if len(letter.payload) <= _PREVIEW else f"{letter.payload[:_PREVIEW]}…"
    place = f"{letter.partition:>3} {letter.offset:>9}"
    return f"{_instant(letter.arrival)}  {place}  {letter.reason:<{width}}  {state:<8}  {preview}".rstrip()


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
