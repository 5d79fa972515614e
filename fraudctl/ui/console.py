"""Two consoles: data on stdout, messages on stderr; colour and live drawing only on a terminal."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rich.console import Console

# The name of the output in an error of the system, which knows none.
STANDARD_OUTPUT = "standard output"


@contextmanager
def writing_output() -> Iterator[None]:
    """Let an error of the system name standard output where it names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = STANDARD_OUTPUT
        raise


@cache
def data() -> Console:
    """Return the console for results: plain text when piped, never wrapped or cut."""
    return Console(soft_wrap=True, highlight=False)


class _Talk(Console):
    """A console that may be lost: a full disk behind stderr changes neither the work nor the exit code."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except BrokenPipeError:
            raise
        except OSError:
            return


@cache
def talk() -> Console:
    """Return the console for progress, hints and errors."""
    return _Talk(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print one line on stderr, taken literally (no markup)."""
    talk().print(text, markup=False, soft_wrap=True)


def write(text: str) -> None:
    """Write text and a newline to stdout; characters that its encoding lacks become escapes.

    Raises:
        OSError: standard output is closed, or cannot be written to.
    """
    with writing_output():
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        try:
            sys.stdout.write(text + "\n")
        except UnicodeEncodeError:  # a file name that is not valid text, or a terminal with few characters
            encoding = sys.stdout.encoding
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()
