"""The model of the settings: types and allowed values; the values themselves are in configs/*.yaml."""

import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fraudctl.config.characters import character_name, holding
from fraudctl.config.closed import Closed, Flag, Number, WayError, Whole
from fraudctl.config.java_options import check_java_options

Port = Annotated[Whole, Field(ge=1, le=65535)]
Positive = Annotated[Whole, Field(ge=1)]
Seconds = Annotated[Number, Field(ge=0)]
PositiveSeconds = Annotated[Number, Field(gt=0)]
# Names of the database and its owner in a stack that fraudctl runs itself.
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# PostgreSQL limits names to this number of bytes (NAMEDATALEN); the users of a pooler may have longer names.
_DATABASE_MAX_BYTES = 63
_OTHERS = "postgres.port, .database, .user and .password_file"
_USER_MAX_BYTES = 255
# An image name for `docker pull`: registry, path, tag and digest.
Image = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*(@sha256:[0-9a-f]{64})?$")]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")]
# Spark's master: local threads (and how often a task may fail), or the address of a cluster.
Master = Annotated[
    str,
    Field(pattern=r"^(local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|spark://[^\s/]+|k8s://\S+|yarn)$"),
]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
CATEGORY_MAX_CHARACTERS = 64


class Section(Closed):
    """One section of the settings."""


class TopicSettings(Section):
    """The settings of one topic, for code that creates it or writes to it."""

    topic: TopicName
    partitions: Annotated[Whole, Field(ge=1, le=1000)]
    timestamp_type: Literal["LogAppendTime", "CreateTime"]
    retention_hours: Positive
    max_message_bytes: Annotated[Whole, Field(ge=1024)]


class KafkaSettings(TopicSettings):
    """The broker, and the topics of transactions, labels and alerts."""

    bootstrap_servers: str
    port: Port
    controller_port: Port
    labels_topic: TopicName
    alerts_topic: TopicName
    heap_mb: Annotated[Whole, Field(ge=256)]

    @field_validator("bootstrap_servers")
    @classmethod
    def _without_login(cls, servers: str) -> str:
        if "@" in servers:  # without the text, which may hold a password
            raise ValueError("must be HOST:PORT, several separated by commas, without user and password")
        return servers

    @model_validator(mode="after")
    def _topics_differ(self) -> "KafkaSettings":
        """Keep labels and alerts out of the transactions, which would reject them one by one."""
        names = ("topic", "labels_topic", "alerts_topic")
        for one, other in combinations(names, 2):
            if getattr(self, one) == getattr(self, other):
                raise ValueError(
                    f"{one} and {other} are both {getattr(self, one)}: each has a topic of its own"
                )
        return self


class PostgresSettings(Section):
    """The database, its user, and the files that hold the passwords."""

    host: str
    port: Port
    database: str
    user: str
    password_file: str
    writer_password_file: str

    @field_validator("host")
    @classmethod
    def _host_alone(cls, host: str) -> str:
        wrong = _not_a_host(host)
        if wrong:
            raise ValueError(wrong)  # without the text, which may hold a password
        return host

    @field_validator("database")
    @classmethod
    def _database_fits(cls, name: str) -> str:
        return _fitting(name, _DATABASE_MAX_BYTES)

    @field_validator("user")
    @classmethod
    def _user_fits(cls, name: str) -> str:
        return _fitting(name, _USER_MAX_BYTES)


def _not_a_host(text: str) -> str:
    """Return why a text is more than the name or the address of a host; empty if it is not."""
    alone = "must be the name or the address of a host alone"
    if "://" in text or "@" in text or "=" in text or any(map(str.isspace, text)):
        return f"{alone}; database, user and password have settings of their own: {_OTHERS}"
    if text.startswith("[") or text.endswith("]"):
        return f"{alone}; write an IPv6 address without brackets, and the port as postgres.port"
    if ":" in text and not _is_ipv6(text):
        return f"{alone}; write the port as postgres.port"
    return ""


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _fitting(name: str, most: int) -> str:
    """Return the name if PostgreSQL can use it.

    Raises:
        ValueError: it is empty, too long or holds a zero byte.
    """
    if not name or "\0" in name:
        raise ValueError("must not be empty, nor hold a zero byte")
    if len(name.encode()) > most:
        raise ValueError(f"must not be longer than {most} bytes")
    return name


class DockerSettings(Section):
    """Images, memory limits and ports of containers.

    compose/compose.yaml reads each setting from the variable FRAUDCTL_DOCKER__NAME.
    """

    kafka_image: Image
    postgres_image: Image
    grafana_image: Image
    spark_image: Image
    kafka_memory: Memory
    postgres_memory: Memory
    grafana_memory: Memory
    spark_memory: Memory
    grafana_port: Port
    profiles: tuple[Literal["grafana", "spark"], ...]
    pull_seconds: PositiveSeconds


class EventsSettings(Section):
    """The categories, the currency and the greatest size (in bytes) of a valid event."""

    categories: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    max_bytes: Annotated[Whole, Field(ge=512, le=1_048_576)]

    @field_validator("categories")
    @classmethod
    def _storable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(names):
            if not name.strip() or len(name) > CATEGORY_MAX_CHARACTERS or name != name.strip():
                most = CATEGORY_MAX_CHARACTERS
                raise WayError(f"{name!r} must have 1 to {most} characters and no outer blanks", (number,))
            if unicodedata.normalize("NFC", name) != name:
                raise WayError(f"{name!r} must be in Unicode form NFC", (number,))
            hidden = [one for one in name if unicodedata.category(one).startswith("C")]
            if hidden:
                raise WayError(f"{name!r} must not hold {character_name(hidden[0])}", (number,))
            if name in names[:number]:
                raise WayError(f"the category {name} is named twice", (number,))
        return names


