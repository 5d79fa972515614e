"""Rules compiled to Spark: one boolean column, no Python worker."""

from functools import reduce
from operator import and_, or_

from pyspark.sql import Column
from pyspark.sql import functions as F

from fraudctl.rules.model import RuleSet, When


def flagged(rules: RuleSet) -> Column:
    """True where at least one rule matches the transaction; never null."""
    matches = [_holds(rule.when) for rule in rules.rules]
    return F.coalesce(reduce(or_, matches), F.lit(False)) if matches else F.lit(False)


def _holds(when: When) -> Column:
    conditions: list[Column] = []
    if isinstance(when.amount_over, int):
        conditions.append(F.col("amount_minor") > when.amount_over)
    elif when.amount_over is not None:
        by_category = [
            (F.col("category") == category) & (F.col("amount_minor") > limit)
            for category, limit in when.amount_over.items()
        ]
        conditions.append(reduce(or_, by_category, F.lit(False)))
    if when.hours_utc is not None:
        first, end = when.hours_utc
        # Arithmetic on the instant: hour() would depend on the session's time zone.
        hour = F.floor(F.unix_micros("event_time") / 3_600_000_000).cast("bigint") % 24
        after, before = hour >= first, hour < end
        conditions.append(after & before if first < end else after | before)
    for field, allowed in (
        ("category", when.categories),
        ("country", when.countries),
        ("channel", when.channels),
    ):
        if allowed is not None:
            conditions.append(F.col(field).isin(*allowed))
    return reduce(and_, conditions)
