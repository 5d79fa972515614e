"""A stop request reaches a loop whenever the signal comes, also in the middle of the loop's own wait."""

import subprocess
import sys
import threading

from fraudctl.clock import StopFlag

# Interrupted tens of thousands of times at moments that nobody chose: a flag that can wait for itself will.
LOOP = """
import random, signal
from fraudctl.clock import StopFlag

draw = random.Random(20261128)
flag = StopFlag()
signal.signal(signal.SIGALRM, lambda _number, _frame: flag.set())
for _ in range(20_000):
    flag = StopFlag()
    signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-6, 3e-4))
    while not flag.wait(1e-5):
        pass
print("every one was seen")
"""


def test_set_by_a_handler_that_interrupts_the_wait() -> None:
    command = [sys.executable, "-c", LOOP]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "every one was seen\n"


def test_every_waiter_is_woken() -> None:
    flag = StopFlag()
    seen: list[bool] = []
    waiters = [threading.Thread(target=lambda: seen.append(flag.wait(60))) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    flag.set()
    for waiter in waiters:
        waiter.join(30)
    assert seen == [True] * 3


def test_a_wait_that_ends_first() -> None:
    flag = StopFlag()
    assert not flag.wait(0.0)
    assert not flag.wait(-1.0)
    flag.set()
    assert flag.is_set
    assert flag.wait(60)
    assert flag.wait(60)
