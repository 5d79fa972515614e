"""Kafka topics: creation with explicit settings, comparison, identity, and the offsets they hold."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, TopicDescription

from fraudctl import protocols
from fraudctl.broker import options
from fraudctl.clock import Deadline
from fraudctl.config.model import TopicSettings
from fraudctl.errors import (
    BROKER_LOG,
    CREATE_TOPIC,
    RECORDS_GONE,
    RECORDS_GONE_HINT,
    START_STACK,
    TOPIC_ANEW,
    ConfigError,
    RefusedError,
    UnreachableError,
)

# The time limit of one request; it is repeated within the deadline of the whole question.
REQUEST_SECONDS = 5.0
TIMESTAMP_TYPE = "message.timestamp.type"
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_ID)


@dataclass(frozen=True)
class TopicReport:
    """The result of `ensure_topic`; `differences` names settings of an existing topic, left as they are."""

    topic: str
    change: Literal["created", "unchanged"]
    partitions: int
    settings: dict[str, str]
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class TopicIdentity:
    """The identity of a topic: constant for its life, different once it is deleted and created again."""

    cluster_id: str
    topic_id: str
    partitions: int


class MissingTopicError(RefusedError):
    """A topic name that the cluster does not have."""


class _Admin:
    """An admin client with one deadline, which awaits every answer and translates every error."""

    def __init__(self, bootstrap_servers: str, timeout_seconds: float) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.deadline = Deadline(timeout_seconds)
        self._last_error = ""
        try:
            if not bootstrap_servers.strip():
                raise ValueError("it is empty")
            self.client = AdminClient(options.client(bootstrap_servers) | {"error_cb": self._on_error})
        except (KafkaException, ValueError) as error:
            raise ConfigError(
                f"{bootstrap_servers!r} is not a list of Kafka servers",
                detail=str(error),
                hint="set kafka.bootstrap_servers to host:port[,host:port…]",
            ) from error

    def _on_error(self, error: KafkaError) -> None:
        self._last_error = error.str()

    def ask(self, question: Callable[[float], Mapping[Any, "Future[Any]"]]) -> dict[Any, Any]:
        """Ask with a time limit in seconds; ask again while the answer is "not now" and time is left.

        Raises:
            KafkaException: the broker's final answer is an error.
            UnreachableError: no broker answered in time.
        """
        while True:
            try:
                futures = question(self._request_seconds())
                # The client ends each future itself; the extra second is for its own clean-up.
                return {key: future.result(self._request_seconds() + 1.0) for key, future in futures.items()}
            except FutureTimeoutError as error:
                last: Exception = error
            except KafkaException as error:
                if not _worth_asking_again(error):
                    raise
                last = error
            self.client.poll(min(0.1, self.deadline.remaining()))
            if self.deadline.expired:
                raise self.unreachable(last) from last

    def metadata(self) -> None:
        """Ask any broker for the cluster's metadata, and for nothing about topics."""
        self.ask(lambda seconds: {"cluster": self.client.describe_cluster(request_timeout=seconds)})

    def unreachable(self, cause: Exception) -> UnreachableError:
        self.client.poll(0)
        another = protocols.told_otherwise(self.bootstrap_servers, protocols.KAFKA)
        return UnreachableError(
            f"Kafka does not answer at {self.bootstrap_servers}",
            detail=another or self._last_error or _text(cause),
            hint=START_STACK,
        )

    def _request_seconds(self) -> float:
        # librdkafka refuses a time limit of zero.
        return max(0.05, min(REQUEST_SECONDS, self.deadline.remaining()))


def probe(bootstrap_servers: str, *, timeout_seconds: float) -> None:
    """Wait until a broker has answered a metadata request.

    Raises:
        UnreachableError: none did in time; the detail is the last error of the connection.
        ConfigError: the addresses cannot be addresses.
    """
    _Admin(bootstrap_servers, timeout_seconds).metadata()


def topic_settings(kafka: TopicSettings) -> dict[str, str]:
    """Return the topic's own settings, all explicit: nothing is left to a broker's defaults."""
    return {
        "cleanup.policy": "delete",
        TIMESTAMP_TYPE: kafka.timestamp_type,
        "retention.ms": str(kafka.retention_hours * 3_600_000),
        "max.message.bytes": str(kafka.max_message_bytes),
    }


def ensure_topic(bootstrap_servers: str, kafka: TopicSettings, *, timeout_seconds: float) -> TopicReport:
    """Create the topic of `kafka` unless it exists as it must be.

    Raises:
        RefusedError: it exists with fewer partitions, or stamps its records in another way; or Kafka refuses
            to create it.
        UnreachableError: no broker answered in time.
    """
    admin = _Admin(bootstrap_servers, timeout_seconds)
    admin.metadata()
    wanted = topic_settings(kafka)
    created = _create(admin, kafka, wanted)
    partitions = len(_await_leaders(admin, kafka.topic).partitions)
    if created:
        return TopicReport(kafka.topic, "created", partitions, wanted)
    actual = _actual_settings(admin, kafka.topic, wanted)
    _refuse_other_shape(kafka, partitions, actual)
    differences = tuple(
        f"{key} is {actual[key]}, the settings say {value}"
        for key, value in wanted.items()
        if actual[key] != value
    )
    return TopicReport(kafka.topic, "unchanged", partitions, actual, differences)


