"""Statistics of the benchmark harness."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import processes
from benchmarks.errors import BenchError
from benchmarks.figures import Batch, by_round, percentile, rates, ratio, visibility_delays
from benchmarks.measure import Ticks, interpolate, load_between, read_ticks
from benchmarks.traffic import Loaded, Traffic, records

LINES = [
    b'{"schema_version":1,"transaction_id":"019cabd8-5d22-7abd-b0f6-27a4ad4b7392",'
    b'"event_time":"2026-03-02T00:00:09.506Z","card_id":"card-%06d","merchant_id":"merchant-00211",'
    b'"category":"Food","amount_minor":2074,"currency":"EUR","country":"FR","channel":"contactless"}' % number
    for number in range(7)
]


def sample(side: str, number: int, value: float, *, warm_up: bool = False) -> dict[str, Any]:
    return {"side": side, "round": number, "warm_up": warm_up, "values": {"rate": value}}


def test_the_steady_rate_leaves_out_the_first_batch_and_counts_pauses() -> None:
    batches = [Batch(100, 0.0, 10.0), Batch(100, 10.0, 1.0), Batch(100, 12.0, 2.0), Batch(0, 14.0, 5.0)]

    found = rates(batches)

    assert found.steady == 200 / 4
    assert found.best == 100.0
    assert (found.steady_began, found.steady_ended, found.steady_records) == (10.0, 14.0, 200)


def test_a_short_last_batch_is_not_the_best_one() -> None:
    assert rates([Batch(100, 0, 1), Batch(100, 1, 2), Batch(10, 3, 0.01)]).best == 50.0


def test_one_batch_has_no_steady_rate() -> None:
    with pytest.raises(ValueError, match="two batches"):
        rates([Batch(100, 0.0, 1.0), Batch(0, 1.0, 1.0)])


def test_percentiles_lie_on_a_straight_line_between_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([0.0, 10.0], 0.99) == pytest.approx(9.9)
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_an_event_is_visible_once_the_count_has_reached_it() -> None:
    arrivals = [1.0, 2.0, 3.0, 4.0]
    counts = [(0.0, 0), (2.5, 2), (5.0, 3)]

    assert visibility_delays(arrivals, counts) == [1.5, 0.5, 2.0]


def test_a_ratio_is_the_median_of_the_rounds_that_both_sides_have() -> None:
    samples = [
        sample("a", 0, 1000.0, warm_up=True),
        *(sample("a", 1, 10.0), sample("a", 2, 40.0), sample("a", 3, 30.0), sample("a", 4, 1.0)),
        *(sample("b", 1, 10.0), sample("b", 2, 10.0), sample("b", 3, 10.0)),
        {"side": "b", "round": 4, "warm_up": False, "values": {}, "error": "it failed"},
    ]

    assert ratio(samples, "a", "b", "rate") == 3.0
    assert ratio(samples, "a", "nobody", "rate") is None
    assert by_round(samples, "b", "rate") == {1: 10.0, 2: 10.0, 3: 10.0}


def test_values_between_two_samples_lie_on_a_straight_line() -> None:
    series = [(1.0, 10.0), (3.0, 20.0)]

    assert [interpolate(series, moment) for moment in (0.0, 1.0, 2.0, 9.0)] == [10.0, 10.0, 15.0, 20.0]


def test_stolen_time_is_neither_busy_nor_idle() -> None:
    load = load_between(Ticks(1000, 500, 10), Ticks(2000, 900, 110), 1.234)

    assert (load.busy, load.steal, load.load_before) == (0.5, 0.1, 1.23)


def test_the_machines_ticks_are_read_from_the_first_line(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 1 20 300 40 5 6 7 0 0\ncpu0 1 1 1 1\n")

    assert read_ticks(stat) == Ticks(389, 340, 7)
    assert read_ticks(tmp_path / "none") == Ticks(0, 0, 0)


def test_a_log_follows_from_its_seed_and_comes_in_the_order_of_arrival() -> None:
    traffic = Traffic(3_000, copies=0.05, late=0.05, malformed=0.02)
    told, again = Loaded("t", 1), Loaded("t", 1)

    found = list(records(LINES, traffic, told))

    assert found == list(records(LINES, traffic, again))
    assert [arrival for arrival, _, _ in found] == sorted(arrival for arrival, _, _ in found)
    assert told.events == 3_000
    assert min(told.copies, told.late, told.malformed) > 10
    assert len(found) == told.events + told.copies + told.malformed


def test_every_event_of_a_log_has_an_id_of_its_own() -> None:
    traffic = Traffic(500, copies=0, late=0, malformed=0, unique_from=10)

    values = [value for _, _, value in records(LINES, traffic, Loaded("t", 1))]

    assert len({value[:80] for value in values}) == 500
    assert b"00000000-0000-0000-0000-00000000000a" in b"".join(values)


def test_cards_and_categories_can_be_drawn_anew() -> None:
    traffic = Traffic(200, copies=0, late=0, malformed=0, cards=3, categories=("One", "Two"))

    found = list(records(LINES, traffic, Loaded("t", 1)))

    assert {key for _, key, _ in found} == {b"card-0000000", b"card-0000001", b"card-0000002"}
    assert all(b'"category":"One"' in value or b'"category":"Two"' in value for _, _, value in found)


def test_the_log_is_made_without_holding_all_of_it() -> None:

    first = next(records(LINES, Traffic(100_000_000), Loaded("t", 1)))

    assert first[1].startswith(b"card-")


def test_processor_time_between_two_samples_is_not_lost(tmp_path: Path) -> None:
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"

    done = processes.run([sys.executable, "-c", burn], dict(os.environ), tmp_path, {})

    assert 0.3 <= sum(done.watch.cpu_seconds().values()) < 10


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]

    with pytest.raises(BenchError, match="ended with 1: no such thing"):
        processes.run(argv, dict(os.environ), tmp_path, {})


def test_nothing_is_left_of_a_process_that_takes_too_long(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]

    with (
        pytest.raises(BenchError, match="did not end within"),
        processes.running(argv, dict(os.environ), tmp_path, {}) as process,
    ):
        process.wait(0.5)

    assert process.process.poll() is not None
    assert process.watch.pids() == []
