"""Run one process under measurement and make sure that nothing of it is left."""

import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.errors import BenchError
from benchmarks.measure import MachineLoad, Watch

_STOP_SECONDS = 30.0
_DETAIL_CHARACTERS = 2000


@dataclass(frozen=True)
class Finished:
    """A process that has ended well, with what it used."""

    stdout: str
    began: float
    seconds: float
    watch: Watch
    load: MachineLoad


class Running:
    """A process that runs under measurement."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, services: Mapping[str, int]
    ) -> None:
        self._argv = list(argv)
        self._out = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        self._err = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._children_before = _children_seconds()
        self.began = time.time()
        self.process = subprocess.Popen(
            self._argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err
        )
        self.watch = Watch(self.process.pid, services)

    def wait(self, seconds: float, *, check: bool = True) -> Finished:
        """Wait for the end.

        Raises:
            BenchError: it took longer than `seconds`, or, with `check`, ended with another code than 0.
        """
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{self._name()} did not end within {seconds:g} s") from error
        took = time.time() - self.began
        load = self.watch.stop()
        self.watch.add_unseen(_children_seconds() - self._children_before)
        if code != 0 and check:
            self._err.seek(0)
            raise BenchError(f"{self._name()} ended with {code}: {self._err.read()[-_DETAIL_CHARACTERS:]}")
        self._out.seek(0)
        return Finished(self._out.read(), self.began, took, self.watch, load)

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Stop whatever still runs of it, politely first."""
        if self.process.poll() is None:
            self.interrupt()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.watch.stop()
        for pid in self.watch.pids():
            _kill(pid)
        self._out.close()
        self._err.close()

    def _name(self) -> str:
        words = [Path(self._argv[0]).name, *self._argv[1:]]
        return " ".join(word if len(word) < 60 else word[:57] + "..." for word in words[:8])


@contextmanager
def running(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, services: Mapping[str, int]
) -> Iterator[Running]:
    """Start a process; it is gone when the block is left, however that happens."""
    process = Running(argv, env, cwd, services)
    try:
        yield process
    finally:
        process.close()


def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    services: Mapping[str, int],
    *,
    seconds: float = 3600.0,
    check: bool = True,
) -> Finished:
    """Run a process to its end under measurement.

    Raises:
        BenchError: it failed or took too long.
    """
    with running(argv, env, cwd, services) as process:
        return process.wait(seconds, check=check)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on just now, each another one."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _children_seconds() -> float:
    """Return the processor seconds of every process that has ended and was waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(10)
    except (psutil.Error, ProcessLookupError):
        return
