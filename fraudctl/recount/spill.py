"""Files for what a recount must remember of each event: memory then does not grow with the log.

Everything about one transaction id, or about one digest, goes to the same bucket. A bucket is read as a whole
and fits into memory; two of them never need each other. Each writer has files of its own, which it only ever
extends.
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
# An odd number without a pattern: the fraction of the golden ratio.
_ODD = np.uint64(0x9E3779B97F4A7C15)
# So many events go to one bucket, as long as that does not take more than so many files.
_EVENTS_OF_A_BUCKET = 100_000
_BUCKETS_MAX = 256
# So much is held in memory before it is written.
_ROWS_HELD = 100_000
_LINES_HELD = 10_000


def buckets_for(events: int) -> int:
    """Return how many buckets a recount of so many events needs."""
    return max(1, min(_BUCKETS_MAX, -(-events // _EVENTS_OF_A_BUCKET)))


def hashes(ids: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """Return a hash of 64 bits for each transaction id: up to 64 bytes, none of them zero."""
    words = np.array(ids, dtype=f"S{_ID_BYTES}").view("<u8").reshape(len(ids), -1)
    found = np.zeros(len(ids), dtype=np.uint64)
    for column in range(words.shape[1]):
        found = (found ^ words[:, column]) * _ODD
        found ^= found >> np.uint64(32)
    return found


class RowSpill:
    """Writes rows of admitted records into buckets, by the digest of the transaction's id."""

    def __init__(self, folder: Path, writer: str, buckets: int) -> None:
        self._folder = folder
        self._writer = writer
        self._buckets = buckets
        self._held: list[Rows] = []
        self._number = 0

    def add(self, rows: Rows) -> None:
        self._held.append(rows)
        self._number += len(rows)
        if self._number >= _ROWS_HELD:
            self.flush()

    def flush(self) -> None:
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
    """Writes JSON lines of one kind into buckets, by the digest that each is about."""

    def __init__(self, folder: Path, kind: str, writer: str, buckets: int) -> None:
        self._folder = folder
        self._kind = kind
        self._writer = writer
        self._buckets = buckets
        self._held: dict[int, list[str]] = {}
        self._number = 0

    def add(self, digest: str, values: object) -> None:
        # A stored digest may be any text.
        bucket = crc32(digest.encode()) % self._buckets
        self._held.setdefault(bucket, []).append(json.dumps(values))
        self._number += 1
        if self._number >= _LINES_HELD:
            self.flush()

    def flush(self) -> None:
        for bucket, lines in self._held.items():
            with _file(self._folder, self._kind, bucket, self._writer).open("a", encoding="ascii") as file:
                file.write("\n".join(lines) + "\n")
        self._held, self._number = {}, 0


def read_rows(folder: Path, bucket: int) -> Rows:
    """Return all rows of one bucket, whoever wrote them."""
    files = sorted(folder.glob(f"rows-{bucket}-*"))
    return np.concatenate([np.empty(0, ADMITTED_ROW), *(np.fromfile(file, ADMITTED_ROW) for file in files)])


def read_lines(folder: Path, kind: str, bucket: int) -> Iterator[list[Any]]:
    """Yield all lines of one bucket, whoever wrote them."""
    for file in sorted(folder.glob(f"{kind}-{bucket}-*")):
        with file.open(encoding="ascii") as lines:
            yield from map(json.loads, lines)


def _file(folder: Path, kind: str, bucket: int, writer: str) -> Path:
    return folder / f"{kind}-{bucket}-{writer}"
