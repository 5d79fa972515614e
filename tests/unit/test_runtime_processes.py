"""Child processes: known by pid and start, never by pid alone; stopped as a whole family."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fraudctl.clock import Deadline
from fraudctl.errors import RefusedError
from fraudctl.runtime.process import supervise
from fraudctl.runtime.process.supervise import (
    ProcessRecord,
    ending,
    is_alive,
    known,
    read_record,
    remember,
    spawn,
    stop,
)

WAIT = "import signal; signal.pause()"
STUBBORN = (
    "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('set', flush=True)\nsignal.pause()\n"
)
# A child in a session of its own, as PostgreSQL's workers are.
PARENT = (
    "import subprocess, sys, signal\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'],"
    " start_new_session=True)\n"
    "print(child.pid, flush=True)\n"
    "signal.pause()\n"
)
# A JVM that is killed looks like this while its memory is given back.
THREAD_OUTLIVES_LEADER = (
    "import ctypes, os, threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.5), os._exit(3))).start()\n"
    "ctypes.CDLL(None).pthread_exit(None)\n"
)


def start(folder: Path, program: str, name: str = "thing") -> ProcessRecord:
    return spawn(
        name,
        [sys.executable, "-c", program],
        env={"PATH": os.defpath},
        log=folder / "logs" / f"{name}.log",
        record=folder / "run" / f"{name}.json",
        cwd=folder,
    )


def wait_for_line(record: ProcessRecord) -> str:
    deadline = Deadline(20)
    while not (text := record.log_file.read_text(encoding="utf-8")).endswith("\n"):
        assert not deadline.expired
        assert is_alive(record)
    return text.strip()


def test_a_spawned_process_is_recorded_in_its_own_session(tmp_path: Path) -> None:
    record = start(tmp_path, WAIT)
    try:
        assert read_record(tmp_path / "run" / "thing.json") == record
        assert is_alive(record)
        assert os.getsid(record.pid) == os.getpgid(record.pid) == record.pid
        assert supervise.age_seconds(record) < 60
    finally:
        assert stop(record, 20) == "stopped"
    assert not is_alive(record)
    assert stop(record, 20) == "was not running"


def test_output_of_a_process_goes_to_its_log(tmp_path: Path) -> None:
    record = start(tmp_path, "import sys; print('out'); print('err', file=sys.stderr)")
    deadline = Deadline(20)
    while is_alive(record):
        assert not deadline.expired
    assert sorted(record.log_file.read_text(encoding="utf-8").split()) == ["err", "out"]


def test_a_zombie_is_not_alive(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    try:
        process = psutil.Process(child.pid)
        deadline = Deadline(20)
        while process.status() != psutil.STATUS_ZOMBIE:
            assert not deadline.expired
        started = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        record = ProcessRecord("zombie", child.pid, f"{boot}:{started}", "", str(tmp_path / "log"))
        assert psutil.pid_exists(child.pid)
        assert not is_alive(record)
    finally:
        child.wait()


def test_a_pid_that_was_given_out_again_is_neither_alive_nor_stopped(tmp_path: Path) -> None:
    other = start(tmp_path, WAIT, "other")
    try:
        boot, _, ticks = other.started.partition(":")
        for stale in (f"{boot}:{int(ticks) - 1}", f"another-boot:{ticks}"):
            record = replace(other, started=stale)
            assert not is_alive(record)
            assert stop(record, 0.1) == "was not running"
            assert is_alive(other)
    finally:
        stop(other, 20)


def test_who_ignores_the_first_signal_is_killed(tmp_path: Path) -> None:
    record = start(tmp_path, STUBBORN)
    wait_for_line(record)
    assert stop(record, 0.2) == "killed"
    assert not is_alive(record)


def test_the_exit_code_is_known_though_threads_outlive_the_leader(tmp_path: Path) -> None:
    record = start(tmp_path, THREAD_OUTLIVES_LEADER)
    deadline = Deadline(20)
    while is_alive(record):
        assert not deadline.expired
    assert ending(record) == "ended with exit code 3"


def test_a_halted_process_ends_without_being_killed(tmp_path: Path) -> None:
    record = start(tmp_path, WAIT)
    os.kill(record.pid, signal.SIGSTOP)
    assert stop(record, 20) == "stopped"


def test_the_first_signal_can_be_chosen(tmp_path: Path) -> None:
    record = start(tmp_path, STUBBORN)
    wait_for_line(record)
    assert stop(record, 20, signal.SIGINT) == "stopped"


def test_descendants_in_other_sessions_end_as_well(tmp_path: Path) -> None:
    record = start(tmp_path, PARENT)
    child = psutil.Process(int(wait_for_line(record)))
    assert os.getsid(child.pid) != record.pid
    assert stop(record, 0.2) == "killed"
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_members_that_outlive_their_leader_are_found_and_stopped(tmp_path: Path) -> None:
    program = PARENT.replace(", start_new_session=True", "").removesuffix("signal.pause()\n")
    record = start(tmp_path, program)
    text = record.log_file
    deadline = Deadline(20)
    while is_alive(record) or not text.read_text(encoding="utf-8").strip():
        assert not deadline.expired
    child = psutil.Process(int(text.read_text(encoding="utf-8")))
    assert child.is_running()
    assert os.getpgid(child.pid) == record.pid
    assert stop(record, 20) == "stopped"
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_program_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="ghost cannot be started") as caught:
        spawn(
            "ghost",
            [str(tmp_path / "nothing")],
            env={},
            log=tmp_path / "log",
            record=tmp_path / "record",
            cwd=tmp_path,
        )
    assert "No such file" in caught.value.detail
    assert read_record(tmp_path / "record") is None


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "kafka.process.json"
    for text in ("", "{}", "[1]", '{"pid": 1}'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(RefusedError, match="cannot be read"):
            read_record(file)


def test_a_process_whose_record_was_lost_is_found_by_its_command_line(tmp_path: Path) -> None:
    file, log = tmp_path / "run" / "thing.json", tmp_path / "logs" / "thing.log"
    program = f"{WAIT}  # {tmp_path}"
    record = start(tmp_path, program)
    try:
        assert known(file, "thing", (program,), log) == record
        file.unlink()
        assert known(file, "thing", ("-c", program), log) == record
        remember(record, file)
        assert read_record(file) == record
        remember(replace(record, pid=2**22 - 7), file)
        assert known(file, "thing", (program,), log) == record, "a record of the dead names nobody"
    finally:
        assert stop(record, 20) == "stopped"
    file.unlink()
    assert known(file, "thing", (program,), log) is None


def test_nobody_else_is_taken_for_a_lost_process(tmp_path: Path) -> None:
    """Only whole arguments, only a leader of its session as we start them, only the user it runs as."""
    file, log = tmp_path / "run" / "thing.json", tmp_path / "logs" / "thing.log"
    program = f"{WAIT}  # {tmp_path}"
    record = start(tmp_path, program)
    file.unlink()
    follower = subprocess.Popen([sys.executable, "-c", f"{program} follower"])
    try:
        assert known(file, "thing", (program[:-1],), log) is None
        assert known(file, "thing", (program, "--other"), log) is None
        assert known(file, "thing", (program,), log, user=os.geteuid() + 1) is None
        assert known(file, "thing", (f"{program} follower",), log) is None
        assert known(file, "thing", (program,), log) == record
    finally:
        follower.kill()
        follower.wait()
        assert stop(record, 20) == "stopped"
