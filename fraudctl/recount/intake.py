"""Batches of the ledger by the records that they read, and counts of these records."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BatchIndex:
    """An index that finds, for a record of the log, the batch that read it, as an index in the ledger.

    `starts`: by partition the first offsets of the ranges, ascending; `readers`: the batch of each of them;
    `late_before_us`: by batch, the instant up to which the engine dropped the events that it read.
    """

    starts: Mapping[int, Integers]
    readers: Mapping[int, Integers]
    late_before_us: Integers

    def batches(self, partition: int, offsets: Integers) -> Integers:
        """Return the batch of each of these offsets."""
        found = np.searchsorted(self.starts[partition], offsets, side="right") - 1
        return self.readers[partition][found]


@dataclass
class LogIntake:
    """The number of records that were read, and of those rejected by reason, by (batch, partition)."""

    read: Counter[tuple[int, int]] = field(default_factory=Counter)
    rejected: dict[tuple[int, int], Counter[str]] = field(default_factory=dict)

    def add(self, other: "LogIntake") -> None:
        """Add the counts of another part of the log."""
        self.read.update(other.read)
        for key, reasons in other.rejected.items():
            self.rejected.setdefault(key, Counter()).update(reasons)
