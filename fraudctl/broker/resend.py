"""A producer that sends records of a topic again, with a header that says where each came from."""

from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fraudctl.broker import options
from fraudctl.broker.log import WholeRecord
from fraudctl.config.model import ProducerSettings, TopicSettings

# The header that identifies a record in the log as sent again.
MARK = "fraudctl-requeued"
ROOM_SECONDS = 0.1
# The time that librdkafka may take, on top of the delivery timeout, to report the last failure.
REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """The offset of a copy in the log, or the error because of which it is not known to be there."""

    offset: int | None
    error: str


class Resender:
    """An idempotent producer that keeps each record's partition, key and headers."""

    def __init__(self, bootstrap_servers: str, kafka: TopicSettings, settings: ProducerSettings) -> None:
        """Create the client; it connects in the background.

        Args:
            bootstrap_servers: host:port[,host:port…].
            kafka: the topic, and the size limit of its messages.
            settings: batching and delivery timeout.
        """
        self._client = Producer(
            options.producer(bootstrap_servers, settings, max_message_bytes=kafka.max_message_bytes)
        )
        self._topic = kafka.topic
        self._settle_seconds = settings.delivery_timeout_seconds + REPORT_SECONDS
        self._outcomes: dict[str, Outcome] = {}

    def send(self, record: WholeRecord, mark: str) -> None:
        """Hand over one record with the header value `mark`; `settled` returns the outcome by mark."""

        def report(error: KafkaError | None, message: Message) -> None:
            self._outcomes[mark] = Outcome(None, error.str()) if error else Outcome(message.offset(), "")

        headers = {name: value for name, value in record.headers.items() if name != MARK}
        while True:
            try:
                self._client.produce(
                    self._topic,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=report,
                    headers=[*headers.items(), (MARK, mark.encode())],
                )
            except BufferError:
                self._client.poll(ROOM_SECONDS)
            except KafkaException as error:
                self._outcomes[mark] = Outcome(None, error.args[0].str())
                return
            else:
                return

    def settled(self) -> dict[str, Outcome]:
        """Wait for every delivery report; return the outcomes since the last call, by mark."""
        if self._client.flush(self._settle_seconds):
            self._client.purge()
            self._client.flush(REPORT_SECONDS)
        outcomes, self._outcomes = self._outcomes, {}
        return outcomes
