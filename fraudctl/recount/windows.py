"""Sliding windows, summed exactly.

A window is as long as a whole number of slides, so every transaction is first added to the one slide it
lies in; a window is then the sum of its slides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fraudctl.config.model import WindowsSettings
from fraudctl.recount.instants import MINUTE_US
from fraudctl.recount.parse import Transaction


class WindowKey(NamedTuple):
    start_us: int
    end_us: int
    category: str


@dataclass(frozen=True, slots=True)
class Totals:
    count: int
    flagged_count: int
    amount_minor: int
    flagged_amount_minor: int


class WindowSums:
    def __init__(self, settings: WindowsSettings) -> None:
        self._slide_us = settings.slide_minutes * MINUTE_US
        self._length_us = settings.length_minutes * MINUTE_US
        self._slides: dict[tuple[int, str], list[int]] = {}

    def add(self, transaction: Transaction, *, flagged: bool) -> None:
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
        """Take back what was said of a transaction that was added: whether it is flagged."""
        if before == now:
            return
        slide = transaction.event_us - transaction.event_us % self._slide_us
        sums = self._slides[slide, transaction.category]
        sign = 1 if now else -1
        sums[1] += sign
        sums[3] += sign * transaction.amount_minor

    def totals(self) -> dict[WindowKey, Totals]:
        """Every window that holds at least one transaction, in order."""
        windows: dict[WindowKey, list[int]] = {}
        for (slide, category), sums in self._slides.items():
            # The windows that hold this slide start at it, or up to one slide less than a length before it.
            for start in range(slide - self._length_us + self._slide_us, slide + 1, self._slide_us):
                window = windows.setdefault(WindowKey(start, start + self._length_us, category), [0, 0, 0, 0])
                for place, amount in enumerate(sums):
                    window[place] += amount
        return {key: Totals(*windows[key]) for key in sorted(windows)}
