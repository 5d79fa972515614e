"""An evaluation worked out by hand: six transactions, what was known when, and each share."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fraudctl.config.load import load
from fraudctl.errors import DataError, RefusedError
from fraudctl.operations.evaluate.evaluate import EvaluateRequest, Evaluation, evaluate
from fraudctl.rules.model import parse_rules
from fraudctl.ui.text.evaluate import evaluation as as_text

RULES = parse_rules(
    {
        "rules": [
            {
                "id": "dear",
                "reason": "dear",
                "weight": 60,
                "action": "alert",
                "when": {"amount_over": 100},
            },
            {"id": "abroad", "reason": "abroad", "weight": 30, "when": {"not_countries": ["DE"]}},
            {"id": "off", "reason": "off", "enabled": False, "when": {"amount_over": 0}},
        ]
    }
)
# id, hour, card, amount, country; and of a fraud its scenario and the hour of its report.
#          alert  flagged  score
# a fraud    x       x       90
# b          x       x       60
# c fraud            x       30
# d fraud                     0
# e                           0
# f fraud    x       x       60, reported last
EVENTS: list[tuple[str, int, str, int, str, tuple[str, int] | None]] = [
    ("a", 1, "c1", 300, "FR", ("takeover", 5)),
    ("b", 2, "c2", 200, "DE", None),
    ("c", 3, "c3", 50, "FR", ("takeover", 4)),
    ("d", 4, "c4", 40, "DE", ("testing", 6)),
    ("e", 5, "c5", 30, "DE", None),
    ("f", 6, "c1", 150, "DE", ("testing", 9)),
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    events, labels = tmp_path / "events.jsonl", tmp_path / "labels.jsonl"
    lines, known = [], []
    for name, hour, card, amount, country, fraud in EVENTS:
        event: dict[str, Any] = {
            "schema_version": 1,
            "transaction_id": name,
            "event_time": f"2026-03-10T{hour:02}:00:00Z",
            "card_id": card,
            "merchant_id": "m",
            "category": "Food",
            "amount_minor": amount,
            "currency": "EUR",
            "country": country,
            "channel": "pos",
        }
        lines.append(json.dumps(event))
        if fraud:
            known.append(
                json.dumps(
                    {
                        "schema_version": 1,
                        "transaction_id": name,
                        "event_time": event["event_time"],
                        "card_id": card,
                        "scenario": fraud[0],
                        "reported_at": f"2026-03-10T{fraud[1]:02}:00:00Z",
                    }
                )
            )
    lines += [lines[0], "{}"]  # a copy and a refused one are not evaluated
    events.write_text("\n".join(lines) + "\n", encoding="utf-8")
    labels.write_text("\n".join(known) + "\n", encoding="utf-8")
    return events, labels


def evaluated(files: tuple[Path, Path], **changed: Any) -> Evaluation:
    plain: dict[str, Any] = {"rules": RULES, "as_of": None, "label_delay_seconds": None}
    return evaluate(EvaluateRequest(load().settings, None, files, **(plain | changed)))


def test_every_share_is_exact(files: tuple[Path, Path]) -> None:
    found = evaluated(files)
    assert (found.judged, found.pending, found.evaluated, found.fraud) == (6, 0, 6, 4)
    alerts, flagged = found.alerts, found.flagged
    assert (alerts.true_positives, alerts.false_positives, alerts.false_negatives, alerts.true_negatives) == (
        2,
        1,
        2,
        1,
    )
    assert (alerts.precision, alerts.recall, alerts.f1, alerts.rate) == (2 / 3, 2 / 4, 4 / 7, 3 / 6)
    assert (flagged.precision, flagged.recall, flagged.rate) == (3 / 4, 3 / 4, 4 / 6)
    # Scores of the frauds 90, 60, 30, 0 against 60 and 0: 2 + 1.5 + 1 + 0.5 of 8 pairs.
    assert found.auc_roc == 5 / 8
    # Precisions where fraud is found: 90 → 1, 60 → 2/3, 30 → 3/4, 0 → 4/6.
    assert found.average_precision == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 6) / 4, abs=1e-15)
    # One day; five cards, three of them with fraud; all fit into the hundred.
    assert (found.card_precision.precision, found.card_precision.days) == (3 / 100, 1)
    assert [(one.scenario, one.fraud, one.alerted, one.flagged) for one in found.scenarios] == [
        ("takeover", 2, 1, 2),
        ("testing", 2, 1, 1),
    ]
    assert {one.id: (one.figures.true_positives, one.figures.false_positives) for one in found.rules} == {
        "dear": (2, 1),
        "abroad": (2, 0),
    }
    # Three alerts are allowed: 300, 200 and 150, so x is the next amount.
    yard = found.yardstick
    assert (yard.amount_over, yard.budget, yard.figures.precision, yard.figures.recall) == (
        50,
        3,
        2 / 3,
        2 / 4,
    )
    assert yard.auc_roc == (2 + 1 + 1 + 1) / 8


def test_what_was_not_reported_yet_is_not_known(files: tuple[Path, Path]) -> None:
    # At 05:00 the labels of a and c are there, the slowest after four hours: only what is older is ripe.
    found = evaluated(files, as_of=datetime(2026, 3, 10, 5, tzinfo=UTC))
    assert (found.labels, found.labels_known, found.label_delay_seconds) == (4, 2, 4 * 3600)
    assert (found.evaluated, found.pending, found.fraud) == (1, 5, 1)
    # With a delay of one hour a to d are ripe, and d counts as genuine: its label comes at 06:00.
    found = evaluated(files, as_of=datetime(2026, 3, 10, 5, tzinfo=UTC), label_delay_seconds=3600)
    assert (found.evaluated, found.pending, found.fraud) == (4, 2, 2)
    assert (found.alerts.precision, found.alerts.recall) == (1 / 2, 1 / 2)


def test_the_report_states_its_denominators(files: tuple[Path, Path]) -> None:
    text = as_text(evaluated(files))
    assert "evaluated  6 transactions, 4 of them fraud (66.667 %)" in text
    assert "recall: of 4 frauds; rate: of 6 transactions" in text
    assert "rule abroad (flag): matched 2, precision 1.0000, recall 0.5000" in text
    assert "scenario testing: 1 of 2 raised an alert (0.5000), 1 were flagged" in text


def test_rules_on_the_card_are_evaluated_on_its_past(files: tuple[Path, Path]) -> None:
    """c1 pays at 01:00 and at 06:00, in two countries: f is flagged, by its past alone."""
    card = {"within_minutes": 301, "countries_over": 1}
    rules = {"rules": [{"id": "two", "reason": "two countries", "action": "alert", "when": {"card": card}}]}
    found = evaluated(files, rules=parse_rules(rules))
    assert (found.alerts.true_positives, found.alerts.false_positives) == (1, 0)
    rules["rules"][0]["when"] = {"card": {**card, "within_minutes": 300}}
    found = evaluated(files, rules=parse_rules(rules))
    assert (found.alerts.true_positives, found.alerts.false_positives) == (0, 0)


def test_a_line_that_is_no_label_is_named(files: tuple[Path, Path]) -> None:
    files[1].write_text('{"transaction_id": "a"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"labels\.jsonl:1 is no label"):
        evaluated(files)


def test_of_nothing_there_is_nothing_to_say(files: tuple[Path, Path]) -> None:
    with pytest.raises(RefusedError, match="nothing to evaluate") as young:
        evaluated(files, as_of=datetime(2020, 1, 1, tzinfo=UTC), label_delay_seconds=0)
    assert "--as-of" in young.value.hint
    with pytest.raises(DataError, match=r"labels\.jsonl:1 is no event, and no other line is one") as empty:
        evaluated((files[1], files[1]))
    labels = len(files[1].read_text(encoding="utf-8").splitlines())
    assert f"{labels} left out: a label, not an event" in empty.value.detail
    assert "--labels" in empty.value.hint


def test_what_is_no_event_is_counted(files: tuple[Path, Path]) -> None:
    before = evaluated(files)
    with files[0].open("a", encoding="utf-8") as events:
        events.write("{}\n")
    after = evaluated(files)
    assert (before.refused, after.refused, after.judged) == (1, 2, before.judged)
    assert "2 lines or records that are no admissible events" in as_text(after)
