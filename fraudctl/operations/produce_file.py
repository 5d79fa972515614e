"""Send the transactions of a CSV or Parquet file as they would come today, and go on where a run broke off.

Each event is stamped as it leaves, at a rate or with the gaps that the file has. How far a run came is kept
in a small file, always a little behind the truth; whatever the log holds beyond it is looked up in the log
before anything more is sent. So no row is sent twice, even after `kill -9`, and none is left out.

A fraud's label goes with its event: `reported_at` says from when it counts as known.
"""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from fraudctl.broker import topics
from fraudctl.broker.log import read_ranges
from fraudctl.broker.producer import RecordProducer
from fraudctl.clock import StopFlag
from fraudctl.errors import RefusedError, UsageError
from fraudctl.events.codec import encode, rfc3339
from fraudctl.operations.produce import LAG_LIMIT_SECONDS, Ending, Observe, Produced, ProduceRequest, Watch
from fraudctl.operations.produce_preset import labels_settings
from fraudctl.operations.table_rows import fingerprint, rows
from fraudctl.runtime.files import make_folder, write_whole
from fraudctl.simulator.labels import Label, encode_label
from fraudctl.simulator.mapping import MappedRow, Mapper, Mapping, UnmappableError
from fraudctl.simulator.pacing import LONGEST_PAUSE_SECONDS, TICK_SECONDS

HIGHEST_SPEED = 10_000_000.0
SAVE_SECONDS = 1.0
# How often the clock is looked at while rows are due one after the other.
LOOK_ROWS = 256
MOST_REASONS = 5


@dataclass(frozen=True)
class FileRequest:
    """With `speed` the file's own gaps, so many times as fast; without it the rate of `plain`.

    `resume`: go on where the last run of this file on this topic came to. `state` is the folder for that.
    """

    plain: ProduceRequest
    file: Path
    mapping_name: str
    mapping: Mapping
    state: Path
    speed: float | None = None
    resume: bool = False
    labels: bool = True
    label_delay_seconds: float = 7 * 86_400.0


@dataclass(frozen=True)
class FileProduced(Produced):
    """As of any run; rows are numbered from 0, and `next_row` is the one to go on with.

    `unmappable` counts rows that could not be transactions, by reason (the first few of them); `landed` are
    rows that a run which broke off had sent already.
    """

    file: Path
    mapping: str
    first_row: int
    next_row: int
    unmappable: dict[str, int]
    landed: int
    fraud: int
    labels_topic: str
    labels_sent: int
    labels_failed: int


@dataclass(frozen=True)
class _Progress:
    """Every row before `row` is in the log; what is beyond `offsets` may hold some after it."""

    file: str
    mapping: str
    topic_id: str
    row: int
    offsets: dict[int, int]


def refuse_nonsense(request: FileRequest) -> None:
    """Needs no broker, so it can be asked before one is looked for.

    Raises:
        UsageError: the speed has no meaning, or there is no such file, or it lacks a column.
    """
    if request.speed is not None and not 0 < request.speed <= HIGHEST_SPEED:
        raise UsageError(f"the speed must be above 0 and at most {HIGHEST_SPEED:,.0f}, not {request.speed:g}")
    if not request.file.is_file():
        raise UsageError(f"there is no file {request.file}")
    rows(request.file, request.mapping.needed, skip=0)


