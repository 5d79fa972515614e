"""What the rules say of a transaction."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fraudctl.recount.instants import DAY_US, hour_of_day
from fraudctl.recount.parse import Transaction
from fraudctl.rules.model import SCORE_MAX, WEEKDAYS, Rule, RuleSet, When

Condition = Callable[[Transaction], bool]
# 1970-01-01 was a Thursday.
_FIRST_WEEKDAY = WEEKDAYS.index("thu")


class Verdict(NamedTuple):
    """Ids of the rules that match, in the order of the set; the score in points, 0 to 100."""

    rules: tuple[str, ...]
    score: int
    alert: bool

    @property
    def flagged(self) -> bool:
        return bool(self.rules)


Judge = Callable[[Transaction], Verdict]
INNOCENT = Verdict((), 0, False)


def judge(rules: RuleSet) -> Judge:
    """A function that gives the verdict of these rules."""
    compiled = [(rule, list(_conditions(rule.when))) for rule in rules.rules if rule.enabled]
    threshold = SCORE_MAX + 1 if rules.alert_score is None else rules.alert_score

    def verdict(transaction: Transaction) -> Verdict:
        matching: list[Rule] = []
        for rule, conditions in compiled:
            for holds in conditions:
                if not holds(transaction):
                    break
            else:
                matching.append(rule)
        if not matching:
            return INNOCENT
        score = min(SCORE_MAX, sum(rule.weight for rule in matching))
        alert = score >= threshold or any(rule.action == "alert" for rule in matching)
        return Verdict(tuple(rule.id for rule in matching), score, alert)

    return verdict


def _conditions(when: When) -> Iterator[Condition]:
    if when.amount_over is not None:
        yield _amount_over(when.amount_over)
    if when.amount_under is not None:
        yield _amount_under(when.amount_under)
    if when.hours_utc is not None:
        yield _hours_utc(*when.hours_utc)
    if when.weekdays is not None:
        yield _weekdays(frozenset(WEEKDAYS.index(day) for day in when.weekdays))
    if when.categories is not None:
        categories = frozenset(when.categories)
        yield lambda transaction: transaction.category in categories
    if when.not_categories is not None:
        other_categories = frozenset(when.not_categories)
        yield lambda transaction: transaction.category not in other_categories
    if when.countries is not None:
        countries = frozenset(when.countries)
        yield lambda transaction: transaction.country in countries
    if when.not_countries is not None:
        other_countries = frozenset(when.not_countries)
        yield lambda transaction: transaction.country not in other_countries
    if when.channels is not None:
        channels = frozenset(when.channels)
        yield lambda transaction: transaction.channel in channels
    if when.not_channels is not None:
        other_channels = frozenset(when.not_channels)
        yield lambda transaction: transaction.channel not in other_channels


def _amount_over(limit: int | dict[str, int]) -> Condition:
    if isinstance(limit, int):
        return lambda transaction: transaction.amount_minor > limit

    def over(transaction: Transaction) -> bool:
        own = limit.get(transaction.category)
        return own is not None and transaction.amount_minor > own

    return over


def _amount_under(limit: int | dict[str, int]) -> Condition:
    if isinstance(limit, int):
        return lambda transaction: transaction.amount_minor < limit
    # An amount is never below zero, so a category without a limit has one that nothing is under.
    return lambda transaction: transaction.amount_minor < limit.get(transaction.category, 0)


def _hours_utc(start: int, end: int) -> Condition:
    """From `start` up to but not at `end`; past midnight when `start` is the later of the two."""
    if start < end:
        return lambda transaction: start <= hour_of_day(transaction.event_us) < end

    def around_midnight(transaction: Transaction) -> bool:
        hour = hour_of_day(transaction.event_us)
        return hour >= start or hour < end

    return around_midnight


def _weekdays(days: frozenset[int]) -> Condition:
    return lambda transaction: (transaction.event_us // DAY_US + _FIRST_WEEKDAY) % 7 in days