def ensure_exists(
    bootstrap_servers: str, kafka: TopicSettings, *, timeout_seconds: float
) -> Literal["created", "unchanged"]:
    """Create the topic of an external cluster if it is missing; leave an existing one as its owner made it.

    Raises:
        RefusedError: the cluster does not let this client create it; the hint is the command for somebody who
            may.
        UnreachableError: no broker answered in time.
    """
    admin = _Admin(bootstrap_servers, timeout_seconds)
    admin.metadata()
    if _is_there(admin, kafka.topic):
        return "unchanged"
    return ensure_topic(bootstrap_servers, kafka, timeout_seconds=timeout_seconds).change


def creation_line(bootstrap_servers: str, kafka: TopicSettings) -> str:
    """Return the command line of kafka-topics.sh that creates the topic as `ensure_topic` would."""
    configs = [f"--config {key}={value}" for key, value in topic_settings(kafka).items()]
    parts = [
        f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --create --topic {kafka.topic}",
        f"--partitions {kafka.partitions}",
        *configs,
    ]
    return " ".join(parts)


def identity(bootstrap_servers: str, topic: str, *, timeout_seconds: float) -> TopicIdentity:
    """Return the identity of the topic: its cluster, its id and its number of partitions.

    Raises:
        RefusedError: the topic does not exist.
        UnreachableError: no broker answered in time.
    """
    admin = _Admin(bootstrap_servers, timeout_seconds)
    cluster = admin.ask(lambda seconds: {"": admin.client.describe_cluster(request_timeout=seconds)})[""]
    described = _described(admin, topic)
    return TopicIdentity(str(cluster.cluster_id), _topic_id(described), len(described.partitions))


class TopicGuard:
    """A repeated check that a topic is still the one it was; topic ids are never used twice.

    A source that compares nothing but offsets would read on, from the wrong topic, once the new one has
    grown.
    """

    def __init__(self, bootstrap_servers: str, topic: str, topic_id: str) -> None:
        """Create a guard for one topic.

        Args:
            bootstrap_servers: host:port[,host:port…].
            topic: the topic's name.
            topic_id: the id that the topic must keep, as `identity` returns it.
        """
        self._admin = _Admin(bootstrap_servers, 0.0)
        self._topic = topic
        self._topic_id = topic_id
        self._lock = threading.Lock()

    def check(self, *, timeout_seconds: float) -> None:
        """Check that the topic is still the same.

        Raises:
            RefusedError: it was created again, or does not exist any more.
            UnreachableError: no broker answered in time.
        """
        with self._lock:
            self._admin.deadline = Deadline(timeout_seconds)
            present = _topic_id(_described(self._admin, self._topic))
        if present != self._topic_id:
            raise RefusedError(
                f"the topic {self._topic!r} was created again while it was being read",
                detail=f"its id was {self._topic_id}, now it is {present}; nothing of the new one has landed",
                hint=TOPIC_ANEW,
            )

    def check_held(self, planned_ends: Mapping[int, int], *, timeout_seconds: float) -> None:
        """Check that the topic still holds what comes after these offsets, by partition.

        A consumer holds megabytes of records that were not requested yet, and finds a gap only after those.

        Raises:
            RefusedError: records after them are gone.
            UnreachableError: no broker answered in time.
        """
        if not planned_ends:
            return
        with self._lock:
            self._admin.deadline = Deadline(timeout_seconds)
            starts = _offsets(self._admin, self._topic, sorted(planned_ends), OffsetSpec.earliest())
        gone = {number: start for number, start in starts.items() if start > planned_ends[number]}
        if gone:
            said = (
                f"partition {number} begins at offset {start}, and was read to {planned_ends[number]}"
                for number, start in sorted(gone.items())
            )
            raise RefusedError(RECORDS_GONE, detail="; ".join(said), hint=RECORDS_GONE_HINT)


def _topic_id(described: TopicDescription) -> str:
    """Return the id in the URL-safe alphabet of Kafka's own tools; librdkafka gives the other alphabet."""
    return str(described.topic_id).replace("+", "-").replace("/", "_")


def end_offsets(bootstrap_servers: str, topic: str, *, timeout_seconds: float) -> dict[int, tuple[int, int]]:
    """Return, per partition, the first offset still held and the offset after the last record.

    Raises:
        RefusedError: the topic does not exist.
        UnreachableError: no broker answered in time.
    """
    admin = _Admin(bootstrap_servers, timeout_seconds)
    described = _described(admin, topic)
    numbers = sorted(partition.id for partition in described.partitions)
    low = _offsets(admin, topic, numbers, OffsetSpec.earliest())
    high = _offsets(admin, topic, numbers, OffsetSpec.latest())
    return {number: (low[number], high[number]) for number in numbers}


