"""`fraudctl deadletters`: list, show and purge dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fraudctl.broker.log import WholeRecord, read_places
from fraudctl.broker.topics import end_offsets
from fraudctl.clock import utc_now
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.database.dead_letters import DeadLetters, Filter, Letter, ReasonCount
from fraudctl.errors import RefusedError
from fraudctl.recount.explain import explain

# A broker that fetches from a slow disk may be silent for a while.
SILENCE_SECONDS = 30.0


@dataclass(frozen=True)
class LettersRequest:
    """A request for dead letters of one reason that arrived within the last `since_seconds`.

    The newest `limit` are returned. A filter that is None does not narrow the selection.
    """

    endpoints: Endpoints
    settings: Settings
    reason: str | None = None
    since_seconds: float | None = None
    limit: int | None = None


@dataclass(frozen=True)
class LetterLine:
    """A dead letter with its payload as text, in which characters that are not printable are escaped."""

    topic: str
    partition: int
    offset: int
    reason: str
    arrival: datetime
    recorded_at: datetime
    payload: str
    payload_bytes: int
    purged_at: datetime | None
    requeues: int
    requeued_at: datetime | None
    requeued_to: int | None


@dataclass(frozen=True)
class LettersListed:
    """The newest dead letters, and the numbers of all selected ones by reason."""

    topic: str
    counts: tuple[ReasonCount, ...]
    letters: tuple[LetterLine, ...]

    @property
    def total(self) -> int:
        """Return the number of all selected dead letters."""
        return sum(each.letters for each in self.counts)


@dataclass(frozen=True)
class LetterShown:
    """A dead letter, with the explanation of its rejection.

    `in_log` says whether the record was found in the log; only then are `field` and `reason_now` known.
    `reason_now` is the reason for which the record would be rejected under the present settings, empty if it
    would be accepted.
    """

    letter: LetterLine
    in_log: bool
    why: str
    field: str | None
    reason_now: str | None


@dataclass(frozen=True)
class Purged:
    """The result of a purge: the dead letters recorded before `before` that lost their payloads."""

    topic: str
    before: datetime
    letters: int
    payload_bytes: int


def list_letters(request: LettersRequest) -> LettersListed:
    """Return the newest dead letters, and the number of dead letters for each reason.

    Raises:
        RefusedError: the database has not been migrated.
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
    """
    since = None
    if request.since_seconds is not None:
        since = utc_now() - timedelta(seconds=request.since_seconds)
    which = Filter(request.settings.kafka.topic, request.reason, since)
    with _opened(request.endpoints, request.settings) as letters:
        counts = letters.counts(which)
        newest = letters.newest(which, request.limit)
    return LettersListed(which.topic, counts, tuple(map(_line, newest)))


def show_letter(request: LettersRequest, partition: int, offset: int) -> LetterShown:
    """Return one dead letter, explained from its record, or with its reason alone if the log has lost it.

    Raises:
        RefusedError: there is no such dead letter, or the topic does not exist.
        UnreachableError: broker or database does not answer.
        ConfigError: the database refuses the connection.
    """
    settings = request.settings
    with _opened(request.endpoints, settings) as letters:
        letter = the_letter(letters, settings.kafka.topic, partition, offset)
    record = originals(request.endpoints, settings, [letter]).get((partition, offset))
    if record is None:
        return LetterShown(
            _line(letter),
            False,
            f"the log no longer holds the record; the detector said {letter.reason}",
            None,
            None,
        )
    found = explain(record.value, record.arrival_ms, events=settings.events, lateness=settings.lateness)
    why = found.text
    if found.reason != letter.reason:
        why = f"the detector said {letter.reason}; under the present settings: {found.text}"
    return LetterShown(_line(letter), True, why, found.field, found.reason)


def count_expired(request: LettersRequest, older_than_seconds: float) -> int:
    """Return the number of payloads that a purge would remove."""
    which = Filter(request.settings.kafka.topic, request.reason)
    with _opened(request.endpoints, request.settings) as letters:
        return letters.to_purge(which, utc_now() - timedelta(seconds=older_than_seconds))


def purge_letters(request: LettersRequest, older_than_seconds: float) -> Purged:
    """Remove the payloads of dead letters recorded more than `older_than_seconds` ago.

    Partition, offset, reason and length stay, and `verify` compares them.

    Raises:
        RefusedError: the database has not been migrated.
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
    """
    before = utc_now() - timedelta(seconds=older_than_seconds)
    which = Filter(request.settings.kafka.topic, request.reason)
    with _opened(request.endpoints, request.settings) as letters:
        return Purged(which.topic, before, *letters.purge(which, before))


def the_letter(letters: DeadLetters, topic: str, partition: int, offset: int) -> Letter:
    """Return the dead letter of this topic, partition and offset.

    Raises:
        RefusedError: there is none.
    """
    found = letters.newest(Filter(topic, partition=partition, offset=offset), 1)
    if not found:
        raise RefusedError(
            f"there is no dead letter at partition {partition}, offset {offset} of {topic!r}",
            hint="`fraudctl deadletters list` shows which there are",
        )
    return found[0]


def originals(
    endpoints: Endpoints, settings: Settings, letters: Iterable[Letter]
) -> dict[tuple[int, int], WholeRecord]:
    """Return the records of dead letters by partition and offset, as far as the log still has them.

    A record at the same offset with another arrival time or another length is a different record, because the
    topic was created again; it is left out.

    Raises:
        RefusedError: the topic does not exist.
        UnreachableError: the broker does not answer.
    """
    wanted = {(letter.partition, letter.offset): letter for letter in letters}
    topic = settings.kafka.topic
    held = end_offsets(endpoints.bootstrap_servers, topic, timeout_seconds=settings.timeouts.connect_seconds)
    places: dict[int, list[int]] = {}
    for partition, offset in wanted:
        first, end = held.get(partition, (0, 0))
        if first <= offset < end:
            places.setdefault(partition, []).append(offset)
    found = {}
    for record in read_places(endpoints.bootstrap_servers, topic, places, timeout_seconds=SILENCE_SECONDS):
        letter = wanted[record.partition, record.offset]
        arrival_ms = round(letter.arrival.timestamp() * 1000)
        if (record.arrival_ms, len(record.value or b"")) == (arrival_ms, letter.payload_bytes):
            found[record.partition, record.offset] = record
    return found


def _opened(endpoints: Endpoints, settings: Settings) -> DeadLetters:
    return DeadLetters(endpoints.postgres, connect_seconds=settings.timeouts.connect_seconds)


def _line(letter: Letter) -> LetterLine:
    return LetterLine(
        letter.topic,
        letter.partition,
        letter.offset,
        letter.reason,
        letter.arrival,
        letter.recorded_at,
        _escaped(letter.payload),
        letter.payload_bytes,
        letter.purged_at,
        letter.requeues,
        letter.requeued_at,
        letter.requeued_to,
    )


def _escaped(payload: bytes) -> str:
    """Return the payload as text that is safe on a terminal: what is not printable is escaped."""
    text = payload.decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
