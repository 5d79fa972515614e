"""Aggregates over a card's transactions shortly before each of its transactions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fraudctl.recount.parse import Transaction


class Past(NamedTuple):
    """Aggregates of one transaction and those before it within a rule's look-back; amounts in minor units.

    `since_previous_us`: the time since the previous one of these; None if there is none.
    """

    transactions: int
    amount_minor: int
    countries: int
    merchants: int
    since_previous_us: int | None


def pasts(history: Sequence[Transaction], span_us: int) -> Iterator[Past]:
    """Yield the past of each transaction of a card: itself and those less than `span_us` before it.

    `history`: distinct transactions of one card, in the order of (event time, digest).
    """
    countries: Counter[str] = Counter()
    merchants: Counter[str] = Counter()
    amount = first = 0
    for place, transaction in enumerate(history):
        amount += transaction.amount_minor
        countries[transaction.country] += 1
        merchants[transaction.merchant_id] += 1
        while history[first].event_us <= transaction.event_us - span_us:
            amount -= history[first].amount_minor
            _take(countries, history[first].country)
            _take(merchants, history[first].merchant_id)
            first += 1
        previous = history[place - 1].event_us if place > first else None
        yield Past(
            place - first + 1,
            amount,
            len(countries),
            len(merchants),
            None if previous is None else transaction.event_us - previous,
        )


def pasts_by_span(
    history: Sequence[Transaction], spans_us: Iterable[int]
) -> Iterator[tuple[Transaction, dict[int, Past]]]:
    """Yield each transaction of a card with its past over each of these spans."""
    spans = tuple(spans_us)
    runs = zip(*(pasts(history, span) for span in spans), strict=True)
    for transaction, found in zip(history, runs, strict=True):
        yield transaction, dict(zip(spans, found, strict=True))


def _take(names: Counter[str], name: str) -> None:
    names[name] -= 1
    if not names[name]:
        del names[name]
