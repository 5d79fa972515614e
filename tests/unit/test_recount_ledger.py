"""What the ledger says about itself, and what it says about the log."""

from collections import Counter
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from fraudctl.recount.compare import compare_dead_letters, compare_windows
from fraudctl.recount.instants import INFINITY_US
from fraudctl.recount.intake import LogIntake
from fraudctl.recount.ledger import Batch, Ledger, read_intake, read_offsets
from fraudctl.recount.recount import NO_WATERMARK
from fraudctl.recount.windows import Totals, WindowKey

FIRST = str(UUID(int=1))
SECOND = str(UUID(int=2))


def batch(
    batch_id: int,
    offsets: dict[int, tuple[int, int]],
    *,
    query_id: str = FIRST,
    epoch: int = 1,
    watermark_us: int = 0,
    intake: dict[int, dict[str, int]] | None = None,
) -> Batch:
    return Batch(
        query_id, batch_id, epoch, "cluster", "topic", "topic-id", offsets, intake or {}, watermark_us, "f", 0
    )


def kinds(*batches: Batch) -> list[tuple[str, int | None, int | None]]:
    return [(found.kind, found.batch_id, found.partition) for found in Ledger(batches).contradictions()]


def test_ranges_that_follow_each_other_are_sound() -> None:
    assert (
        kinds(
            batch(0, {0: (5, 9), 1: (0, 0)}),
            batch(1, {0: (9, 9), 1: (0, 4)}),
            batch(2, {0: (9, 12)}),
            batch(0, {0: (12, 13), 1: (4, 5), 2: (100, 101)}, query_id=SECOND, epoch=2),
        )
        == []
    )


def test_a_gap_is_named_with_its_batch_and_partition() -> None:
    ledger = Ledger([batch(0, {0: (0, 5), 1: (0, 5)}), batch(1, {0: (6, 9), 1: (5, 9)})])
    (found,) = ledger.contradictions()
    assert (found.kind, found.query_id, found.batch_id, found.partition) == ("gap", FIRST, 1, 0)
    assert (found.expected, found.stored) == ("a range that begins at 5", "6 to 9")


def test_an_overlap_is_named() -> None:
    assert kinds(batch(0, {0: (0, 5)}), batch(1, {0: (4, 9)})) == [("overlap", 1, 0)]


def test_the_same_range_twice_is_an_overlap() -> None:
    assert kinds(batch(0, {0: (0, 5)}), batch(1, {0: (0, 5)}), batch(2, {0: (5, 6)})) == [("overlap", 1, 0)]


def test_batches_of_a_query_are_numbered_from_zero_without_a_gap() -> None:
    assert kinds(batch(0, {0: (0, 5)}), batch(2, {0: (5, 5)}), batch(3, {0: (5, 6)})) == [("batch", 2, None)]
    assert kinds(batch(1, {0: (0, 5)})) == [("batch", 1, None)]


def test_a_range_that_cannot_be_is_named() -> None:
    assert kinds(batch(0, {0: (-1, 5)}), batch(1, {0: (5, 4)})) == [("range", 0, 0), ("range", 1, 0)]


def test_epochs_decide_the_order_not_the_order_of_rows() -> None:
    assert (
        kinds(batch(0, {0: (9, 12)}, query_id=FIRST, epoch=7), batch(0, {0: (0, 9)}, query_id=SECOND)) == []
    )


def test_the_whole_range_is_from_the_first_offset_to_one_past_the_last() -> None:
    ledger = Ledger([batch(0, {0: (3, 5), 1: (7, 7)}), batch(1, {0: (5, 9), 1: (7, 8)})])
    assert ledger.ranges == {0: (3, 9), 1: (7, 8)}


def test_the_drop_rule_uses_the_watermark_of_the_batch_before_in_the_same_query() -> None:
    ledger = Ledger(
        [
            batch(0, {0: (0, 5)}, watermark_us=10),
            batch(1, {0: (5, 9), 1: (0, 3)}, watermark_us=20),
            batch(2, {0: (9, 10)}, watermark_us=30),
            batch(0, {0: (10, 12)}, query_id=SECOND, epoch=2, watermark_us=40),
        ]
    )
    places = [(0, 4), (0, 5), (1, 2), (0, 9), (0, 11)]
    assert [ledger.watermark(*place) for place in places] == [NO_WATERMARK, 10, 10, 20, NO_WATERMARK]


