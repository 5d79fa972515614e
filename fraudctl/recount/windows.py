"""Exact sums over sliding windows.

A window is as long as a whole number of slides, so every transaction is first added to the one slide that
contains it; a window is then the sum of its slides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fraudctl.config.model import WindowsSettings
from fraudctl.recount.instants import MINUTE_US
from fraudctl.recount.parse import Transaction


class WindowKey(NamedTuple):
    """The key of a window: start and end in microseconds since 1970, and the category."""

    start_us: int
    end_us: int
    category: str


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of a window: counts and amounts in minor units, of all transactions and of flagged ones."""

    count: int
    flagged_count: int
    amount_minor: int
    flagged_amount_minor: int


class WindowSums:
    """Sums of counted transactions, by slide and category."""

    def __init__(self, settings: WindowsSettings) -> None:
        """Start with no transactions; `settings` give the length and the slide of the windows."""
        self._slide_us = settings.slide_minutes * MINUTE_US
        self._length_us = settings.length_minutes * MINUTE_US
        self._slides: dict[tuple[int, str], list[int]] = {}

    def add(self, transaction: Transaction, *, flagged: bool) -> None:
        """Add a counted transaction to its slide."""
        slide = transaction.event_us - transaction.event_us % self._slide_us
        sums = self._slides.setdefault((slide, transaction.category), [0, 0, 0, 0])
        sums[0] += 1
        sums[2] += transaction.amount_minor
        if flagged:
            sums[1] += 1
            sums[3] += transaction.amount_minor

    def add_slide(self, number: int, category: str, sums: Sequence[int]) -> None:
        """Add the sums of one slide, by its number since 1970; columns as in `Totals`."""
        own = self._slides.setdefault((number * self._slide_us, category), [0, 0, 0, 0])
        for column, amount in enumerate(sums):
            own[column] += amount

    def judge_again(self, transaction: Transaction, *, before: bool, now: bool) -> None:
        """Correct whether a transaction that was added is flagged."""
        if before == now:
            return
        slide = transaction.event_us - transaction.event_us % self._slide_us
        sums = self._slides[slide, transaction.category]
        sign = 1 if now else -1
        sums[1] += sign
        sums[3] += sign * transaction.amount_minor

    def totals(self) -> dict[WindowKey, Totals]:
        """Return every window that holds at least one transaction, in order."""
        windows: dict[WindowKey, list[int]] = {}
        for (slide, category), sums in self._slides.items():
            # A window holds this slide if it starts with it, or at most (length - slide) before it.
            for start in range(slide - self._length_us + self._slide_us, slide + 1, self._slide_us):
                window = windows.setdefault(WindowKey(start, start + self._length_us, category), [0, 0, 0, 0])
                for place, amount in enumerate(sums):
                    window[place] += amount
        return {key: Totals(*windows[key]) for key in sorted(windows)}