def offsets_at(
    bootstrap_servers: str, topic: str, instant_ms: int, *, timeout_seconds: float
) -> dict[int, int | None]:
    """Return, per partition, the offset of the first record with this timestamp or a later one.

    `instant_ms` is in ms since 1970. None means that there is no such record.

    Raises:
        RefusedError: the topic does not exist.
        UnreachableError: no broker answered in time.
    """
    admin = _Admin(bootstrap_servers, timeout_seconds)
    numbers = sorted(partition.id for partition in _described(admin, topic).partitions)
    found = _offsets(admin, topic, numbers, OffsetSpec.for_timestamp(instant_ms))
    return {number: offset if offset >= 0 else None for number, offset in found.items()}


def _create(admin: _Admin, kafka: TopicSettings, wanted: dict[str, str]) -> bool:
    """Create the topic; return True if this call created it, False if it was there."""
    # -1 leaves the number of replicas to the cluster.
    new = NewTopic(kafka.topic, num_partitions=kafka.partitions, replication_factor=-1, config=wanted)
    try:
        admin.ask(
            lambda seconds: admin.client.create_topics(
                [new], operation_timeout=seconds, request_timeout=seconds
            )
        )
    except KafkaException as error:
        if _code(error) == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise RefusedError(
            f"Kafka refuses to create the topic {kafka.topic!r}",
            detail=_text(error),
            hint="correct the kafka section of the settings, or let somebody create it who may: "
            + creation_line(admin.bootstrap_servers, kafka),
        ) from error
    return True


def _is_there(admin: _Admin, topic: str) -> bool:
    try:
        _described(admin, topic)
    except MissingTopicError:
        return False
    return True


def _described(admin: _Admin, topic: str) -> TopicDescription:
    try:
        answer = admin.ask(
            lambda seconds: admin.client.describe_topics(TopicCollection([topic]), request_timeout=seconds)
        )
    except KafkaException as error:
        if _code(error) not in _MISSING:
            raise _refused(topic, error) from error
        raise MissingTopicError(
            f"the topic {topic!r} does not exist at {admin.bootstrap_servers}",
            hint=CREATE_TOPIC,
        ) from error
    described: TopicDescription = answer[topic]
    return described


def _await_leaders(admin: _Admin, topic: str) -> TopicDescription:
    """Wait until every partition has a leader, and return the topic's description.

    The controller knows a new topic first, the brokers a moment later.
    """
    while True:
        try:
            described = _described(admin, topic)
            if all(partition.leader for partition in described.partitions):
                return described
        except RefusedError:
            if admin.deadline.expired:
                raise
        if admin.deadline.expired:
            raise UnreachableError(
                f"the topic {topic!r} has partitions without a leader at {admin.bootstrap_servers}",
                hint=BROKER_LOG,
            )
        admin.client.poll(0.1)


def _actual_settings(admin: _Admin, topic: str, wanted: dict[str, str]) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        answer = admin.ask(lambda seconds: admin.client.describe_configs([resource], request_timeout=seconds))
    except KafkaException as error:
        raise _refused(topic, error) from error
    entries = answer[resource]
    return {key: str(entries[key].value) for key in wanted}


def _refuse_other_shape(kafka: TopicSettings, partitions: int, actual: dict[str, str]) -> None:
    if partitions < kafka.partitions:
        raise RefusedError(
            f"the topic {kafka.topic!r} has {partitions} partitions, the settings ask for {kafka.partitions}",
            detail="more partitions would move cards to other partitions, away from their history",
            hint=f"set kafka.partitions to {partitions}, or kafka.topic to a new name",
        )
    if actual[TIMESTAMP_TYPE] != kafka.timestamp_type:
        raise RefusedError(
            f"the topic {kafka.topic!r} has {TIMESTAMP_TYPE}={actual[TIMESTAMP_TYPE]}, "
            f"the settings ask for {kafka.timestamp_type}",
            detail="lateness is judged by the record's timestamp: its meaning must not change half-way",
            hint=f"set kafka.timestamp_type to {actual[TIMESTAMP_TYPE]}, or kafka.topic to a new name",
        )


def _offsets(admin: _Admin, topic: str, numbers: list[int], spec: OffsetSpec) -> dict[int, int]:
    wanted = {TopicPartition(topic, number): spec for number in numbers}
    try:
        answer = admin.ask(lambda seconds: admin.client.list_offsets(wanted, request_timeout=seconds))
    except KafkaException as error:
        raise _refused(topic, error) from error
    return {partition.partition: result.offset for partition, result in answer.items()}


def _refused(topic: str, error: KafkaException) -> RefusedError:
    return RefusedError(f"Kafka refuses a question about the topic {topic!r}", detail=_text(error))


def _code(error: KafkaException) -> int:
    cause = error.args[0] if error.args else None
    return cause.code() if isinstance(cause, KafkaError) else KafkaError.UNKNOWN


def _text(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return str(cause.str() if isinstance(cause, KafkaError) else error)


_NOT_NOW = frozenset(
    {
        KafkaError._NOENT,  # no leader of any partition is known yet, after a broker was silent
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError._RESOLVE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        # A leader just elected is not yet known to every broker, not even to itself.
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)


def _worth_asking_again(error: KafkaException) -> bool:
    return _code(error) in _NOT_NOW
