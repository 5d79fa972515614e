"""Labels of fraud, with the time at which each becomes known: the lines of the topic `transactions.labels`.

Only fraud is reported, as with chargebacks; a transaction that nobody complains about has no label.
"""

import msgspec
import numpy as np

from fraudctl.events.codec import rfc3339
from fraudctl.simulator.batch import Batch, Names
from fraudctl.simulator.draws import Draws
from fraudctl.simulator.wire import transaction_ids

HOUR_MS = 3_600_000


class Label(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The label of one fraud; it must not be known before `reported_at`."""

    schema_version: int = 1
    transaction_id: str
    event_time: str
    card_id: str
    scenario: str
    reported_at: str


class Labels:
    """A source of labels for one simulation, batch after batch; the boundaries of batches do not matter."""

    def __init__(self, names: Names, delay_hours: tuple[float, float], seed: int) -> None:
        """Set up the labels of one simulation.

        Args:
            names: names that the numbers in the batches stand for.
            delay_hours: shortest and longest time from a transaction to its report, in hours.
            seed: seed of the delays.
        """
        self._names = names
        self._delay_ms = (delay_hours[0] * HOUR_MS, delay_hours[1] * HOUR_MS)
        self._draws = Draws(seed, "labels")

    def of(self, batch: Batch) -> list[tuple[int, Label]]:
        """Return the labels of this batch's fraud, each with the time of its report in ms since 1970."""
        fraud = batch.take(np.flatnonzero(batch.fraud))
        delay = self._draws.between(*self._delay_ms, len(fraud)).astype(np.int64)
        names = self._names
        return [
            (
                reported,
                Label(
                    transaction_id=transaction_id,
                    event_time=rfc3339(time),
                    card_id=names.cards[card],
                    scenario=names.scenarios[scenario],
                    reported_at=rfc3339(reported),
                ),
            )
            for transaction_id, time, card, scenario, reported in zip(
                transaction_ids(fraud),
                fraud.time_ms.tolist(),
                fraud.card.tolist(),
                fraud.scenario.tolist(),
                (fraud.time_ms + delay).tolist(),
                strict=True,
            )
        ]


def encode_label(label: Label) -> bytes:
    """Return a label as one JSON object, without a newline."""
    return msgspec.json.encode(label)
