"""Labels: one for each fraud, known only after its delay, however the batches are cut."""

import re

import msgspec

from fraudctl.events.schema import PATTERNS
from fraudctl.simulator.labels import HOUR_MS, Label, Labels, encode_label
from fraudctl.simulator.wire import transaction_ids
from tests.support.simulations import drawn


def test_every_fraud_has_one_label_and_nothing_else_has() -> None:
    made, everything = drawn(0.5)
    labels = Labels(made.names, (24.0, 336.0), 7).of(everything)
    fraud = everything.take(everything.fraud)
    assert [label.transaction_id for _, label in labels] == transaction_ids(fraud)
    assert [label.scenario for _, label in labels] == [
        made.names.scenarios[place] for place in fraud.scenario.tolist()
    ]
    assert [label.card_id for _, label in labels] == [made.names.cards[card] for card in fraud.card.tolist()]


def test_a_label_is_known_after_its_delay() -> None:
    made, everything = drawn(0.5)
    fraud = everything.take(everything.fraud)
    reported = [moment for moment, _ in Labels(made.names, (24.0, 48.0), 7).of(everything)]
    delays = [moment - time for moment, time in zip(reported, fraud.time_ms.tolist(), strict=True)]
    assert min(delays) >= 24 * HOUR_MS
    assert max(delays) < 48 * HOUR_MS
    assert len(set(delays)) > 0.9 * len(delays)


def test_how_batches_are_cut_does_not_matter() -> None:
    made, everything = drawn(0.5)
    labels = Labels(made.names, (24.0, 336.0), 7)
    parts = [
        labels.of(everything.take(slice(begin, begin + 999))) for begin in range(0, len(everything), 999)
    ]
    assert [label for part in parts for label in part] == Labels(made.names, (24.0, 336.0), 7).of(everything)


def test_a_label_is_one_json_object_with_times_like_those_of_events() -> None:
    made, everything = drawn(0.5)
    for _, label in Labels(made.names, (24.0, 336.0), 7).of(everything)[:50]:
        assert msgspec.json.decode(encode_label(label), type=Label) == label
        assert re.fullmatch(PATTERNS["event_time"], label.event_time)
        assert re.fullmatch(PATTERNS["event_time"], label.reported_at)
        assert label.reported_at > label.event_time
