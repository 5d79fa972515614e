"""Evaluate rules on a transaction, by itself or together with its card's past."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fraudctl.recount.forest import scorer
from fraudctl.recount.instants import DAY_US, MINUTE_US, hour_of_day
from fraudctl.recount.parse import Transaction
from fraudctl.recount.past import Past
from fraudctl.rules.model import SCORE_MAX, WEEKDAYS, Card, Rule, RuleSet, Scored, When

Condition = Callable[[Transaction], bool]
CardCondition = Callable[[Transaction, Past], bool]
# Rules give a forest's score in hundredths, the forest in millionths.
_HUNDREDTH = 10_000
# 1970-01-01 was a Thursday.
_FIRST_WEEKDAY = WEEKDAYS.index("thu")


class Verdict(NamedTuple):
    """The result of rules on a transaction.

    `rules`: ids of the rules that match, in the order of the set; `score`: points, 0 to 100.
    """

    rules: tuple[str, ...]
    score: int
    alert: bool

    @property
    def flagged(self) -> bool:
        """Return whether any rule matches."""
        return bool(self.rules)


class CardVerdict(NamedTuple):
    """A verdict on a transaction and its past; `by_card`: a rule on the card's past matches.

    `alone`: no rule matches that looks only at the transaction itself.
    """

    verdict: Verdict
    by_card: bool
    alone: bool


Judge = Callable[[Transaction], Verdict]
# The past over each of the spans that the rules look back, by the span in microseconds.
Pasts = Mapping[int, Past]
INNOCENT = Verdict((), 0, False)


def judge(rules: RuleSet) -> Judge:
    """Return a function that evaluates the rules, without those that look at the card's past."""
    compiled = [(rule, list(_conditions(rule.when))) for rule in _asking_itself(rules)]

    def verdict(transaction: Transaction) -> Verdict:
        matching: list[Rule] = []
        for rule, conditions in compiled:
            for holds in conditions:
                if not holds(transaction):
                    break
            else:
                matching.append(rule)
        return _verdict(rules, matching)

    return verdict


class CardJudge:
    """An evaluator of all rules, including those on a card's past."""

    def __init__(self, rules: RuleSet) -> None:
        """Compile the rules that are enabled."""
        self._rules = rules
        self._compiled = [
            (rule, list(_conditions(rule.when)), _card_conditions(rule.when)) for rule in rules.enabled
        ]
        # The distinct look-backs of the rules in microseconds; empty if no rule looks back.
        self.spans_us: Sequence[int] = sorted({span for _, _, (span, _) in self._compiled if span})

    def __call__(self, transaction: Transaction, pasts: Pasts) -> CardVerdict:
        """Return the verdict on a transaction, with its past over each of `spans_us`."""
        matching = [
            (rule, span)
            for rule, conditions, (span, past_conditions) in self._compiled
            if all(holds(transaction) for holds in conditions)
            and all(holds(transaction, pasts[span]) for holds in past_conditions)
        ]
        return CardVerdict(
            _verdict(self._rules, [rule for rule, _ in matching]),
            by_card=any(span for _, span in matching),
            alone=all(span for _, span in matching),
        )


def _asking_itself(rules: RuleSet) -> list[Rule]:
    """Return the rules that do not look back at the card's past."""
    return [rule for rule in rules.enabled if not rule.when.looks_back_seconds]


def _verdict(rules: RuleSet, matching: Sequence[Rule]) -> Verdict:
    if not matching:
        return INNOCENT
    threshold = SCORE_MAX + 1 if rules.alert_score is None else rules.alert_score
    score = min(SCORE_MAX, sum(rule.weight for rule in matching))
    alert = score >= threshold or any(rule.action == "alert" for rule in matching)
    return Verdict(tuple(rule.id for rule in matching), score, alert)


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
    if when.model is not None and when.model.forest.within_minutes is None:
        scored = _scored(when.model)
        yield lambda transaction: scored(transaction, None)


def _card_conditions(when: When) -> tuple[int, Sequence[CardCondition]]:
    """Return the look-back in microseconds and the conditions on that past; (0, ()) without conditions."""
    if when.card is not None:
        return when.card.within_minutes * MINUTE_US, list(_past_conditions(when.card))
    if when.model is not None and when.model.forest.within_minutes is not None:
        return when.model.forest.within_minutes * MINUTE_US, [_scored(when.model)]
    return 0, ()


def _past_conditions(card: Card) -> Iterator[CardCondition]:
    if (count := card.count_over) is not None:
        yield lambda _, past: past.transactions > count
    if (amount := card.sum_over) is not None:
        yield lambda _, past: past.amount_minor > amount
    if (countries := card.countries_over) is not None:
        yield lambda _, past: past.countries > countries
    if (merchants := card.merchants_over) is not None:
        yield lambda _, past: past.merchants > merchants
    if card.since_previous_under_seconds is not None:
        limit_us = card.since_previous_under_seconds * 1_000_000
        yield lambda _, past: past.since_previous_us is not None and past.since_previous_us < limit_us


def _scored(model: Scored) -> Callable[[Transaction, Past | None], bool]:
    score, limit = scorer(model.forest), model.score_over * _HUNDREDTH
    return lambda transaction, past: score(transaction, past) > limit


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
    # No amount is below zero, so a category without a limit never matches.
    return lambda transaction: transaction.amount_minor < limit.get(transaction.category, 0)


def _hours_utc(start: int, end: int) -> Condition:
    """Return a condition for the hours from `start` to before `end`, across midnight if `end` is earlier."""
    if start < end:
        return lambda transaction: start <= hour_of_day(transaction.event_us) < end

    def around_midnight(transaction: Transaction) -> bool:
        hour = hour_of_day(transaction.event_us)
        return hour >= start or hour < end

    return around_midnight


def _weekdays(days: frozenset[int]) -> Condition:
    return lambda transaction: (transaction.event_us // DAY_US + _FIRST_WEEKDAY) % 7 in days
