"""What every panel must show, by a recount of the log that was sent and by Spark's own checkpoint.

Nothing here looks into the views, nor into columns that only people look at.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import psycopg

from fraudctl.config.load import load
from fraudctl.config.rules_file import read_rules_document
from fraudctl.recount.recount import Record, Recount, recount
from fraudctl.rules.model import parse_rules
from tests.support import scenario
from tests.support.stacks import Stack

# Reasons of which all letters were sent again, and emptied.
SENT_AGAIN, EMPTIED = "future", "late"

Cell = str | float | None
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Near:
    """A value that goes on changing: at least this, and not much more."""

    value: float
    slack: float = 600.0


@dataclass(frozen=True)
class LandedBatch:
    """One batch as the log has it: what was read when it landed, and what Spark planned."""

    batch_id: int
    epoch: int
    landed_s: float
    planned_s: float
    watermark_s: float
    rows: int
    records: tuple[Record, ...]
    fates: dict[int, dict[str, int]]  # by partition, from a recount of everything up to here

    def fate(self, *names: str) -> int:
        return sum(own.get(name, 0) for own in self.fates.values() for name in names)

    @property
    def refused(self) -> int:
        return len(self.records) - self.fate("counted", "duplicate")

    @property
    def ages(self) -> tuple[float, float] | tuple[None, None]:
        """From the newest and from the oldest arrival to the landing; an idle batch has neither."""
        arrivals = [record[2] / 1000 for record in self.records]
        if not arrivals:
            return None, None
        return self.landed_s - max(arrivals), self.landed_s - min(arrivals)


class Run:
    """A finished run: its stack, the log that was sent, and its recount."""

    def __init__(self, stack: Stack, records: Sequence[Record]) -> None:
        self.stack = stack
        self.records = records

    def session(self, zone: str) -> psycopg.Connection[Any]:
        """As Grafana would connect."""
        address = self.stack.json("status")["services"]["postgres"]
        return psycopg.connect(
            host=address["host"],
            port=address["port"],
            dbname=address["database"],
            user="fraud_reader",
            password=(self.stack.root / "secrets" / "reader.password").read_text(encoding="utf-8").strip(),
            options=f"-c timezone={zone}",
            autocommit=True,
        )

    @cached_property
    def everything(self) -> Recount:
        return counted(self.records)

    @cached_property
    def batches(self) -> list[LandedBatch]:
        """In the order of landing; each is the difference of two recounts."""
        ledger = scenario.execute(
            self.stack,
            "SELECT batch_id, epoch, extract(epoch FROM committed_at), rows, offsets"
            " FROM fraud.batch_ledger ORDER BY batch_id",
        )
        place = {(record[0], record[1]): record for record in self.records}
        seen: list[Record] = []
        before: dict[int, dict[str, int]] = {}
        batches = []
        for batch_id, epoch, landed, rows, offsets in ledger:
            own = [
                place[int(partition), offset]
                for partition, (first, end) in offsets.items()
                for offset in range(first, end)
            ]
            seen += own
            now = {partition: dict(fates) for partition, fates in counted(seen).fates.items()}
            grown = {
                partition: {name: n - before.get(partition, {}).get(name, 0) for name, n in fates.items()}
                for partition, fates in now.items()
            }
            before = now
            planned = self.planned(batch_id)
            batches.append(
                LandedBatch(
                    batch_id,
                    epoch,
                    float(landed),
                    planned["batchTimestampMs"] / 1000,
                    planned["batchWatermarkMs"] / 1000,
                    rows,
                    tuple(own),
                    grown,
                )
            )
        return batches

    def planned(self, batch_id: int) -> dict[str, int]:
        file = self.stack.root / "data" / "checkpoint" / "offsets" / str(batch_id)
        found: dict[str, int] = json.loads(file.read_text(encoding="utf-8").splitlines()[1])
        return found


def counted(records: Iterable[Record]) -> Recount:
    settings = load().settings
    return recount(
        records,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        rules=parse_rules(read_rules_document(settings.rules.file)),
    )


@dataclass(frozen=True)
class View:
    """What a user of the dashboard has chosen."""

    run: Run
    begin_s: float
    finish_s: float
    step_s: int
    categories: tuple[str, ...]
    reasons: tuple[str, ...]

    def slices(self) -> list[tuple[float, str, Any]]:
        """Windows that begin at a multiple of their length: (start, category, totals)."""
        return [
            (key.start_us / 1e6, key.category, totals)
            for key, totals in self.run.everything.windows.items()
            if key.start_us % (key.end_us - key.start_us) == 0
            and self.begin_s <= key.start_us / 1e6 <= self.finish_s
            and key.category in self.categories
        ]

    def windows(self) -> list[tuple[float, str, Any]]:
        """All of them, at their ends."""
        return [
            (key.end_us / 1e6, key.category, totals)
            for key, totals in self.run.everything.windows.items()
            if self.begin_s <= key.end_us / 1e6 <= self.finish_s and key.category in self.categories
        ]

    def letters(self) -> list[tuple[float, str]]:
        """(arrival, reason) of the refused records."""
        rejects = self.run.everything.rejects
        return [
            (record[2] / 1000, rejects[record[0], record[1]])
            for record in self.run.records
            if rejects.get((record[0], record[1])) in self.reasons
            and self.begin_s <= record[2] / 1000 <= self.finish_s
        ]

    def batches(self) -> list[LandedBatch]:
        # The database keeps microseconds, the range has milliseconds.
        return [batch for batch in self.run.batches if self.begin_s <= batch.landed_s <= self.finish_s]

    def step(self, instant_s: float) -> float:
        return instant_s // self.step_s * self.step_s


def total(attribute: str) -> Callable[[View], list[Row]]:
    return lambda view: [(sum(getattr(totals, attribute) for _, _, totals in view.slices()),)]


def ratio(over: str, under: str) -> Callable[[View], list[Row]]:
    def expected(view: View) -> list[Row]:
        found = [totals for _, _, totals in view.slices()]
        return [(sum(getattr(t, over) for t in found) / sum(getattr(t, under) for t in found),)]

    return expected


def by_step_and_category(value: Callable[[list[Any]], float]) -> Callable[[View], list[Row]]:
    def expected(view: View) -> list[Row]:
        groups: dict[tuple[float, str], list[Any]] = {}
        for start, category, totals in view.slices():
            groups.setdefault((view.step(start), category), []).append(totals)
        return [(*key, value(groups[key])) for key in sorted(groups)]

    return expected


def added(attribute: str) -> Callable[[list[Any]], float]:
    return lambda group: sum(getattr(totals, attribute) for totals in group)


def share(group: list[Any]) -> float:
    return added("flagged_count")(group) / added("count")(group)


def categories(view: View) -> list[Row]:
    rows = []
    for name in view.categories:
        own = [totals for _, category, totals in view.slices() if category == name]
        if own:
            sums = [
                added(column)(own)
                for column in ("count", "flagged_count", "amount_minor", "flagged_amount_minor")
            ]
            rows.append((name, sums[0], sums[1], sums[1] / sums[0], sums[2], sums[3]))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def of_batches(value: Callable[[LandedBatch], int]) -> Callable[[View], list[Row]]:
    return lambda view: [(sum(value(batch) for batch in view.batches()),)]


def by_step(*values: Callable[[list[LandedBatch]], float | None]) -> Callable[[View], list[Row]]:
    def expected(view: View) -> list[Row]:
        groups: dict[float, list[LandedBatch]] = {}
        for batch in view.batches():
            groups.setdefault(view.step(batch.landed_s), []).append(batch)
        return [(key, *(value(groups[key]) for value in values)) for key in sorted(groups)]

    return expected


def summed(*fates: str) -> Callable[[list[LandedBatch]], float]:
    return lambda group: sum(batch.fate(*fates) for batch in group)


def other_refusals(group: list[LandedBatch]) -> float:
    return sum(batch.refused - batch.fate("late", "future") for batch in group)


def seconds(batch: LandedBatch) -> float:
    return batch.landed_s - batch.planned_s


def median(group: list[LandedBatch]) -> float:
    ordered = sorted(seconds(batch) for batch in group)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def lag(group: list[LandedBatch]) -> float | None:
    """Behind nothing there is no lag: an idle batch has none, nor has the first, before any watermark."""
    known = [
        max(record[2] for record in batch.records) / 1000 - batch.watermark_s
        for batch in group
        if batch.watermark_s > 0 and batch.records
    ]
    return max(known, default=None)


def letters_over_time(view: View) -> list[Row]:
    groups: dict[tuple[float, str], int] = {}
    for arrival, reason in view.letters():
        key = view.step(arrival), reason
        groups[key] = groups.get(key, 0) + 1
    return [(*key, groups[key]) for key in sorted(groups)]


def letters_by_reason(view: View) -> list[Row]:
    found = view.letters()
    rows: list[tuple[str, int, int, int, float]] = []
    for name in sorted({reason for _, reason in found}):
        arrivals = [arrival for arrival, reason in found if reason == name]
        size = len(arrivals)
        rows.append(
            (name, size, size if name == SENT_AGAIN else 0, size if name == EMPTIED else 0, max(arrivals))
        )
    return [*sorted(rows, key=lambda row: (-row[1], row[0]))]


def by_partition(view: View) -> list[Row]:
    groups: dict[tuple[float, str], int] = {}
    for batch in view.batches():
        for record in batch.records:
            key = view.step(batch.landed_s), f"partition {record[0]}"
            groups[key] = groups.get(key, 0) + 1
    return [(*key, groups[key]) for key in sorted(groups)]


def ledger(view: View) -> list[Row]:
    return [
        (
            batch.landed_s,
            batch.batch_id,
            batch.epoch,
            len(batch.records),
            batch.fate("counted", "duplicate"),
            batch.fate("counted"),
            batch.fate("duplicate"),
            batch.refused,
            batch.rows,
            0,
            seconds(batch),
            batch.ages[1],
            batch.watermark_s or None,
        )
        for batch in sorted(view.batches(), key=lambda batch: -batch.landed_s)
    ]


def lease(view: View) -> list[tuple[Any, ...]]:
    ((holder, acquired, heard),) = scenario.execute(
        view.run.stack,
        "SELECT holder, extract(epoch FROM acquired_at), extract(epoch FROM heartbeat_at)"
        " FROM fraud.pipeline_lease",
    )
    silent = datetime.now(UTC).timestamp() - float(heard)
    return [("free", holder, view.run.batches[-1].epoch, float(acquired), Near(silent))]


def newest_batch(view: View) -> list[tuple[Any, ...]]:
    return [(Near(datetime.now(UTC).timestamp() - view.run.batches[-1].landed_s),)]


EXPECTED: dict[str, Callable[[View], Sequence[tuple[Any, ...]]]] = {
    "fraud: Transactions": total("count"),
    "fraud: Flagged": total("flagged_count"),
    "fraud: Flagged share": ratio("flagged_count", "count"),
    "fraud: Amount": total("amount_minor"),
    "fraud: Flagged amount": total("flagged_amount_minor"),
    "fraud: Average amount": ratio("amount_minor", "count"),
    "fraud: Transaction volume per category": by_step_and_category(added("count")),
    "fraud: Flagged transactions per category": by_step_and_category(added("flagged_count")),
    "fraud: Flagged share per category": by_step_and_category(share),
    "fraud: Flagged amount per category": by_step_and_category(added("flagged_amount_minor")),
    "fraud: Transactions within a window": lambda view: sorted(
        (end, category, totals.count) for end, category, totals in view.windows()
    ),
    "fraud: Fraud trend: flagged share within a window": lambda view: sorted(
        (end, category, totals.flagged_count / totals.count) for end, category, totals in view.windows()
    ),
    "fraud: Categories": categories,
    "pipeline: Records read": of_batches(lambda batch: len(batch.records)),
    "pipeline: Counted": of_batches(lambda batch: batch.fate("counted")),
    "pipeline: Duplicates": of_batches(lambda batch: batch.fate("duplicate")),
    "pipeline: Refused": of_batches(lambda batch: batch.refused),
    "pipeline: Batches": of_batches(lambda _batch: 1),
    "pipeline: Replays": of_batches(lambda _batch: 0),
    "pipeline: Fate of the records": by_step(
        summed("counted"), summed("duplicate"), summed("late"), summed("future"), other_refusals
    ),
    "pipeline: Dead letters by reason": letters_over_time,
    "pipeline: Latency from arrival to landing": by_step(
        lambda group: max((age for batch in group if (age := batch.ages[1]) is not None), default=None),
        lambda group: min((age for batch in group if (age := batch.ages[0]) is not None), default=None),
    ),
    "pipeline: Batch time": by_step(median, lambda group: max(seconds(batch) for batch in group)),
    "pipeline: Watermark behind the newest arrival": by_step(lag),
    "pipeline: Rows and records per batch": by_step(
        lambda group: sum(batch.rows for batch in group) / len(group),
        lambda group: sum(len(batch.records) for batch in group) / len(group),
    ),
    "pipeline: Records by partition": by_partition,
    "pipeline: Dead letters": letters_by_reason,
    "pipeline: Who writes": lease,
    "pipeline: Since the newest batch": newest_batch,
    "pipeline: Ledger": ledger,
}
