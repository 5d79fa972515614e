"""Look at refused records, and let their payloads expire."""

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
    endpoints: Endpoints
    settings: Settings
    reason: str | None = None
    since_seconds: float | None = None
    limit: int | None = None


@dataclass(frozen=True)
class LetterLine:
    """A letter with its payload as text: what is not printable ASCII is escaped."""

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
    topic: str
    counts: tuple[ReasonCount, ...]
    letters: tuple[LetterLine, ...]

    @property
    def total(self) -> int:
        return sum(each.letters for each in self.counts)


@dataclass(frozen=True)
class LetterShown:
    """One letter, and why it was refused as far as that can be told.

    `in_log` says whether the record was found in the log; only then are field and text of the present
    settings known. `reason_now` is the reason that the same record would get now, empty for none.
    """

    letter: LetterLine
    in_log: bool
    why: str
    field: str | None
    reason_now: str | None


@dataclass(frozen=True)
class Purged:
    topic: str
    before: datetime
    letters: int
    payload_bytes: int


def list_letters(request: LettersRequest) -> LettersListed:
    """The newest letters, and how many there are of each reason.

    Raises:
        RefusedError: the database has not been migrated.
        UnreachableError, ConfigError: there is no connection to be had.
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
    """One letter, explained from the record itself, or only named when the log has lost it.

    Raises:
        RefusedError: there is no such letter.
        UnreachableError, ConfigError: broker or database does not answer.
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
    """How many payloads `purge` would remove."""
    which = Filter(request.settings.kafka.topic, request.reason)
    with _opened(request.endpoints, request.settings) as letters:
        return letters.to_purge(which, utc_now() - timedelta(seconds=older_than_seconds))


def purge_letters(request: LettersRequest, older_than_seconds: float) -> Purged:
    """Remove the payloads that were recorded before; place, reason and length stay, and verify compares them.

    Raises:
        RefusedError: the database has not been migrated.
        UnreachableError, ConfigError: there is no connection to be had.
    """
    before = utc_now() - timedelta(seconds=older_than_seconds)
    which = Filter(request.settings.kafka.topic, request.reason)
    with _opened(request.endpoints, request.settings) as letters:
        return Purged(which.topic, before, *letters.purge(which, before))


def the_letter(letters: DeadLetters, topic: str, partition: int, offset: int) -> Letter:
    """The letter at this place.

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
    """The records themselves, by partition and offset, as far as the log still has them.

    A record that lies at the same place but came at another time, or has another length, is another
    record: the topic was created again.

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
    """Text that cannot do anything to a terminal: whatever is not printable is escaped."""
    text = payload.decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
