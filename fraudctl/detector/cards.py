"""What cards did before: the state that rules with `card` look back into, and their judgement.

`card_flags` keeps, for each partition, card and window of twice the horizon, the admitted transactions of
the window. In update mode a batch brings out the windows that it touched and no other, and each is judged in
its second half, whose past lies wholly inside; fraudctl/rules/model.py is the specification. A window is
forgotten once the watermark has passed its end, and an admitted record is never behind the watermark.

Copies stay in the state with each arrival of theirs, and are made one when a window is judged: to keep the
least arrival instead would take a second aggregation, and with it a second state.

What is kept does not depend on the rules, so they can change while the state stays. All of it is done by
expressions inside the JVM, but for the scores of trained models. Each transaction looks through its own
past, so the work for a card and a window grows with the square of its transactions.
"""

from collections.abc import Callable
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fraudctl.detector.forest import exceeds, past_features, vector
from fraudctl.detector.judge import verdict
from fraudctl.rules.model import Card, Rule, RuleSet, Scored

_SECOND_US = 1_000_000
_KEPT = ("transaction_id", "merchant_id", "category", "amount_minor", "currency", "country", "channel")


def card_flags(
    admitted: DataFrame, digest: Column, delay_seconds: int, horizon_seconds: int, rules: RuleSet
) -> DataFrame:
    """The transactions that rules with `card` match, of all that the batch has to judge on their card.

    Args:
        admitted: every admitted record, copies too.
        digest: names a transaction, as bytes.
        delay_seconds: the watermark's delay, the same as everywhere in the query.
        horizon_seconds: how far back the state reaches; no rule looks further.

    Returns:
        partition, card_id, digest (as hex), event_time_us, arrival_us (the first copy's in this partition),
        the transaction's other fields, and the verdict of all rules: `rules`, `score`, `alert`, `alone`.
    """
    # Sorted by its first fields this is the order of the past, and of copies the first to arrive comes first.
    entry = F.struct(
        F.unix_micros("event_time").alias("event_time_us"),
        digest.alias("digest"),
        F.unix_micros("arrival").alias("arrival_us"),
        *_KEPT,
    )
    window = F.window("event_time", f"{2 * horizon_seconds} seconds", f"{horizon_seconds} seconds")
    windows = (
        admitted.select("event_time", "partition", "card_id", entry.alias("entry"))
        .withWatermark("event_time", f"{delay_seconds} seconds")
        .groupBy("partition", "card_id", window.alias("window"))
        .agg(F.collect_set("entry").alias("entries"))
    )
    half_us = F.unix_micros("window.start") + horizon_seconds * _SECOND_US
    suspects = _suspects(F.col("entries"), half_us, rules)
    # Outer, or else the optimizer would evaluate it all a second time, to ask first whether there is any.
    found = windows.select("partition", "card_id", F.explode_outer(suspects).alias("found"))
    flat = (
        found.where(F.col("found").isNotNull())
        .select("partition", "card_id", "found.*")
        .withColumn("event_time", F.timestamp_micros("event_time_us"))
    )
    held = {rule.id: F.get("held", F.lit(place)) for place, (rule, _card) in enumerate(_carded(rules))}
    for place, (rule, model) in enumerate(_scored(rules)):
        flat = flat.withColumn(f"model_{place}", exceeds(model, F.get("features", F.lit(place))))
        held[rule.id] = F.col(f"model_{place}")
    judged = verdict(rules, held)
    return flat.where(judged.by_card).select(
        "partition",
        "card_id",
        F.lower(F.hex("digest")).alias("digest"),
        "event_time_us",
        "arrival_us",
        *_KEPT,
        judged.rules.alias("rules"),
        judged.score.alias("score"),
        judged.alert.alias("alert"),
        judged.alone.alias("alone"),
    )


def _carded(rules: RuleSet) -> list[tuple[Rule, Card]]:
    return [(rule, rule.when.card) for rule in rules.enabled if rule.when.card is not None]


def _scored(rules: RuleSet) -> list[tuple[Rule, Scored]]:
    """Those whose models look back; what other models say is a condition on the transaction itself."""
    models = [(rule, rule.when.model) for rule in rules.enabled if rule.when.model is not None]
    return [(rule, model) for rule, model in models if model.forest.looks_back_seconds]


def _suspects(entries: Column, half_us: Column, rules: RuleSet) -> Column:
    """The transactions of a window's second half for which the `card` of some rule holds.

    All of them where models look back, as these are asked afterwards. An array of entries with two more
    fields: `held`, of each rule with `card`, in their order, whether it holds; `features` of each model.
    """
    cards = [card for _rule, card in _carded(rules)]
    models = [model for _rule, model in _scored(rules)]

    def judged(history: Column) -> Column:
        def one(entry: Column, place: Column) -> Column:
            until = F.slice(history, F.lit(1), place + 1)
            held = F.array(*(_holds(card, entry, until) for card in cards)).cast("array<boolean>")
            features = F.array(*(_features(model, entry, until) for model in models))
            marked = entry.withField("held", held).withField(
                "features", features.cast("array<array<bigint>>")
            )
            return F.when(entry["event_time_us"] >= half_us, marked)

        return F.transform(history, one)

    def suspicious(entry: Column) -> Column:
        return (
            entry.isNotNull() if models else F.coalesce(F.array_contains(entry["held"], True), F.lit(False))
        )

    return F.filter(_let(_let(F.sort_array(entries), _without_copies), judged), suspicious)


def _without_copies(ordered: Column) -> Column:
    def first(entry: Column, place: Column) -> Column:
        return (place == 0) | (entry["digest"] != F.get(ordered, place - 1)["digest"])

    return F.filter(ordered, first)


def _holds(card: Card, entry: Column, until: Column) -> Column:
    """`until`: the history of the card up to this entry, which is its last."""

    def holds(past: Column) -> Column:
        conditions: list[Column] = []
        if card.count_over is not None:
            conditions.append(F.size(past) > card.count_over)
        if card.since_previous_under_seconds is not None:
            previous_us = F.get(past, F.size(past) - 2)["event_time_us"]
            gap_us = entry["event_time_us"] - previous_us
            conditions.append(gap_us < card.since_previous_under_seconds * _SECOND_US)
        if card.sum_over is not None:
            amounts = F.transform(past, lambda each: each["amount_minor"])
            total = F.aggregate(amounts, F.lit(0).cast("bigint"), lambda total, amount: total + amount)
            conditions.append(total > card.sum_over)
        for field, limit in (("country", card.countries_over), ("merchant_id", card.merchants_over)):
            if limit is not None:
                conditions.append(F.size(_distinct(past, field)) > limit)
        return F.coalesce(reduce(and_, conditions), F.lit(False))

    return _let(_past(entry, until, card.within_seconds), holds)


def _features(model: Scored, entry: Column, until: Column) -> Column:
    seconds = model.forest.looks_back_seconds

    def features(past: Column) -> Column:
        found = past_features(entry, past, seconds)
        return vector(model.forest, lambda name: entry[name], entry["event_time_us"], found)

    return _let(_past(entry, until, seconds), features)


def _past(entry: Column, until: Column, seconds: int) -> Column:
    since_us = entry["event_time_us"] - seconds * _SECOND_US
    return F.filter(until, lambda each: each["event_time_us"] > since_us)


def _distinct(past: Column, field: str) -> Column:
    return F.array_distinct(F.transform(past, lambda each: each[field]))


def _let(value: Column, use: Callable[[Column], Column]) -> Column:
    """`use(value)` with the value computed once: inside a lambda an expression is evaluated each time."""
    return F.get(F.transform(F.array(value), use), F.lit(0))
