"""What the concurrent reader takes for whole, on snapshots written by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fraudctl.database.landing import MicroBatch, WindowRow
from tests.support.reader import _incomplete, _Newest, _Seen

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OLD = BEGAN - timedelta(minutes=1)
ROWS = [WindowRow(start, start + 10, "Food", 3, 1, 300, 100) for start in range(10)]
DIGEST = MicroBatch("query", 1, {}, {}, 0, tuple(ROWS), ()).digest()
# A batch writes its window rows with the beginning of its transaction, and its ledger row a moment later.
NEWEST = _Newest("query", 1, 1, {"0": [0, 3]}, 10, DIGEST, BEGAN + timedelta(milliseconds=40), OLD)
WHOLE = _Seen(NEWEST, 3, 0, [(BEGAN, row) for row in ROWS], ROWS, [])


def test_a_batch_that_is_whole() -> None:
    assert _incomplete(WHOLE, 10) == []
    assert _incomplete(replace(WHOLE, newest=replace(NEWEST, before=None)), 10) == []


def test_rows_of_the_batch_before_are_not_taken_for_its_own() -> None:
    """They began before their ledger row, which is older than the newest batch."""
    older = [
        (OLD - timedelta(milliseconds=40), replace(row, window_start_us=row.window_start_us + 100))
        for row in ROWS
    ]
    seen = replace(WHOLE, admitted=6, metrics=[*WHOLE.metrics, *older])
    assert _incomplete(seen, 10) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(WHOLE, metrics=WHOLE.metrics[1:]), "the windows count 27"),
        (replace(WHOLE, metrics=[(OLD, row) for row in ROWS]), "its transaction left 0"),
        (
            replace(WHOLE, metrics=[(BEGAN + timedelta(seconds=1), row) for row in ROWS]),
            "10 window rows were written after the newest ledger row",
        ),
        (replace(WHOLE, staging=ROWS[1:]), "staging holds 9 rows"),
        (replace(WHOLE, newest=replace(NEWEST, digest="")), "do not give its digest"),
        (replace(WHOLE, rejected=1), "the ledger rejected 1"),
        (replace(WHOLE, newest=None, admitted=0), "without a ledger"),
    ],
    ids=["row missing", "old rows", "rows beside it", "staging", "digest", "dead letter", "no ledger"],
)
def test_what_is_half(seen: _Seen, said: str) -> None:
    assert any(said in problem for problem in _incomplete(seen, 10))
