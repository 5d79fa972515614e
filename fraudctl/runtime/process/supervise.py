"""Child processes that go on after the command: started in their own session, recorded, found, stopped.

A process is known by its pid *and* its start: a pid alone may have been given to another process. The start
is counted from boot (Linux), so setting the clock changes nothing.
"""

import contextlib
import hashlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from fraudctl.clock import Deadline
from fraudctl.errors import NotReadyError, RefusedError
from fraudctl.runtime.files import make_folder, write_whole

Stopped = Literal["was not running", "stopped", "killed"]

_POLL_SECONDS = 0.1
# How long the kernel may take to end a process after KILL (a disk write may be in the way).
_KILL_SECONDS = 10.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# Children of this process: nobody else can collect their exit status.
_children: dict[int, "subprocess.Popen[bytes]"] = {}
# Their exit codes, as subprocess counts: a signal is negative.
_exit_codes: dict[int, int] = {}


@dataclass(frozen=True)
class ProcessRecord:
    """The record of a started process; its pid is also its session and process group."""

    name: str
    pid: int
    started: str
    argv_sha256: str
    log: str
    log_begin: int = 0  # how long the log was before this process was started, in bytes

    @property
    def log_file(self) -> Path:
        """Return the path of the log."""
        return Path(self.log)


def spawn(
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    record: Path,
    cwd: Path,
    user: int | None = None,
) -> ProcessRecord:
    """Start `argv` detached from this process, its output appended to `log`, and write its record.

    Args:
        name: the name of the process in records and messages.
        argv: the program and its arguments.
        env: the whole environment of the child.
        log: the file that its output is appended to.
        record: the file that its record is written to.
        cwd: its working folder.
        user: uid to run as (needs root), with that user's own group and no others.

    Raises:
        RefusedError: the program cannot be started.
    """
    make_folder(log.parent)
    make_folder(record.parent)
    identity: dict[str, Any] = {}
    if user is not None:
        identity = {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
    with log.open("ab") as output:
        log_begin = output.tell()
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
            raise RefusedError(f"{name} cannot be started", detail=f"{argv[0]}: {error.strerror}") from error
    _children[child.pid] = child
    written = ProcessRecord(name, child.pid, start_of(child.pid) or "", _digest(argv), str(log), log_begin)
    remember(written, record)
    return written


def remember(record: ProcessRecord, path: Path) -> None:
    """Write the record to the file `path`."""
    write_whole(path, json.dumps(asdict(record), indent=2) + "\n", mode=0o644)


def _digest(argv: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(argv).encode(errors="surrogateescape")).hexdigest()


def read_record(path: Path) -> ProcessRecord | None:
    """Return the record of a process, or None if there is none.

    Raises:
        RefusedError: the file holds something else.
    """
    try:
        return ProcessRecord(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise RefusedError(
            f"the process record {path} cannot be read",
            detail=str(error),
            hint="look for the process yourself, stop it, and remove the file",
        ) from error


def known(
    path: Path, name: str, marks: Sequence[str], log: Path, user: int | None = None
) -> ProcessRecord | None:
    """Return the record of a process; if it names none that lives, search for the right process.

    Records get lost when somebody tidies up.

    Args:
        path: the record's file.
        name: the name of the process in a new record.
        marks: whole arguments that, all together, only this process of this stack has.
        log: the log that a new record names.
        user: uid that it runs as, our own if not given. Processes of others are never taken for ours.

    Raises:
        RefusedError: the file holds something else.
    """
    record = read_record(path)
    if is_alive(record):
        return record
    return _lost(name, marks, log, os.geteuid() if user is None else user) or record


def _lost(name: str, marks: Sequence[str], log: Path, user: int) -> ProcessRecord | None:
    """Return a record of the living process with these arguments.

    It must lead its own session, as `spawn` starts them.
    """
    for process in psutil.process_iter(["cmdline"]):
        argv = process.info["cmdline"] or []
        if not all(mark in argv for mark in marks):
            continue
        try:
            ours = process.uids().real == user and os.getsid(process.pid) == process.pid
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue  # it ended just now
        started = start_of(process.pid)
        if ours and started is not None:
            return ProcessRecord(name, process.pid, started, _digest(argv), str(log))
    return None


def is_alive(record: ProcessRecord | None) -> bool:
    """Tell whether the recorded process itself runs: same pid, same start, not a zombie."""
    return record is not None and start_of(record.pid) == record.started


def is_halted(record: ProcessRecord) -> bool:
    """Tell whether the recorded process is stopped by a signal (SIGSTOP, Ctrl-Z)."""
    try:
        return is_alive(record) and psutil.Process(record.pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def wake(record: ProcessRecord) -> None:
    """Let a halted process group continue."""
    _signal_group(record, signal.SIGCONT)


def age_seconds(record: ProcessRecord) -> float:
    """Return the seconds since the recorded process started; 0 when it is gone."""
    try:
        return max(0.0, time.time() - psutil.Process(record.pid).create_time())
    except psutil.Error:
        return 0.0


def stop(
    record: ProcessRecord, grace_seconds: float, first_signal: signal.Signals = signal.SIGTERM
) -> Stopped:
    """Signal the process group, wait, then KILL whatever is left of it, its session and its descendants.

    Raises:
        NotReadyError: something survived even KILL.
        RefusedError: the process belongs to another user.
    """
    victims = _family(record)
    if not victims:
        return "was not running"
    _signal_group(record, first_signal)
    # A halted process (Ctrl-Z, SIGSTOP) would not see the signal before the grace period is over.
    _signal_group(record, signal.SIGCONT)
    if not _wait_gone(record, victims, Deadline(grace_seconds)):
        return "stopped"
    deadline = Deadline(_KILL_SECONDS)
    _kill(record, victims)
    left = _wait_gone(record, victims, deadline, keep_killing=True)
    if left:
        raise NotReadyError(
            f"{record.name} cannot be stopped",
            detail=f"still running after KILL: pid {', '.join(str(process.pid) for process in left)}",
            hint="it probably waits for a disk; look at it with `ps`",
        )
    return "killed"


def ending(record: ProcessRecord) -> str:
    """Say in words in which way a child of this process ended: "was killed by SIGKILL", for instance."""
    child = _children.get(record.pid)
    if child is not None:
        # The kernel calls a leader dead while its other threads, hundreds in a JVM, are still ending. There
        # is no exit code before that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_KILL_SECONDS)
        start_of(record.pid)
    code = _exit_codes.get(record.pid)
    if code is None:
        return "ended"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def start_of(pid: int) -> str | None:
    """Return the start of a pid's process in a form that never changes; None if it is gone or a zombie."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        _exit_codes[pid] = child.returncode
        _children.pop(pid, None)  # another thread may have seen the same
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if not _BOOT_ID.exists():
            return repr(process.create_time())
        # Field 22 of the line; the name before it is in parentheses and may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return f"{_BOOT_ID.read_text(encoding='utf-8').strip()}:{fields.split()[19]}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _family(record: ProcessRecord) -> list[psutil.Process]:
    """Return the living members: the process, its group and session, and all their descendants."""
    now = start_of(record.pid)
    if now is None:
        # The kernel reuses a pid only when no group or session has that number any more: members that are
        # left are ours, as long as the machine has not been rebooted in between.
        if not _same_boot(record):
            return []
    elif now != record.started:
        return []
    members = [process for process in psutil.process_iter() if _belongs(process.pid, record.pid)]
    found = {process.pid: process for process in members}
    for process in members:
        for child in _descendants(process):
            found[child.pid] = child
    return [process for process in found.values() if _lives(process)]


def _same_boot(record: ProcessRecord) -> bool:
    if not _BOOT_ID.exists():
        return False
    return record.started.partition(":")[0] == _BOOT_ID.read_text(encoding="utf-8").strip()


def _belongs(pid: int, leader: int) -> bool:
    if pid == leader:
        return True
    try:
        return os.getsid(pid) == leader or os.getpgid(pid) == leader
    except (ProcessLookupError, PermissionError):
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and start_of(process.pid) is not None


def _signal_group(record: ProcessRecord, number: signal.Signals) -> None:
    try:
        os.killpg(record.pid, number)
    except ProcessLookupError:
        return  # only members outside the group are left: KILL reaches them one by one
    except PermissionError as error:
        raise RefusedError(
            f"{record.name} (pid {record.pid}) belongs to another user",
            hint="stop it as the user who started it",
        ) from error


def _kill(record: ProcessRecord, victims: Iterable[psutil.Process]) -> None:
    _signal_group(record, signal.SIGKILL)
    for process in victims:
        if _lives(process):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def _wait_gone(
    record: ProcessRecord, victims: list[psutil.Process], deadline: Deadline, *, keep_killing: bool = False
) -> list[psutil.Process]:
    """Wait for all of them, and for those that joined them meanwhile; return those that are left."""
    while True:
        known = {process.pid for process in victims}
        victims += [process for process in _family(record) if process.pid not in known]
        left = [process for process in victims if _lives(process)]
        if not left or deadline.expired:
            return left
        if keep_killing:
            _kill(record, left)
        time.sleep(min(_POLL_SECONDS, deadline.remaining()))
