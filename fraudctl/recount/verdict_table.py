"""Evaluate many transactions at once, each combination of the values that rules look at only once.

fraudctl/recount/judgement.py alone evaluates the rules. This module groups transactions that no rule can tell
apart.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from fraudctl.recount.canonical import Integers, transaction_of
from fraudctl.recount.instants import DAY_US, HOUR_US
from fraudctl.recount.judgement import Verdict, judge
from fraudctl.rules.forest import CHANNEL_IS
from fraudctl.rules.model import RuleSet, When

# The combinations that are cached. A forest may distinguish far more than will ever come again.
_REMEMBERED = 50_000
_DAYS = 7
# Upper limits: countries have two letters; channels, one for each cached combination, and a block.
_COUNTRIES = 26 * 26
_CHANNELS = 10 * _REMEMBERED
_KEY_MAX = 2**63 - 1


class VerdictTable:
    """A cache of the verdicts of one set of rules, without those that look at the card's past."""

    def __init__(self, rules: RuleSet, currency: str, categories: Sequence[str]) -> None:
        """Find out which values the rules look at.

        Args:
            rules: the set of rules.
            currency: the currency of all transactions.
            categories: the categories of the settings.
        """
        self._judge = judge(rules)
        self._currency = currency
        asked = [rule.when for rule in rules.enabled if not rule.when.looks_back_seconds]
        features = {name for when in asked if when.model is not None for name in when.model.forest.features}
        # Rules can tell two amounts a < b apart only if one of these limits x lies between: a <= x < b.
        self._borders = np.array(sorted({border for when in asked for border in _borders(when)}), np.int64)
        self._hour = "hour_utc" in features or any(when.hours_utc for when in asked)
        self._weekday = "weekday" in features or any(when.weekdays for when in asked)
        self._country = any(when.countries or when.not_countries for when in asked)
        self._channel = any(name.startswith(CHANNEL_IS) for name in features) or any(
            when.channels or when.not_channels for when in asked
        )
        self._categories = len(categories)
        # The numbers of the countries and channels seen so far, where a rule looks at them.
        self._countries: dict[bytes, int] = {}
        self._channels: dict[bytes, int] = {}
        combinations = (len(self._borders) + 1) * len(categories) * 24 * _DAYS * _COUNTRIES * _CHANNELS
        # Forests may look at so many amounts that a combination does not fit into a key.
        self._keyed = combinations <= _KEY_MAX
        self._known: dict[int, int] = {}
        self._verdicts: list[Verdict] = []

    def verdicts(
        self,
        fields: Sequence[tuple[bytes, ...]],
        event_us: Integers,
        amounts: Integers,
        categories: Integers,
    ) -> tuple[list[Verdict], Integers]:
        """Return the different verdicts on these transactions, and the index of each transaction's verdict.

        Args:
            fields: the fields of each transaction, as in `canonical.Fields`.
            event_us: event times in microseconds since 1970, shape (n,).
            amounts: amounts in minor units, shape (n,).
            categories: the index of each one's category in the settings, shape (n,).
        """
        if not self._keyed:
            rows = range(len(fields))
            return [self._evaluate(fields[row], event_us[row]) for row in rows], np.arange(len(fields))
        if len(self._known) > _REMEMBERED:
            self._countries, self._channels, self._known, self._verdicts = {}, {}, {}, []
        keys = self._keys(fields, event_us, amounts, categories)
        different, first, which = np.unique(keys, return_index=True, return_inverse=True)
        chosen: list[Verdict] = []
        for key, row in zip(different.tolist(), first.tolist(), strict=True):
            number = self._known.get(key)
            if number is None:
                number = self._known[key] = len(self._verdicts)
                self._verdicts.append(self._evaluate(fields[row], event_us[row]))
            chosen.append(self._verdicts[number])
        return chosen, which

    def _evaluate(self, fields: tuple[bytes, ...], event_us: np.int64) -> Verdict:
        return self._judge(transaction_of(fields, int(event_us), self._currency))

    def _keys(
        self,
        fields: Sequence[tuple[bytes, ...]],
        event_us: Integers,
        amounts: Integers,
        categories: Integers,
    ) -> Integers:
        """Return one number for each transaction, equal for those that no rule can tell apart."""
        keys = np.searchsorted(self._borders, amounts, side="left") * self._categories + categories
        if self._hour:
            keys = keys * 24 + event_us % DAY_US // HOUR_US
        if self._weekday:
            keys = keys * _DAYS + event_us // DAY_US % _DAYS
        if self._country:
            keys = keys * _COUNTRIES + _numbers(self._countries, [one[6] for one in fields])
        if self._channel:
            # Channels come last, for there may be any number of them.
            keys = keys * _CHANNELS + _numbers(self._channels, [one[7] for one in fields])
        return keys


def _numbers(known: dict[bytes, int], names: Sequence[bytes]) -> Integers:
    """Return the number of each name; a new one gets the next number."""
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)


def _borders(when: When) -> Iterator[int]:
    """Yield amounts `a` such that a condition may tell `a` or less from `a + 1` or more."""
    over, under = when.amount_over, when.amount_under
    for limit in over.values() if isinstance(over, dict) else [over]:
        if limit is not None:
            yield limit
    for limit in under.values() if isinstance(under, dict) else [under]:
        if limit is not None:
            yield limit - 1
    if when.model is not None:
        forest = when.model.forest
        for tree in forest.trees:
            for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
                if forest.features[feature] == "amount_minor":
                    yield threshold
