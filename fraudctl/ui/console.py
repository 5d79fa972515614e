"""Two consoles: data goes to stdout, talk goes to stderr. Colour and live drawing only on a terminal."""

import errno
import sys
from functools import cache

from rich.console import Console


@cache
def data() -> Console:
    """For what the command was asked for; plain text when piped, never wrapped or cut."""
    return Console(soft_wrap=True, highlight=False)


@cache
def talk() -> Console:
    """For progress, hints and errors."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line of talk, taken literally (no markup)."""
    talk().print(text, markup=False, soft_wrap=True)


def write(text: str) -> None:
    """One piece of data on stdout, byte for byte, with a newline."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    try:
        sys.stdout.write(text + "\n")
    except UnicodeEncodeError:  # the name of a file that is no text, or a terminal that knows few characters
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()
