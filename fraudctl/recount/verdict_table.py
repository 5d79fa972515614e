"""Verdicts on many transactions at once: each combination of what the rules look at is evaluated once.

The rules themselves are evaluated by fraudctl/recount/judgement.py alone. Here transactions are put together
on which no rule can tell a difference.
"""

from collections.abc import Hashable, Iterator, Sequence
from itertools import repeat

import numpy as np
import numpy.typing as npt

from fraudctl.recount.canonical import Fields, transaction_of
from fraudctl.recount.instants import DAY_US, HOUR_US
from fraudctl.recount.judgement import Verdict, judge
from fraudctl.rules.forest import CHANNEL_IS
from fraudctl.rules.model import RuleSet, When

Integers = npt.NDArray[np.int64]
# So many combinations are remembered. A forest may tell far more apart than will ever come again.
_REMEMBERED = 50_000
_DAYS = 7


class VerdictTable:
    """The verdicts of one set of rules, without those that ask what the card did before."""

    def __init__(self, rules: RuleSet, currency: str) -> None:
        self._judge = judge(rules)
        self._currency = currency
        asked = [rule.when for rule in rules.enabled if not rule.when.looks_back_seconds]
        features = {name for when in asked if when.model is not None for name in when.model.forest.features}
        # An amount is told from another only when one of these lies at or above the one and below the other.
        self._borders = np.array(sorted({border for when in asked for border in _borders(when)}), np.int64)
        self._hour = "hour_utc" in features or any(when.hours_utc for when in asked)
        self._weekday = "weekday" in features or any(when.weekdays for when in asked)
        self._country = any(when.countries or when.not_countries for when in asked)
        self._channel = any(name.startswith(CHANNEL_IS) for name in features) or any(
            when.channels or when.not_channels for when in asked
        )
        self._known: dict[Hashable, Verdict] = {}

    def verdicts(
        self, fields: Sequence[Fields | tuple[bytes, ...]], event_us: Integers, amounts: Integers
    ) -> list[Verdict]:
        """Return the verdict on each of these transactions."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        known = self._known
        result: list[Verdict] = []
        for row, key in enumerate(self._keys(fields, event_us, amounts)):
            verdict = known.get(key)
            if verdict is None:
                transaction = transaction_of(fields[row], int(event_us[row]), self._currency)
                verdict = known[key] = self._judge(transaction)
            result.append(verdict)
        return result

    def _keys(
        self, fields: Sequence[Fields | tuple[bytes, ...]], event_us: Integers, amounts: Integers
    ) -> Iterator[Hashable]:
        """What the rules look at, of each transaction."""
        numbers = np.searchsorted(self._borders, amounts, side="left")
        if self._hour:
            numbers = numbers * 24 + event_us % DAY_US // HOUR_US
        if self._weekday:
            numbers = numbers * _DAYS + event_us // DAY_US % _DAYS
        categories = (one[4] for one in fields)
        countries = (one[6] for one in fields) if self._country else repeat(None)
        channels = (one[7] for one in fields) if self._channel else repeat(None)
        return zip(numbers.tolist(), categories, countries, channels)  # noqa: B905 - some repeat for ever


def _borders(when: When) -> Iterator[int]:
    """Amounts `a` such that a condition may tell `a` or less from `a + 1` or more."""
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
