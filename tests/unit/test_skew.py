"""How far apart the partitions may be before a batch is run again with a watermark that is held back."""

from collections.abc import Mapping

import pytest

from fraudctl.detector.skew import RunAgainError, Skew

MINUTE = 60_000
SLACK = 8 * MINUTE
START = 1_800_000_000_000


class Broker:
    """Says for each partition what `unread` holds, and remembers what it was asked."""

    def __init__(self, unread: Mapping[int, int | None]) -> None:
        self.unread = unread
        self.asked: list[Mapping[int, int]] = []

    def __call__(self, offsets: Mapping[int, int]) -> Mapping[int, int | None]:
        self.asked.append(dict(offsets))
        return {partition: self.unread[partition] for partition in offsets}


def at(minutes: float) -> int:
    return START + round(minutes * MINUTE)


def test_partitions_that_are_level_ask_nobody() -> None:
    broker = Broker({})
    skew = Skew(SLACK, broker)
    for minute in range(100):
        skew.take({0: at(minute), 1: at(minute + 7.9)}, {0: minute, 1: minute})
    assert (skew.held_back_ms, broker.asked) == (0, [])


def test_a_batch_that_reads_ahead_is_run_again_with_room_to_spare() -> None:
    broker = Broker({0: at(0)})
    skew = Skew(SLACK, broker)
    with pytest.raises(RunAgainError, match=r"30 min apart.*held back by 60 min"):
        skew.take({0: at(0), 1: at(30)}, {0: 10, 1: 10})
    assert skew.held_back_ms == 60 * MINUTE
    skew.take({0: at(0), 1: at(30)}, {0: 10, 1: 10})  # the same batch again
    skew.take({0: at(1), 1: at(68)}, {0: 20, 1: 20})
    broker.unread = {0: at(2)}
    with pytest.raises(RunAgainError, match="held back by 140 min"):
        skew.take({0: at(2), 1: at(72)}, {0: 30, 1: 30})


@pytest.mark.parametrize("distance_ms", [SLACK - 1, SLACK])
def test_the_distance_that_is_one_too_many(distance_ms: int) -> None:
    """An event as late as is allowed must be newer than a watermark from an event as early as is allowed."""
    late, future = 5 * MINUTE, 2 * MINUTE
    skew = Skew(SLACK, Broker({0: START}))
    oldest_event = START - late
    watermark = START + distance_ms + future - (late + future + SLACK)
    try:
        skew.take({0: START, 1: START + distance_ms}, {0: 1, 1: 1})
    except RunAgainError:
        assert oldest_event <= watermark
    else:
        assert oldest_event > watermark


def test_an_idle_partition_holds_nothing_back() -> None:
    broker = Broker({0: None})
    skew = Skew(SLACK, broker)
    skew.take({0: at(0), 1: at(0)}, {0: 5, 1: 1})
    skew.take({1: at(60)}, {0: 5, 1: 2})
    skew.take({1: at(61)}, {0: 5, 1: 3})
    assert skew.held_back_ms == 0
    assert broker.asked == [{0: 5}]


def test_a_partition_that_was_never_read_is_asked_for_its_first_record() -> None:
    broker = Broker({0: at(0)})
    skew = Skew(SLACK, broker)
    with pytest.raises(RunAgainError):
        skew.take({1: at(20)}, {0: 0, 1: 1})
    assert broker.asked == [{0: 0}]


def test_a_partition_read_to_its_given_end_is_not_waited_for() -> None:
    broker = Broker({})
    skew = Skew(SLACK, broker, bounds={0: 5, 1: 100})
    skew.take({0: at(0), 1: at(60)}, {0: 5, 1: 1})
    assert (skew.held_back_ms, broker.asked) == (0, [])


def test_the_watermark_is_let_go_once_the_partitions_are_level() -> None:
    broker = Broker({0: at(1)})
    skew = Skew(SLACK, broker)
    with pytest.raises(RunAgainError):
        skew.take({0: at(0), 1: at(30)}, {0: 1, 1: 1})
    skew.take({0: at(25), 1: at(30)}, {0: 2, 1: 1})
    broker.unread = {0: None}
    with pytest.raises(RunAgainError, match="level"):
        skew.take({1: at(31)}, {0: 2, 1: 2})
    assert skew.held_back_ms == 0
    skew.take({1: at(31)}, {0: 2, 1: 2})


def test_without_records_nothing_is_known_and_nothing_asked() -> None:
    broker = Broker({})
    Skew(SLACK, broker).take({}, {0: 0, 1: 0})
    assert broker.asked == []
