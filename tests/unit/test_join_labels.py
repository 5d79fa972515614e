"""Labels are joined on everything that they have: id, card and time. What cannot be decided is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fraudctl.cli.main import app
from fraudctl.operations.inputs.join_labels import Subject, join_labels, join_lines
from fraudctl.operations.inputs.labels import Label, labels_from_file
from tests.unit.test_event_files import event, label, lines


def told(tmp_path: Path, events: list[dict[str, Any]], labels: list[dict[str, Any]]) -> tuple[Any, str]:
    """Evaluate and return the result as data and as text."""
    files = tmp_path / "events.jsonl", tmp_path / "labels.jsonl"
    files[0].write_bytes(lines(events))
    files[1].write_bytes(lines(labels))
    command = ["evaluate", "--events", str(files[0]), "--labels", str(files[1]), "--all-labels"]
    results = [
        CliRunner().invoke(app, [*command, "--home", str(tmp_path), *more]) for more in (("--json",), ())
    ]
    assert [result.exit_code for result in results] == [0, 0], results[0].output
    return json.loads(results[0].stdout), results[1].stdout


@pytest.mark.parametrize(
    ("changed", "fraud", "unmatched", "words"),
    [
        # One label, whose id ten transactions share: folder 34-one-label-many.
        ({}, 1, 0, ""),
        ({"card_id": "another"}, 0, 1, "1 label names an id that only transactions of other cards have"),
        ({"card_id": None}, 1, 0, ""),
        ({"event_time": "2026-03-20T00:00:00Z", "card_id": "c-1"}, 2, 0, "1 label holds for 2 transactions"),
        ({"event_time": "2026-03-20T00:00:00Z", "card_id": None}, 10, 0, "1 label holds for 10 transactions"),
        ({"event_time": "2026-03-20T00:00:00Z"}, 2, 0, "1 label names another time than the transaction"),
        ({"transaction_id": "nobody's"}, 0, 1, "1 label of transactions that were not judged"),
        ({"event_time": "2026-03-02T11:00:00.001+01:00"}, 1, 0, ""),
    ],
)
def test_one_label_of_an_id_that_many_share(
    tmp_path: Path, changed: dict[str, Any], fraud: int, unmatched: int, words: str
) -> None:
    events = [event(number, transaction_id="shared") for number in range(10)]
    found, text = told(tmp_path, events, [label(1, transaction_id="shared") | changed])
    assert (found["fraud"], found["labels_unmatched"]) == (fraud, unmatched)
    assert words in text
    if not words:
        assert "label holds" not in text
        assert "label names" not in text


def test_transactions_that_no_label_can_tell_apart_are_told(tmp_path: Path) -> None:
    events = [event(3), event(3, amount_minor=999), event(4)]
    found, text = told(tmp_path, events, [label(3)])
    assert (found["fraud"], found["join"]["shared"], found["join"]["shared_transactions"]) == (2, 1, 2)
    assert "1 label holds for 2 transactions" in text


def test_copies_are_one_transaction(tmp_path: Path) -> None:
    found, _text = told(tmp_path, [event(3), event(3), event(4)], [label(3)])
    assert (found["fraud"], found["join"]["shared"]) == (1, 0)


def test_each_of_several_labels_of_one_id_finds_its_own(tmp_path: Path) -> None:
    events = [event(number, transaction_id="shared") for number in range(10)]
    labels = [label(number, transaction_id="shared", scenario=f"kind-{number}") for number in (1, 8)]
    found, text = told(tmp_path, events, labels)
    assert found["fraud"] == 2
    assert [one["scenario"] for one in found["scenarios"]] == ["kind-1", "kind-8"]
    assert "1 id has several labels that differ" in text


def test_a_clock_that_is_wrong_hides_no_fraud(tmp_path: Path) -> None:
    found, text = told(tmp_path, [event(3), event(4)], [label(3, event_time="2026-03-04T10:04:00Z")])
    assert found["fraud"] == 1
    assert "1 label names another time than the transaction of its id and card" in text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"scenario": "testing"}, "t-3 in lines 1 and 2: another scenario"),
        ({"reported_at": "2026-03-29T10:00:00Z"}, "another reported_at"),
        ({"card_id": "c-9"}, "another card_id"),
        ({"event_time": "2026-03-05T10:00:00Z"}, "another event_time"),
    ],
)
def test_contradicting_labels_of_one_id_are_told(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    found, text = told(tmp_path, [event(3), event(4)], [label(3), label(3) | changed, label(3)])
    (contradiction,) = found["contradictions"]
    assert words in contradiction
    assert contradiction in text


def test_the_same_label_twice_contradicts_nothing(tmp_path: Path) -> None:
    found, _text = told(tmp_path, [event(3), event(4)], [label(3), label(3)])
    assert (found["labels"], found["contradictions"]) == (1, [])


@pytest.mark.parametrize("given", [5, 5.0, "5", " 5 "])
def test_ids_are_compared_by_value(tmp_path: Path, given: object) -> None:
    events = [event(3, transaction_id="5", card_id="7"), event(4)]
    found, _text = told(tmp_path, events, [label(3, transaction_id=given, card_id=7.0)])
    assert (found["fraud"], found["labels_unmatched"]) == (1, 0)


def test_the_earliest_report_counts_and_the_own_time_before_all() -> None:
    subjects = [Subject("a", "c", 10), Subject("b", "c", 10)]
    late, early = Label("a", "x", 10, 50, "c"), Label("a", "y", 10, 40, None)
    elsewhere = Label("b", "x", 11, 30, "c")
    own = Label("b", "z", 10, 60, "c")
    found, report = join_labels([late, early, elsewhere, own], subjects)
    assert found == [early, own]
    assert (report.matched, report.unmatched, report.at_other_times) == (4, 0, 1)
    assert join_lines(report) == ["1 label names another time than the transaction of its id and card"]


def test_a_label_needs_no_card(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    without = {name: value for name, value in label(1).items() if name != "card_id"}
    file.write_bytes(lines([without, label(2, card_id="")]))
    read = labels_from_file(file)
    assert [one.card_id for one in read.labels.values()] == [None, None]
