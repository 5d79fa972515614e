"""Recount the part of the log that a ledger names, in several processes, and merge their results."""

import errno
import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from psutil import pid_exists

from fraudctl.broker.log import Ranges, read_blocks, read_places
from fraudctl.config.model import Settings
from fraudctl.database.snapshot import SnapshotReader
from fraudctl.errors import RefusedError
from fraudctl.operations.verify.kept_recount import Kept
from fraudctl.operations.verify.worker_processes import Crew, Report, cores
from fraudctl.recount.compare import DeadLetterDifference, Place
from fraudctl.recount.deduplication import Sums, count_bucket
from fraudctl.recount.intake import LogIntake
from fraudctl.recount.ledger import Batch, Ledger
from fraudctl.recount.letters import LetterCheck, compare_letters
from fraudctl.recount.parse import Transaction, parser
from fraudctl.recount.spill import buckets_for, read_rows
from fraudctl.recount.spilled_rows import RowsCompared, StoredRows, compare_bucket, read_letters
from fraudctl.recount.stream import Block, Plan, StreamRecount, read_rejected
from fraudctl.recount.windows import Totals, WindowKey, WindowSums
from fraudctl.rules.model import RuleSet

# (partition, first offset, one past the last)
Span = tuple[int, int, int]
# Starting one more process takes about as long as recounting this many events.
_EVENTS_WORTH_A_PROCESS = 200_000
_FOLDER = "verify-"
# A broker that is starting, or fetching from a slow disk, may be silent for a while.
SILENCE_SECONDS = 30.0


