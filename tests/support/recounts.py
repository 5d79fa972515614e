"""Two recounts of one log: the definition in memory, and the one for long logs. They must say the same."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fraudctl.config.model import EventsSettings, LatenessSettings, WindowsSettings
from fraudctl.recount.canonical import Integers
from fraudctl.recount.deduplication import count_bucket
from fraudctl.recount.intake import BatchIndex
from fraudctl.recount.parse import Transaction, parser
from fraudctl.recount.recount import NO_WATERMARK, BatchOf, Record, Recount, Watermark, recount
from fraudctl.recount.spill import read_rows
from fraudctl.recount.spilled_rows import read_marked, read_raised
from fraudctl.recount.stream import Block, Plan, StreamRecount, read_rejected
from fraudctl.recount.windows import WindowSums
from fraudctl.rules.model import RuleSet

BUCKETS = 3


def recount_both(
    records: Sequence[Record],
    *,
    events: EventsSettings,
    windows: WindowsSettings,
    lateness: LatenessSettings,
    rules: RuleSet | Sequence[RuleSet],
    card_horizon_seconds: int | None = None,
    watermark: Watermark = lambda _partition, _offset: NO_WATERMARK,
    batch_of: BatchOf = lambda _partition, _offset: 0,
    block_size: int = 7,
) -> Recount:
    """Recount in the order of the ledger, in memory and by blocks and buckets, and compare all of it.

    Returns the recount in the order that was given: only which copy is the duplicate may be another.
    """
    ordered = sorted(records, key=lambda one: (batch_of(*one[:2]), one[0], one[1]))
    settings: dict[str, Any] = {"events": events, "windows": windows, "lateness": lateness}
    settings |= {"rules": rules, "card_horizon_seconds": card_horizon_seconds}
    settings |= {"watermark": watermark, "batch_of": batch_of}
    expected = recount(ordered, **settings)
    sets = [rules] if isinstance(rules, RuleSet) else rules
    if card_horizon_seconds is None:
        card_horizon_seconds = max((one.card_horizon_seconds for one in sets), default=0)
    with TemporaryDirectory() as folder:
        plan = Plan(
            events,
            windows,
            lateness,
            # Records of one batch may have several watermarks in tests: a batch for each of them.
            *_batches(ordered, sets, watermark, batch_of),
            card_horizon_seconds,
            Path(folder),
            BUCKETS,
        )
        found = _recount_blocks(plan, ordered, block_size)
    places = plan.index.places  # type: ignore[attr-defined]
    assert found.windows == expected.windows
    assert list(found.windows) == list(expected.windows)
    assert found.fates == expected.fates
    assert found.rejects == expected.rejects
    assert found.conflicts == expected.conflicts
    assert {digest: one._replace(place=places[one.place]) for digest, one in found.raised.items()} == (
        expected.raised
    )
    assert {key: one._replace(place=places[one.place]) for key, one in found.marked.items()} == (
        expected.marked
    )
    return recount(records, **settings)


class _Index(BatchIndex):
    """Looks the batch of each record up; `places` has the batch that the test speaks of."""

    def __init__(self, found: dict[tuple[int, int], int], late_before: list[int], places: list[int]) -> None:
        super().__init__({}, {}, np.array(late_before, np.int64))
        object.__setattr__(self, "found", found)
        object.__setattr__(self, "places", places)

    def batches(self, partition: int, offsets: Integers) -> Integers:
        found: dict[tuple[int, int], int] = self.found  # type: ignore[attr-defined]
        return np.array([found[partition, offset] for offset in offsets.tolist()], np.int64)


def _batches(
    records: Sequence[Record], sets: Sequence[RuleSet], watermark: Watermark, batch_of: BatchOf
) -> tuple[list[RuleSet], BatchIndex]:
    """A rule set for each pair of batch and watermark, and which record has which pair."""
    pairs: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], int] = {}
    for partition, offset, _, _ in records:
        pair = batch_of(partition, offset), watermark(partition, offset)
        pairs.setdefault(pair, len(pairs))
        found[partition, offset] = pairs[pair]
    return [sets[place] for place, _ in pairs], _Index(
        found, [late_before for _, late_before in pairs], [place for place, _ in pairs]
    )


def _recount_blocks(plan: Plan, records: Sequence[Record], block_size: int) -> Recount:
    values = {(partition, offset): value for partition, offset, _, value in records}
    stream = StreamRecount(plan, "test")
    for partition in sorted({record[0] for record in records}):
        own = [record[1:] for record in records if record[0] == partition]
        for start in range(0, len(own), block_size):
            stream.take(Block(partition, *zip(*own[start : start + block_size], strict=True)))
    intake = stream.finish()
    fates: dict[int, Counter[str]] = {}
    for (_, partition), reasons in intake.rejected.items():
        fates.setdefault(partition, Counter()).update(reasons)
    sums = WindowSums(plan.windows)
    conflicts: list[str] = []
    raised, marked = {}, {}
    for bucket in range(plan.buckets):
        counted = count_bucket(read_rows(plan.folder, bucket))
        for partition, outcomes in counted.outcomes.items():
            fates.setdefault(partition, Counter()).update(outcomes)
        for (slide, category), own_sums in counted.slides.items():
            sums.add_slide(slide, plan.events.categories[category], own_sums)
        for place in counted.conflicts:
            one = parser(plan.events)(values[place])
            assert isinstance(one, Transaction)
            conflicts.append(one.transaction_id)
        raised.update(read_raised(plan.folder, bucket))
        marked.update(read_marked(plan.folder, bucket))
    rejects = {
        (record.place[1], record.place[2]): record.reason for record in read_rejected(plan.folder, "t")
    }
    for partition, own_fates in fates.items():
        read = sum(number for (_, other), number in intake.read.items() if other == partition)
        assert own_fates.total() == read
    return Recount(
        sums.totals(),
        fates,
        rejects,
        tuple(sorted(name for name, number in Counter(conflicts).items() if number > 1)),
        raised,
        marked,
    )
