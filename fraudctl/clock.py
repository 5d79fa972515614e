"""Time budgets and stop requests, handed down from a command to whatever it waits for."""

import os
import select
import time
import weakref
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current time in UTC, with its time zone."""
    return datetime.now(UTC)


class Deadline:
    """A time budget on the monotonic clock, shared by every step of a command."""

    def __init__(self, seconds: float) -> None:
        """Start the budget.

        Args:
            seconds: the length of the budget.
        """
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Tell whether the budget is used up."""
        return self.remaining() <= 0.0


class StopFlag:
    """A flag that the first Ctrl-C or SIGTERM sets: loops check it, and waits end early because of it.

    A signal handler runs in the middle of whatever its thread does, also inside `wait`. An Event's `set`
    would then need a lock that the interrupted `wait` holds, and never get it. Hence the self-pipe of D. J.
    Bernstein: `set` takes no lock, and a waiting thread sees that there is something to read.
    """

    def __init__(self) -> None:
        """Open the pipe; no stop is requested yet."""
        self._asked = False
        self._read, self._write = os.pipe()
        weakref.finalize(self, _close, self._read, self._write).atexit = False

    def set(self) -> None:
        """Request a stop; further requests change nothing."""
        if not self._asked:
            self._asked = True
            os.write(self._write, b"!")

    @property
    def is_set(self) -> bool:
        """Tell whether a stop was requested."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`, or until a stop is requested; return whether it was."""
        select.select([self._read], [], [], max(0.0, seconds))
        return self._asked


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
