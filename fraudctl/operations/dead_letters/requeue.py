"""`fraudctl deadletters requeue`: send the original records of dead letters again, each once.

Only records that would not be rejected again are sent. Kafka and PostgreSQL share no transaction, so a claim
is committed before a record is sent, and the offset of the copy after its delivery was reported. The next
requeue first closes the claims that a crash has left open: each copy carries its claim in a header, by which
it is found in the log after the claim, or is known to be missing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fraudctl.broker.log import WholeRecord, read_whole
from fraudctl.broker.resend import MARK, Resender
from fraudctl.broker.topics import end_offsets
from fraudctl.clock import utc_now
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.database.dead_letters import Claim, DeadLetters, Filter, Letter
from fraudctl.errors import UsageError
from fraudctl.operations.dead_letters.inspect_letters import SILENCE_SECONDS, originals, the_letter
from fraudctl.recount.explain import explain

# How many dead letters are claimed, sent and recorded together.
_TOGETHER = 500
# How many dead letters are read at a time, and how many bytes their records in memory may have.
_PAGE = 5_000
_PORTION_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class RequeueRequest:
    """A request to send dead letters again: one by partition and offset, those of one reason, or all.

    `again` includes those that were requeued before, `force` those that would be rejected again.
    """

    endpoints: Endpoints
    settings: Settings
    reason: str | None = None
    partition: int | None = None
    offset: int | None = None
    everything: bool = False
    again: bool = False
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Sent:
    """A dead letter whose record was sent again, and the offset of the copy in the same partition."""

    partition: int
    offset: int
    to_offset: int


@dataclass(frozen=True)
class NotSent:
    """A dead letter that was not sent again, and why."""

    partition: int
    offset: int
    reason: str
    text: str


@dataclass(frozen=True)
class Requeued:
    """The result of a requeue.

    selected = already + gone + refused + sent + failed; in a dry run, `sendable` stands for `sent`.
    """

    topic: str
    dry_run: bool
    selected: int
    already: int
    recovered: int  # sent by an earlier run that crashed before it recorded that
    sendable: int
    sent: tuple[Sent, ...]
    refused: tuple[NotSent, ...]
    gone: tuple[NotSent, ...]
    failed: tuple[NotSent, ...]

    @property
    def complete(self) -> bool:
        """Return whether every dead letter that had to be sent could be sent."""
        return not (self.refused or self.gone or self.failed)


def requeue_letters(
    request: RequeueRequest, observe: Callable[[int, int], None] = lambda _sent, _of: None
) -> Requeued:
    """Send the dead letters again that would be accepted now, or with `force` all of them.

    Args:
        request: the dead letters to send, and how.
        observe: is called with the number sent and the number to send so far.

    Raises:
        UsageError: the request does not name exactly one selection of dead letters.
        RefusedError: another requeue is running, there is no such dead letter, or the topic does not exist.
        UnreachableError: broker or database does not answer.
        ConfigError: the database refuses the connection.
    """
    _refuse_nonsense(request)
    settings = request.settings
    with DeadLetters(
        request.endpoints.postgres, connect_seconds=settings.timeouts.connect_seconds
    ) as letters:
        letters.lock_requeues()
        recovered = 0 if request.dry_run else _settle_open(request, letters)
        selected = fresh_ones = sendable_ones = 0
        sent: list[Sent] = []
        refused: list[NotSent] = []
        gone: list[NotSent] = []
        failed: list[NotSent] = []
        for portion in _portions(request, letters):
            fresh = [letter for letter in portion if request.again or not letter.requeues]
            records = originals(request.endpoints, settings, fresh)
            gone += [_gone(letter) for letter in fresh if _place(letter) not in records]
            refusals = [] if request.force else list(_refusals(settings, records.values()))
            unwanted = {(each.partition, each.offset) for each in refusals}
            sendable = [record for place, record in sorted(records.items()) if place not in unwanted]
            refused += refusals
            selected += len(portion)
            fresh_ones += len(fresh)
            sendable_ones += len(sendable)
            for outcome in () if request.dry_run else _send(request, letters, sendable):
                (sent if isinstance(outcome, Sent) else failed).append(outcome)  # type: ignore[arg-type]
                observe(len(sent), sendable_ones)
    return Requeued(
        topic=settings.kafka.topic,
        dry_run=request.dry_run,
        selected=selected,
        already=selected - fresh_ones,
        recovered=recovered,
        sendable=sendable_ones,
        sent=tuple(sent),
        refused=tuple(refused),
        gone=tuple(gone),
        failed=tuple(failed),
    )


def _refuse_nonsense(request: RequeueRequest) -> None:
    place = (request.partition is not None, request.offset is not None)
    if place not in ((True, True), (False, False)):
        raise UsageError("a place has a partition and an offset", hint="give --partition and --offset")
    if sum((request.reason is not None, place[0], request.everything)) != 1:
        raise UsageError(
            "say which letters are to be sent again",
            hint="give --reason REASON, or --partition N --offset N, or --all",
        )


def _portions(request: RequeueRequest, letters: DeadLetters) -> Iterator[Sequence[Letter]]:
    """Yield the selected dead letters in portions whose records fit into memory together.

    They come in the order of the log, without those recorded from now on: a copy that is rejected again
    meanwhile would otherwise be read later, and be sent once more.
    """
    topic = request.settings.kafka.topic
    if request.partition is not None and request.offset is not None:
        yield (the_letter(letters, topic, request.partition, request.offset),)
        return
    now, place = letters.now(), (-1, -1)
    which = Filter(topic, request.reason)
    while page := letters.after(which, place, recorded_before=now, limit=_PAGE):
        place = _place(page[-1])
        portion: list[Letter] = []
        room = _PORTION_BYTES
        for letter in page:
            if portion and letter.payload_bytes > room:
                yield portion
                portion, room = [], _PORTION_BYTES
            portion.append(letter)
            room -= letter.payload_bytes
        yield portion


def _refusals(settings: Settings, records: Iterable[WholeRecord]) -> Iterator[NotSent]:
    """Yield the records that would be rejected again if they arrived now, by the recount's own parser."""
    now_ms = round(utc_now().timestamp() * 1000)
    for record in records:
        found = explain(record.value, now_ms, events=settings.events, lateness=settings.lateness)
        if found.reason:
            yield NotSent(record.partition, record.offset, found.reason, found.text)


