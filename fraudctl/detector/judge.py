"""Rules compiled to Spark: columns of plain expressions; a Python worker only where a rule has a `model`."""

from collections.abc import Mapping
from functools import reduce
from operator import add, and_, or_
from types import MappingProxyType
from typing import NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

from fraudctl.detector.forest import exceeds, hours_of, vector
from fraudctl.rules.model import SCORE_MAX, WEEKDAYS, Rule, RuleSet, When

# 1970-01-01 was a Thursday.
_FIRST_WEEKDAY = WEEKDAYS.index("thu")


class Verdict(NamedTuple):
    """What the rules say of a transaction; none of the columns is ever null.

    `rules`: ids of those that match, separated by commas; `score`: 0 to 100; `flagged`, `alert`: booleans.
    `by_card`: a rule that looks back matches; `alone`: and no other one does.
    """

    flagged: Column
    rules: Column
    score: Column
    alert: Column
    by_card: Column
    alone: Column


def verdict(rules: RuleSet, held: Mapping[str, Column] = MappingProxyType({})) -> Verdict:
    """The judgement of these rules as columns over the fields of an admitted transaction.

    Args:
        held: whether the conditions on the card hold, by rule. Of a rule that looks back and that it does
            not name a transaction by itself says nothing: such a rule is left out.
    """
    asked = [rule for rule in rules.enabled if not rule.when.looks_back_seconds or rule.id in held]
    enabled = [(rule, F.coalesce(_holds(rule, held), F.lit(False))) for rule in asked]
    nothing = F.lit(False)
    score = F.least(
        F.lit(SCORE_MAX),
        reduce(add, (F.when(holds, rule.weight).otherwise(0) for rule, holds in enabled), F.lit(0)),
    )
    alert = reduce(or_, (holds for rule, holds in enabled if rule.action == "alert"), nothing)
    if rules.alert_score is not None:
        alert = alert | (score >= rules.alert_score)
    by_itself = reduce(or_, (holds for rule, holds in enabled if rule.id not in held), nothing)
    by_card = reduce(or_, (holds for rule, holds in enabled if rule.id in held), nothing)
    return Verdict(
        flagged=reduce(or_, (holds for _rule, holds in enabled), nothing),
        rules=F.concat_ws(",", *(F.when(holds, F.lit(rule.id)) for rule, holds in enabled)),
        score=score,
        alert=alert,
        by_card=by_card,
        alone=by_card & ~by_itself,
    )


def _holds(rule: Rule, held: Mapping[str, Column]) -> Column:
    conditions = _conditions(rule.when)
    if rule.when.looks_back_seconds:
        conditions.append(held[rule.id])
    return reduce(and_, conditions)


def _conditions(when: When) -> list[Column]:
    conditions: list[Column] = []
    if when.amount_over is not None:
        conditions.append(F.col("amount_minor") > _limit(when.amount_over))
    if when.amount_under is not None:
        conditions.append(F.col("amount_minor") < _limit(when.amount_under))
    event_time_us = F.unix_micros("event_time")
    hours = hours_of(event_time_us)
    if when.hours_utc is not None:
        first, end = when.hours_utc
        after, before = hours % 24 >= first, hours % 24 < end
        conditions.append(after & before if first < end else after | before)
    if when.weekdays is not None:
        day = (F.floor(hours / 24).cast("bigint") + _FIRST_WEEKDAY) % 7
        conditions.append(day.isin(*(WEEKDAYS.index(name) for name in when.weekdays)))
    for field, names, others in (
        ("category", when.categories, when.not_categories),
        ("country", when.countries, when.not_countries),
        ("channel", when.channels, when.not_channels),
    ):
        if names is not None:
            conditions.append(F.col(field).isin(*names))
        if others is not None:
            conditions.append(~F.col(field).isin(*others))
    if when.model is not None and not when.model.forest.looks_back_seconds:
        conditions.append(exceeds(when.model, vector(when.model.forest, F.col, event_time_us)))
    return conditions


def _limit(limit: int | dict[str, int]) -> Column:
    """The amount to compare with; null, which no comparison holds for, where there is none."""
    if isinstance(limit, int):
        return F.lit(limit)
    own = F.lit(None).cast("bigint")
    for category, amount in limit.items():
        own = F.when(F.col("category") == category, amount).otherwise(own)
    return own
