"""Which batch of the ledger read which record of the log, and how many came in."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BatchIndex:
    """For a record of the log the batch that read it, by its index in the ledger.

    `starts`: by partition the first offsets of the ranges, ascending; `readers`: the batch of each of them;
    `late_before_us`: by batch, up to which instant the engine dropped what it read.
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
    """How many records there were, and how many were rejected for which reason, by (batch, partition)."""

    read: Counter[tuple[int, int]] = field(default_factory=Counter)
    rejected: dict[tuple[int, int], Counter[str]] = field(default_factory=dict)

    def add(self, other: "LogIntake") -> None:
        self.read.update(other.read)
        for key, reasons in other.rejected.items():
            self.rejected.setdefault(key, Counter()).update(reasons)