def _gone(letter: Letter) -> NotSent:
    return NotSent(
        letter.partition, letter.offset, letter.reason, "the log no longer holds the record at this place"
    )


def _send(
    request: RequeueRequest, letters: DeadLetters, records: Sequence[WholeRecord]
) -> Iterator[Sent | NotSent]:
    settings = request.settings
    topic = settings.kafka.topic
    resender = Resender(request.endpoints.bootstrap_servers, settings.kafka, settings.producer)
    for first in range(0, len(records), _TOGETHER):
        part = records[first : first + _TOGETHER]
        held = _held(request)
        by_place = {(record.partition, record.offset): record for record in part}
        claims = letters.claim(topic, [(*place, held[place[0]][1]) for place in by_place])
        for claim in claims:
            resender.send(by_place[claim.partition, claim.offset], _mark(topic, claim))
        outcomes = resender.settled()
        delivered: list[tuple[Claim, int]] = []
        for claim in claims:
            outcome = outcomes.get(_mark(topic, claim))
            if outcome is not None and outcome.offset is not None:
                delivered.append((claim, outcome.offset))
                yield Sent(claim.partition, claim.offset, outcome.offset)
            else:
                # The claim stays open, because the copy may have arrived all the same.
                error = outcome.error if outcome else "no delivery report"
                yield NotSent(claim.partition, claim.offset, "", f"it was not acknowledged: {error}")
        letters.sent(topic, delivered)


def _settle_open(request: RequeueRequest, letters: DeadLetters) -> int:
    """Close the open claims of an earlier run, and return how many of their copies are in the log."""
    topic = request.settings.kafka.topic
    open_claims = letters.open_claims(topic)
    if not open_claims:
        return 0
    held = _held(request)
    ranges: dict[int, tuple[int, int]] = {}
    for claim in open_claims:
        begin, end = held.get(claim.partition, (0, 0))
        before = ranges.get(claim.partition, (end, end))[0]
        ranges[claim.partition] = (min(before, max(begin, claim.log_end)), end)
    arrived: dict[bytes | None, int] = {}
    for record in read_whole(
        request.endpoints.bootstrap_servers, topic, ranges, timeout_seconds=SILENCE_SECONDS
    ):
        arrived[record.headers.get(MARK)] = record.offset
    marks = {claim: arrived.get(_mark(topic, claim).encode()) for claim in open_claims}
    sent = [(claim, offset) for claim, offset in marks.items() if offset is not None]
    letters.sent(topic, sent)
    letters.withdraw(topic, [claim for claim, offset in marks.items() if offset is None])
    return len(sent)


def _held(request: RequeueRequest) -> dict[int, tuple[int, int]]:
    settings = request.settings
    return end_offsets(
        request.endpoints.bootstrap_servers,
        settings.kafka.topic,
        timeout_seconds=settings.timeouts.connect_seconds,
    )


def _mark(topic: str, claim: Claim) -> str:
    return f"{topic}/{claim.partition}/{claim.offset}#{claim.attempt}"


def _place(letter: Letter) -> tuple[int, int]:
    return letter.partition, letter.offset
