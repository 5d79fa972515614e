"""Time budgets and stop requests, handed down from a command to whatever it waits for."""

import threading
import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The wall clock, always with its zone."""
    return datetime.now(UTC)


class Deadline:
    """One monotonic budget of `seconds`, shared by every step of a command."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        return self.remaining() <= 0.0


class StopFlag:
    """Set once by the first Ctrl-C or SIGTERM; loops look at it, waits end early because of it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; True as soon as a stop was asked for."""
        return self._event.wait(seconds)
