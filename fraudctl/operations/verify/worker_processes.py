"""A pool of worker processes for the tasks of one command; a pool of one runs them in this process."""

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fraudctl.errors import FraudctlError, RefusedError

if TYPE_CHECKING:  # imported only for several processes, so that a recount of a short log starts at once
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

Result = TypeVar("Result")
# Called with the amount of work done since the last call.
Report = Callable[[int], None]
# A task for one process. It is sent to another process, so it must be picklable.
Order = Callable[[Report], Result]
_Message = tuple[Literal["done", "progress", "error", "bug"], Any]
_PATIENCE_SECONDS = 5.0


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """A pool of worker processes; leaving its context ends all of them, whatever they are doing.

    Tasks that were begun run while this process does something else; `results` waits for them.
    """

    def __init__(self, size: int) -> None:
        """Set the number of processes; with 1, tasks run in this process."""
        self._size = size
        self._workers: list[tuple[SpawnProcess, Connection]] = []
        self._begun: Sequence[Order[Any]] = ()

    def __enter__(self) -> "Crew":
        """Start the processes."""
        if self._size > 1:
            from multiprocessing import get_context

            context = get_context("spawn")
            for _ in range(self._size):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs,), daemon=True)
                process.start()
                theirs.close()
                self._workers.append((process, ours))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, and kill those that do not end in time."""
        for process, pipe in self._workers:
            pipe.close()
            process.terminate()
        for process, _pipe in self._workers:
            process.join(_PATIENCE_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()

    def begin(self, orders: Sequence[Order[Any]]) -> None:
        """Hand out one task to each process; there must be at most as many tasks as processes."""
        self._begun = orders
        for (_process, pipe), order in zip(self._workers, orders, strict=False):
            # A process that has ended cannot receive it; `results` reports that.
            with suppress(BrokenPipeError):
                pipe.send(order)

    def results(self, report: Report) -> list[Any]:
        """Wait for the tasks that were begun, and return their results in the order of the tasks.

        Raises:
            FraudctlError: a task raised it.
            RefusedError: a process has ended before its task was done.
        """
        if not self._workers:
            return [order(report) for order in self._begun]
        from multiprocessing import connection

        found: dict[int, Any] = {}
        numbers = {pipe: number for number, (_, pipe) in enumerate(self._workers[: len(self._begun)])}
        while len(found) < len(numbers):
            open_pipes = [pipe for pipe, number in numbers.items() if number not in found]
            for pipe in connection.wait(open_pipes):
                assert isinstance(pipe, connection.Connection)
                number = numbers[pipe]
                try:
                    kind, content = pipe.recv()
                except (EOFError, ConnectionResetError):
                    raise self._ended(number) from None
                if kind == "progress":
                    report(content)
                elif kind == "done":
                    found[number] = content
                elif kind == "error":
                    raise content[0](content[1], detail=content[2], hint=content[3])
                else:
                    raise RuntimeError(f"in a process of its own:\n{content}")
        return [found[number] for number in range(len(self._begun))]

    def _ended(self, number: int) -> RefusedError:
        process = self._workers[number][0]
        process.join(_PATIENCE_SECONDS)
        code = process.exitcode
        ending = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return RefusedError(
            "a process of this command has ended before its work was done",
            detail=f"process {process.pid}: {ending}",
            hint="ask again; if the system ended it for want of memory, end something else before",
        )


def _serve(pipe: "Connection") -> None:
    """Run one task after the other until the pipe is closed."""
    # Ctrl-C goes to all processes of a terminal; the parent process ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(_answer(pipe.recv(), pipe))


def _answer(order: Order[Any], pipe: "Connection") -> _Message:
    try:
        return "done", order(lambda more: pipe.send(("progress", more)))
    except FraudctlError as error:
        return "error", (type(error), error.message, error.detail, error.hint)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except BaseException:  # noqa: BLE001 - told where it can be seen
        return "bug", traceback.format_exc()
