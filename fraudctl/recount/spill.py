"""Files for the data of a recount on each event, so that memory does not grow with the log.

Everything about one transaction id, or about one digest, goes to the same bucket. A bucket is read as a whole
and fits into memory; buckets are independent of each other. Each writer has its own files and only appends to
them.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.void]

# One admitted record in 56 bytes. The payload is a digest of 128 bits, the id a hash of 64 that two ids may
# share; `slide` numbers the slides since 1970, `category` is an index of the settings' list.
ADMITTED_ROW = np.dtype(
    [
        ("payload", "<u8"),
        ("payload_low", "<u8"),
        ("id", "<u8"),
        ("offset", "<i8"),
        ("amount", "<i8"),
        ("slide", "<i4"),
        ("batch", "<i4"),
        ("partition", "<i4"),
        ("category", "<u2"),
        ("flagged", "?"),
        ("dropped", "?"),
    ]
)
_ID_BYTES = 64
# The multiplier of Fibonacci hashing: 2**64 divided by the golden ratio.
_ODD = np.uint64(0x9E3779B97F4A7C15)
# The events per bucket, unless that takes more than `_BUCKETS_MAX` buckets.
_EVENTS_OF_A_BUCKET = 100_000
_BUCKETS_MAX = 256
# Rows and lines that are held in memory before they are written.
_ROWS_HELD = 100_000
_LINES_HELD = 10_000


def buckets_for(events: int) -> int:
    """Return how many buckets a recount of so many events needs."""
    return max(1, min(_BUCKETS_MAX, -(-events // _EVENTS_OF_A_BUCKET)))


def hashes(ids: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash for each transaction id; ids have up to 64 bytes, none of them zero."""
    words = np.array(ids, dtype=f"S{_ID_BYTES}").view("<u8").reshape(len(ids), -1)
    found = np.zeros(len(ids), dtype=np.uint64)
    for column in range(words.shape[1]):
        found = (found ^ words[:, column]) * _ODD
        found ^= found >> np.uint64(32)
    return found


class RowSpill:
    """A writer of admitted records into buckets, by the hash of the transaction's id."""

    def __init__(self, folder: Path, writer: str, buckets: int) -> None:
        """Prepare the writer.

        Args:
            folder: the folder of the recount's files.
            writer: a name that no other writer in this folder has.
            buckets: the number of buckets.
        """
        self._folder = folder
        self._writer = writer
        self._buckets = buckets
        self._held: list[Rows] = []
        self._number = 0

    def add(self, rows: Rows) -> None:
        """Add rows, and write those held if there are many."""
        self._held.append(rows)
        self._number += len(rows)
        if self._number >= _ROWS_HELD:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are held."""
        if not self._held:
            return
        rows = np.concatenate(self._held)
        buckets = rows["id"] % np.uint64(self._buckets)
        rows = rows[np.argsort(buckets, kind="stable")]
        ends = np.cumsum(np.bincount(buckets.astype(np.int64), minlength=self._buckets))
        start = 0
        for bucket, end in enumerate(ends.tolist()):
            if start < end:
                with _file(self._folder, "rows", bucket, self._writer).open("ab") as file:
                    file.write(rows[start:end].tobytes())
            start = end
        self._held, self._number = [], 0


class LineSpill:
    """A writer of JSON lines of one kind into buckets, by the digest that each line belongs to."""

    def __init__(self, folder: Path, kind: str, writer: str, buckets: int) -> None:
        """Prepare the writer.

        Args:
            folder: the folder of the recount's files.
            kind: the first word of the files' names.
            writer: a name that no other writer of this kind in this folder has.
            buckets: the number of buckets.
        """
        self._folder = folder
        self._kind = kind
        self._writer = writer
        self._buckets = buckets
        self._held: dict[int, list[str]] = {}
        self._number = 0

    def add(self, digest: str, values: object) -> None:
        """Add one line, and write those held if there are many."""
        # The digest of a stored row may be any text, so it is hashed.
        bucket = crc32(digest.encode()) % self._buckets
        self._held.setdefault(bucket, []).append(json.dumps(values))
        self._number += 1
        if self._number >= _LINES_HELD:
            self.flush()

    def flush(self) -> None:
        """Write the lines that are held."""
        for bucket, lines in self._held.items():
            with _file(self._folder, self._kind, bucket, self._writer).open("a", encoding="ascii") as file:
                file.write("\n".join(lines) + "\n")
        self._held, self._number = {}, 0


def read_rows(folder: Path, bucket: int) -> Rows:
    """Return all rows of one bucket, from all writers."""
    files = sorted(folder.glob(f"rows-{bucket}-*"))
    return np.concatenate([np.empty(0, ADMITTED_ROW), *(np.fromfile(file, ADMITTED_ROW) for file in files)])


def read_lines(folder: Path, kind: str, bucket: int) -> Iterator[list[Any]]:
    """Yield all lines of one bucket, from all writers."""
    for file in sorted(folder.glob(f"{kind}-{bucket}-*")):
        with file.open(encoding="ascii") as lines:
            yield from map(json.loads, lines)


def _file(folder: Path, kind: str, bucket: int, writer: str) -> Path:
    return folder / f"{kind}-{bucket}-{writer}"
