"""Which process of which machine: written down by one process, judged by another one, perhaps elsewhere."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from fraudctl.runtime.process.supervise import start_of

# Set in the detector's container: the process of its machine that lives exactly as long as it does.
ATTENDED_BY = "FRAUDCTL_ATTENDED_BY"
_PID_NAMESPACE = Path("/proc/self/ns/pid")


def of_process(pid: int) -> str:
    """Machine, process namespace, pid and start; the start names the boot that it is counted from."""
    return f"{_here()} {pid} {start_of(pid) or 'gone'}"


def of_detector(environ: Mapping[str, str]) -> str:
    """Of the calling detector, or of whoever attends its container: nobody outside could judge the inside."""
    return environ.get(ATTENDED_BY) or of_process(os.getpid())


def supervised_pid(environ: Mapping[str, str]) -> int:
    """Under which number the calling detector stands in its process record."""
    outside = environ.get(ATTENDED_BY)
    return int(outside.split()[1]) if outside else os.getpgrp()


def is_surely_dead(written: str) -> bool:
    """True only if the process was one of this very machine, in this very namespace, and runs no more.

    A process elsewhere, or from before the machine was started anew, is not ours to judge.
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
