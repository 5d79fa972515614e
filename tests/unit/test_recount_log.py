"""How a log is divided among processes, and the folder that they share."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudctl.errors import RefusedError
from fraudctl.operations.verify.recount_log import Span, enough_room, processes_for, shares, work_folder

RANGES = st.dictionaries(
    st.integers(0, 30),
    st.tuples(st.integers(0, 1000), st.integers(0, 500)).map(lambda span: (span[0], sum(span))),
    max_size=8,
)


def covered(parts: list[list[Span]]) -> list[tuple[int, int]]:
    """Each (partition, offset) that is read, in order."""
    return sorted(
        (partition, offset)
        for part in parts
        for partition, start, end in part
        for offset in range(start, end)
    )


@given(RANGES, st.integers(1, 5), st.booleans())
def test_every_offset_is_read_once(ranges: dict[int, tuple[int, int]], number: int, whole: bool) -> None:
    parts = shares(ranges, number, whole=whole)
    assert covered(parts) == covered([[(partition, *span) for partition, span in ranges.items()]])
    assert len(parts) <= number
    assert all(parts)


@given(RANGES, st.integers(1, 5))
def test_parts_are_of_one_size(ranges: dict[int, tuple[int, int]], number: int) -> None:
    total = sum(end - start for start, end in ranges.values())
    sizes = [sum(end - start for _, start, end in part) for part in shares(ranges, number, whole=False)]
    assert all(size <= -(-total // number) for size in sizes)


@given(RANGES, st.integers(1, 5))
def test_with_cards_a_partition_is_not_divided(ranges: dict[int, tuple[int, int]], number: int) -> None:
    spans = [span for part in shares(ranges, number, whole=True) for span in part]
    assert sorted(spans) == [
        (partition, start, end) for partition, (start, end) in sorted(ranges.items()) if start < end
    ]


def test_a_short_log_is_not_worth_a_second_process() -> None:
    assert [processes_for(events) for events in (0, 10_000, 399_999)] == [1, 1, 1]


def test_the_folder_is_removed_and_with_it_what_a_killed_process_has_left(tmp_path: Path) -> None:
    left, other = tmp_path / "verify-999999999-x", tmp_path / "else"
    for folder in (left, other):
        folder.mkdir()
        (folder / "rows").touch()
    with work_folder(tmp_path) as own:
        assert not left.exists()
        assert own.parent == tmp_path
        assert own.stat().st_mode & 0o777 == 0o700
        (own / "rows").touch()
        with work_folder(tmp_path) as second:
            assert own.exists()
            assert second != own
    assert sorted(tmp_path.iterdir()) == [other]


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no room") as caught, enough_room(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(tmp_path) in caught.value.detail
    assert "free some space" in caught.value.hint
    with pytest.raises(PermissionError), enough_room(tmp_path):
        raise PermissionError(errno.EACCES, "no")
