"""Read, admit and evaluate a long log block by block, and write the results to files.

This is the first half of a recount; only the files grow with the log. The second half
(fraudctl/recount/deduplication.py) reads them bucket by bucket. Together the two give the same result as
`recount` (fraudctl/recount/recount.py), which does everything in memory in one pass: that is the definition,
and tests compare the two.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np

from fraudctl.config.model import EventsSettings, LatenessSettings, WindowsSettings
from fraudctl.events.schema import FUTURE, LATE
from fraudctl.recount.canonical import Integers, reader, transaction_of
from fraudctl.recount.card_log import CardLog, FlagKey, Marked
from fraudctl.recount.instants import MINUTE_US
from fraudctl.recount.intake import BatchIndex, LogIntake
from fraudctl.recount.judgement import CardJudge, Verdict
from fraudctl.recount.letters import RejectedRecord
from fraudctl.recount.parse import Transaction
from fraudctl.recount.raised import Raised, transaction_digest
from fraudctl.recount.recount import by_rules
from fraudctl.recount.spill import ADMITTED_ROW, LineSpill, RowSpill, hashes
from fraudctl.recount.verdict_table import VerdictTable
from fraudctl.rules.model import RuleSet

ALERTS, FLAGS, REJECTS = "alerts", "flags", "rejects"
# The first words of the names of files with results from the log, without rules on a card's past.
KINDS_FROM_LOG = ("rows", ALERTS, REJECTS)
_SEPARATOR = b"\x1f"
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Block:
    """Records of one partition in the order of the log."""

    partition: int
    offsets: Sequence[int]
    arrivals_ms: Sequence[int]
    values: Sequence[bytes | None]


@dataclass(frozen=True)
class Plan:
    """The parameters that the processes of one recount share, with their common folder.

    `rules`: one set for each batch.
    """

    events: EventsSettings
    windows: WindowsSettings
    lateness: LatenessSettings
    rules: Sequence[RuleSet]
    index: BatchIndex
    card_horizon_seconds: int
    folder: Path
    buckets: int


class StreamRecount:
    """A recount of spans of the log, one block after the other, that writes the result for each record.

    The blocks of a partition come in the order of the log. With rules on a card's past, one instance takes
    all blocks of a partition, otherwise those of one span.
    """

    def __init__(self, plan: Plan, writer: str) -> None:
        """Start with nothing read.

        Args:
            plan: the parameters of the recount.
            writer: a name for this instance's files that no other one in the same folder has.
        """
        self.intake = LogIntake()
        self._plan = plan
        self._read = reader(plan.events)
        currency = plan.events.currency
        self._tables = by_rules(
            plan.rules, lambda rules: VerdictTable(rules, currency, plan.events.categories)
        )
        self._categories = {name.encode(): number for number, name in enumerate(plan.events.categories)}
        self._reject_files: dict[int, str] = {}
        self._rows = RowSpill(plan.folder, writer, plan.buckets)
        self._alerts = LineSpill(plan.folder, ALERTS, writer, plan.buckets)
        self._flags = LineSpill(plan.folder, FLAGS, writer, plan.buckets)
        self._slide_us = plan.windows.slide_minutes * MINUTE_US
        horizon_us = plan.card_horizon_seconds * 1_000_000
        self._cards = (
            CardLog(horizon_us, by_rules(plan.rules, CardJudge), self._ended_flags, self._ended_alerts)
            if horizon_us
            else None
        )

    def take(self, block: Block) -> None:
        """Recount the records of one block."""
        offsets = np.array(block.offsets, dtype=np.int64)
        arrivals = np.array(block.arrivals_ms, dtype=np.int64)
        batches = self._plan.index.batches(block.partition, offsets)
        numbers, counts = np.unique(batches, return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            self.intake.read[number, block.partition] += count
        lines = self._read(block.values)
        lag_us = arrivals[lines.rows] * 1000 - lines.event_us
        late = lag_us > self._plan.lateness.late_seconds * 1_000_000
        future = -lag_us > self._plan.lateness.future_seconds * 1_000_000
        rejected = dict(lines.rejected)
        rejected.update(dict.fromkeys(lines.rows[late].tolist(), LATE))
        rejected.update(dict.fromkeys(lines.rows[future].tolist(), FUTURE))
        if rejected:
            self._reject(block, batches, rejected)
        admitted = ~(late | future)
        rows = lines.rows[admitted]
        if len(rows) == len(lines.fields):
            fields = lines.fields
        else:
            fields = [one for one, own in zip(lines.fields, admitted.tolist(), strict=True) if own]
        if fields:
            times = lines.event_us[admitted]
            self._admit(block.partition, offsets[rows], arrivals[rows], batches[rows], fields, times)

    def finish(self) -> LogIntake:
        """Write the results that are still held, and return the intake; no block may be taken afterwards."""
        if self._cards is not None:
            self._cards.finish()
            self._cards.hand_on_all()
        for spill in (self._rows, self._alerts, self._flags):
            spill.flush()
        return self.intake

    def _reject(self, block: Block, batches: Integers, rejected: Mapping[int, str]) -> None:
        """Write rejected records to the partition's file, in the order of the log."""
        rows = sorted(rejected)
        # Sorted by name, the files of one partition are in the order of the log.
        name = f"{REJECTS}-{block.partition:010}-{block.offsets[rows[0]]:020}"
        name = self._reject_files.setdefault(block.partition, name)
        with (self._plan.folder / name).open("a", encoding="ascii") as file:
            for row in rows:
                value, reason = block.values[row], rejected[row]
                key = int(batches[row]), block.partition
                self.intake.rejected.setdefault(key, Counter())[reason] += 1
                text = None if value is None else value.decode("latin-1")
                file.write(json.dumps([block.offsets[row], block.arrivals_ms[row], reason, text]) + "\n")

    def _admit(
        self,
        partition: int,
        offsets: Integers,
        arrivals: Integers,
        batches: Integers,
        fields: Sequence[tuple[bytes, ...]],
        event_us: Integers,
    ) -> None:
        rows = np.empty(len(fields), ADMITTED_ROW)
        payloads = b"".join(
            [blake2b(_SEPARATOR.join(one), digest_size=_DIGEST_BYTES).digest() for one in fields]
        )
        rows["payload"], rows["payload_low"] = np.frombuffer(payloads, "<u8").reshape(-1, 2).T
        rows["id"] = hashes([one[0] for one in fields])
        rows["partition"], rows["offset"], rows["batch"] = partition, offsets, batches
        rows["slide"] = event_us // self._slide_us
        known = self._categories
        categories = np.array([known[one[4]] for one in fields], dtype=np.int64)
        amounts = np.array([int(one[5]) for one in fields], dtype=np.int64)
        rows["category"], rows["amount"] = categories, amounts
        late_before = self._plan.index.late_before_us[batches]
        rows["dropped"] = event_us <= late_before
        currency = self._plan.events.currency
        # Rows of one batch lie together, and each batch has rules of its own.
        borders = [0, *(np.flatnonzero(np.diff(batches)) + 1).tolist(), len(batches)]
        for start, end in pairwise(borders):
            batch, own = int(batches[start]), slice(start, end)
            verdicts, which = self._tables[batch].verdicts(
                fields[own], event_us[own], amounts[own], categories[own]
            )
            rows["flagged"][own] = np.array([verdict.flagged for verdict in verdicts])[which]
            alerting = np.array([verdict.alert for verdict in verdicts])[which]
            for row in (np.flatnonzero(alerting) + start).tolist():
                transaction = transaction_of(fields[row], int(event_us[row]), currency)
                raised = Raised(batch, int(arrivals[row]), transaction, verdicts[which[row - start]])
                self._alert(transaction_digest(transaction), partition, raised, by_card=False)
        self._rows.add(rows)
        if self._cards is not None:
            for one, time, batch, arrival, late in zip(
                fields,
                event_us.tolist(),
                batches.tolist(),
                arrivals.tolist(),
                late_before.tolist(),
                strict=True,
            ):
                self._cards.admitted(partition, batch, arrival, transaction_of(one, time, currency), late)

    def _ended_flags(self, marked: Iterable[tuple[FlagKey, Marked]]) -> None:
        for (partition, digest), one in marked:
            self._flags.add(
                digest,
                [
                    partition,
                    digest,
                    one.place,
                    one.alone,
                    *_told(one.arrival_ms, one.transaction, one.verdict),
                ],
            )

    def _ended_alerts(self, raised: Iterable[tuple[int, str, Raised]]) -> None:
        for partition, digest, one in raised:
            self._alert(digest, partition, one, by_card=True)

    def _alert(self, digest: str, partition: int, raised: Raised, *, by_card: bool) -> None:
        told = _told(raised.arrival_ms, raised.transaction, raised.verdict)
        self._alerts.add(digest, [by_card, partition, digest, raised.place, *told])


def _told(arrival_ms: int, transaction: Transaction, verdict: Verdict) -> tuple[object, ...]:
    """Return the values that a line holds on a transaction and its verdict."""
    return arrival_ms, verdict.rules, verdict.score, verdict.alert, transaction


def read_rejected(folder: Path, topic: str) -> Iterator[RejectedRecord]:
    """Yield all rejected records, in the order of partition and offset."""
    for file in sorted(folder.glob(f"{REJECTS}-*")):
        partition = int(file.name.split("-")[1])
        with file.open(encoding="ascii") as lines:
            for line in lines:
                offset, arrival_ms, reason, text = json.loads(line)
                value = None if text is None else text.encode("latin-1")
                yield RejectedRecord((topic, partition, offset), reason, arrival_ms, value)
