"""What the ledger claims: which part of the log each micro-batch read, and what came in with it."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fraudctl.recount.recount import NO_WATERMARK, Record

ADMITTED = "admitted"
Ranges = Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Batch:
    """One row of the ledger."""

    query_id: str
    batch_id: int
    epoch: int
    cluster_id: str
    topic: str
    topic_id: str
    offsets: Ranges
    intake: Mapping[int, Mapping[str, int]]
    watermark_us: int
    fingerprint: str
    replays: int

    @property
    def name(self) -> str:
        return f"batch {self.batch_id} of query {self.query_id}"


@dataclass(frozen=True)
class LedgerFinding:
    """One thing in the ledger that cannot be right, or that the log does not confirm."""

    kind: Literal["batch", "range", "gap", "overlap", "intake", "log"]
    query_id: str
    batch_id: int | None
    partition: int | None
    expected: str
    stored: str


class Ledger:
    """The batches in the order in which they were landed."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        # Every run of the detector has a higher epoch than the one before it, whatever its clock says.
        self.batches = sorted(batches, key=lambda batch: (batch.epoch, batch.query_id, batch.batch_id))
        self._starts: dict[int, list[int]] = {}
        self._readers: dict[int, list[int]] = {}
        for place, batch in enumerate(self.batches):
            for partition, (start, end) in batch.offsets.items():
                if start < end:
                    self._starts.setdefault(partition, []).append(start)
                    self._readers.setdefault(partition, []).append(place)
        for partition, starts in self._starts.items():
            # In a sound ledger they are in order already; in a broken one bisect must still not stumble.
            pairs = sorted(zip(starts, self._readers[partition], strict=True))
            self._starts[partition] = [start for start, _ in pairs]
            self._readers[partition] = [place for _, place in pairs]
        self._late_before = list(self._watermarks())

    @property
    def ranges(self) -> dict[int, tuple[int, int]]:
        """Per partition from the first offset that was read to one past the last."""
        result: dict[int, tuple[int, int]] = {}
        for batch in self.batches:
            for partition, (start, end) in batch.offsets.items():
                if 0 <= start < end:
                    low, high = result.get(partition, (start, end))
                    result[partition] = (min(low, start), max(high, end))
        return dict(sorted(result.items()))

    def _watermarks(self) -> Iterator[int]:
        """For each batch the instant up to which Spark dropped: the watermark of the query's batch before."""
        last: dict[str, int] = {}
        for batch in self.batches:
            yield last.get(batch.query_id, NO_WATERMARK)
            last[batch.query_id] = batch.watermark_us

    def watermark(self, partition: int, offset: int) -> int:
        """Up to which instant events were dropped when this place of the log was read."""
        return self._late_before[self._reader(partition, offset)]

    def _reader(self, partition: int, offset: int) -> int:
        return self._readers[partition][bisect_right(self._starts[partition], offset) - 1]

    def contradictions(self) -> Iterator[LedgerFinding]:
        """Where a query's batches or a partition's ranges do not follow each other without gap or overlap."""
        reached: dict[int, int] = {}
        numbers: dict[str, int] = {}
        for batch in self.batches:
            number = numbers.get(batch.query_id, 0)
            if batch.batch_id != number:
                yield _finding("batch", batch, None, f"batch {number}", f"batch {batch.batch_id}")
            numbers[batch.query_id] = batch.batch_id + 1
            for partition, (start, end) in sorted(batch.offsets.items()):
                stored = f"{start} to {end}"
                if not 0 <= start <= end:
                    yield _finding("range", batch, partition, "0 <= first <= last", stored)
                    continue
                before = reached.get(partition, start)
                if start != before:
                    kind: Literal["gap", "overlap"] = "gap" if start > before else "overlap"
                    yield _finding(kind, batch, partition, f"a range that begins at {before}", stored)
                reached[partition] = max(before, end)

    def tally(self, records: Iterable[Record]) -> "Tally":
        return Tally(self, records)


class Tally:
    """Hands on the records of the log and counts, by batch and partition, how many there were."""

    def __init__(self, ledger: Ledger, records: Iterable[Record]) -> None:
        self._ledger = ledger
        self._records = records
        self._read: Counter[tuple[int, int]] = Counter()

    def __iter__(self) -> Iterator[Record]:
        read, reader = self._read, self._ledger._reader
        for record in self._records:
            read[reader(record[0], record[1]), record[0]] += 1
            yield record

    def unconfirmed(self, rejects: Mapping[tuple[int, int], str]) -> Iterator[LedgerFinding]:
        """Where the ledger's intake is not what the log gives."""
        refused: dict[tuple[int, int], Counter[str]] = {}
        for (partition, offset), reason in rejects.items():
            place = self._ledger._reader(partition, offset)
            refused.setdefault((place, partition), Counter())[reason] += 1
        for place, batch in enumerate(self._ledger.batches):
            for partition in sorted(batch.offsets.keys() | batch.intake.keys()):
                expected = refused.get((place, partition), Counter())
                expected[ADMITTED] = self._read[place, partition] - expected.total()
                stored = Counter(batch.intake.get(partition, {}))
                if stored != expected:
                    yield _finding("intake", batch, partition, _amounts(expected), _amounts(stored))


def _finding(
    kind: Literal["batch", "range", "gap", "overlap", "intake"],
    batch: Batch,
    partition: int | None,
    expected: str,
    stored: str,
) -> LedgerFinding:
    return LedgerFinding(kind, batch.query_id, batch.batch_id, partition, expected, stored)


def _amounts(counter: Counter[str]) -> str:
    """`admitted 90, late 3`, without what is zero."""
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items()) if number) or "nothing"
