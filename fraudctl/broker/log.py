"""Reads of exact offset ranges of a topic: every record in them and nothing else."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Generic, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from fraudctl.broker import options
from fraudctl.broker.topics import end_offsets
from fraudctl.errors import RefusedError, UnreachableError

BATCH = 10_000
# The longest wait for the next batch. A lost broker is noticed between two waits.
WAIT_SECONDS = 0.2

_GONE = (
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
)

# Offsets of one partition that are closer than this are read as one range: as quick as another connection.
NEAR = 20_000

Ranges = Mapping[int, tuple[int, int]]
Made = TypeVar("Made")


class LogBlock(NamedTuple):
    """Records of one partition in the order of the log, one list per column.

    `arrivals_ms` holds Kafka timestamps in ms since 1970.
    """

    partition: int
    offsets: list[int]
    arrivals_ms: list[int]
    values: list[bytes | None]


class LogRecord(NamedTuple):
    """A record as the log holds it; `arrival_ms` is its Kafka timestamp in ms since 1970."""

    partition: int
    offset: int
    arrival_ms: int
    value: bytes | None


class WholeRecord(NamedTuple):
    """A record with its key and its headers; `arrival_ms` is its Kafka timestamp in ms since 1970."""

    partition: int
    offset: int
    arrival_ms: int
    value: bytes | None
    key: bytes | None
    headers: dict[str, bytes | None]


def read_ranges(
    bootstrap_servers: str, topic: str, ranges: Ranges, *, timeout_seconds: float
) -> Iterator[LogRecord]:
    """Return every record with start <= offset < end of each partition, in offset order per partition.

    The ranges are checked before the first record is returned. Offsets without a record (transaction markers)
    are skipped.

    Raises:
        RefusedError: a range reaches beyond what the log holds: retention has removed its beginning, or the
            topic was created again. The records that were there cannot be read any more.
        UnreachableError: the broker sent nothing for `timeout_seconds`.
        ValueError: a range starts below zero or after its end.
    """
    wanted = held_ranges(bootstrap_servers, topic, ranges, timeout_seconds=timeout_seconds)
    if not wanted:
        return iter(())
    return _Reading(bootstrap_servers, topic, wanted, timeout_seconds, _log_record).records()


def held_ranges(
    bootstrap_servers: str, topic: str, ranges: Ranges, *, timeout_seconds: float
) -> dict[int, tuple[int, int]]:
    """Return the ranges that are not empty, after checking that the log holds all of them.

    Raises:
        RefusedError: a range reaches beyond what the log holds.
        UnreachableError: the broker sent nothing for `timeout_seconds`.
        ValueError: a range starts below zero or after its end.
    """
    for start, end in ranges.values():
        if not 0 <= start <= end:
            raise ValueError(f"no offset range: {start} to {end}")
    wanted = {partition: span for partition, span in ranges.items() if span[0] < span[1]}
    if wanted:
        held = end_offsets(bootstrap_servers, topic, timeout_seconds=timeout_seconds)
        for partition, (start, end) in sorted(wanted.items()):
            _refuse_beyond(topic, partition, start, end, held.get(partition))
    return wanted


def read_blocks(
    bootstrap_servers: str, topic: str, partition: int, span: tuple[int, int], *, timeout_seconds: float
) -> Iterator[LogBlock]:
    """Yield the records of one range in blocks of up to `BATCH`; much faster than one by one.

    Raises:
        RefusedError: the range begins before what the log holds (call `held_ranges` first).
        UnreachableError: the broker sent nothing for `timeout_seconds`.
    """
    if span[0] >= span[1]:
        return
    reading = _Reading(bootstrap_servers, topic, {partition: span}, timeout_seconds, _log_record)
    for messages in reading.messages():
        yield LogBlock(
            partition,
            [message.offset() for message in messages],  # type: ignore[misc]
            [message.timestamp()[1] for message in messages],
            [message.value() for message in messages],
        )


def read_whole(
    bootstrap_servers: str, topic: str, ranges: Ranges, *, timeout_seconds: float
) -> Iterator[WholeRecord]:
    """Return the records of each range with keys and headers, without checking the ranges first.

    The order is that of `read_ranges`.

    Raises:
        RefusedError: a range begins before what the log holds.
        UnreachableError: the broker sent nothing for `timeout_seconds`.
    """
    wanted = {partition: span for partition, span in ranges.items() if span[0] < span[1]}
    return _Reading(bootstrap_servers, topic, wanted, timeout_seconds, _whole_record).records()


def read_places(
    bootstrap_servers: str, topic: str, places: Mapping[int, Sequence[int]], *, timeout_seconds: float
) -> Iterator[WholeRecord]:
    """Yield the whole records at these offsets of each partition; skip an offset without a record.

    Raises:
        RefusedError: the log no longer holds an offset (call `end_offsets` first).
        UnreachableError: the broker sent nothing for `timeout_seconds`.
    """
    spans = {partition: _spans(offsets) for partition, offsets in places.items()}
    wanted = {partition: frozenset(offsets) for partition, offsets in places.items()}
    for turn in range(max(map(len, spans.values()), default=0)):
        ranges = {partition: own[turn] for partition, own in spans.items() if turn < len(own)}
        for record in read_whole(bootstrap_servers, topic, ranges, timeout_seconds=timeout_seconds):
            if record.offset in wanted[record.partition]:
                yield record


def next_arrivals(
    bootstrap_servers: str, topic: str, offsets: Mapping[int, int], *, timeout_seconds: float
) -> dict[int, int | None]:
    """Return when the first record at or after an offset arrived, per partition, in ms since 1970.

    None means that there is no such record.

    Raises:
        RefusedError: the topic does not exist, or lost records meanwhile.
        UnreachableError: the broker sent nothing for `timeout_seconds`.
    """
    held = end_offsets(bootstrap_servers, topic, timeout_seconds=timeout_seconds)
    found: dict[int, int | None] = dict.fromkeys(offsets)
    ranges = {
        partition: (max(offset, held[partition][0]), held[partition][1])
        for partition, offset in offsets.items()
    }
    open_ranges = {partition: span for partition, span in ranges.items() if span[0] < span[1]}
    missing = set(open_ranges)
    records = _Reading(bootstrap_servers, topic, open_ranges, timeout_seconds, _log_record).records()
    with closing(records):
        while missing and (record := next(records, None)) is not None:
            if record.partition in missing:
                found[record.partition] = record.arrival_ms
                missing.discard(record.partition)
    return found


def _spans(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Return ranges that cover the offsets, and no gap of `NEAR` offsets or more."""
    spans: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if spans and offset - spans[-1][1] < NEAR:
            spans[-1] = (spans[-1][0], offset + 1)
        else:
            spans.append((offset, offset + 1))
    return spans


