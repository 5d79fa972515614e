"""A producer that sends the transactions of a CSV or Parquet file as if they happened now, with resumption.

Each event gets the present time when it is sent, at a rate or with the gaps between the file's own times. A
small file keeps the progress of a run. It may be a little behind, so a resumed run first looks up in the log
the rows that were sent after the last save. So no row is sent twice, even after `kill -9`, and none is left
out.

The label of a fraud is sent together with its event; `reported_at` says from when it counts as known.
"""

import hashlib
import json
import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from fraudctl.broker import topics
from fraudctl.broker.producer import RecordProducer
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.paths import StackPaths
from fraudctl.errors import DataError, RefusedError, UnreachableError, UsageError
from fraudctl.events.codec import encode, rfc3339
from fraudctl.operations.produce.file_mapping import MappedTable
from fraudctl.operations.produce.file_progress import (
    FileProgress,
    ProgressFolder,
    TopicLog,
    names_of,
    row_header,
)
from fraudctl.operations.produce.file_resume import ResumableRuns
from fraudctl.operations.produce.preset import labels_settings
from fraudctl.operations.produce.rows_report import RowsReport, report_rows
from fraudctl.operations.produce.steady import (
    LAG_LIMIT_SECONDS,
    Ending,
    Observe,
    Produced,
    ProduceRequest,
    Watch,
)
from fraudctl.operations.produce.table_rows import TableSource
from fraudctl.runtime.digest_key import digest_key_file, key_name, read_or_make_digest_key
from fraudctl.runtime.files import locked
from fraudctl.simulator.labels import Label, encode_label
from fraudctl.simulator.mapper import MappedRow, Mapper
from fraudctl.simulator.mapping import check_mapping, currency_notes
from fraudctl.simulator.pacing import LONGEST_PAUSE_SECONDS, TICK_SECONDS

HIGHEST_SPEED = 10_000_000.0
SAVE_SECONDS = 1.0
# The number of rows after which delivery reports are read although the next row is due already.
LOOK_ROWS = 256
# The length in bytes of a run's name (two hexadecimal digits each), with which ids of numbered rows begin.
_RUN_BYTES = 6


@dataclass(frozen=True)
class FileRequest:
    """A request to send the rows of a file.

    With `speed` the rows keep the file's own gaps, so many times as fast; without it they have the rate of
    `plain`. `resume` continues the last run of this file on this topic. `allow_rejected` is a percentage of
    the rows.
    """

    plain: ProduceRequest
    source: MappedTable
    paths: StackPaths
    speed: float | None = None
    resume: bool = False
    labels: bool = True
    label_delay_seconds: float = 7 * 86_400.0
    allow_rejected: float = 1.0

    @property
    def file(self) -> Path:
        """Return the file that is read."""
        return self.source.table.file


@dataclass(frozen=True)
class FileProduced(Produced, RowsReport):
    """The report of a run: deliveries, rows and labels."""

    labels_topic: str
    labels_sent: int
    labels_failed: int


@dataclass(frozen=True)
class FileChecked(RowsReport):
    """The report of a run without sending."""

    ended_by: Ending


def validate_request(request: FileRequest) -> None:
    """Check the parts of a request that can be checked without a broker.

    Raises:
        UsageError: the speed or the share of rejected rows is out of range.
        ConfigError: the mapping gives events values that are not allowed.
    """
    if request.speed is not None and not 0 < request.speed <= HIGHEST_SPEED:
        raise UsageError(
            f"the speed must be above 0 and at most {HIGHEST_SPEED:,.0f}, not {request.speed:g}",
            hint="for example --speed 60x: sixty times as fast as the file's own times",
        )
    if not 0 <= request.allow_rejected <= 100:
        raise UsageError(
            f"--allow-rejected must be from 0 to 100 (percent), not {request.allow_rejected:g}",
            hint="for example --allow-rejected 5%",
        )
    check_mapping(request.source.mapping, request.plain.settings.events)


