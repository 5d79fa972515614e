"""Process identity: one process writes it down, another one checks it, perhaps on another machine."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from fraudctl.runtime.process.supervise import start_of

# Set in the detector's container: the identity of its shim, a process that lives exactly as long as the
# container.
ATTENDED_BY = "FRAUDCTL_ATTENDED_BY"
_PID_NAMESPACE = Path("/proc/self/ns/pid")


def of_process(pid: int) -> str:
    """Return machine, process namespace, pid and start; the start names the boot that it is counted from."""
    return f"{_here()} {pid} {start_of(pid) or 'gone'}"


def of_detector(environ: Mapping[str, str]) -> str:
    """Return the identity of the calling detector, or of the shim of its container.

    Nobody outside could check a process inside the container.
    """
    return environ.get(ATTENDED_BY) or of_process(os.getpid())


def supervised_pid(environ: Mapping[str, str]) -> int:
    """Return the pid of the calling detector in its process record."""
    outside = environ.get(ATTENDED_BY)
    return int(outside.split()[1]) if outside else os.getpgrp()


def is_surely_dead(written: str) -> bool:
    """Tell whether a process of this very machine, namespace and boot certainly runs no more.

    For a process elsewhere, or from before the machine was rebooted, the answer is False: it cannot be
    checked.
    """
    place, _, process = written.partition(" ")
    pid, _, start = process.partition(" ")
    if place != _here() or not pid.isdecimal() or start.partition(":")[0] != _boot():
        return False
    return start_of(int(pid)) != start


def _here() -> str:
    namespace = str(_PID_NAMESPACE.readlink()) if _PID_NAMESPACE.is_symlink() else "?"
    return f"{socket.gethostname()}/{namespace}"


def _boot() -> str:
    return (start_of(os.getpid()) or "").partition(":")[0]
