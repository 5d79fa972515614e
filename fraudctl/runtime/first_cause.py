"""Search of a log for the line that says why a program ended, among the many that follow from it."""

import re
from collections.abc import Sequence
from pathlib import Path

from fraudctl.runtime.files import tail

# Messages of a JVM, a shell, PostgreSQL and Python that give up, from the most specific to the least.
_OPTION_SIGNS = (
    re.compile(r"(Unrecognized|Improperly specified) (VM )?option|Multiple garbage collectors selected"),
    re.compile(r"Could not find agent|Error opening zip file|agent library failed"),
    re.compile(r"Could not reserve enough space|Invalid (maximum|initial) heap size|exceeds the maximum"),
)
_SIGNS = (
    *_OPTION_SIGNS,
    re.compile(r"OutOfMemoryError|Cannot allocate memory|There is insufficient memory"),
    re.compile(r"No space left on device|Disk quota exceeded|Read-only file system"),
    re.compile(r"Too many open files|Permission denied|Operation not permitted"),
    re.compile(r"Address already in use|BindException"),
    re.compile(r"invalid null input: name|could not look up effective user|no such user"),
    re.compile(r"No such file or directory|command not found|ModuleNotFoundError|ImportError"),
    re.compile(r"Error occurred during initialization of VM"),
    re.compile(r"^(Caused by|Exception in thread|Error: |FATAL|PANIC|initdb: error|Traceback)|Exception: "),
    re.compile(r"\bERROR\b|\bFATAL\b|[Ee]rror:"),
)
# The rest of a line seldom matters, and a class path may be in it.
_MAX_CHARACTERS = 300
# The first cause is near the beginning of what a failed run has written.
_MOST_BYTES = 1_000_000


def first_cause(lines: Sequence[str]) -> str:
    """Return the first line with the most specific sign of a failure, shortened; empty if there is none."""
    for sign in _SIGNS:
        for line in lines:
            if sign.search(line):
                text = line.strip()
                return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    return ""


def is_of_java_options(cause: str) -> bool:
    """Tell whether a JVM has refused an option or the size of its heap: running it again cannot help."""
    return any(sign.search(cause) for sign in _OPTION_SIGNS)


def lines_since(log: Path, begin: int) -> list[str]:
    """Return what was written to a log from byte `begin` on; if that is very much, its start and its end."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read(_MOST_BYTES).decode("utf-8", errors="replace").splitlines()
        longer = bool(stream.read(1))
    return lines + (tail(log, 20) if longer else [])