def check_file(request: FileRequest, *, stop: StopFlag) -> FileChecked:
    """Read and map the rows as a run would, and send nothing.

    Raises:
        UsageError: see `validate_request`.
        ConfigError: see `validate_request`.
    """
    validate_request(request)
    source = _source(request, "dry-run", secrets.token_bytes(32))
    fraud = 0
    error: DataError | None = None
    ended_by: Ending = "end"
    try:
        for row, mapped in source:
            if stop.is_set:
                ended_by = "stop"
                break
            if source.counts.taken >= (request.plain.count or math.inf):
                ended_by = "count"
                break
            source.done(row, mapped)
            fraud += bool(mapped.fraud)
    except DataError as caught:
        error, ended_by = caught, "failure"
    notes = currency_notes(request.source.mapping, request.plain.settings.events)
    report = report_rows(request.source, source, 0, fraud, error, notes, request.allow_rejected, ended_by)
    return FileChecked(**vars(report), ended_by=ended_by)


def produce_file(request: FileRequest, *, stop: StopFlag, observe: Observe) -> FileProduced:
    """Send rows until the file, the count or the time is over, or `stop` is set; then report.

    The run also ends if the file cannot be read further: then `error` says why, and progress is saved.

    Raises:
        UsageError: see `validate_request`.
        ConfigError: see `validate_request`.
        RefusedError: the topic does not exist, or the run to resume is not known.
        DataError: the file cannot be read as far as it was read before.
        NotReadyError: another process is sending this file to this topic.
        UnreachableError: no broker answers.
    """
    validate_request(request)
    plain = request.plain
    settings, servers = plain.settings, plain.bootstrap_servers
    connect_seconds = settings.timeouts.connect_seconds
    topics.probe(servers, timeout_seconds=connect_seconds)
    identity = topics.identity(servers, settings.kafka.topic, timeout_seconds=connect_seconds)
    labels_kafka = labels_settings(settings.kafka)
    if request.labels:
        topics.ensure_topic(servers, labels_kafka, timeout_seconds=connect_seconds)
    log = TopicLog(servers, settings.kafka.topic, connect_seconds)
    with _Journal(request, identity.topic_id, log).opened() as journal:
        source = journal.source
        with (
            RecordProducer(servers, settings.kafka, settings.producer) as events,
            RecordProducer(servers, labels_kafka, settings.producer) as labels,
        ):
            watch = Watch(events, 0, observe)
            sending = _Sending(request, journal, events, labels, watch)
            began = time.monotonic()
            anchor_ms = int(time.time() * 1000)
            ended_by = sending.run(stop)
            seconds = time.monotonic() - began
            # It is not known whether their labels were sent, and a second, equal label does no harm.
            for row, event_time in source.already_sent:
                sending.label(row, event_time)
            deliveries = watch.settled()
            labelled = labels.settle()
            if deliveries.complete and labelled.complete:
                journal.save()
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
            **vars(sending.report(ended_by)),
            labels_topic=labels_kafka.topic if request.labels else "",
            labels_sent=labelled.sent,
            labels_failed=labelled.sent - labelled.acknowledged,
        )


def _source(request: FileRequest, run: str, key: bytes) -> TableSource:
    mapping = request.source.mapping
    mapper = Mapper(mapping, request.plain.settings.events, run, key)
    column = mapping.label.column if mapping.label else None
    return TableSource(request.source.table, mapping.needed, mapper, label_column=column)


