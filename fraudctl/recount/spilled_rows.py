"""Compare the expected and the stored alerts and flags of one bucket."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraudctl.recount.alerts import Alert, AlertDifference, compare_alerts, expected_alerts
from fraudctl.recount.card_log import FlagKey, Marked
from fraudctl.recount.compare import Place
from fraudctl.recount.flags import Flag, FlagDifference, compare_flags, expected_flags
from fraudctl.recount.judgement import Verdict
from fraudctl.recount.ledger import Batch
from fraudctl.recount.letters import Letter
from fraudctl.recount.parse import Transaction
from fraudctl.recount.raised import Raised, first_raised
from fraudctl.recount.spill import LineSpill, read_lines
from fraudctl.recount.stream import ALERTS, FLAGS

_STORED = "stored"
_LETTERS = f"{_STORED}-letters"


@dataclass
class RowsCompared:
    """The number of rows on at least one side, and the rows that differ."""

    alerts: int = 0
    flags: int = 0
    alert_differences: list[AlertDifference] = field(default_factory=list)
    flag_differences: list[FlagDifference] = field(default_factory=list)

    def add(self, other: "RowsCompared") -> None:
        """Add the result of another bucket."""
        self.alerts += other.alerts
        self.flags += other.flags
        self.alert_differences += other.alert_differences
        self.flag_differences += other.flag_differences


class StoredRows:
    """A writer of stored alerts and flags into buckets, and of stored dead letters into one file."""

    def __init__(self, folder: Path, buckets: int) -> None:
        """Prepare the writer for this folder and number of buckets."""
        self._folder = folder
        self._alerts = LineSpill(folder, f"{_STORED}{ALERTS}", "0", buckets)
        self._flags = LineSpill(folder, f"{_STORED}{FLAGS}", "0", buckets)

    def add_alert(self, digest: str, alert: Alert) -> None:
        """Add a stored alert."""
        self._alerts.add(digest, [digest, *alert])

    def add_flag(self, key: FlagKey, flag: Flag) -> None:
        """Add a stored flag."""
        self._flags.add(key[1], [*key, *flag.values()])

    def write_letters(self, letters: Iterable[tuple[Place, Letter]]) -> None:
        """Write the stored dead letters to one file."""
        with (self._folder / _LETTERS).open("w", encoding="ascii") as file:
            for place, one in letters:
                values = (one.reason, one.arrival_us, one.whole_bytes, one.kept_bytes, one.digest.hex())
                file.write(json.dumps([*place, *values, one.purged]) + "\n")

    def flush(self) -> None:
        """Write the alerts and flags that are held in memory."""
        self._alerts.flush()
        self._flags.flush()


def read_letters(folder: Path) -> Iterator[tuple[Place, Letter]]:
    """Yield the stored dead letters in the order in which they were written."""
    with (folder / _LETTERS).open(encoding="ascii") as lines:
        for topic, partition, offset, reason, arrival_us, whole, kept, digest, purged in map(
            json.loads, lines
        ):
            letter = Letter(reason, arrival_us, whole, kept, bytes.fromhex(digest), purged)
            yield (topic, partition, offset), letter


def compare_bucket(folder: Path, bucket: int, batches: Sequence[Batch]) -> RowsCompared:
    """Compare the alerts and flags of one bucket."""
    alerts = expected_alerts(read_raised(folder, bucket), batches)
    stored_alerts = {
        digest: Alert._make(values) for digest, *values in read_lines(folder, f"{_STORED}{ALERTS}", bucket)
    }
    flags = expected_flags(read_marked(folder, bucket), batches)
    stored_flags = {
        (partition, digest): Flag(*values)
        for partition, digest, *values in read_lines(folder, f"{_STORED}{FLAGS}", bucket)
    }
    return RowsCompared(
        len(alerts.keys() | stored_alerts.keys()),
        len(flags.keys() | stored_flags.keys()),
        list(compare_alerts(alerts, stored_alerts)),
        list(compare_flags(flags, stored_flags)),
    )


def read_raised(folder: Path, bucket: int) -> dict[str, Raised]:
    """Return the expected alerts, by the transaction's digest."""
    alone: dict[str, tuple[tuple[int, int, int], Raised]] = {}
    by_card: dict[str, tuple[tuple[int, int, int], Raised]] = {}
    for carded, partition, digest, batch, arrival_ms, *told in read_lines(folder, ALERTS, bucket):
        side = by_card if carded else alone
        rank = (batch, arrival_ms, partition)
        if digest not in side or rank < side[digest][0]:
            verdict, transaction = _read_told(told)
            side[digest] = rank, Raised(batch, arrival_ms, transaction, verdict)
    return first_raised(_without_rank(alone), _without_rank(by_card))


def read_marked(folder: Path, bucket: int) -> dict[FlagKey, Marked]:
    """Return the expected flags, each as the last batch that evaluated it found it."""
    marked: dict[FlagKey, Marked] = {}
    for partition, digest, batch, alone, arrival_ms, *told in read_lines(folder, FLAGS, bucket):
        before = marked.get((partition, digest))
        if before is None or before.place < batch:
            verdict, transaction = _read_told(told)
            marked[partition, digest] = Marked(batch, arrival_ms, transaction, verdict, alone)
    return marked


def _without_rank(found: Mapping[str, tuple[object, Raised]]) -> dict[str, Raised]:
    return {digest: raised for digest, (_rank, raised) in found.items()}


def _read_told(told: Sequence[Any]) -> tuple[Verdict, Transaction]:
    rules, score, alert, transaction = told
    return Verdict(tuple(rules), score, alert), Transaction._make(transaction)