LOG = np.arange(10)
REJECTS = {(0, 2): "malformed", (0, 3): "late", (0, 7): "late"}
SOUND = [
    batch(0, {0: (0, 5)}, intake={0: {"admitted": 3, "malformed": 1, "late": 1}}),
    batch(1, {0: (5, 10)}, intake={0: {"admitted": 4, "late": 1, "future": 0}}),
]


def unconfirmed(batches: list[Batch]) -> list[tuple[int | None, str, str]]:
    ledger, intake = Ledger(batches), LogIntake()
    for offset, place in enumerate(ledger.index().batches(0, LOG).tolist()):
        assert place == ledger.place(0, offset)
        intake.read[place, 0] += 1
        if reason := REJECTS.get((0, offset)):
            intake.rejected.setdefault((place, 0), Counter())[reason] += 1
    return [(found.batch_id, found.expected, found.stored) for found in ledger.unconfirmed(intake)]


def test_an_intake_that_the_log_confirms() -> None:
    assert unconfirmed(SOUND) == []


def test_an_intake_that_the_log_does_not_confirm_is_named_by_batch() -> None:
    wrong = replace(SOUND[1], intake={0: {"admitted": 5}})
    assert unconfirmed([SOUND[0], wrong]) == [(1, "admitted 4, late 1", "admitted 5")]


def test_an_intake_of_a_partition_that_was_not_read_is_named() -> None:
    wrong = replace(SOUND[1], intake={**SOUND[1].intake, 4: {"late": 2}})
    assert unconfirmed([SOUND[0], wrong]) == [(1, "nothing", "late 2")]


def test_an_intake_may_not_hide_a_number_in_another_reason() -> None:
    wrong = replace(SOUND[0], intake={0: {"admitted": 3, "malformed": 2}})
    assert unconfirmed([wrong, SOUND[1]]) == [
        (0, "admitted 3, late 1, malformed 1", "admitted 3, malformed 2")
    ]


def test_windows_are_compared_in_every_column() -> None:
    key = WindowKey(0, 600_000_000, "Food")
    good = Totals(4, 3, 20, 10)
    assert list(compare_windows({key: good}, {key: good})) == []
    for column in ("count", "flagged_count", "amount_minor", "flagged_amount_minor"):
        stored = replace(good, **{column: getattr(good, column) + 1})
        (found,) = compare_windows({key: good}, {key: stored})
        assert (found.kind, found.columns, found.expected, found.stored) == (
            "differs",
            (column,),
            good,
            stored,
        )
        assert (found.window_start, found.window_end) == ("1970-01-01T00:00:00Z", "1970-01-01T00:10:00Z")
    (missing,) = compare_windows({key: good}, {})
    (extra,) = compare_windows({}, {key: good})
    assert (missing.kind, missing.stored, extra.kind, extra.expected) == ("missing", None, "extra", None)


def test_dead_letters_are_compared_by_place_and_reason() -> None:
    expected = {("t", 0, 1): "late", ("t", 0, 2): "late", ("t", 0, 3): "future"}
    stored = {("t", 0, 1): "late", ("t", 0, 2): "malformed", ("u", 0, 3): "future"}
    assert [
        (row.kind, row.topic, row.offset, row.expected, row.stored)
        for row in compare_dead_letters(expected, stored)
    ] == [
        ("differs", "t", 2, "late", "malformed"),
        ("missing", "t", 3, "future", None),
        ("extra", "u", 3, None, "future"),
    ]


def test_offsets_and_intake_as_the_detector_writes_them() -> None:
    assert read_offsets('{"0": [3, 9], "12": [0, 0]}') == ({0: (3, 9), 12: (0, 0)}, ())
    assert read_intake('{"0": {"admitted": 3}, "1": {}}') == ({0: {"admitted": 3}, 1: {}}, ())
    assert read_offsets("{}") == read_intake("{}") == ({}, ())


