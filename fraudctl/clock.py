"""Time budgets and stop requests, handed down from a command to whatever it waits for."""

import os
import select
import time
import weakref
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
    """Set once by the first Ctrl-C or SIGTERM; loops look at it, waits end early because of it.

    A signal handler runs in the middle of whatever its thread does, also inside `wait`: an Event's `set`
    would want a lock that the interrupted `wait` holds, and never get it. Hence the self-pipe of
    D. J. Bernstein: `set` takes no lock, and whatever waits sees that there is something to read.
    """

    def __init__(self) -> None:
        self._asked = False
        self._read, self._write = os.pipe()
        weakref.finalize(self, _close, self._read, self._write).atexit = False

    def set(self) -> None:
        if not self._asked:
            self._asked = True
            os.write(self._write, b"!")

    @property
    def is_set(self) -> bool:
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; True as soon as a stop was asked for."""
        select.select([self._read], [], [], max(0.0, seconds))
        return self._asked


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
