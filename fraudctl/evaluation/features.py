"""Features of a transaction that are known when it is made: its fields, and the past of card and merchant.

Source: Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi, 2022), chapter 3, "Baseline feature
transformation": night and weekend; for the card, the number and the mean amount of its transactions in the
last 1, 7 and 30 days, this one included; for the merchant, the number of its transactions in 1, 7 and 30 days
and the share of fraud among them, both as they were 7 days ago, since fraud becomes known no sooner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_MS = 86_400_000
WINDOW_DAYS = (1, 7, 30)
DELAY_DAYS = 7
NIGHT_HOURS = 6  # the hours 0 to 6 are night
_THURSDAY = 3  # 1970-01-01, when Monday is 0
_SATURDAY = 5

NAMES = (
    "amount",
    "weekend",
    "night",
    *(f"card_{what}_{days}d" for days in WINDOW_DAYS for what in ("count", "mean_amount")),
    *(f"merchant_{what}_{days}d" for days in WINDOW_DAYS for what in ("count", "risk")),
)


@dataclass(frozen=True)
class History:
    """Transactions in columns, in order of time; times in ms since 1970, amounts in minor units.

    `reported_ms` is when the label of a fraud became known, and 0 for genuine transactions.
    """

    time_ms: Ints
    card: Ints
    merchant: Ints
    amount_minor: Ints
    fraud: Bools
    reported_ms: Ints

    def __len__(self) -> int:
        """Return the number of transactions."""
        return len(self.time_ms)


def features(history: History) -> Floats:
    """Return one row per transaction, one column per name of NAMES, and nothing unknown at the row's time.

    A fraud that was reported later than 7 days after it counts as genuine in the merchant's share: when it
    became known depends on the time of asking, and it must not be known too early.
    """
    hours = history.time_ms // 3_600_000
    weekday = (hours // 24 + _THURSDAY) % 7
    amount = history.amount_minor / 100
    columns: list[Floats] = [
        amount,
        (weekday >= _SATURDAY).astype(np.float64),
        (hours % 24 <= NIGHT_HOURS).astype(np.float64),
    ]
    cards = _Past(history.card, history.time_ms)
    for days in WINDOW_DAYS:
        count, total = cards.sums(history.amount_minor, days * DAY_MS, 0)
        columns += [count, total / count / 100]
    merchants = _Past(history.merchant, history.time_ms)
    in_time = history.fraud & (history.reported_ms - history.time_ms <= DELAY_DAYS * DAY_MS)
    for days in WINDOW_DAYS:
        count, frauds = merchants.sums(in_time.astype(np.int64), days * DAY_MS, DELAY_DAYS * DAY_MS)
        columns += [count, np.divide(frauds, count, out=np.zeros_like(frauds), where=count > 0)]
    return np.column_stack(columns)


class _Past:
    """Sums over the transactions of the same card or merchant up to a time."""

    def __init__(self, owner: Ints, time_ms: Ints) -> None:
        self._span = int(time_ms.max() - time_ms.min()) + 1 if len(time_ms) else 1
        # One number that sorts by owner, then by time; two owners are further apart than any window.
        self._apart = 4 * self._span + 200 * DAY_MS
        self._place = owner * self._apart + (time_ms - (time_ms.min() if len(time_ms) else 0))
        self._order = np.argsort(self._place, kind="stable")
        self._sorted = self._place[self._order]

    def sums(self, values: Ints, window_ms: int, delay_ms: int) -> tuple[Floats, Floats]:
        """Return the number of rows in (t - delay - window, t - delay], and the sum of their values.

        The sums are of integers: a running sum of fractions would carry the rounding errors of unrelated
        rows.
        """
        running = np.concatenate([[0], np.cumsum(values[self._order])])
        end = np.searchsorted(self._sorted, self._place - delay_ms, side="right")
        begin = np.searchsorted(self._sorted, self._place - delay_ms - window_ms, side="right")
        return (end - begin).astype(np.float64), (running[end] - running[begin]).astype(np.float64)
