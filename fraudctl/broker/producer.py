"""A producer that accounts for each record: in the end every one is acknowledged or failed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fraudctl.broker import options
from fraudctl.clock import Deadline
from fraudctl.config.model import ProducerSettings, TopicSettings

# The time of one wait for space in the local queue, before the same record is tried again.
ROOM_SECONDS = 0.1
SETTLE_SECONDS = 0.25
# Leaves the choice to the partitioner.
ANY_PARTITION = -1
# The time that librdkafka may take, on top of the delivery timeout, to report the last failure.
REPORT_SECONDS = 5.0


Headers = dict[str, str | bytes | None]


@dataclass(frozen=True)
class Deliveries:
    """A delivery report: sent = acknowledged + failed + queued; `errors` counts failures by their reason."""

    sent: int
    acknowledged: int
    failed: int
    errors: dict[str, int]

    @property
    def queued(self) -> int:
        """Return the number of records that are neither acknowledged nor failed yet."""
        return self.sent - self.acknowledged - self.failed

    @property
    def complete(self) -> bool:
        """Tell whether every record has been acknowledged."""
        return self.sent == self.acknowledged


class RecordProducer:
    """An idempotent producer for one topic; leaving the `with` block flushes every record.

    Kafka's client reports failures only: a Python call for each delivered record would cost more than its
    delivery. Every failure is reported before its record leaves the client, and the client knows how many
    records it holds. So the acknowledged records are those that the client accepted, no longer holds, and did
    not report as failed. The number may lag behind the broker's but is never ahead of it; after a flush it is
    exact.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        kafka: TopicSettings,
        settings: ProducerSettings,
        *,
        make_client: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """Create the client; it connects in the background.

        Args:
            bootstrap_servers: host:port[,host:port…].
            kafka: the topic, and the size limit of its messages.
            settings: batching and delivery timeout.
            make_client: makes Kafka's client from librdkafka's keys.
        """
        keys = options.producer(bootstrap_servers, settings, max_message_bytes=kafka.max_message_bytes)
        self._client = make_client(
            keys
            | {
                "error_cb": self._on_error,
                "on_delivery": self._on_delivery,
                "delivery.report.only.error": True,
            }
        )
        self._topic = kafka.topic
        self._settle_seconds = settings.delivery_timeout_seconds + REPORT_SECONDS
        self._sent = 0
        # Records that the client accepted, and those of them that it reported as failed.
        self._taken = 0
        self._undelivered = 0
        self._acknowledged = 0
        self._errors: Counter[str] = Counter()
        self.last_error = ""
        self.broken = ""

    def __enter__(self) -> "RecordProducer":
        """Return the producer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Flush every record; after an exception, discard those that are still queued."""
        # After an exception (a second Ctrl-C) nobody waits: queued records are discarded, and counted as
        # failed.
        self.settle() if kind is None else self._give_up()

    @property
    def deliveries(self) -> Deliveries:
        """Return the delivery report up to now."""
        # `len` also counts the client's own events, such as a lost connection: this is a lower bound.
        self._acknowledged = max(self._acknowledged, self._taken - self._undelivered - len(self._client))
        errors = dict(self._errors)
        return Deliveries(self._sent, self._acknowledged, sum(errors.values()), errors)

    def send(self, key: bytes, value: bytes, timestamp_ms: int = 0, headers: Headers | None = None) -> None:
        """Hand over one record; with timestamp zero Kafka sets the time.

        Waits for space while the local queue is full. A record that cannot be handed over at all counts as
        failed.
        """
        self.send_batch([key], [value], [timestamp_ms], headers=headers)

    def send_batch(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        timestamps_ms: Sequence[int] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
        headers: Headers | None = None,
    ) -> None:
        """Hand over records in their order, each as `send` does; one index of the sequences is one record.

        All of them get the same headers. `meanwhile` is called now and then while the local queue is full.
        """
        client, topic = self._client, self._topic
        self._sent += len(values)
        for key, value, timestamp in zip(keys, values, timestamps_ms or repeat(0, len(values)), strict=True):
            while True:
                try:
                    # Positional arguments and the one callback of the settings: anything else takes longer.
                    client.produce(topic, value, key, ANY_PARTITION, None, None, timestamp, headers)
                except BufferError:
                    client.poll(ROOM_SECONDS)
                    meanwhile()
                except KafkaException as error:
                    self._errors[_reason(error.args[0])] += 1
                    break
                else:
                    self._taken += 1
                    break
        client.poll(0)

    def poll(self) -> None:
        """Process reports of failures, and make space for more records."""
        self._client.poll(0)

    def settle(self, meanwhile: Callable[[], None] = lambda: None) -> Deliveries:
        """Wait until every record is acknowledged or failed, and return the delivery report.

        What is still queued after the delivery timeout and `REPORT_SECONDS` is discarded, and counted as
        failed. `meanwhile` is called now and then.
        """
        deadline = Deadline(self._settle_seconds)
        while self._client.flush(SETTLE_SECONDS):
            if deadline.expired:
                self._give_up()
                break
            meanwhile()
        else:
            self._acknowledged = self._taken - self._undelivered
        return self.deliveries

    def _give_up(self) -> None:
        self._client.purge()
        if not self._client.flush(REPORT_SECONDS):
            self._acknowledged = self._taken - self._undelivered

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._undelivered += 1
            self._errors[_reason(error)] += 1

    def _on_error(self, error: KafkaError) -> None:
        self.last_error = error.str()
        if error.fatal():
            self.broken = error.str()


def _reason(error: KafkaError) -> str:
    return f"{error.name()}: {error.str()}"
