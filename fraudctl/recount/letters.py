"""Dead letters: the arrival, length and masked first bytes that are kept of a rejected record."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from fraudctl.events.card_numbers import mask
from fraudctl.recount.compare import Column, DeadLetterDifference, Place
from fraudctl.recount.instants import instant_text

# Bytes that are masked beyond the limit, so that a card number cut by the limit is recognized.
_BEYOND_BYTES = 64


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of dead_letters; `whole_bytes` is the record's length, `kept_bytes` that of the payload."""

    reason: str
    arrival_us: int
    whole_bytes: int
    kept_bytes: int
    digest: bytes
    purged: bool


def kept(value: bytes | None, limit: int) -> bytes:
    """Return the part of a value that is kept under this limit: masked byte by byte, then cut."""
    seen = (value or b"")[: limit + _BEYOND_BYTES]
    return mask(seen.decode("latin-1")).encode("latin-1")[:limit]


class RejectedRecord(NamedTuple):
    """A record of the log that the recount rejects."""

    place: Place
    reason: str
    arrival_ms: int
    value: bytes | None


class LetterCheck:
    """A comparison of rejected records with their dead letters; reasons are compared elsewhere."""

    def __init__(self, payload_bytes: int) -> None:
        """Start with no differences; `payload_bytes` is the present limit for payloads."""
        self._limit = payload_bytes
        self._differences: dict[Place, list[tuple[Column, str, str]]] = {}
        # Dead letters with correct bytes, but another length than the present limit gives: a flood is cut
        # shorter, and the setting may have been different.
        self.cut_elsewhere: list[Place] = []

    def compare(self, record: RejectedRecord, letter: Letter) -> None:
        """Compare a rejected record with its dead letter."""
        found = list(self._compared(record.place, letter, record.arrival_ms * 1000, record.value))
        if found:
            self._differences[record.place] = found

    def _compared(
        self, place: Place, letter: Letter, arrival_us: int, value: bytes | None
    ) -> Iterator[tuple[Column, str, str]]:
        whole = len(value or b"")
        if letter.arrival_us != arrival_us:
            yield "arrival", instant_text(arrival_us), instant_text(letter.arrival_us)
        if letter.whole_bytes != whole:
            yield "payload_bytes", str(whole), str(letter.whole_bytes)
        if letter.purged and letter.kept_bytes == 0:
            return
        # The ledger does not say how much was kept, so any first part of the record is accepted.
        if letter.kept_bytes <= whole and letter.digest == sha256(kept(value, letter.kept_bytes)).digest():
            if letter.kept_bytes != min(whole, self._limit):
                self.cut_elsewhere.append(place)
            return
        expected = kept(value, self._limit)
        yield (
            "payload",
            _payload(len(expected), sha256(expected).digest()),
            _payload(letter.kept_bytes, letter.digest),
        )

    def differences(self) -> Iterator[DeadLetterDifference]:
        """Yield the differences in the order of the log."""
        for place, found in sorted(self._differences.items()):
            for column, expected, stored in found:
                yield DeadLetterDifference("differs", *place, expected, stored, column)


@dataclass(frozen=True)
class LettersCompared:
    """The result of a comparison: rows on at least one side (`number`), and differences of reasons."""

    number: int
    differences: list[DeadLetterDifference]


def compare_letters(
    rejected: Iterable[RejectedRecord], stored: Iterable[tuple[Place, Letter]], check: LetterCheck
) -> LettersCompared:
    """Compare reasons, and with `check` the other values of records that both sides have.

    Both sides come in the order of topic, partition and offset, so neither is held in memory.
    """
    number, differences = 0, []
    ours, theirs = iter(rejected), iter(stored)
    record, row = next(ours, None), next(theirs, None)
    while record is not None or row is not None:
        number += 1
        if row is None or (record is not None and record.place < row[0]):
            assert record is not None, "one of the two is there"
            differences.append(DeadLetterDifference("missing", *record.place, record.reason, None))
            record = next(ours, None)
        elif record is None or row[0] < record.place:
            differences.append(DeadLetterDifference("extra", *row[0], None, row[1].reason))
            row = next(theirs, None)
        else:
            if record.reason != row[1].reason:
                differences.append(
                    DeadLetterDifference("differs", *record.place, record.reason, row[1].reason)
                )
            check.compare(record, row[1])
            record, row = next(ours, None), next(theirs, None)
    return LettersCompared(number, differences)


def _payload(length: int, digest: bytes) -> str:
    """Return a text for a payload by its digest: the payload itself may be confidential."""
    return f"{length} bytes with SHA-256 {digest.hex()[:16]}…"
