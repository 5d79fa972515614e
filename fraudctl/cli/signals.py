"""Ctrl-C or SIGTERM once: finish cleanly. Twice: stop now."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fraudctl.clock import StopFlag
from fraudctl.errors import ExitCode


@contextmanager
def graceful(at_once: str = "") -> Iterator[StopFlag]:
    """A flag that the first signal sets; the second one ends the process (exit 130 or 143).

    `at_once` says what a second Ctrl-C has done, once everything has been left.

    The handler itself only sets the flag or raises: nothing in it can block.
    """
    flag = StopFlag()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if not flag.is_set:
            flag.set()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt(at_once)
        else:
            raise SystemExit(int(ExitCode.TERMINATED))

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Leave everything properly on SIGTERM, as on Ctrl-C (exit 143), where there is nothing to finish."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(int(ExitCode.TERMINATED))

    previous = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