def produce_file(request: FileRequest, *, stop: StopFlag, observe: Observe) -> FileProduced:
    """Send rows until the file, the count or the time is over, or `stop` is set; then settle the account.

    Raises:
        UsageError, RefusedError, DataError: file or mapping cannot be used, or the topic does not exist.
        UnreachableError: no broker answers.
    """
    refuse_nonsense(request)
    plain = request.plain
    settings, servers = plain.settings, plain.bootstrap_servers
    connect_seconds = settings.timeouts.connect_seconds
    topics.probe(servers, timeout_seconds=connect_seconds)
    identity = topics.identity(servers, settings.kafka.topic, timeout_seconds=connect_seconds)
    labels_kafka = labels_settings(settings.kafka)
    if request.labels:
        topics.ensure_topic(servers, labels_kafka, timeout_seconds=connect_seconds)
    journal = _Journal(request, identity.topic_id)
    source = _Source(request, journal)
    with (
        RecordProducer(servers, settings.kafka, settings.producer) as events,
        RecordProducer(servers, labels_kafka, settings.producer) as labels,
    ):
        watch = Watch(events, 0, observe)
        sending = _Sending(request, source, journal, events, labels, watch)
        began = time.monotonic()
        anchor_ms = int(time.time() * 1000)
        ended_by = sending.run(stop)
        # Whether the labels of these went as well is not known; a second one of the same id says the same.
        for row, happened in source.landed:
            sending.label(row, happened)
        seconds = time.monotonic() - began
        deliveries = watch.settled()
        if deliveries.complete:
            journal.save(source.next_row)
        labelled = labels.settle()
    return FileProduced(
        topic=settings.kafka.topic,
        seed=0,
        sent=deliveries.sent,
        acknowledged=deliveries.acknowledged,
        failed=deliveries.failed,
        errors=deliveries.errors,
        seconds=round(seconds, 3),
        rate_asked=0.0 if request.speed else plain.rate,
        rate_achieved=round((deliveries.sent - 1) / seconds, 2) if deliveries.sent > 1 else 0.0,
        anchor=rfc3339(anchor_ms),
        skipped_seconds=round(sending.skipped_seconds, 3),
        digest=sending.digest,
        ended_by=ended_by,
        file=request.file,
        mapping=request.mapping_name,
        first_row=journal.begin.row,
        next_row=source.next_row,
        unmappable=dict(source.unmappable.most_common(MOST_REASONS)),
        landed=len(source.landed),
        fraud=sending.fraud,
        labels_topic=labels_kafka.topic if request.labels else "",
        labels_sent=labelled.sent,
        labels_failed=labelled.sent - labelled.acknowledged,
    )


class _Journal:
    """Remembers how far a file has been sent to a topic: rather too little than too much."""

    def __init__(self, request: FileRequest, topic_id: str) -> None:
        self._settings = request.plain.settings
        self._servers = request.plain.bootstrap_servers
        self.file = fingerprint(request.file)
        mapping = hashlib.sha256(request.mapping.model_dump_json().encode()).hexdigest()
        self._place = request.state / f"{self.file[:16]}-{topic_id}.json"
        known = self._read() if request.resume else None
        if known and known.mapping != mapping:
            raise RefusedError(
                "the file was begun with another mapping, so its rows would not be recognised",
                hint="go on with the same --mapping, or begin anew without --resume",
            )
        self.begin = known or _Progress(self.file, mapping, topic_id, 0, self._ends())
        self._write(self.begin)

    def save(self, row: int) -> None:
        """All rows before this one have been acknowledged."""
        self._write(replace(self.begin, row=row, offsets=self._ends()))

    def landed(self) -> dict[str, str]:
        """The events that came after the last save of the run before: when they happened, by id."""
        ranges = {
            partition: (self.begin.offsets.get(partition, 0), end) for partition, end in self._ends().items()
        }
        found = {}
        for record in read_ranges(
            self._servers,
            self._settings.kafka.topic,
            ranges,
            timeout_seconds=self._settings.timeouts.connect_seconds,
        ):
            try:
                event = msgspec.json.decode(record.value or b"", type=_Landed)
            except msgspec.DecodeError:
                continue  # of another producer, and no transaction
            found[event.transaction_id] = event.event_time
        return found

    def _ends(self) -> dict[int, int]:
        ends = topics.end_offsets(
            self._servers,
            self._settings.kafka.topic,
            timeout_seconds=self._settings.timeouts.connect_seconds,
        )
        return {partition: end for partition, (_, end) in ends.items()}

    def _read(self) -> _Progress | None:
        if not self._place.is_file():
            return None
        return msgspec.json.decode(self._place.read_bytes(), type=_Progress)

    def _write(self, progress: _Progress) -> None:
        make_folder(self._place.parent)
        write_whole(self._place, msgspec.json.encode(progress).decode())


class _Landed(msgspec.Struct):
    transaction_id: str
    event_time: str


