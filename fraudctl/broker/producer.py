"""Send records and account for each one: whatever was sent is either acknowledged or failed in the end."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fraudctl.broker import options
from fraudctl.clock import Deadline
from fraudctl.config.model import ProducerSettings, TopicSettings

# How long one wait for room in the local queue lasts, before the same record is tried again.
ROOM_SECONDS = 0.1
SETTLE_SECONDS = 0.25
# What librdkafka may take, on top of the delivery timeout, to report the last failure.
REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class Deliveries:
    """The account; `errors` counts failures by their reason. sent = acknowledged + failed + queued."""

    sent: int
    acknowledged: int
    failed: int
    errors: dict[str, int]

    @property
    def queued(self) -> int:
        return self.sent - self.acknowledged - self.failed


class RecordProducer:
    """An idempotent producer for one topic; leaving the `with` block settles every record.

    A delivery report is the only proof. It is asked for with every record and counted here.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        kafka: TopicSettings,
        settings: ProducerSettings,
        *,
        make_client: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        keys = options.producer(bootstrap_servers, settings, max_message_bytes=kafka.max_message_bytes)
        self._client = make_client(keys | {"error_cb": self._on_error})
        self._topic = kafka.topic
        self._settle_seconds = settings.delivery_timeout_seconds + REPORT_SECONDS
        self._sent = 0
        self._acknowledged = 0
        self._errors: Counter[str] = Counter()
        self.last_error = ""
        self.broken = ""

    def __enter__(self) -> "RecordProducer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an exception (a second Ctrl-C) nobody waits: what is still queued is given up, and counted.
        self.settle() if kind is None else self._give_up()

    @property
    def deliveries(self) -> Deliveries:
        errors = dict(self._errors)
        return Deliveries(self._sent, self._acknowledged, sum(errors.values()), errors)

    def send(self, key: bytes, value: bytes, timestamp_ms: int = 0) -> None:
        """Hand over one record; timestamp zero lets Kafka say the time.

        Waits for room while the local queue is full. A record that cannot be handed over at all counts as
        failed.
        """
        client = self._client
        self._sent += 1
        while True:
            try:
                client.produce(self._topic, value, key, on_delivery=self._on_delivery, timestamp=timestamp_ms)
            except BufferError:
                client.poll(ROOM_SECONDS)
            except KafkaException as error:
                self._errors[_reason(error.args[0])] += 1
                break
            else:
                break
        client.poll(0)

    def poll(self) -> None:
        """Take in delivery reports."""
        self._client.poll(0)

    def settle(self, meanwhile: Callable[[], None] = lambda: None) -> Deliveries:
        """Wait until every record has its report, and each has one once the delivery timeout is over.

        `meanwhile` is called now and then.
        """
        deadline = Deadline(self._settle_seconds)
        while self._client.flush(SETTLE_SECONDS):
            if deadline.expired:
                self._give_up()
                break
            meanwhile()
        return self.deliveries

    def _give_up(self) -> None:
        self._client.purge()
        self._client.flush(REPORT_SECONDS)

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._acknowledged += 1
        else:
            self._errors[_reason(error)] += 1

    def _on_error(self, error: KafkaError) -> None:
        self.last_error = error.str()
        if error.fatal():
            self.broken = error.str()


def _reason(error: KafkaError) -> str:
    return f"{error.name()}: {error.str()}"
