"""Deduplicate and sum the rows of one bucket: the second half of a recount of a long log.

Copies of one transaction lie in one bucket. The first of them that the engine did not drop is counted, in the
order of batch, partition and offset. Every other one is a duplicate; one that was dropped is a duplicate only
if an earlier batch has counted the transaction.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from fraudctl.recount.recount import COUNTED, DROPPED_BY_ENGINE, DUPLICATE
from fraudctl.recount.spill import Rows

# Sums of one slide and category: count, flagged count, amount, flagged amount.
Sums = tuple[int, int, int, int]
_OUTCOMES = (COUNTED, DUPLICATE, DROPPED_BY_ENGINE)
_COUNTED, _DUPLICATE, _DROPPED = range(3)


@dataclass
class BucketCount:
    """The totals of one bucket; `slides` by the slide's number and the category's index.

    `conflicts`: partition and offset of counted records that share the hash of their id with another one: all
    records whose id has several payloads, and perhaps some with equal hashes only.
    """

    outcomes: dict[int, Counter[str]] = field(default_factory=dict)
    slides: dict[tuple[int, int], Sums] = field(default_factory=dict)
    conflicts: list[tuple[int, int]] = field(default_factory=list)


def count_bucket(rows: Rows) -> BucketCount:
    """Deduplicate and sum all admitted records of one bucket."""
    if not len(rows):
        return BucketCount()
    rows = rows[np.argsort(rows["payload"], kind="stable")]
    near = rows["payload"][1:] == rows["payload"][:-1]
    copied = np.zeros(len(rows), dtype=bool)
    copied[1:] |= near
    copied[:-1] |= near
    single = rows[~copied]
    copies = rows[copied]
    copies = copies[
        np.lexsort(
            [copies[name] for name in ("offset", "partition", "batch", "payload_low", "payload")],
        )
    ]
    outcome = np.concatenate([np.where(single["dropped"], _DROPPED, _COUNTED), _outcomes(copies)])
    rows = np.concatenate([single, copies])
    counted = rows[outcome == _COUNTED]
    return BucketCount(_by_partition(rows, outcome), _slides(counted), _conflicts(counted))


def _outcomes(copies: Rows) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the outcome of each row; equal payloads must lie together in the order of the ledger."""
    outcome = np.full(len(copies), _DUPLICATE)
    if not len(copies):
        return outcome
    begins = np.ones(len(copies), dtype=bool)
    begins[1:] = (copies["payload"][1:] != copies["payload"][:-1]) | (
        copies["payload_low"][1:] != copies["payload_low"][:-1]
    )
    group = np.cumsum(begins) - 1
    seen = np.flatnonzero(~copies["dropped"])
    groups, first = np.unique(group[seen], return_index=True)
    counted = seen[first]
    counted_by = np.full(group[-1] + 1, np.iinfo(np.int64).max)
    counted_by[groups] = copies["batch"][counted]
    outcome[copies["dropped"] & (counted_by[group] >= copies["batch"])] = _DROPPED
    outcome[counted] = _COUNTED
    return outcome


def _by_partition(rows: Rows, outcome: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[int, Counter[str]]:
    result: dict[int, Counter[str]] = {}
    for partition in np.unique(rows["partition"]).tolist():
        numbers = np.bincount(outcome[rows["partition"] == partition], minlength=len(_OUTCOMES)).tolist()
        result[partition] = Counter(
            {name: number for name, number in zip(_OUTCOMES, numbers, strict=True) if number}
        )
    return result


def _slides(counted: Rows) -> dict[tuple[int, int], Sums]:
    order = np.lexsort([counted["category"], counted["slide"]])
    counted = counted[order]
    if not len(counted):
        return {}
    slide, category = counted["slide"], counted["category"]
    begins = np.ones(len(counted), dtype=bool)
    begins[1:] = (slide[1:] != slide[:-1]) | (category[1:] != category[:-1])
    at = np.flatnonzero(begins)
    # 64-bit sums cannot overflow: a bucket holds far fewer than the 900 million amounts that fit.
    flagged = counted["flagged"].astype(np.int64)
    columns = (np.ones(len(counted), np.int64), flagged, counted["amount"], flagged * counted["amount"])
    sums = zip(*(np.add.reduceat(column, at).tolist() for column in columns), strict=True)
    return dict(zip(zip(slide[at].tolist(), category[at].tolist(), strict=True), sums, strict=True))


def _conflicts(counted: Rows) -> list[tuple[int, int]]:
    ordered = np.sort(counted["id"])
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(several):
        return []
    own = counted[np.isin(counted["id"], several)]
    return list(zip(own["partition"].tolist(), own["offset"].tolist(), strict=True))
