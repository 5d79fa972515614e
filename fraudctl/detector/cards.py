"""State of cards: the past that rules with `card` look back at, and the evaluation of these rules.

For each partition, card and window of twice the look-back, `card_flags` keeps the admitted transactions of
the window. In update mode a batch outputs exactly the windows that it touched. Each is evaluated in its
second half, whose past lies entirely inside the window; fraudctl/rules/model.py is the specification. A
window is dropped once the watermark has passed its end, and an admitted record is never behind the watermark.

The state keeps every copy of a transaction with its arrival, and copies are merged when a window is
evaluated. Keeping only the earliest arrival would need a second aggregation, and with it a second state.

The state does not depend on the rules, so they can change while it stays. The evaluation itself is in
fraudctl/detector/jvm/CardFlags.scala.
"""

import json
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fraudctl.rules.model import RuleSet

_SECOND_US = 1_000_000
_KEPT = ("transaction_id", "merchant_id", "category", "amount_minor", "currency", "country", "channel")


def card_flags(shared: DataFrame, look_back_seconds: int, rules: RuleSet) -> DataFrame:
    """Find the transactions that rules with `card` match, among all that the batch has to evaluate.

    Args:
        shared: every admitted record, copies included, with a watermark: digest, event_time, and the rest as
            `event`.
        look_back_seconds: look-back of the state; no rule looks back further.
        rules: the rules that evaluate the batch.

    Returns:
        partition, card_id, digest (as hex), event_time_us, arrival_us (of the first copy in this partition),
        the transaction's other fields, and the result of all rules: `rules`, `score`, `alert`, `alone`.
    """
    entry = F.struct(
        F.unix_micros("event_time").alias("event_time_us"),
        "digest",
        "event.arrival_us",
        *(f"event.{name}" for name in _KEPT),
    )
    window = F.window("event_time", f"{2 * look_back_seconds} seconds", f"{look_back_seconds} seconds")
    windows = (
        shared.select("event_time", "event.partition", "event.card_id", entry.alias("entry"))
        .groupBy("partition", "card_id", window.alias("window"))
        .agg(F.collect_set("entry").alias("entries"))
    )
    half_us = F.unix_micros("window.start") + look_back_seconds * _SECOND_US
    flags = _evaluated(windows, F.col("entries"), half_us, rules)
    # Outer: otherwise the optimizer evaluates everything twice, once to test whether there is any row.
    found = windows.select("partition", "card_id", F.explode_outer(flags).alias("found"))
    return found.where(F.col("found").isNotNull()).select("partition", "card_id", "found.*")


def _evaluated(windows: DataFrame, entries: Column, half_us: Column, rules: RuleSet) -> Column:
    jvm: Any = windows.sparkSession._jvm
    return Column(jvm.fraudctl.CardFlags.column(entries._jc, half_us._jc, json.dumps(rules.document)))
