"""What a replay with other rules would do to alerts and flags."""

from fraudctl.operations.replay.rule_changes import change
from fraudctl.operations.replay.time_range import RangeReplay
from fraudctl.recount.alerts import Alert
from fraudctl.recount.flags import Flag
from fraudctl.ui.text.replay import change as as_text
from fraudctl.ui.text.replay import range_replay


def alert(name: str, category: str, rules: str) -> Alert:
    return Alert(name, "c", "m", 1, category, 5, "EUR", "DE", "pos", 2, "r", 50, rules, "q", 0)


def test_alerts_won_and_lost_are_counted_by_category_and_rule() -> None:
    live = {"1": alert("a", "Food", "dear"), "2": alert("b", "Food", "dear,night")}
    replayed = {"1": alert("a", "Food", "abroad"), "3": alert("c", "Retail", "abroad")}
    found = change(live, replayed)
    assert (found.live, found.replayed, found.won, found.lost) == (2, 2, ("c",), ("b",))
    assert (found.won_by_category, found.lost_by_category) == ({"Retail": 1}, {"Food": 1})
    assert (found.won_by_rule, found.lost_by_rule) == ({"abroad": 1}, {"dear": 1, "night": 1})
    assert as_text("alerts", found) == [
        "alerts: 2 -> 2",
        "  won 1: Retail 1; abroad 1",
        "  lost 1: Food 1; dear 1, night 1",
    ]


def test_a_flag_in_another_partition_is_another_one() -> None:
    flag = Flag("a", "c", "m", 1, "Food", 5, "EUR", "DE", "pos", 2, "r", 50, "often,fast", True, "q", 0)
    found = change({(0, "1"): flag}, {(0, "1"): flag, (1, "1"): flag})
    assert (found.live, found.replayed, found.won, found.lost) == (1, 2, ("a",), ())
    assert as_text("flags", found) == ["flags: 1 -> 2", "  won 1: Food 1; fast 1, often 1"]


def test_a_range_in_which_only_flags_differ_is_different() -> None:
    flag = Flag("a", "c", "m", 1, "Food", 5, "EUR", "DE", "pos", 2, "r", 50, "often", True, "q", 0)
    none, one = change({}, {}), change({(0, "1"): flag}, {})
    same = RangeReplay("from", "to", None, {}, 9, 3, 3, (), 0, 0, none, none, None, False, 0, 1.0)
    assert not same.different
    assert range_replay(same, 5).splitlines()[-1].startswith("SAME: all 3 rows agree")
    lost = RangeReplay("from", "to", None, {}, 9, 3, 3, (), 0, 0, none, one, None, False, 0, 1.0)
    assert lost.different
    lines = range_replay(lost, 5).splitlines()
    assert "flags by what the card did: 1 -> 0" in lines
    assert lines[-1].startswith("DIFFERENT: 0 of 3 rows and 1 flag; nothing was changed")
