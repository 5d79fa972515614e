"""The data's way as frames in, frames out: records → admitted → deduplicated → judged → windows.

`landing_rows` is what one micro-batch brings to the sink: the windows that changed, and for every record
read either its place among the admitted (counted per partition) or its rejection. Both travel in one
query, told apart by `kind`, so that one checkpoint, one batch and one transaction cover them.

Where rules look back at what a card did, a third part judges that (fraudctl/detector/cards.py) and brings one
row for each transaction that such a rule matches.

A record that raises an alert by itself carries it on its intake row, which sees every record without any
state. So these alerts are a function of the records and the rules alone; of copies the sink and the database
keep one.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fraudctl.config.job import DetectorJob
from fraudctl.config.model import WindowsSettings
from fraudctl.detector.cards import card_flags
from fraudctl.detector.judge import verdict
from fraudctl.detector.parse import admit, parse
from fraudctl.events import schema
from fraudctl.rules.model import RuleSet

WINDOW, INTAKE, FLAG = "window", "intake", "flag"
_ALERT_FIELDS = (
    "transaction_id",
    "card_id",
    "merchant_id",
    "category",
    "amount_minor",
    "currency",
    "country",
    "channel",
)

# Thirteen digits or more, alone or with single blanks or hyphens between them, may be a card's number. Each
# match is one digit to hide: the seventh of such a run together with the six before it, which stay, or the
# one right after the match before. The last four of a run are never matched.
_CARD_NUMBER = (
    r"(?:(?<![0-9][ -]?)(?=(?:[0-9][ -]?){12}[0-9])((?:[0-9][ -]?){6})|\G(?!^)([ -]?))"
    r"[0-9](?=(?:[ -]?[0-9]){4})"
)
# The payloads of one batch are together about so large that they fit into memory several times over; those
# of a flood that exceeds it are kept only briefly. 256 bytes of 100,000 records are 25 MB.
_BATCH_PAYLOAD_BYTES = 16 * 1024 * 1024
_BRIEF_BYTES = 256
# A row's place within its partition of a frame: the lower bits of what Spark numbers rows by.
_PLACE_BITS = (1 << 33) - 1
# So much is looked at beyond what is kept, that a number cut in two is still seen to be one.
_BEYOND_BYTES = 64

# The same columns on both sides of the union. Times are microseconds since the epoch: integers cannot
# be shifted by anyone's time zone on their way through Python.
_LANDING_COLUMNS = {
    "kind": "string",
    "window_start_us": "bigint",
    "window_end_us": "bigint",
    "category": "string",
    "count": "bigint",
    "flagged_count": "bigint",
    "amount_minor": "bigint",
    "flagged_amount_minor": "bigint",
    "partition": "int",
    "offset": "bigint",
    "reason": "string",
    "arrival_us": "bigint",
    "payload": "binary",
    "payload_bytes": "bigint",
    # Only of flags and of records that raise an alert, as is `category` and `amount_minor` of an intake row.
    "digest": "string",
    "transaction_id": "string",
    "card_id": "string",
    "merchant_id": "string",
    "event_time_us": "bigint",
    "currency": "string",
    "country": "string",
    "channel": "string",
    "score": "int",
    "rules": "string",
    # Only of flags.
    "alone": "boolean",
    "alert": "boolean",
}


def landing_rows(
    records: DataFrame, job: DetectorJob, rules: RuleSet, held_back_seconds: int = 0
) -> DataFrame:
    """The whole streaming query, up to the sink; see the module's text for its rows.

    `held_back_seconds`: how much longer the watermark's delay is than the settings ask for.
    """
    lateness = job.lateness
    checked = admit(parse(records, job.events), lateness.late_seconds, lateness.future_seconds)
    admitted = checked.where(F.col("reason").isNull())
    delay = lateness.watermark_delay_seconds + held_back_seconds
    judged = deduplicate(admitted, delay).withColumn("flagged", verdict(rules).flagged)
    rows = windows(judged, job.windows).unionByName(intake(checked, job.dead_letters.payload_bytes, rules))
    if job.card_horizon_seconds == 0:
        return rows
    # Not by the rules: the state stays as it is while they change, also while none of them looks back.
    return rows.unionByName(flags(admitted, delay, job.card_horizon_seconds, rules))


def deduplicate(admitted: DataFrame, delay_seconds: int) -> DataFrame:
    """Keep one of several equal transactions.

    The key is a digest over every field, transaction_id among them: which of two copies Spark keeps is
    then of no consequence, while two different payloads under one id both count, and are reported as a
    conflict by the recount.
    """
    key = F.unhex(_digest()).alias("digest")
    return (
        admitted.select("event_time", "category", "amount_minor", "country", "channel", key)
        .withWatermark("event_time", f"{delay_seconds} seconds")
        .dropDuplicatesWithinWatermark(["digest"])
    )


def _digest() -> Column:
    """What names a transaction, as fraudctl/events/schema.py defines it."""
    fields = [F.unix_micros(name) if name == "event_time" else F.col(name) for name in schema.FIELDS]
    return F.sha2(F.concat_ws("\u001f", *fields), 256)


def windows(judged: DataFrame, settings: WindowsSettings) -> DataFrame:
    """Per sliding window and category: how many, how many flagged, and their amounts in minor units."""
    flag = F.col("flagged")
    window = F.window("event_time", f"{settings.length_minutes} minutes", f"{settings.slide_minutes} minutes")
    counted = judged.groupBy(window.alias("window"), "category").agg(
        F.count("*").alias("count"),
        F.count_if(flag).alias("flagged_count"),
        F.sum("amount_minor").alias("amount_minor"),
        F.sum(F.when(flag, F.col("amount_minor")).otherwise(0)).alias("flagged_amount_minor"),
    )
    return _landing(
        counted,
        kind=F.lit(WINDOW),
        window_start_us=F.unix_micros("window.start"),
        window_end_us=F.unix_micros("window.end"),
        category=F.col("category"),
        count=F.col("count"),
        flagged_count=F.col("flagged_count"),
        amount_minor=F.col("amount_minor"),
        flagged_amount_minor=F.col("flagged_amount_minor"),
    )


def intake(checked: DataFrame, payload_bytes: int, rules: RuleSet) -> DataFrame:
    """One row a record: its partition and arrival; of a rejected one also offset, reason and first bytes.

    One that raises an alert has all of the alert's columns, any other one none of them.
    """
    rejected = F.col("reason").isNotNull()
    value = F.coalesce("value", F.lit(b""))
    masked = mask_card_numbers(F.substring(value, 1, payload_bytes + _BEYOND_BYTES))
    judged = verdict(rules)
    raised = {name: F.col(name) for name in _ALERT_FIELDS} | {
        "digest": _digest(),
        "event_time_us": F.unix_micros("event_time"),
        "score": judged.score,
        "rules": judged.rules,
    }
    alerting = ~rejected & judged.alert
    return _landing(
        checked,
        kind=F.lit(INTAKE),
        count=F.lit(1),
        partition=F.col("partition"),
        offset=F.when(rejected, F.col("offset")),
        reason=F.col("reason"),
        arrival_us=F.unix_micros("arrival"),
        payload=F.when(rejected, F.substring(masked, 1, payload_bytes)),
        payload_bytes=F.when(rejected, F.length(value)),
        **{name: F.when(alerting, column) for name, column in raised.items()},
    )


def flags(admitted: DataFrame, delay_seconds: int, horizon_seconds: int, rules: RuleSet) -> DataFrame:
    """One row a transaction that a rule matches by what its card did before, as often as it is judged so."""
    found = card_flags(admitted, F.unhex(_digest()), delay_seconds, horizon_seconds, rules)
    return _landing(found, kind=F.lit(FLAG), **{name: F.col(name) for name in found.columns})


def mask_card_numbers(payload: Column) -> Column:
    """Bytes with all but the first six and the last four digits of what may be a card's number as `*`.

    Byte by byte, so that it also holds for what is no UTF-8 at all.
    """
    text = F.decode(payload, "ISO-8859-1")
    return F.encode(F.regexp_replace(text, _CARD_NUMBER, "$1$2*"), "ISO-8859-1")


def whole_payloads(job: DetectorJob) -> int:
    """Of how many rows in each partition of the frame the payload is kept whole, by the room there is."""
    return max(
        1, _BATCH_PAYLOAD_BYTES // (job.dead_letters.payload_bytes + 1) // job.spark.shuffle_partitions
    )


def summarise(batch: DataFrame, whole: int) -> DataFrame:
    """A micro-batch with its admitted records added up per partition; everything else row by row.

    Copies that raise the same alert are added up as well.

    Of several records `arrival_us` is the oldest arrival, and `newest_arrival_us` the newest.
    Beyond the first `whole` rows of each partition payloads are cut short.
    One aggregation, one action: a second action would run the batch's stateful plan a second time.
    """
    keys = [name for name in _LANDING_COLUMNS if name not in ("count", "arrival_us")]
    added_up = batch.groupBy(*keys).agg(
        F.sum("count").alias("count"),
        F.min("arrival_us").alias("arrival_us"),
        F.max("arrival_us").alias("newest_arrival_us"),
    )
    place = F.monotonically_increasing_id().bitwiseAND(F.lit(_PLACE_BITS))
    brief = F.substring("payload", 1, _BRIEF_BYTES)
    payload = F.when(place < whole, F.col("payload")).otherwise(brief)
    return added_up.select(*_LANDING_COLUMNS, "newest_arrival_us").withColumn("payload", payload)


def _landing(frame: DataFrame, **columns: Column) -> DataFrame:
    return frame.select(
        *(columns.get(name, F.lit(None)).cast(kind).alias(name) for name, kind in _LANDING_COLUMNS.items())
    )