@pytest.mark.parametrize(
    ("text", "partition"),
    [
        ("[]", None),
        ("null", None),
        ('"all"', None),
        ('{"0": "all"}', 0),
        ('{"0": [1]}', 0),
        ('{"0": [1, 2, 3]}', 0),
        ('{"0": [1, 2.0]}', 0),
        ('{"0": [1, "2"]}', 0),
        ('{"0": [false, true]}', 0),
        ('{"0": {"1": 2}}', 0),
        ('{"0": null}', 0),
        ('{"0": [1, 9223372036854775808]}', 0),
        ('{"0": [1, ' + "9" * 9000 + "]}", 0),
        ('{"00": [1, 2]}', None),
        ('{"-1": [1, 2]}', None),
        ('{" 1": [1, 2]}', None),
        ('{"\u0661": [1, 2]}', None),
        ('{"2147483648": [1, 2]}', None),
        ('{"": [1, 2]}', None),
        ("[" * 5000 + "]" * 5000, None),
    ],
)
def test_offsets_of_another_shape_are_a_flaw_and_no_crash(text: str, partition: int | None) -> None:
    ranges, (flaw,) = read_offsets(text)
    assert ranges == {}
    assert (flaw.kind, flaw.partition) == ("offsets", partition)
    assert len(flaw.stored) <= 81


@pytest.mark.parametrize(
    "own", ["3", "[]", '{"admitted": "3"}', '{"admitted": 3.0}', '{"late": true}', "null"]
)
def test_an_intake_of_another_shape_is_a_flaw_and_the_rest_is_read(own: str) -> None:
    counts, (flaw,) = read_intake('{"0": ' + own + ', "1": {"late": 1}}')
    assert counts == {1: {"late": 1}}
    assert (flaw.kind, flaw.partition) == ("intake", 0)


def test_a_flaw_is_a_finding_of_its_batch() -> None:
    ranges, flaws = read_offsets('{"0": [0, 5], "1": "all"}')
    (found,) = Ledger([replace(batch(0, dict(ranges)), flaws=flaws)]).contradictions()
    assert (found.kind, found.batch_id, found.partition) == ("offsets", 0, 1)
    assert found.stored == '{"0": [0, 5], "1": "all"}'


def test_a_partition_that_the_topic_does_not_have_is_named() -> None:
    ledger = Ledger([batch(0, {0: (0, 5)}), batch(1, {0: (5, 6), 7: (0, 2)})])
    (found,) = ledger.strangers({0, 1})
    assert (found.batch_id, found.partition, found.stored) == (1, 7, "0 to 2")


def test_a_watermark_never_goes_back_within_a_query_and_is_an_instant() -> None:
    def named(*watermarks: int) -> list[tuple[int | None, str, str]]:
        rows = [batch(number, {}, watermark_us=watermark) for number, watermark in enumerate(watermarks)]
        return [(found.batch_id, found.expected, found.stored) for found in Ledger(rows).watermarks()]

    minute = 60_000_000
    assert named(0, minute, minute, 2 * minute) == []
    assert named(0, minute, 0) == [(2, "1970-01-01T00:01:00Z or later", "1970-01-01T00:00:00Z")]
    assert named(0, INFINITY_US, minute) == [(1, "an instant", "infinity")]
    assert named(-INFINITY_US) == [(0, "an instant", "-infinity")]
    after = batch(0, {}, query_id=SECOND, epoch=2)
    assert list(Ledger([batch(0, {}, watermark_us=minute), after]).watermarks()) == []


def test_a_stretch_is_batches_of_the_same_rules_within_a_horizon() -> None:
    def judged(batch_id: int, rule_set: str, watermark_seconds: int) -> Batch:
        read = batch(batch_id, {0: (batch_id, batch_id + 1)}, watermark_us=watermark_seconds * 1_000_000)
        return replace(read, rule_set=rule_set, fingerprint="rules.card_horizon_seconds=60")

    batches = [judged(0, "a", 0), judged(1, "a", 60), judged(2, "a", 61), judged(3, "a", 121)]
    batches += [judged(4, "b", 121), judged(5, "b", 121), judged(6, "a", 121)]
    assert Ledger(batches).stretches == [0, 0, 1, 1, 2, 2, 3]
