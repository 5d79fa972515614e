"""Score transactions with a trained forest, node by node in plain Python."""

from collections.abc import Callable, Sequence

from fraudctl.recount.instants import DAY_US, hour_of_day
from fraudctl.recount.parse import Transaction
from fraudctl.recount.past import Past
from fraudctl.rules.forest import CATEGORY_IS, CHANNEL_IS, Forest

_SECOND_US = 1_000_000
# 1970-01-01 was a Thursday, and Monday is 0.
_FIRST_WEEKDAY = 3
# A feature of a transaction, and of its past where the forest looks back.
Feature = Callable[[Transaction, Past | None], int]


def scorer(forest: Forest) -> Callable[[Transaction, Past | None], int]:
    """Return a function that gives the score in millionths, as fraudctl/rules/forest.py defines it."""
    vector = vectors(forest.features, forest.looks_back_seconds)
    trees = [
        (list(zip(tree.feature, tree.threshold, tree.left, tree.right, strict=True)), tree.value)
        for tree in forest.trees
    ]

    def score(transaction: Transaction, past: Past | None) -> int:
        row = vector(transaction, past)
        total = 0
        for nodes, values in trees:
            node = -1
            following = 0
            while following != node:
                node = following
                feature, threshold, left, right = nodes[node]
                following = left if row[feature] <= threshold else right
            total += values[node]
        return total // len(trees)

    return score


def vectors(names: Sequence[str], looks_back_seconds: int) -> Callable[[Transaction, Past | None], list[int]]:
    """Return a function that gives these features of a transaction, in this order."""
    features = [_feature(name, looks_back_seconds) for name in names]
    return lambda transaction, past: [feature(transaction, past) for feature in features]


def _feature(name: str, looks_back_seconds: int) -> Feature:
    if name.startswith(CATEGORY_IS):
        category = name.removeprefix(CATEGORY_IS)
        return lambda transaction, _past: int(transaction.category == category)
    if name.startswith(CHANNEL_IS):
        channel = name.removeprefix(CHANNEL_IS)
        return lambda transaction, _past: int(transaction.channel == channel)
    if name == "card_since_previous_seconds":
        return lambda _transaction, past: _since_previous(_known(past), looks_back_seconds)
    return _FEATURES[name]


_FEATURES: dict[str, Feature] = {
    "amount_minor": lambda transaction, _past: transaction.amount_minor,
    "hour_utc": lambda transaction, _past: hour_of_day(transaction.event_us),
    "weekday": lambda transaction, _past: (transaction.event_us // DAY_US + _FIRST_WEEKDAY) % 7,
    "card_count": lambda _transaction, past: _known(past).transactions,
    "card_sum_minor": lambda _transaction, past: _known(past).amount_minor,
    "card_countries": lambda _transaction, past: _known(past).countries,
    "card_merchants": lambda _transaction, past: _known(past).merchants,
}


def _since_previous(past: Past, otherwise: int) -> int:
    return otherwise if past.since_previous_us is None else past.since_previous_us // _SECOND_US


def _known(past: Past | None) -> Past:
    assert past is not None, "a forest that asks for a past is given one"
    return past
