"""Handling of Ctrl-C and SIGTERM: the first one finishes cleanly, the second one stops at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fraudctl.clock import StopFlag
from fraudctl.errors import ExitCode


@contextmanager
def graceful(at_once: str = "") -> Iterator[StopFlag]:
    """Provide a flag that the first signal sets; the second one ends the process (exit 130 or 143).

    The handler itself only sets the flag or raises, so nothing in it can block.

    Args:
        at_once: message that says what a second Ctrl-C has done, shown once everything has been left.
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
    """Exit cleanly on SIGTERM, as on Ctrl-C (exit 143), where there is nothing to finish."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(int(ExitCode.TERMINATED))

    previous = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
