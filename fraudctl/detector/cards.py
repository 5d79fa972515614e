"""State of cards: the past that rules with `card` look back into, and their evaluation.

`card_flags` keeps, for each partition, card and window of twice the look-back, the admitted transactions of
the window. In update mode a batch brings out the windows that it touched and no other, and each is evaluated
in its second half, whose past lies wholly inside; fraudctl/rules/model.py is the specification. A window is
forgotten once the watermark has passed its end, and an admitted record is never behind the watermark.

Copies stay in the state with each arrival of theirs, and are made one when a window is evaluated: to keep the
least arrival instead would take a second aggregation, and with it a second state.

What is kept does not depend on the rules, so they can change while the state stays. The evaluation itself is
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
    """Find the transactions that rules with `card` match, of all that the batch has to evaluate.

    Args:
        shared: every admitted record, copies too, with a watermark: digest, event_time, the rest as `event`.
        look_back_seconds: how far back the state reaches; no rule looks further.

    Returns:
        partition, card_id, digest (as hex), event_time_us, arrival_us (the first copy's in this partition),
        the transaction's other fields, and the verdict of all rules: `rules`, `score`, `alert`, `alone`.
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
    # Outer, or else the optimizer would evaluate it all a second time, to ask first whether there is any.
    found = windows.select("partition", "card_id", F.explode_outer(flags).alias("found"))
    return found.where(F.col("found").isNotNull()).select("partition", "card_id", "found.*")


def _evaluated(windows: DataFrame, entries: Column, half_us: Column, rules: RuleSet) -> Column:
    jvm: Any = windows.sparkSession._jvm
    return Column(jvm.fraudctl.CardFlags.column(entries._jc, half_us._jc, json.dumps(rules.document)))