def _log_record(message: Message, partition: int, offset: int) -> LogRecord:
    return LogRecord(partition, offset, message.timestamp()[1], message.value())


def _whole_record(message: Message, partition: int, offset: int) -> WholeRecord:
    headers = dict(message.headers() or ())
    return WholeRecord(
        partition,
        offset,
        message.timestamp()[1],
        message.value(),
        message.key(),
        headers,  # type: ignore[arg-type]
    )


def _refuse_beyond(topic: str, partition: int, start: int, end: int, held: tuple[int, int] | None) -> None:
    if held is None:
        detail = f"partition {partition} does not exist"
    elif held[0] > start:
        detail = f"partition {partition} begins at offset {held[0]}, and {start} to {held[0]} is gone"
    elif held[1] < end:
        detail = f"partition {partition} ends at offset {held[1]}, and {end} was reached before"
    else:
        return
    raise _unverifiable(topic, detail)


def _unverifiable(topic: str, detail: str) -> RefusedError:
    return RefusedError(
        f"the log of topic {topic!r} cannot be verified: it no longer holds what was read from it",
        detail=detail,
        hint="retention has removed records, or the topic was created again; "
        "start over with a new topic and database, and a longer kafka.retention_hours",
    )


class _Reading(Generic[Made]):
    """One pass over the ranges: the partitions that are still open, and the last error of the broker.

    `make` turns each message into the form in which it is handed out.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        ranges: Ranges,
        timeout_seconds: float,
        make: Callable[[Message, int, int], Made],
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._starts = {partition: start for partition, (start, _) in ranges.items()}
        self._ends = {partition: end for partition, (_, end) in ranges.items()}
        self._timeout_seconds = timeout_seconds
        self._make = make
        self._last_error = ""

    def _on_error(self, error: KafkaError) -> None:
        self._last_error = error.str()

    def records(self) -> Generator[Made, None, None]:
        make = self._make
        with closing(self.messages()) as blocks:
            for messages in blocks:
                for message in messages:
                    # A message that comes out of `consume` always has its partition and its offset.
                    yield make(message, message.partition(), message.offset())  # type: ignore[arg-type]

    def messages(self) -> Generator[list[Message], None, None]:
        """Yield the messages of the ranges in blocks of up to `BATCH`."""
        consumer = Consumer(options.reader(self._bootstrap_servers) | {"error_cb": self._on_error})
        try:
            consumer.assign([TopicPartition(self._topic, *item) for item in self._starts.items()])
            heard = time.monotonic()
            while self._ends:
                before = set(self._ends)
                messages = consumer.consume(BATCH, WAIT_SECONDS)
                spoke = any(message.error() is None for message in messages)
                wanted = self._wanted(messages)
                # Free this block before waiting for the next one.
                del messages
                if wanted:
                    yield wanted
                del wanted
                finished = before - set(self._ends)
                # A finished partition needs no more fetches.
                consumer.pause([TopicPartition(self._topic, number) for number in finished])
                # Checked after the records were handed out: the caller's own work on them is not silence.
                if finished or spoke:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self._timeout_seconds:
                    raise self._silence()
        finally:
            consumer.close()

    def _wanted(self, messages: list[Message]) -> list[Message]:
        """Return those of the messages that lie in the ranges, and close the ranges that they complete."""
        ends = self._ends
        if len(ends) == 1 and messages and self._within(messages):
            return messages
        wanted: list[Message] = []
        for message in messages:
            partition: int = message.partition()  # type: ignore[assignment]
            offset: int = message.offset()  # type: ignore[assignment]
            end = ends.get(partition)
            if end is None:
                continue
            error = message.error()
            if error is not None:
                self._judge(error, partition, offset)
                continue
            if offset < end:
                wanted.append(message)
            if offset + 1 >= end:
                del ends[partition]
        return wanted

    def _within(self, messages: list[Message]) -> bool:
        """Tell whether all messages are records of the only open range, and none is its last one."""
        ((partition, end),) = self._ends.items()
        # `is`, not `==`: an error that is compared with None raises a TypeError.
        if not all(message.error() is None for message in messages):
            return False
        # Messages of one partition come in the order of their offsets.
        last: int = messages[-1].offset()  # type: ignore[assignment]
        return last + 1 < end and set(map(Message.partition, messages)) == {partition}

    def _judge(self, error: KafkaError, partition: int, offset: int) -> None:
        """Handle an error: a partition's end closes its range, a lost offset is refused.

        Anything else, such as a lost connection, is waited for.
        """
        if error.code() == KafkaError._PARTITION_EOF:
            # A range whose last offsets hold no records ends this way.
            if offset >= self._ends[partition]:
                del self._ends[partition]
        elif error.code() in _GONE:
            raise _unverifiable(self._topic, f"partition {partition}: {error.str()}")
        else:
            self._last_error = error.str()

    def _silence(self) -> UnreachableError:
        return UnreachableError(
            f"Kafka at {self._bootstrap_servers} has sent nothing for {self._timeout_seconds:g} s "
            f"while partitions {sorted(self._ends)} of {self._topic!r} were being read",
            detail=self._last_error,
            hint="look at `fraudctl status`, then ask again",
        )
