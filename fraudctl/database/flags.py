"""Write the matches of rules that look back at a card to the table fraud_flags."""

from collections.abc import Sequence
from dataclasses import dataclass

from fraudctl.database.connection import Connection
from fraudctl.database.instants import instant
from fraudctl.database.statements import statement

_AT_ONCE = 10_000


@dataclass(frozen=True, order=True)
class Flag:
    """One transaction of a partition that a rule with a look-back matches; amounts are in minor units.

    `rules` holds the ids of all rules that match, joined by commas. `alone` means that all of them look back
    at the card. `arrival_us` is the arrival of the first copy that this partition has brought so far.
    """

    partition: int
    digest: str
    transaction_id: str
    card_id: str
    merchant_id: str
    event_time_us: int
    category: str
    amount_minor: int
    currency: str
    country: str
    channel: str
    arrival_us: int
    score: int
    rules: str
    alone: bool


def put(
    connection: Connection, flags: Sequence[Flag], *, query_id: str, batch_id: int, rule_set: str | None
) -> None:
    """Insert the flags; a flag replaces an older row with the same partition and digest."""
    for first in range(0, len(flags), _AT_ONCE):
        part = flags[first : first + _AT_ONCE]
        connection.execute(
            statement("flags_put"),
            {
                "query_id": query_id,
                "batch_id": batch_id,
                "rule_set": rule_set,
                "partitions": [flag.partition for flag in part],
                "digests": [flag.digest for flag in part],
                "transactions": [flag.transaction_id for flag in part],
                "cards": [flag.card_id for flag in part],
                "merchants": [flag.merchant_id for flag in part],
                "event_times": [instant(flag.event_time_us) for flag in part],
                "categories": [flag.category for flag in part],
                "amounts": [flag.amount_minor for flag in part],
                "currencies": [flag.currency for flag in part],
                "countries": [flag.country for flag in part],
                "channels": [flag.channel for flag in part],
                "arrivals": [instant(flag.arrival_us) for flag in part],
                "scores": [flag.score for flag in part],
                "rules": [flag.rules for flag in part],
                "alone": [flag.alone for flag in part],
            },
        )