class _Journal:
    """The progress of one run: finds the row to begin with, and saves only rows that were acknowledged."""

    def __init__(self, request: FileRequest, topic_id: str, log: TopicLog) -> None:
        self._request = request
        self._log = log
        self._folder = ProgressFolder(request.paths.data / "files", topic_id)
        self._earlier: FileProgress | None = None
        self.notes: list[str] = []

    @contextmanager
    def opened(self) -> Iterator["_Journal"]:
        """Lock the file's progress, and find the row to begin with.

        Yields:
            This object, with `source` at the first row to send.

        Raises:
            NotReadyError: another process is sending this file to this topic.
            RefusedError: the run to resume is not known, or the file has changed.
            DataError: the file cannot be read as far as it was read before.
        """
        lock = self._folder.file_for(self._request.file).with_suffix(".lock")
        with locked(lock, Deadline(0.0), purpose=f"sending {self._request.file.name}"):
            runs = self._resumable()
            key = self._key()
            self._mapping = self._mapping_digest()
            self._key_name = key_name(key) if key else ""
            if runs:
                self.begin = self._chosen(runs, key)
                self._go_on(self.begin, key)
            else:
                self._begin(key)
            self._folder.save(self._request.file, self.begin)
            yield self

    def _resumable(self) -> ResumableRuns | None:
        if not self._request.resume:
            return None
        return ResumableRuns(self._folder, self._request.file, _source(self._request, "", b""))

    def _chosen(self, runs: ResumableRuns, key: bytes) -> FileProgress:
        """Return the run to resume, under the file's present name."""
        known, moved = runs.choose(_source(self._request, "", key), self._mapping, self._key_name)
        if moved:
            self.notes.append(f"went on from the run of {known.file}, as there is no such file any more")
        return msgspec.structs.replace(known, **names_of(self._request.file))

    def _begin(self, key: bytes) -> None:
        """Begin a new run with the first row."""
        run = secrets.token_hex(_RUN_BYTES)
        self._earlier = self._folder.own(self._request.file)
        self.source = _source(self._request, run, key)
        if self._earlier:
            self.source.compare_with(self._earlier)
        self.begin = self._progress(run, self.source.first_row_digest())

    def _go_on(self, known: FileProgress, key: bytes) -> None:
        """Resume after the rows that the log holds; records of a dead run may still arrive meanwhile."""
        sent, ends = self._log.sent_rows(known.run, known.offsets)
        while True:
            self.source = _source(self._request, known.run, key)
            self.source.resume(known, sent)
            late, ends = self._log.sent_rows(known.run, ends)
            if not late:
                return
            sent |= late

    def save(self) -> None:
        """Save the next row's number; all rows before it must have been acknowledged."""
        try:
            progress = self._progress(self.begin.run, self.begin.first)
        except UnreachableError as error:
            # The last save is still valid: the next run looks up the rows after it in the log.
            self.notes.append(f"progress could not be saved after row {self.source.next_row:,}: {error}")
            return
        self._folder.save(self._request.file, progress)

    def _progress(self, run: str, first: str) -> FileProgress:
        return FileProgress(
            run=run,
            first=first,
            mapping=self._mapping,
            key=self._key_name,
            row=self.source.next_row,
            digest=self.source.digest,
            offsets=self._log.ends(),
            left_out=dict(self.source.left_out),
            others=self.source.others_digest,
            **names_of(self._request.file),
        )

    def all_notes(self) -> tuple[str, ...]:
        """Return the notes for the report, with the one about an earlier run under the same name."""
        earlier = self._earlier
        if not earlier or not earlier.row:
            return tuple(self.notes)
        came = f"an earlier run under this file's name on this topic came to row {earlier.row:,}"
        if not self.source.repeats_earlier:
            return (*self.notes, f"{came}; rows that are also in this run count twice")
        resumable = (earlier.mapping, earlier.key) == (self._mapping, self._key_name)
        remedy = " (--resume would have gone on)" if resumable else ""
        return (*self.notes, f"{came}, and this one sent the same rows again: they count twice{remedy}")

    def _key(self) -> bytes:
        if not self._request.source.mapping.has_digests:
            return b""
        file = digest_key_file(self._request.paths)
        if not file.exists():
            if self._request.resume:
                raise RefusedError(
                    f"the key for digests of cards is gone: there is no {file}",
                    detail="without it cards would get other identifiers than in the rows that were sent",
                    hint="put it back from a copy, or begin anew without --resume (a new key is made then)",
                )
            if self._folder.keys():
                self.notes.append(
                    f"the key for digests of cards was gone and is new ({file}): cards that were sent before "
                    "have other identifiers from now on"
                )
        return read_or_make_digest_key(self._request.paths)

    def _mapping_digest(self) -> str:
        """Return a digest of everything that turns rows into events, without the layout of the table."""
        events = self._request.plain.settings.events
        # The named currency only makes a note; events have that of the settings.
        document = self._request.source.mapping.model_dump_json(
            exclude={"table": True, "description": True, "columns": {"amount_minor": {"currency": True}}}
        )
        whole = json.dumps([document, sorted(events.categories), events.currency])
        return hashlib.sha256(whole.encode()).hexdigest()


