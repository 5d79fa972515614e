"""Alerts of a range against the frauds that are known, by hand."""

from fraudctl.operations.inputs.join_labels import Subject
from fraudctl.operations.inputs.labels import Label, key_of
from fraudctl.operations.replay.precision import Detection, Found, detection
from fraudctl.ui.text import replay as text

# Event and report, in microseconds; the range is 10 to 20, and it is 100 now.
LABELS = {
    key_of(label): label
    for label in (
        Label(name, "velocity_burst", event_us, reported_us, card)
        for name, event_us, reported_us, card in (
            ("first", 10, 50, None),
            ("found", 15, 100, "card"),
            ("missed", 19, 60, None),
            ("before", 9, 50, None),
            ("after", 20, 50, None),
            ("not known yet", 15, 101, None),
        )
    )
}
RANGE = {"begin_us": 10, "finish_us": 20, "now_us": 100}
TIMES = {"first": 10, "missed": 19}


def alerts(*names: str) -> list[Subject]:
    return [Subject(name, "card", TIMES.get(name, 15)) for name in names]


def test_precision_and_recall_on_both_sides() -> None:
    live = alerts("first", "honest", "not known yet", "other")
    replayed = alerts("first", "found", "honest")
    found = detection(LABELS, live, replayed, **RANGE)
    assert found == Detection(3, Found(4, 1, 1 / 4, 1 / 3), Found(3, 2, 2 / 3, 2 / 3))
    assert text.detection(found) == [
        "  frauds known 3: alerted 1 -> 2",
        "  precision 0.250 -> 0.667  recall 0.333 -> 0.667",
    ]


def test_a_label_of_another_card_finds_no_alert() -> None:
    found = detection(LABELS, [Subject("found", "another", 15)], alerts("found"), **RANGE)
    assert found == Detection(3, Found(1, 0, 0.0, 0.0), Found(1, 1, 1.0, 1 / 3))


def test_of_two_transactions_with_one_id_the_one_at_the_labels_time_is_meant() -> None:
    found = detection(LABELS, alerts("first"), [Subject("first", "card", 18), *alerts("first")], **RANGE)
    assert found == Detection(3, Found(1, 1, 1.0, 1 / 3), Found(2, 1, 0.5, 1 / 3))


def test_no_alert_has_no_precision_but_a_recall() -> None:
    found = detection(LABELS, [], alerts("missed"), **RANGE)
    assert found is not None
    assert found.live == Found(0, 0, None, 0.0)
    assert "precision - -> 1.000" in text.detection(found)[1]


def test_without_a_known_fraud_nothing_is_said() -> None:
    assert detection(LABELS, alerts("first"), [], begin_us=30, finish_us=40, now_us=100) is None
    assert detection({}, alerts("first"), [], **RANGE) is None
