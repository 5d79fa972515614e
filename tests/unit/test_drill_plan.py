"""The plan of a drill: the same for the same seed, everything comes once before anything comes twice."""

from collections import Counter

import pytest

from fraudctl.errors import UsageError
from fraudctl.failpoints import FAILPOINTS, Failpoint, parse
from fraudctl.operations.drill.plan import (
    FAULTS,
    MOMENT,
    START_UP,
    Cycle,
    draw,
    faults_named,
    places_named,
)

ALL = tuple(FAULTS)


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert draw(7, 20, ALL) == draw(7, 20, ALL)
    assert draw(7, 20, ALL) != draw(8, 20, ALL)


def test_the_plan_of_one_seed_is_what_it_was() -> None:
    """A seed that was printed last year is to repeat last year's drill."""
    assert draw(7, 3, ("kill",)) == (
        Cycle("kill", "before_staging", 3),
        Cycle("kill", "after_ledger", 2),
        Cycle("kill", "before_batch", 4),
    )


def test_a_longer_plan_begins_like_a_shorter_one() -> None:
    assert draw(7, 40, ALL)[:9] == draw(7, 9, ALL)


def test_the_order_in_which_faults_are_named_does_not_matter() -> None:
    assert draw(7, 8, ("kafka", "kill")) == draw(7, 8, ("kill", "kafka"))


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_comes_before_any_comes_twice(seed: int) -> None:
    plan = draw(seed, 2 * len(FAULTS), ALL)
    assert {cycle.fault for cycle in plan[: len(FAULTS)]} == set(FAULTS)
    assert set(Counter(cycle.fault for cycle in plan).values()) == {2}


@pytest.mark.parametrize("seed", range(20))
def test_kills_come_to_every_failpoint_to_the_start_and_to_random_moments(seed: int) -> None:
    places = Counter(cycle.place for cycle in draw(seed, len(FAILPOINTS) + 3, ("kill",)))
    assert places == Counter({**dict.fromkeys(FAILPOINTS, 1), START_UP: 1, MOMENT: 2})


@pytest.mark.parametrize("seed", range(20))
def test_pauses_come_to_every_failpoint_and_end_in_both_ways(seed: int) -> None:
    plan = draw(seed, len(FAILPOINTS), ("pause",))
    assert {cycle.place for cycle in plan} == set(FAILPOINTS)
    assert {cycle.succeeded for cycle in plan[:2]} == {True, False}


def test_named_failpoints_are_the_only_ones() -> None:
    plan = draw(3, 30, ALL, ("before_merge", "after_commit"))
    hit = {cycle.place for cycle in plan if cycle.fault in ("kill", "pause")}
    assert hit == {"before_merge", "after_commit"}
    assert {cycle.place for cycle in plan if cycle.fault in ("postgres", "kafka")} == {MOMENT}


def test_what_is_armed_is_what_the_detector_understands() -> None:
    assert parse(Cycle("kill", "before_merge", 3).armed) == (Failpoint("before_merge", 3, "kill"),)
    assert parse(Cycle("pause", "after_commit", 2).armed) == (Failpoint("after_commit", 2, "pause"),)
    assert Cycle("kill", MOMENT, 1, 0.5).armed == ""
    assert Cycle("kafka", MOMENT, 1, 0.5).armed == ""


def test_a_batch_lands_before_any_failpoint_fires() -> None:
    """Otherwise nobody could tell when the fault before it was over."""
    armed = [cycle for cycle in draw(1, 200, ("kill", "pause")) if cycle.armed]
    assert min(cycle.nth for cycle in armed) == 2


def test_every_cycle_says_where() -> None:
    assert Cycle("kill", "before_merge", 3).where == "before_merge, time 3"
    assert Cycle("pause", "before_merge", 2, 1.5).where == "before_merge, time 2, woken after 1.5 s"
    assert Cycle("pause", "before_merge", 2, 1.5, succeeded=True).where == "before_merge, time 2, succeeded"
    assert Cycle("kill", START_UP, 0, 2.5).where == "start-up, 2.5 s after it began"
    assert Cycle("kafka", MOMENT, 2, 0.4).where == "random moment, 2 batches and 0.4 s later"


def test_names_are_read_in_any_order_and_with_blanks() -> None:
    assert faults_named("kafka, kill") == ("kill", "kafka")
    assert places_named("after_commit,before_merge", ("kill",)) == ("before_merge", "after_commit")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("kil", "'kil' is not a fault", "did you mean kill?"),
        ("kill,database", "'database' is not a fault", "--faults kill,pause"),
        (" , ", "no fault is named", "--faults kill,pause"),
    ],
)
def test_an_unknown_fault_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        faults_named(text)
    assert caught.value.message == message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("before_merg", "'before_merg' is not a failpoint", "did you mean before_merge?"),
        ("", "no failpoint is named", "--at before_merge,after_commit"),
    ],
)
def test_an_unknown_failpoint_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        places_named(text, ("kill",))
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_failpoints_without_a_fault_that_hits_the_detector_are_refused() -> None:
    with pytest.raises(UsageError, match="none of --faults hits the detector"):
        places_named("before_merge", ("postgres", "kafka"))
