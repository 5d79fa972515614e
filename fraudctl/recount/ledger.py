"""The ledger: which part of the log each micro-batch read, how many records, and checks of its rows."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from fraudctl.config.job import horizon_of
from fraudctl.errors import ConfigError
from fraudctl.recount.instants import INFINITY_US, instant_text
from fraudctl.recount.intake import BatchIndex, LogIntake
from fraudctl.recount.recount import NO_WATERMARK
from fraudctl.recount.strict_json import read_object
from fraudctl.rules.model import RuleSet, document_digest, parse_rules

ADMITTED = "admitted"
NO_RULES = RuleSet(rules=())
Ranges = Mapping[int, tuple[int, int]]
Intake = Mapping[int, Mapping[str, int]]
_PARTITION_MAX = 2**31 - 1
_LONGEST_SHOWN = 80
_BEYOND = 2**63 - 1


class Flaw(NamedTuple):
    """An error in the shape of a ledger row; `partition` is None when it concerns the whole column."""

    kind: Literal["offsets", "intake"]
    partition: int | None
    expected: str
    stored: str


@dataclass(frozen=True)
class Batch:
    """A row of the ledger: one committed micro-batch."""

    query_id: str
    batch_id: int
    epoch: int
    cluster_id: str
    topic: str
    topic_id: str
    offsets: Ranges
    intake: Intake
    watermark_us: int
    fingerprint: str
    replays: int
    flaws: tuple[Flaw, ...] = ()
    rule_set: str | None = None

    @property
    def name(self) -> str:
        """Return a name for messages."""
        return f"batch {self.batch_id} of query {self.query_id}"


@dataclass(frozen=True)
class LedgerFinding:
    """A contradiction in the ledger, or a claim that the log does not confirm."""

    kind: Literal["batch", "range", "gap", "overlap", "intake", "log", "offsets", "watermark", "rules"]
    query_id: str
    batch_id: int | None
    partition: int | None
    expected: str
    stored: str


class Ledger:
    """The batches in the order in which they were committed."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        """Order the batches, and index the offsets that they read."""
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
            # A sound ledger has them in order already; bisect needs order in a broken one too.
            pairs = sorted(zip(starts, self._readers[partition], strict=True))
            self._starts[partition] = [start for start, _ in pairs]
            self._readers[partition] = [place for _, place in pairs]
        self._late_before = list(self._watermarks())

    @property
    def ranges(self) -> dict[int, tuple[int, int]]:
        """Return per partition the first offset that was read and one past the last."""
        result: dict[int, tuple[int, int]] = {}
        for batch in self.batches:
            for partition, (start, end) in batch.offsets.items():
                if 0 <= start < end:
                    low, high = result.get(partition, (start, end))
                    result[partition] = (min(low, start), max(high, end))
        return dict(sorted(result.items()))

    def _watermarks(self) -> Iterator[int]:
        """Yield for each batch the instant up to which Spark dropped events.

        It is the watermark of the previous batch of the same query.
        """
        last: dict[str, int] = {}
        for batch in self.batches:
            yield last.get(batch.query_id, NO_WATERMARK)
            last[batch.query_id] = batch.watermark_us

    def watermark(self, partition: int, offset: int) -> int:
        """Return the instant up to which events were dropped when this offset was read."""
        return self._late_before[self.place(partition, offset)]

    def rule_sets(self, known: Mapping[str, str]) -> tuple[list[RuleSet], list[LedgerFinding]]:
        """Return the rules of each batch, in the order of `batches`, and findings where they are unknown.

        Args:
            known: the stored documents, as JSON, by their digest.
        """
        sets: dict[str | None, RuleSet | str] = {}
        chosen: list[RuleSet] = []
        findings: list[LedgerFinding] = []
        for batch in self.batches:
            if batch.rule_set not in sets:
                sets[batch.rule_set] = _rules_of(batch.rule_set, known)
            found = sets[batch.rule_set]
            if isinstance(found, str):
                findings.append(_finding("rules", batch, None, "the rules that judged the batch", found))
                found = NO_RULES
            chosen.append(found)
        return chosen, findings

    @property
    def card_horizon_seconds(self) -> int:
        """Return the detector's look-back at a card's past in seconds; the whole ledger has the same."""
        return horizon_of(self.batches[-1].fingerprint) if self.batches else 0

    @property
    def stretches(self) -> list[int]:
        """Return for each batch the number of its segment, from 0: successive batches with the same rules.

        More of a card's past can only make a rule match, so evaluating cards at the end of each segment gives
        the same flags and alerting transactions as evaluating them after each batch. A segment ends once the
        watermark has moved on by more than a look-back, so that few windows are held.
        """
        numbers: list[int] = []
        first: Batch | None = None
        for batch in self.batches:
            if (
                first is None
                or batch.rule_set != first.rule_set
                or batch.watermark_us - first.watermark_us > self.card_horizon_seconds * 1_000_000
            ):
                first = batch
                numbers.append(numbers[-1] + 1 if numbers else 0)
            else:
                numbers.append(numbers[-1])
        return numbers

    def beyond_horizon(self, sets: Sequence[RuleSet]) -> Iterator[LedgerFinding]:
        """Yield findings for batches whose rules look further back at a card than the detector could.

        Args:
            sets: the rules of each batch, from `rule_sets`.
        """
        reach = self.card_horizon_seconds
        for batch, rules in zip(self.batches, sets, strict=True):
            if rules.card_horizon_seconds > reach:
                expected = f"rules that look back at a card for {reach} s at most"
                stored = f"{_shown(batch.rule_set or '')}, which look back {rules.card_horizon_seconds} s"
                yield _finding("rules", batch, None, expected, stored)

    def place(self, partition: int, offset: int) -> int:
        """Return the index in `batches` of the batch that read this offset."""
        return self._readers[partition][bisect_right(self._starts[partition], offset) - 1]

    def contradictions(self) -> Iterator[LedgerFinding]:
        """Yield findings for malformed rows, and for gaps or overlaps of batch ids or offset ranges."""
        reached: dict[int, int] = {}
        numbers: dict[str, int] = {}
        for batch in self.batches:
            for flaw in batch.flaws:
                yield _finding(flaw.kind, batch, flaw.partition, flaw.expected, flaw.stored)
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

    def strangers(self, partitions: Container[int]) -> Iterator[LedgerFinding]:
        """Yield findings for batches with a partition that the topic lacks: partitions are never removed."""
        for batch in self.batches:
            for partition, (start, end) in sorted(batch.offsets.items()):
                if partition not in partitions:
                    yield _finding("range", batch, partition, "a partition of the topic", f"{start} to {end}")

    def watermarks(self) -> Iterator[LedgerFinding]:
        """Yield findings for watermarks that are no instant or earlier than the query's previous one."""
        last: dict[str, int] = {}
        for batch in self.batches:
            now = batch.watermark_us
            before = last.get(batch.query_id, now)
            if abs(now) == INFINITY_US:
                yield _finding("watermark", batch, None, "an instant", instant_text(now))
            elif now < before:
                yield _finding(
                    "watermark", batch, None, f"{instant_text(before)} or later", instant_text(now)
                )
            else:
                last[batch.query_id] = now

    def index(self) -> BatchIndex:
        """Return an index that finds the batches of many records at once."""
        return BatchIndex(
            {partition: np.array(starts, np.int64) for partition, starts in self._starts.items()},
            {partition: np.array(readers, np.int64) for partition, readers in self._readers.items()},
            # A watermark that is no instant may not fit into 64 bits; the limits are as far from every event.
            np.array([min(max(one, -_BEYOND), _BEYOND) for one in self._late_before], np.int64),
        )

    def unconfirmed(self, intake: LogIntake) -> Iterator[LedgerFinding]:
        """Yield findings where the ledger's intake differs from the intake computed from the log."""
        for place, batch in enumerate(self.batches):
            for partition in sorted(batch.offsets.keys() | batch.intake.keys()):
                expected = Counter(intake.rejected.get((place, partition), {}))
                expected[ADMITTED] = intake.read[place, partition] - expected.total()
                stored = Counter(batch.intake.get(partition, {}))
                if stored != expected:
                    yield _finding("intake", batch, partition, _amounts(expected), _amounts(stored))


