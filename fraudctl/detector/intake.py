"""Parse, admit and evaluate each record by itself, in one pass over its bytes inside the JVM.

The work is done by fraudctl/detector/jvm/*.scala, specified in `fraudctl/events/schema.py` and
`fraudctl/rules/model.py`. The fields of admitted records that the query needs become columns. Everything else
(how many records each partition brought, the rejected ones, those that raise an alert) reaches the driver
beside the query's rows, at the end of each task: see `IntakeAccumulator`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from tempfile import NamedTemporaryFile
from typing import Any

import msgspec
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from fraudctl.config.job import DetectorJob
from fraudctl.database.landing import Alert, DeadLetter
from fraudctl.events import schema
from fraudctl.rules.model import RuleSet

# Payloads of one batch must fit into memory several times over; beyond this limit only the first bytes of
# each are kept: 256 bytes of 100,000 records are 25 MB.
_BATCH_PAYLOAD_BYTES = 16 * 1024 * 1024
_BRIEF_BYTES = 256
_SECOND_US = 1_000_000

_rejected = msgspec.json.Decoder(tuple[int, int, str, int, bytes, int])
_alerts = msgspec.json.Decoder(tuple[str, str, str, str, int, str, int, str, str, str, int, int, str])


@dataclass(frozen=True)
class PartitionIntake:
    """The records of one Kafka partition in a batch; arrivals in microseconds since 1970."""

    records: int
    oldest_arrival_us: int
    newest_arrival_us: int


class Intake:
    """The intake of one streaming query; a change of the rules needs a new one."""

    def __init__(self, spark: SparkSession, job: DetectorJob, rules: RuleSet) -> None:
        """Create the intake in the JVM.

        Args:
            spark: the session.
            job: the detector's job.
            rules: the rules that evaluate the records.
        """
        jvm: Any = spark._jvm
        self._jvm_intake = jvm.fraudctl.Intake(
            spark._jsc.sc(),
            json.dumps(settings_document(job)),
            json.dumps(rules.document),
            job.card_horizon_seconds > 0,
        )

    def admitted(self, records: DataFrame) -> DataFrame:
        """Return the admitted records.

        Args:
            records: the rows of Spark's Kafka source: value, partition, offset, timestamp and more.

        Returns:
            digest (32 bytes), event_time (timestamp), category, amount_minor, flagged. If rules may look back
            at a card also partition, arrival_us, transaction_id, card_id, merchant_id, currency, country and
            channel.
        """
        columns = (F.col(name)._jc for name in ("value", "partition", "offset", "timestamp"))
        taken_in = Column(self._jvm_intake.column(*columns))
        return records.select(taken_in.alias("event")).where("event IS NOT NULL").select("event.*")

    def collect(self, batch: Any) -> Iterator[bytes]:
        """Run a batch and yield its rows as JSON arrays; this discards the results of the batch before.

        Args:
            batch: the query's output, a Dataset[Row] of the JVM.
        """
        return _lines(partial(self._jvm_intake.collect, batch))

    def partitions(self) -> dict[int, PartitionIntake]:
        """Return the number and arrivals of records for each Kafka partition that brought any."""
        counted = json.loads(self._jvm_intake.partitions())
        return {partition: PartitionIntake(*figures) for partition, *figures in counted}

    def rejected(self) -> Iterator[DeadLetter]:
        """Yield the rejected records of the batch."""
        return (DeadLetter(*_rejected.decode(line)) for line in _lines(self._jvm_intake.rejected))

    def alerts(self) -> Iterator[Alert]:
        """Yield the alerts that single records raise, once for each copy of a transaction."""
        return (Alert(*_alerts.decode(line)) for line in _lines(self._jvm_intake.alerts))


def _lines(write: Callable[[str], None]) -> Iterator[bytes]:
    """Yield the lines of a temporary file that the JVM writes."""
    with NamedTemporaryFile() as file:
        write(file.name)
        yield from file


def settings_document(job: DetectorJob) -> Mapping[str, object]:
    """Return the settings in the form of IntakeSettings in fraudctl/detector/jvm/Intake.scala."""
    return {
        "events": {
            "fields": list(schema.FIELDS),
            "max_bytes": job.events.max_bytes,
            "schema_version": schema.SCHEMA_VERSION,
            "amount_min": schema.AMOUNT_MINOR_MIN,
            "amount_max": schema.AMOUNT_MINOR_MAX,
            "categories": list(job.events.categories),
            "currency": job.events.currency,
        },
        "late_us": job.lateness.late_seconds * _SECOND_US,
        "future_us": job.lateness.future_seconds * _SECOND_US,
        "reasons": list(schema.REASONS),
        "payload_bytes": job.dead_letters.payload_bytes,
        "batch_payload_bytes": _BATCH_PAYLOAD_BYTES,
        "brief_bytes": _BRIEF_BYTES,
    }