class _Source:
    """The rows that are still to be sent, mapped."""

    def __init__(self, request: FileRequest, journal: _Journal) -> None:
        self._rows = rows(request.file, request.mapping.needed, skip=journal.begin.row)
        self._mapper = Mapper(request.mapping, request.plain.settings.events, journal.file[:12])
        self._landed = journal.landed() if request.resume else {}
        # Every row before it has been sent, or has nothing to be sent.
        self.next_row = journal.begin.row
        self.unmappable: Counter[str] = Counter()
        self.landed: list[tuple[MappedRow, str]] = []

    def __iter__(self) -> Iterator[tuple[int, MappedRow]]:
        """Rows with their numbers; who has sent one says so in `next_row` before asking for another."""
        for number, row in self._rows:
            try:
                mapped = self._mapper.row(number, row)
            except UnmappableError as error:
                self.unmappable[str(error)] += 1
                self.next_row = number + 1
                continue
            happened = self._landed.get(mapped.event.transaction_id)
            if happened is None:
                yield number, mapped
            else:
                self.landed.append((mapped, happened))
                self.next_row = number + 1


class _Sending:
    """Sends row after row, each when it is due."""

    def __init__(
        self,
        request: FileRequest,
        source: _Source,
        journal: _Journal,
        events: RecordProducer,
        labels: RecordProducer,
        watch: Watch,
    ) -> None:
        self._request = request
        self._source = source
        self._journal = journal
        self._events = events
        self._labels = labels
        self._watch = watch
        self._digest = hashlib.sha256()
        self._saved = time.monotonic()
        self.fraud = 0
        self.skipped_seconds = 0.0

    @property
    def digest(self) -> str:
        """SHA-256 over the events without their clock."""
        return self._digest.hexdigest()

    def run(self, stop: StopFlag) -> Ending:
        plain = self._request.plain
        began = time.monotonic()
        first_ms: int | None = None
        for number, (place, row) in enumerate(self._source):
            if number >= (plain.count or math.inf):
                return "count"
            first_ms = row.event_ms if first_ms is None else first_ms
            if self._request.speed:
                due = (row.event_ms - first_ms) / 1000 / self._request.speed
            elif plain.rate is not None:
                due = number / plain.rate
            else:
                due = time.monotonic() - began
            due += self.skipped_seconds
            ending = self._wait(began + due, began + (plain.duration_seconds or math.inf), stop)
            if ending:
                return ending
            # Nobody waits for what a halt has made late: the rest is that much later.
            self.skipped_seconds += max(0.0, time.monotonic() - began - due - LAG_LIMIT_SECONDS)
            self._send(row)
            self._source.next_row = place + 1
            if number % LOOK_ROWS == 0:
                self._look()
        return "end"

    def _wait(self, due: float, end: float, stop: StopFlag) -> Ending | None:
        """Until `due`; or what has ended the run before."""
        while True:
            now = time.monotonic()
            if stop.is_set:
                return "stop"
            if self._events.broken:
                return "failure"
            if now >= end:
                return "duration"
            if now >= due:
                return None
            self._look()
            stop.wait(min(LONGEST_PAUSE_SECONDS, max(TICK_SECONDS, due - now), max(0.0, end - now)))

    def _send(self, row: MappedRow) -> None:
        self._digest.update(encode(row.event))
        now_ms = int(time.time() * 1000)
        event = msgspec.structs.replace(row.event, event_time=rfc3339(now_ms))
        self._events.send(event.card_id.encode(), encode(event))
        self.label(row, event.event_time)

    def label(self, row: MappedRow, happened: str) -> None:
        if not row.fraud:
            return
        self.fraud += 1
        if not self._request.labels:
            return
        reported = datetime.fromisoformat(happened).timestamp() + self._request.label_delay_seconds
        label = Label(
            transaction_id=row.event.transaction_id,
            event_time=happened,
            card_id=row.event.card_id,
            scenario="recorded",
            reported_at=rfc3339(round(reported * 1000)),
        )
        self._labels.send(label.card_id.encode(), encode_label(label))

    def _look(self) -> None:
        self._events.poll()
        self._watch.look()
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            if self._events.settle(meanwhile=self._watch.look).complete:
                self._journal.save(self._source.next_row)
            self._saved = time.monotonic()