def _rules_of(digest: str | None, known: Mapping[str, str]) -> RuleSet | str:
    """Return the rules that a batch names, or what is wrong with them."""
    if digest is None:
        return "none"
    document = known.get(digest)
    if document is None:
        return f"{_shown(digest)}, of which there is no document"
    plain = json.loads(document)
    if not isinstance(plain, dict) or document_digest(plain) != digest:
        return f"{_shown(digest)}, whose document is another one"
    try:
        return parse_rules(plain)
    except ConfigError as error:
        return f"{_shown(digest)}, which this version cannot read: {error.detail}"


def _finding(
    kind: Literal["batch", "range", "gap", "overlap", "intake", "offsets", "watermark", "rules"],
    batch: Batch,
    partition: int | None,
    expected: str,
    stored: str,
) -> LedgerFinding:
    return LedgerFinding(kind, batch.query_id, batch.batch_id, partition, expected, stored)


def _amounts(counter: Counter[str]) -> str:
    """Return counts as text without zeros, such as `admitted 90, late 3`."""
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items()) if number) or "nothing"


def read_offsets(text: str) -> tuple[Ranges, tuple[Flaw, ...]]:
    """Return the ranges in a ledger row, and the flaws in its JSON, which are left out."""
    ranges: dict[int, tuple[int, int]] = {}
    flaws: list[Flaw] = []
    for name, span in _members(text, "offsets", flaws):
        partition = _partition(name)
        if partition is not None and type(span) is list and [type(part) for part in span] == [int, int]:
            ranges[partition] = (span[0], span[1])
        else:
            flaws.append(
                Flaw("offsets", partition, "a partition with [first, one past the last]", _shown(text))
            )
    return ranges, tuple(flaws)


def read_intake(text: str) -> tuple[Intake, tuple[Flaw, ...]]:
    """Return the counts in a ledger row by partition and outcome, and the flaws, which are left out."""
    counts: dict[int, dict[str, int]] = {}
    flaws: list[Flaw] = []
    for name, own in _members(text, "intake", flaws):
        partition = _partition(name)
        if (
            partition is not None
            and type(own) is dict
            and all(type(number) is int for number in own.values())
        ):
            counts[partition] = own
        else:
            flaws.append(Flaw("intake", partition, "a partition with whole numbers by fate", _shown(text)))
    return counts, tuple(flaws)


def _members(text: str, kind: Literal["offsets", "intake"], flaws: list[Flaw]) -> Iterable[tuple[str, Any]]:
    document = read_object(text.encode(), len(text.encode()))
    if document is None:
        flaws.append(Flaw(kind, None, "a JSON object by partition", _shown(text)))
        return ()
    return document.items()


def _partition(name: str) -> int | None:
    """Return a partition's number if it is written as the detector does: digits without a leading zero."""
    if not (name.isascii() and name.isdigit() and len(name) <= len(str(_PARTITION_MAX))):
        return None
    number = int(name)
    return number if str(number) == name and number <= _PARTITION_MAX else None


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
