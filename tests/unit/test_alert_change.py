"""What a replay with other rules would do to alerts."""

from fraudctl.operations.replay_range import alert_change
from fraudctl.recount.alerts import Alert
from fraudctl.ui.text.replay import alert_change as as_text


def alert(name: str, category: str, rules: str) -> Alert:
    return Alert(name, "c", "m", 1, category, 5, "EUR", "DE", "pos", 2, "r", 50, rules, "q", 0)


def test_alerts_won_and_lost_are_counted_by_category_and_rule() -> None:
    live = {"1": alert("a", "Food", "dear"), "2": alert("b", "Food", "dear,night")}
    replayed = {"1": alert("a", "Food", "abroad"), "3": alert("c", "Retail", "abroad")}
    change = alert_change(live, replayed)
    assert (change.live, change.replayed, change.won, change.lost) == (2, 2, ("c",), ("b",))
    assert (change.won_by_category, change.lost_by_category) == ({"Retail": 1}, {"Food": 1})
    assert (change.won_by_rule, change.lost_by_rule) == ({"abroad": 1}, {"dear": 1, "night": 1})
    assert as_text(change) == [
        "alerts: 2 -> 2",
        "  won 1: Retail 1; abroad 1",
        "  lost 1: Food 1; dear 1, night 1",
    ]