class _Sending:
    """A loop that sends row after row, each when it is due."""

    def __init__(
        self,
        request: FileRequest,
        journal: _Journal,
        events: RecordProducer,
        labels: RecordProducer,
        watch: Watch,
    ) -> None:
        self._request = request
        self._source = journal.source
        self._journal = journal
        self._events = events
        self._labels = labels
        self._watch = watch
        self._digest = hashlib.sha256()
        self._saved = time.monotonic()
        self.fraud = 0
        self.skipped_seconds = 0.0
        self.error: DataError | None = None

    @property
    def digest(self) -> str:
        """Return the SHA-256 over the events without their times, in hexadecimal digits."""
        return self._digest.hexdigest()

    def run(self, stop: StopFlag) -> Ending:
        """Send rows when they are due, and return what has ended the run."""
        try:
            return self._run(stop)
        except DataError as error:
            self.error = error
            return "failure"

    def _run(self, stop: StopFlag) -> Ending:
        plain = self._request.plain
        began = time.monotonic()
        first_ms: int | None = None
        for number, (row, mapped) in enumerate(self._source):
            if number >= (plain.count or math.inf):
                return "count"
            first_ms = mapped.event_ms if first_ms is None else first_ms
            if self._request.speed:
                due = (mapped.event_ms - first_ms) / 1000 / self._request.speed
            elif plain.rate is not None:
                due = number / plain.rate
            else:
                due = time.monotonic() - began
            due += self.skipped_seconds
            ending = self._wait(began + due, began + (plain.duration_seconds or math.inf), stop)
            if ending:
                return ending
            # Rows that a halt has delayed are not sent in a burst: all later rows are delayed as well.
            self.skipped_seconds += max(0.0, time.monotonic() - began - due - LAG_LIMIT_SECONDS)
            self._send(row.number, mapped)
            self._source.done(row, mapped)
            if number % LOOK_ROWS == 0:
                self._look()
        return "end"

    def _wait(self, due: float, end: float, stop: StopFlag) -> Ending | None:
        """Wait until `due`; return what has ended the run before that, or None."""
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

    def _send(self, number: int, row: MappedRow) -> None:
        self._digest.update(encode(row.event))
        now_ms = int(time.time() * 1000)
        event = msgspec.structs.replace(row.event, event_time=rfc3339(now_ms))
        headers = row_header(self._journal.begin.run, number)
        self._events.send(event.card_id.encode(), encode(event), headers=headers)
        self.label(row, event.event_time)

    def label(self, row: MappedRow, event_time: str) -> None:
        """Count a fraud, and send its label; `event_time` is the time that its event was sent with."""
        if not row.fraud:
            return
        self.fraud += 1
        if not self._request.labels:
            return
        reported = datetime.fromisoformat(event_time).timestamp() + self._request.label_delay_seconds
        label = Label(
            transaction_id=row.event.transaction_id,
            event_time=event_time,
            card_id=row.event.card_id,
            scenario="recorded",
            reported_at=rfc3339(round(reported * 1000)),
        )
        self._labels.send(label.card_id.encode(), encode_label(label))

    def report(self, ended_by: Ending) -> RowsReport:
        """Return the report of this run's rows."""
        request = self._request
        first_row = self._journal.begin.row
        currency = currency_notes(request.source.mapping, request.plain.settings.events)
        notes = (*self._journal.all_notes(), *currency)
        return report_rows(
            request.source,
            self._source,
            first_row,
            self.fraud,
            self.error,
            notes,
            request.allow_rejected,
            ended_by,
        )

    def _look(self) -> None:
        self._events.poll()
        self._watch.look()
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            events = self._events.settle(meanwhile=self._watch.look)
            if events.complete and self._labels.settle(meanwhile=self._watch.look).complete:
                self._journal.save()
            self._saved = time.monotonic()
