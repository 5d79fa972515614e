"""Named points at which the detector can be killed or paused, to prove that neither does harm.

    FRAUDCTL_FAILPOINT=NAME[:NTH][=ACTION][,…]      before_merge   after_commit:3   before_merge:2=pause

`NTH` counts how often the failpoint is reached in one run, from 1 (the default). `ACTION` is `kill`, the
default: SIGKILL to the whole process group, like a power cut; or `pause`: SIGSTOP to the group, until
somebody sends SIGCONT. Without the variable a failpoint costs one check of an empty tuple.
"""

import os
import re
import signal
import time
from dataclasses import dataclass
from functools import cache
from threading import Lock

from fraudctl.errors import ConfigError

VARIABLE = "FRAUDCTL_FAILPOINT"

# In the order in which a micro-batch reaches them.
FAILPOINTS = {
    "before_batch": "Spark has planned the batch and hands it over; nothing has been read",
    "batch_consumed": "every row of the batch is in the driver; the database has not been asked",
    "before_staging": "inside the transaction, the fence is held and the ledger does not know the batch",
    "after_staging": "staging holds the batch's rows",
    "before_merge": "the same, right before the merge: the classic place for a zombie",
    "after_merge": "windows and dead letters are written, the ledger is not",
    "after_ledger": "the ledger row is written",
    "before_commit": "all is written, COMMIT has not been sent",
    "after_commit": "the batch is durable, Spark does not know it yet",
}
_STOPPED_SECONDS = 1.0
_ACTIONS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}
_GRAMMAR = re.compile(r"(?P<name>[a-z_]+)(?::(?P<nth>[1-9][0-9]{0,8}))?(?:=(?P<action>[a-z]+))?")


@dataclass(frozen=True)
class Failpoint:
    """An armed failpoint: `action` happens when it is reached for the `nth` time."""

    name: str
    nth: int = 1
    action: str = "kill"


def parse(text: str) -> tuple[Failpoint, ...]:
    """Parse the value of the variable; an empty value gives no failpoints.

    Raises:
        ConfigError: a name or an action is unknown, or the text does not follow the grammar.
    """
    return tuple(_one(part.strip()) for part in text.split(",") if part.strip())


def reach(name: str) -> None:
    """Report that the detector has reached a failpoint, and carry out its action if one is armed."""
    armed = _armed()
    if armed:
        armed.reach(name)


def _one(text: str) -> Failpoint:
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{text!r} is not a failpoint", detail=f"in {VARIABLE}", hint="write NAME[:NTH][=kill|pause]"
        )
    point = Failpoint(found["name"], int(found["nth"] or 1), found["action"] or "kill")
    for kind, word, known in (("name", point.name, FAILPOINTS), ("action", point.action, _ACTIONS)):
        if word not in known:
            raise ConfigError(
                f"{word!r} is not the {kind} of a failpoint",
                detail=f"in {VARIABLE}",
                hint="`fraudctl doctor --failpoints` lists the names; actions are kill and pause",
            )
    return point


class _Armed:
    def __init__(self, points: tuple[Failpoint, ...]) -> None:
        self._points = points
        self._reached: dict[str, int] = {}
        self._lock = Lock()

    def __bool__(self) -> bool:
        return bool(self._points)

    def reach(self, name: str) -> None:
        if name not in FAILPOINTS:
            raise KeyError(name)  # a name that the variable cannot hold is a mistake in this program
        with self._lock:
            count = self._reached[name] = self._reached.get(name, 0) + 1
        for point in self._points:
            if (point.name, point.nth) == (name, count):
                os.killpg(os.getpgrp(), _ACTIONS[point.action])
                # Another thread may take the SIGSTOP, which stops all threads a moment later: this one must
                # not go on until then. When SIGCONT arrives this time is long over.
                time.sleep(_STOPPED_SECONDS)


@cache
def _armed() -> _Armed:
    return _Armed(parse(os.environ.get(VARIABLE, "")))
