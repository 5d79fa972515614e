"""Programs that are run to their end (initdb, Ivy, Kafka's format), within a deadline."""

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import NotReadyError, RefusedError
from fraudctl.runtime.files import make_folder, tail

_POLL_SECONDS = 0.1
LOG_LINES = 8


def run_to_end(
    argv: Sequence[str],
    *,
    what: str,
    log: Path,
    deadline: Deadline,
    cwd: Path,
    env: Mapping[str, str],
    user: int | None = None,
    stop: StopFlag | None = None,
    on_wait: Callable[[], None] = lambda: None,
    nice: int = 0,
) -> int:
    """Run `argv`, its output appended to `log`, and return its exit code.

    If waiting ends before the program does, its whole process group is killed.

    Args:
        argv: the program and its arguments.
        what: said when it takes too long: "initdb", "resolving x".
        log: the file that its output is appended to.
        deadline: the time it may take.
        cwd: its working folder.
        env: the whole environment of the child.
        user: uid to run as (needs root), with that user's own group and no others.
        stop: ends the program when it is set.
        on_wait: called several times a second meanwhile.
        nice: how much less of the processor it is to get than others, as nice(1) counts.

    Raises:
        NotReadyError: the deadline passed first.
        RefusedError: the program cannot be started.
    """
    make_folder(log.parent)
    identity: dict[str, Any] = {}
    if user is not None:
        identity = {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
    waiting = stop or StopFlag()
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,
            )
        except OSError as error:
            raise RefusedError(f"{what} cannot be started", detail=f"{argv[0]}: {error.strerror}") from error
    try:
        if nice:
            os.setpriority(os.PRIO_PROCESS, child.pid, nice)
        while not _ended(child, min(_POLL_SECONDS, deadline.remaining())):
            if deadline.expired:
                raise NotReadyError(
                    f"{what} has not finished within {deadline.seconds:g} s",
                    detail="\n".join(tail(log, LOG_LINES)),
                    hint=f"the whole log is {log}",
                )
            if waiting.is_set:
                raise KeyboardInterrupt
            on_wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return child.returncode


def _ended(child: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