class WindowsSettings(Section):
    """Length and slide of the sliding windows, in minutes."""

    length_minutes: Annotated[Whole, Field(ge=1, le=1440)]
    slide_minutes: Annotated[Whole, Field(ge=1, le=1440)]

    @model_validator(mode="after")
    def _whole_slides(self) -> "WindowsSettings":
        if self.length_minutes % self.slide_minutes:
            raise WayError(
                "length_minutes must be a multiple of slide_minutes", ("length_minutes",), ("slide_minutes",)
            )
        return self


class LatenessSettings(Section):
    """Limits for late events and for events in the future, in seconds."""

    late_seconds: Positive
    future_seconds: Annotated[Whole, Field(ge=0)]
    slack_seconds: Positive

    @property
    def watermark_delay_seconds(self) -> int:
        """Return how far the watermark stays behind the newest event, in seconds."""
        return self.late_seconds + self.future_seconds + self.slack_seconds


class RulesSettings(Section):
    """The file that holds the rules."""

    file: str


class DeadLettersSettings(Section):
    """The number of bytes kept of a rejected record, and of days that they are kept."""

    payload_bytes: Annotated[Whole, Field(ge=0, le=1_048_576)]
    expire_days: Annotated[Number, Field(gt=0)]


class SparkSettings(Section):
    """Spark: its master, memory, trigger, state store and checkpoint."""

    master: Master
    submit: Literal["local", "container"]
    executor_seconds: PositiveSeconds
    driver_memory: Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")]
    shuffle_partitions: Positive
    trigger_seconds: Seconds
    max_offsets_per_trigger: Positive
    state_store: Literal["memory", "rocksdb"]
    fast_checkpoint: Flag
    java_options: str
    stop_grace_seconds: PositiveSeconds

    @property
    def is_cluster(self) -> bool:
        """Return True if executors are separate processes, perhaps on other machines.

        With a local master the driver executes everything itself.
        """
        return not self.master.startswith("local")

    @field_validator("java_options")
    @classmethod
    def _can_be_given(cls, options: str, others: ValidationInfo) -> str:
        check_java_options(options, others.data.get("driver_memory", "1000000g"))
        return options


class LandingSettings(Section):
    """The lease, and the time limits and retries of writing a batch to PostgreSQL."""

    lease_seconds: Annotated[Number, Field(ge=1)]
    retry_seconds: Seconds
    statement_timeout_seconds: PositiveSeconds
    lock_timeout_seconds: PositiveSeconds


class ProducerSettings(Section):
    """The simulated cards and merchants, and the settings of the Kafka producer."""

    cards: Positive
    merchants: Positive
    category_weights: dict[str, Annotated[Number, Field(ge=0)]]
    fraud_rate: Annotated[Number, Field(ge=0, le=1)]
    linger_ms: Annotated[Whole, Field(ge=0, le=10_000)]
    delivery_timeout_seconds: PositiveSeconds

    @field_validator("category_weights")
    @classmethod
    def _some_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        if sum(weights.values()) <= 0:
            raise ValueError("at least one weight must be above zero")
        return weights


class TimeoutSettings(Section):
    """Time limits of starting, stopping and connecting, in seconds."""

    up_seconds: PositiveSeconds
    down_seconds: PositiveSeconds
    connect_seconds: PositiveSeconds
    stack_grace_seconds: Seconds


class Settings(BaseSettings):
    """All settings of one command after every layer has been merged (config/load.py merges them)."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="FRAUDCTL_", env_nested_delimiter="__", env_ignore_empty=False
    )

    # By dotted key, where each value comes from: FILE:LINE, or the variable or flag; see load.py.
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    profile: Literal["auto", "local", "docker", "external"]
    kafka: KafkaSettings
    postgres: PostgresSettings
    docker: DockerSettings
    events: EventsSettings
    windows: WindowsSettings
    lateness: LatenessSettings
    rules: RulesSettings
    dead_letters: DeadLettersSettings
    spark: SparkSettings
    landing: LandingSettings
    producer: ProducerSettings
    timeouts: TimeoutSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the merged values as the only source.

        load.py reads each layer separately, to know the origin of every value.
        """
        return (init_settings,)

    def origin(self, key: str) -> str:
        """Return where a setting comes from, such as mine.yaml:3; empty where that is not known."""
        return self._origins.get(key, "")

    def remember_origins(self, origins: Mapping[str, str]) -> None:
        """Keep where each setting comes from, for messages."""
        self._origins.update(origins)

    @model_validator(mode="after")
    def _plain_names(self) -> "Settings":
        """Check that a stack's own database has plain names; an external database may have any names."""
        if self.profile == "external" or (self.profile == "auto" and self.kafka.bootstrap_servers):
            return self
        for key in ("database", "user"):
            name = getattr(self.postgres, key)
            if not _PLAIN_NAME.fullmatch(name):
                raise WayError(
                    f"{name!r}{holding(name)}: under the profile {self.profile} it must have 1 to 63 of a-z, "
                    "0-9 and _, and not begin with a digit; any name may be given under the profile external",
                    ("postgres", key),
                )
        return self

    @model_validator(mode="after")
    def _known_categories(self) -> "Settings":
        unknown = sorted(set(self.producer.category_weights) - set(self.events.categories))
        if unknown:
            names = ", ".join(unknown)
            raise WayError(
                f"producer.category_weights names {names}, which events.categories does not hold",
                ("producer", "category_weights"),
                ("events", "categories"),
            )
        return self
