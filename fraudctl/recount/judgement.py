"""Whether the rules flag a transaction."""

from collections.abc import Callable, Iterable

from fraudctl.recount.instants import hour_of_day
from fraudctl.recount.parse import Transaction
from fraudctl.rules.model import RuleSet, When

Condition = Callable[[Transaction], bool]


def judge(rules: RuleSet) -> Condition:
    """A function that says whether at least one rule matches."""
    matches = [list(_conditions(rule.when)) for rule in rules.rules]

    def flagged(transaction: Transaction) -> bool:
        return any(all(holds(transaction) for holds in conditions) for conditions in matches)

    return flagged


def _conditions(when: When) -> Iterable[Condition]:
    if when.amount_over is not None:
        yield _amount_over(when.amount_over)
    if when.hours_utc is not None:
        yield _hours_utc(*when.hours_utc)
    if when.categories is not None:
        categories = frozenset(when.categories)
        yield lambda transaction: transaction.category in categories
    if when.countries is not None:
        countries = frozenset(when.countries)
        yield lambda transaction: transaction.country in countries
    if when.channels is not None:
        channels = frozenset(when.channels)
        yield lambda transaction: transaction.channel in channels


def _amount_over(limit: int | dict[str, int]) -> Condition:
    if isinstance(limit, int):
        return lambda transaction: transaction.amount_minor > limit

    def over(transaction: Transaction) -> bool:
        own = limit.get(transaction.category)
        return own is not None and transaction.amount_minor > own

    return over


def _hours_utc(start: int, end: int) -> Condition:
    """From `start` up to but not at `end`; past midnight when `start` is the later of the two."""
    if start < end:
        return lambda transaction: start <= hour_of_day(transaction.event_us) < end

    def around_midnight(transaction: Transaction) -> bool:
        hour = hour_of_day(transaction.event_us)
        return hour >= start or hour < end

    return around_midnight
