"""Kafka records to typed transactions, or to the reason why not: strict, and without a Python worker.

Implements the specification in `fraudctl/events/schema.py` with Spark's VARIANT: `try_parse_json` refuses
duplicate keys, NaN, comments and lone surrogates, and `schema_of_variant` names every field with its JSON
type, so one comparison settles presence, absence and type of all fields at once. What the parser lets
pass (text after the closing brace) is caught by a pattern for one flat object.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fraudctl.config.model import EventsSettings
from fraudctl.events import schema

# One object without nested braces and nothing around it but blanks. Possessive quantifiers: Java's
# matcher would otherwise recurse once per character and overflow its stack on a long string.
_FLAT_OBJECT = r'^[ \t\r\n]*+\{[^"{}]*+(?:"[^"\\]*+(?:\\[\s\S][^"\\]*+)*+"[^"{}]*+)*+\}[ \t\r\n]*+\z'

_SQL_TYPES = {"integer": ("BIGINT", "bigint"), "string": ("STRING", "string")}
_EXPECTED_SCHEMA = (
    "OBJECT<"
    + ", ".join(f"{name}: {_SQL_TYPES[kind][0]}" for name, kind in sorted(schema.FIELDS.items()))
    + ">"
)


def parse(records: DataFrame, events: EventsSettings) -> DataFrame:
    """Add the transaction's fields and `reason` (null when the event is well formed).

    Args:
        records: what Spark's Kafka source gives: value, partition, offset, timestamp and more.
        events: the categories, the currency and the length that are allowed.

    Returns:
        partition, offset, arrival (timestamp), value, one column a field of the schema, with
        `event_time` a timestamp (null when it is no instant), and `reason`.
    """
    text = F.col("value").cast("string")
    readable = (F.length("value") <= events.max_bytes) & F.is_valid_utf8(text) & text.rlike(_FLAT_OBJECT)
    document = records.select(
        "partition",
        "offset",
        F.col("timestamp").alias("arrival"),
        "value",
        F.when(readable, F.try_parse_json(text)).alias("document"),
    )
    fields = [
        F.try_variant_get("document", f"$.{name}", _SQL_TYPES[kind][1]).alias(name)
        for name, kind in schema.FIELDS.items()
    ]
    shaped = document.select(
        "partition",
        "offset",
        "arrival",
        "value",
        F.coalesce(F.schema_of_variant("document") == _EXPECTED_SCHEMA, F.lit(False)).alias("shaped"),
        *fields,
    )
    timed = shaped.withColumn(
        "event_time",
        F.when(_matches("event_time"), F.col("event_time").try_cast("timestamp")),
    )
    return timed.withColumn("reason", _reason(events)).drop("shaped")


def admit(parsed: DataFrame, late_seconds: int, future_seconds: int) -> DataFrame:
    """Give well-formed events that arrived outside the bounds the reason `late` or `future`.

    Arrival is the record's Kafka timestamp, so this is a pure function of the log.
    """
    lag = F.unix_micros("arrival") - F.unix_micros("event_time")
    return parsed.withColumn(
        "reason",
        F.when(F.col("reason").isNotNull(), F.col("reason"))
        .when(lag > late_seconds * 1_000_000, schema.LATE)
        .when(lag < -future_seconds * 1_000_000, schema.FUTURE),
    )


def _matches(field: str) -> Column:
    return F.col(field).rlike(rf"^(?:{schema.PATTERNS[field]})\z")


def _reason(events: EventsSettings) -> Column:
    checks = {
        "schema_version": F.col("schema_version") == schema.SCHEMA_VERSION,
        "event_time": F.col("event_time").isNotNull(),
        "category": F.col("category").isin(*events.categories),
        "amount_minor": F.col("amount_minor").between(schema.AMOUNT_MINOR_MIN, schema.AMOUNT_MINOR_MAX),
        "currency": F.col("currency") == events.currency,
    }
    reason = F.when(~F.col("shaped"), schema.MALFORMED)
    for field in schema.FIELDS:
        holds = checks[field] if field in checks else _matches(field)
        reason = reason.when(~F.coalesce(holds, F.lit(False)), schema.invalid(field))
    return reason