def processes_for(events: int) -> int:
    """Return how many processes are worth starting for so many events."""
    return max(1, min(cores(), events // _EVENTS_WORTH_A_PROCESS))


def shares(ranges: Ranges, number: int, *, whole: bool) -> list[list[Span]]:
    """Divide the log into parts of about equal size, none of them empty.

    Args:
        ranges: the offsets to read by partition, as (first, one past the last).
        number: the number of parts, at most.
        whole: do not divide a partition.
    """
    if whole:
        return _whole_partitions(ranges, number)
    total = sum(end - start for start, end in ranges.values())
    parts: list[list[Span]] = [[] for _ in range(number)]
    passed = 0
    for partition, (start, end) in sorted(ranges.items()):
        at = start
        while at < end:
            share = passed * number // total
            # The first number of events at which the next share begins, rounded up.
            stop = min(end, at + max(1, -(-(share + 1) * total // number) - passed))
            parts[share].append((partition, at, stop))
            passed += stop - at
            at = stop
    return [part for part in parts if part]


def _whole_partitions(ranges: Ranges, number: int) -> list[list[Span]]:
    parts: list[list[Span]] = [[] for _ in range(number)]
    sizes = [0] * number
    for partition, (start, end) in sorted(ranges.items(), key=lambda item: item[1][0] - item[1][1]):
        if start < end:
            least = sizes.index(min(sizes))
            parts[least].append((partition, start, end))
            sizes[least] += end - start
    return [part for part in parts if part]


@dataclass(frozen=True)
class ReadOrder:
    """A task for a worker: read spans of the log and write the result for each record to files."""

    plan: Plan
    bootstrap_servers: str
    topic: str
    spans: Sequence[Span]
    writer: str
    timeout_seconds: float

    def __call__(self, report: Report) -> LogIntake:
        """Read the spans, report the number of records after each block, and return their intake."""
        with _no_search_for_cycles(), enough_room(self.plan.folder):
            stream = StreamRecount(self.plan, self.writer)
            for partition, start, end in self.spans:
                for block in read_blocks(
                    self.bootstrap_servers,
                    self.topic,
                    partition,
                    (start, end),
                    timeout_seconds=self.timeout_seconds,
                ):
                    stream.take(Block(*block))
                    report(len(block.offsets))
            return stream.finish()


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Disable the garbage collector: millions of small objects without cycles cost it a fifth of the time."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


@dataclass
class Counted:
    """The totals of some buckets, as in `BucketCount`, and the comparison of their rows."""

    outcomes: dict[int, Counter[str]] = field(default_factory=dict)
    slides: dict[tuple[int, int], Sums] = field(default_factory=dict)
    conflicts: list[tuple[int, int]] = field(default_factory=list)
    rows: RowsCompared = field(default_factory=RowsCompared)

    def add_bucket(self, plan: Plan, bucket: int, batches: Sequence[Batch]) -> None:
        """Add the totals of one bucket."""
        own = count_bucket(read_rows(plan.folder, bucket))
        self._add(own.outcomes, own.slides, own.conflicts)
        self.rows.add(compare_bucket(plan.folder, bucket, batches))

    def add(self, other: "Counted") -> None:
        """Add the totals of other buckets."""
        self._add(other.outcomes, other.slides, other.conflicts)
        self.rows.add(other.rows)

    def _add(
        self,
        outcomes: dict[int, Counter[str]],
        slides: dict[tuple[int, int], Sums],
        conflicts: list[tuple[int, int]],
    ) -> None:
        for partition, own in outcomes.items():
            self.outcomes.setdefault(partition, Counter()).update(own)
        for key, sums in slides.items():
            count, flagged, amount, flagged_amount = self.slides.get(key, (0, 0, 0, 0))
            self.slides[key] = (
                count + sums[0],
                flagged + sums[1],
                amount + sums[2],
                flagged_amount + sums[3],
            )
        self.conflicts += conflicts


@dataclass(frozen=True)
class CountOrder:
    """A task for a worker: deduplicate, sum and compare the rows of some buckets."""

    plan: Plan
    buckets: Sequence[int]
    batches: Sequence[Batch]

    def __call__(self, _report: Report) -> Counted:
        """Return the totals of the buckets."""
        counted = Counted()
        for bucket in self.buckets:
            counted.add_bucket(self.plan, bucket, self.batches)
        return counted


@dataclass(frozen=True)
class Progress:
    """The progress of a recount: records read so far, and the number of offsets to read."""

    read: int
    offsets: int


Observer = Callable[[Progress], None]


@dataclass(frozen=True)
class Recounted:
    """The result of a recount, and its comparison with the stored dead letters, alerts and flags."""

    windows: dict[WindowKey, Totals]
    outcomes: dict[int, Counter[str]]
    conflicts: tuple[str, ...]
    intake: LogIntake
    rows: RowsCompared
    letters_compared: int
    letter_differences: tuple[DeadLetterDifference, ...]
    letters_cut_elsewhere: tuple[Place, ...]


class LogRecount:
    """A recount of the log: call `begin`, `store` while other processes read the log, and then `result`."""

    def __init__(
        self,
        settings: Settings,
        bootstrap_servers: str,
        ledger: Ledger,
        rules: Sequence[RuleSet],
        ranges: Ranges,
        folder: Path,
        *,
        buckets: int | None = None,
        kept: Kept | None = None,
        gone_before: Mapping[int, int] | None = None,
    ) -> None:
        """Prepare the recount.

        Args:
            settings: the settings of the detector.
            bootstrap_servers: the addresses of the brokers.
            ledger: the ledger that names the batches.
            rules: one set for each batch of the ledger.
            ranges: the offsets to read by partition; the log holds all of them.
            folder: an empty folder for the recount's files.
            buckets: the number of buckets; the default depends on the number of offsets.
            kept: the files of an earlier recount that has read the log before these ranges.
            gone_before: by partition the first offset that the log still holds.
        """
        self._settings = settings
        self._servers = bootstrap_servers
        self._ledger = ledger
        self._ranges = ranges
        self._offsets = sum(end - start for start, end in ranges.values())
        self._kept = kept
        self._gone_before = gone_before or {}
        self._plan = Plan(
            settings.events,
            settings.windows,
            settings.lateness,
            rules,
            ledger.index(),
            ledger.card_horizon_seconds,
            folder,
            buckets or buckets_for(self._offsets),
        )
        self.processes = processes_for(self._offsets + (kept.events if kept else 0))

    def begin(self, crew: Crew) -> None:
        """Let the workers read the log."""
        topic = self._settings.kafka.topic
        if self._kept is not None:
            self._kept.link_into(self._plan.folder)
        # Each recount has file names of its own: it never appends to the files of another one.
        generation = self._kept.generation if self._kept else 0
        parts = shares(self._ranges, self.processes, whole=self._plan.card_horizon_seconds > 0)
        crew.begin(
            [
                ReadOrder(self._plan, self._servers, topic, part, f"{generation}.{number}", SILENCE_SECONDS)
                for number, part in enumerate(parts)
            ]
        )

    def store(self, stored: SnapshotReader) -> None:
        """Write the stored rows to files, beside the expected rows that they are compared with."""
        with enough_room(self._plan.folder):
            rows = StoredRows(self._plan.folder, self._plan.buckets)
            rows.write_letters(stored.dead_letters())
            for digest, alert in stored.alerts():
                rows.add_alert(digest, alert)
            for key, flag in stored.flags():
                rows.add_flag(key, flag)
            rows.flush()

    def result(self, crew: Crew, observe: Observer) -> Recounted:
        """Wait for the workers, and merge their results."""
        read = 0

        def report(more: int) -> None:
            nonlocal read
            read += more
            observe(Progress(read, self._offsets))

        report(0)
        intake = LogIntake()
        if self._kept is not None:
            intake.add(self._kept.intake)
        for own in crew.results(report):
            intake.add(own)
        # Buckets are dealt out in turn, so that every process gets about as much work.
        buckets = range(self._plan.buckets)
        crew.begin(
            [
                CountOrder(self._plan, buckets[number :: self.processes], self._ledger.batches)
                for number in range(self.processes)
            ]
        )
        counted = Counted()
        for part in crew.results(report):
            counted.add(part)
        return self._recounted(intake, counted)

    def _recounted(self, intake: LogIntake, counted: Counted) -> Recounted:
        plan, topic = self._plan, self._settings.kafka.topic
        windows = WindowSums(plan.windows)
        for (slide, category), sums in counted.slides.items():
            windows.add_slide(slide, plan.events.categories[category], sums)
        outcomes = counted.outcomes
        for (_, partition), reasons in intake.rejected.items():
            outcomes.setdefault(partition, Counter()).update(reasons)
        for partition, own in outcomes.items():
            read = sum(number for (_, other), number in intake.read.items() if other == partition)
            assert own.total() == read, "every record has one outcome"
        check = LetterCheck(self._settings.dead_letters.payload_bytes)
        letters = compare_letters(read_rejected(plan.folder, topic), read_letters(plan.folder), check)
        return Recounted(
            windows.totals(),
            outcomes,
            self._names(counted.conflicts),
            intake,
            counted.rows,
            letters.number,
            (*letters.differences, *check.differences()),
            tuple(check.cut_elsewhere),
        )

    def _names(self, records: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Return the transaction ids that several of these counted records have, in order.

        Only the log has the ids. Where it no longer holds one of the records, every id of the others is
        returned: each shares its hash with another record, and so almost certainly its id.
        """
        offsets: dict[int, list[int]] = {}
        for partition, offset in records:
            if offset >= self._gone_before.get(partition, 0):
                offsets.setdefault(partition, []).append(offset)
        least = 2 if sum(map(len, offsets.values())) == len(records) else 1
        parse = parser(self._settings.events)
        found = (
            parse(record.value)
            for record in read_places(
                self._servers, self._settings.kafka.topic, offsets, timeout_seconds=SILENCE_SECONDS
            )
        )
        names = Counter(one.transaction_id for one in found if isinstance(one, Transaction))
        return tuple(sorted(name for name, number in names.items() if number >= least))


@contextmanager
def work_folder(parent: Path | None) -> Iterator[Path]:
    """Make a folder for the files of one recount, and remove it at the end.

    Folders in `parent` that a killed process has left behind are removed first.
    """
    if parent is not None:
        for left in parent.glob(f"{_FOLDER}*"):
            name = left.name.removeprefix(_FOLDER).partition("-")[0]
            if name.isdigit() and not pid_exists(int(name)):
                rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-", dir=parent) as folder:
        yield Path(folder)


@contextmanager
def enough_room(folder: Path) -> Iterator[None]:
    """Turn the error for a full disk into a message for users.

    Raises:
        RefusedError: there is no room for the files in `folder`.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RefusedError(
            "there is no room for the files of the recount",
            detail=f"{folder}: {error.strerror}",
            hint="free some space there: it takes about 56 bytes for each event of the log",
        ) from error
