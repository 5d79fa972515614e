"""What is kept of a refused record: when it arrived, its length, and its first bytes with masked numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from fraudctl.events.card_numbers import mask
from fraudctl.recount.compare import Column, DeadLetterDifference, Place
from fraudctl.recount.instants import instant_text

# So much is looked at beyond what is kept, that a number cut in two is still seen to be one.
_BEYOND_BYTES = 64


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of dead_letters. `whole_bytes` is the record's length, `kept_bytes` that of the payload."""

    reason: str
    arrival_us: int
    whole_bytes: int
    kept_bytes: int
    digest: bytes
    purged: bool


def kept(value: bytes | None, limit: int) -> bytes:
    """What is kept of a value under this limit: masked byte by byte, then cut."""
    seen = (value or b"")[: limit + _BEYOND_BYTES]
    return mask(seen.decode("latin-1")).encode("latin-1")[:limit]


class LetterCheck:
    """Compares what came with each refused record with its stored letter; reasons are compared elsewhere."""

    def __init__(self, topic: str, stored: Mapping[Place, Letter], payload_bytes: int) -> None:
        self._topic = topic
        self._stored = stored
        self._limit = payload_bytes
        self._differences: dict[Place, list[tuple[Column, str, str]]] = {}
        # Letters that were kept at another length than the present limit gives: a flood is cut shorter, and
        # the setting may have been another one. Their bytes agree.
        self.cut_elsewhere: list[Place] = []

    def refused(self, partition: int, offset: int, arrival_ms: int, value: bytes | None) -> None:
        """Called with every record that the recount refuses, in any order."""
        place = (self._topic, partition, offset)
        letter = self._stored.get(place)
        if letter is None:
            return
        found = list(self._compared(place, letter, arrival_ms * 1000, value))
        if found:
            self._differences[place] = found

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
        # How much was kept is no part of the ledger, so every begin of the record is one.
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
        """In the order of the log."""
        for place, found in sorted(self._differences.items()):
            for column, expected, stored in found:
                yield DeadLetterDifference("differs", *place, expected, stored, column)


def _payload(length: int, digest: bytes) -> str:
    """A payload is not shown, for it may hold what nobody should see; its digest tells two apart."""
    return f"{length} bytes with SHA-256 {digest.hex()[:16]}…"
