"""Two consoles: data on stdout, messages on stderr; colour and live drawing only on a terminal."""

import errno
import sys
from functools import cache

from rich.console import Console


@cache
def data() -> Console:
    """Return the console for results: plain text when piped, never wrapped or cut."""
    return Console(soft_wrap=True, highlight=False)


@cache
def talk() -> Console:
    """Return the console for progress, hints and errors."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print one line on stderr, taken literally (no markup)."""
    talk().print(text, markup=False, soft_wrap=True)


def write(text: str) -> None:
    """Write text and a newline to stdout; characters that its encoding lacks become escapes.

    Raises:
        OSError: standard output is closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    try:
        sys.stdout.write(text + "\n")
    except UnicodeEncodeError:  # a file name that is not valid text, or a terminal with few characters
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()
