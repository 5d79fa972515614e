"""Orders in several processes: results, progress, and every way in which one can fail."""

import os
import signal
from dataclasses import dataclass

import pytest

from fraudctl.errors import ExitCode, RefusedError, UnreachableError
from fraudctl.operations.verify.worker_processes import Crew, Report


@dataclass(frozen=True)
class Square:
    number: int

    def __call__(self, report: Report) -> int:
        report(1)
        report(self.number)
        return self.number**2


class Unreachable:
    def __call__(self, _report: Report) -> None:
        raise UnreachableError("nothing answers", detail="for 30 s", hint="look at `fraudctl status`")


class Killed:
    def __call__(self, _report: Report) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Bug:
    def __call__(self, _report: Report) -> None:
        raise KeyError("a mistake")


@dataclass(frozen=True)
class Forever:
    def __call__(self, report: Report) -> None:
        signal.pause()


@pytest.mark.parametrize("size", [1, 2])
def test_results_come_in_the_order_of_the_orders_and_progress_as_it_happens(size: int) -> None:
    with Crew(size) as crew:
        told: list[int] = []
        for numbers in ([2, 3], [4, 5], [6]):
            orders = [Square(number) for number in numbers]
            if size == 1:
                orders = orders[:1]
            crew.begin(orders)
            assert crew.results(told.append) == [order.number**2 for order in orders]
    assert sum(told) == (15 if size == 1 else 25)


@pytest.mark.parametrize("size", [1, 2])
def test_an_error_comes_out_as_it_was_raised(size: int) -> None:
    with Crew(size) as crew:
        crew.begin([Unreachable(), Forever()][:size])
        with pytest.raises(UnreachableError, match="nothing answers") as caught:
            crew.results(lambda _more: None)
    assert (caught.value.detail, caught.value.hint) == ("for 30 s", "look at `fraudctl status`")
    assert caught.value.exit_code == ExitCode.UNREACHABLE


def test_a_mistake_in_another_process_is_shown_with_its_traceback() -> None:
    with Crew(2) as crew:
        crew.begin([Bug(), Forever()])
        with pytest.raises(RuntimeError, match="KeyError: 'a mistake'"):
            crew.results(lambda _more: None)


def test_a_process_that_is_killed_is_named() -> None:
    with Crew(2) as crew:
        crew.begin([Forever(), Killed()])
        with pytest.raises(RefusedError, match="has ended before its work was done") as caught:
            crew.results(lambda _more: None)
    assert caught.value.detail.endswith("signal 9")
    assert caught.value.hint


def test_leaving_ends_every_process_whatever_it_is_doing() -> None:
    with Crew(2) as crew:
        crew.begin([Forever(), Forever()])
        pids = [process.pid for process, _ in crew._workers]
        with pytest.raises(KeyboardInterrupt):
            raise KeyboardInterrupt
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
