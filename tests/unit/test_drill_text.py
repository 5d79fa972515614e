"""How a drill looks: one line a cycle, the load beside what is waited for."""

from fraudctl.broker.producer import Deliveries
from fraudctl.operations.drill.harness import CycleReport
from fraudctl.operations.produce.steady import Progress
from fraudctl.ui.text.drill import line, state


def test_one_cycle_in_one_line() -> None:
    report = CycleReport("kill", "before_merge, time 2", "killed, started again", 9.26)
    assert line(2, 5, report) == (
        "cycle 2 of 5: kill at before_merge, time 2: killed, started again, back after 9.3 s"
    )


def test_a_broken_promise_is_loud() -> None:
    report = CycleReport("postgres", "random moment", "gave up", 9.26, as_promised=False)
    assert line(1, 1, report).endswith("NOT AS PROMISED")


def test_the_load_stands_beside_what_is_waited_for() -> None:
    assert state("the detector to die", None) == "the detector to die"
    traffic = Progress(7, 2.5, 299.7, Deliveries(1200, 1100, 0, {}), "refused")
    assert state("a batch", traffic) == (
        "a batch; load 300/s, sent 1,200, acknowledged 1,100, waiting for Kafka: refused"
    )
