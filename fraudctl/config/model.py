"""Settings, typed and frozen. Values live in configs/*.yaml; this page says what is allowed."""

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fraudctl.config.closed import Closed
from fraudctl.config.java_options import check_java_options

Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]
# What a stack of fraudctl's own calls its database and the owner of it.
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# PostgreSQL allows any name, of at most so many bytes (NAMEDATALEN); a pooler's users may be longer.
_DATABASE_MAX_BYTES = 63
_USER_MAX_BYTES = 255
# A name as `docker pull` takes it: registry, path, tag, digest.
Image = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*(@sha256:[0-9a-f]{64})?$")]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")]
# What Spark takes: threads of this machine (and how often a task may fail), or a cluster's address.
Master = Annotated[
    str,
    Field(pattern=r"^(local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|spark://[^\s/]+|k8s://\S+|yarn)$"),
]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
CATEGORY_MAX_CHARACTERS = 64


class Section(Closed):
    """One section of the settings."""


class TopicSettings(Section):
    """One topic, for whoever makes it or writes to it, and need not know of any other."""

    topic: TopicName
    partitions: Annotated[int, Field(ge=1, le=1000)]
    timestamp_type: Literal["LogAppendTime", "CreateTime"]
    retention_hours: Positive
    max_message_bytes: Annotated[int, Field(ge=1024)]


class KafkaSettings(TopicSettings):
    bootstrap_servers: str
    port: Port
    controller_port: Port
    labels_topic: TopicName
    alerts_topic: TopicName
    heap_mb: Annotated[int, Field(ge=256)]


class PostgresSettings(Section):
    host: str
    port: Port
    database: str
    user: str
    password_file: str
    writer_password_file: str

    @field_validator("database")
    @classmethod
    def _database_fits(cls, name: str) -> str:
        return _fitting(name, _DATABASE_MAX_BYTES)

    @field_validator("user")
    @classmethod
    def _user_fits(cls, name: str) -> str:
        return _fitting(name, _USER_MAX_BYTES)


def _fitting(name: str, most: int) -> str:
    """Return the name if PostgreSQL can have it."""
    if not name or "\0" in name:
        raise ValueError("must not be empty, nor hold a zero byte")
    if len(name.encode()) > most:
        raise ValueError(f"must not be longer than {most} bytes")
    return name


class DockerSettings(Section):
    """Names and sizes of containers; compose/compose.yaml takes each as FRAUDCTL_DOCKER__NAME."""

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
    categories: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    max_bytes: Annotated[int, Field(ge=512, le=1_048_576)]

    @field_validator("categories")
    @classmethod
    def _storable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name.strip() or len(name) > CATEGORY_MAX_CHARACTERS or name != name.strip():
                raise ValueError(
                    f"{name!r} must have 1 to {CATEGORY_MAX_CHARACTERS} characters and no outer blanks"
                )
            if unicodedata.normalize("NFC", name) != name:
                raise ValueError(f"{name!r} must be in Unicode form NFC")
            if any(unicodedata.category(character).startswith("C") for character in name):
                raise ValueError(f"{name!r} must not hold control or format characters")
        if len(set(names)) != len(names):
            raise ValueError("a category is named twice")
        return names


class WindowsSettings(Section):
    length_minutes: Annotated[int, Field(ge=1, le=1440)]
    slide_minutes: Annotated[int, Field(ge=1, le=1440)]

    @model_validator(mode="after")
    def _whole_slides(self) -> "WindowsSettings":
        if self.length_minutes % self.slide_minutes:
            raise ValueError("length_minutes must be a multiple of slide_minutes")
        return self


class LatenessSettings(Section):
    late_seconds: Positive
    future_seconds: Annotated[int, Field(ge=0)]
    slack_seconds: Positive

    @property
    def watermark_delay_seconds(self) -> int:
        """How far the watermark stays behind the newest event, in seconds."""
        return self.late_seconds + self.future_seconds + self.slack_seconds


class RulesSettings(Section):
    file: str


class DeadLettersSettings(Section):
    payload_bytes: Annotated[int, Field(ge=0, le=1_048_576)]
    expire_days: Annotated[float, Field(gt=0)]


class SparkSettings(Section):
    master: Master
    submit: Literal["local", "container"]
    executor_seconds: PositiveSeconds
    driver_memory: Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")]
    shuffle_partitions: Positive
    trigger_seconds: Seconds
    max_offsets_per_trigger: Positive
    state_store: Literal["memory", "rocksdb"]
    fast_checkpoint: bool
    java_options: str
    stop_grace_seconds: PositiveSeconds

    @property
    def is_cluster(self) -> bool:
        """Executors are other processes, perhaps elsewhere; else the driver does everything itself."""
        return not self.master.startswith("local")

    @field_validator("java_options")
    @classmethod
    def _can_be_given(cls, options: str, others: ValidationInfo) -> str:
        check_java_options(options, others.data.get("driver_memory", "1000000g"))
        return options


class LandingSettings(Section):
    lease_seconds: Annotated[float, Field(ge=1)]
    retry_seconds: Seconds
    statement_timeout_seconds: PositiveSeconds
    lock_timeout_seconds: PositiveSeconds


class ProducerSettings(Section):
    cards: Positive
    merchants: Positive
    category_weights: dict[str, Annotated[float, Field(ge=0)]]
    fraud_rate: Annotated[float, Field(ge=0, le=1)]
    linger_ms: Annotated[int, Field(ge=0, le=10_000)]
    delivery_timeout_seconds: PositiveSeconds

    @field_validator("category_weights")
    @classmethod
    def _some_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        if sum(weights.values()) <= 0:
            raise ValueError("at least one weight must be above zero")
        return weights


class TimeoutSettings(Section):
    up_seconds: PositiveSeconds
    down_seconds: PositiveSeconds
    connect_seconds: PositiveSeconds
    stack_grace_seconds: Seconds


class Settings(BaseSettings):
    """All settings of one command, after every layer has been merged (config/load.py merges them)."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="FRAUDCTL_", env_nested_delimiter="__", env_ignore_empty=False
    )

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
        """Validate what was merged and nothing else: load.py reads each layer apart, to know its origin."""
        return (init_settings,)

    @model_validator(mode="after")
    def _plain_names(self) -> "Settings":
        """Keep the names of a stack's own database plain; those of an external one are given."""
        if self.profile == "external" or (self.profile == "auto" and self.kafka.bootstrap_servers):
            return self
        for key in ("database", "user"):
            name = getattr(self.postgres, key)
            if not _PLAIN_NAME.fullmatch(name):
                raise ValueError(
                    f"postgres.{key} = {name!r}: under the profile {self.profile} it must have 1 to 63 of "
                    "a-z, 0-9 and _, and not begin with a digit; any name may be given under the profile "
                    "external"
                )
        return self

    @model_validator(mode="after")
    def _known_categories(self) -> "Settings":
        unknown = sorted(set(self.producer.category_weights) - set(self.events.categories))
        if unknown:
            raise ValueError(
                f"producer.category_weights names {', '.join(unknown)}, which events.categories does not hold"
            )
        return self
