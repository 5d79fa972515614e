"""Alerts of a range against the frauds that are known, by hand."""

from fraudctl.operations.labels import Label
from fraudctl.operations.replay_detection import Detection, Found, detection
from fraudctl.ui.text import replay as text

# Event and report, in microseconds; the range is 10 to 20, and it is 100 now.
LABELS = {
    name: Label(name, "velocity_burst", event_us, reported_us)
    for name, event_us, reported_us in (
        ("first", 10, 50),
        ("found", 15, 100),
        ("missed", 19, 60),
        ("before", 9, 50),
        ("after", 20, 50),
        ("not known yet", 15, 101),
    )
}
RANGE = {"begin_us": 10, "finish_us": 20, "now_us": 100}


def test_precision_and_recall_on_both_sides() -> None:
    live = {"first", "honest", "not known yet", "other"}
    replayed = {"first", "found", "honest"}
    found = detection(LABELS, live, replayed, **RANGE)
    assert found == Detection(3, Found(4, 1, 1 / 4, 1 / 3), Found(3, 2, 2 / 3, 2 / 3))
    assert text.detection(found) == [
        "  frauds known 3: alerted 1 -> 2",
        "  precision 0.250 -> 0.667  recall 0.333 -> 0.667",
    ]


def test_no_alert_has_no_precision_but_a_recall() -> None:
    found = detection(LABELS, set(), {"missed"}, **RANGE)
    assert found is not None
    assert found.live == Found(0, 0, None, 0.0)
    assert "precision - -> 1.000" in text.detection(found)[1]


def test_without_a_known_fraud_nothing_is_said() -> None:
    assert detection(LABELS, {"first"}, set(), begin_us=30, finish_us=40, now_us=100) is None
    assert detection({}, {"first"}, set(), **RANGE) is None
