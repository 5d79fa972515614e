"""The picture of the windows is drawn from their numbers."""

from datetime import UTC, datetime, timedelta

from fraudctl.database.windows import CategoryCount, WindowCounts
from fraudctl.ui.text.windows import picture

START = datetime(2026, 3, 10, 6, 0, tzinfo=UTC)
CATEGORIES = ("Retail", "Food")


def slices(*counts: tuple[int, int, int], minutes: int = 10) -> list[WindowCounts]:
    """(Retail, Food, flagged) for one slice after the other; None leaves a hole."""
    return [
        WindowCounts(
            START + timedelta(minutes=minutes * place),
            {"Retail": CategoryCount(retail, flagged), "Food": CategoryCount(food, 0)},
        )
        for place, (retail, food, flagged) in enumerate(counts)
        if retail or food
    ]


def drawn(windows: list[WindowCounts], width: int = 60) -> list[str]:
    return picture(windows, CATEGORIES, 10, width).plain.splitlines()


def test_the_peak_is_named_and_reaches_the_top() -> None:
    lines = drawn(slices((50, 50, 0), (100, 100, 0), (20, 0, 0)))
    assert lines[0] == "transactions in 10 minutes"
    assert lines[1].split()[0] == "200"
    # Half of the highest column is Retail, the other half Food; the others stay below.
    assert [line[9:].strip() for line in lines[1:6]] == ["▓▓▓"] * 5
    assert "█" in lines[7] and "▓" in lines[7]


def test_a_slice_without_transactions_leaves_a_hole() -> None:
    lines = drawn(slices((100, 0, 0), (0, 0, 0), (100, 0, 0)))
    assert lines[1][9:] == "███   ███"


def test_more_slices_than_columns_are_added_up() -> None:
    lines = drawn(slices(*[(10, 10, 1)] * 100), width=64)
    assert lines[0] == "transactions in 20 minutes"
    assert lines[1].split()[0] == "40"
    assert max(len(line) for line in lines) <= 64


def test_the_flagged_share_is_of_the_whole() -> None:
    lines = drawn(slices((50, 50, 10), (100, 0, 0)))
    place = next(number for number, line in enumerate(lines) if line.startswith("flagged share"))
    assert "10.0%" in lines[place]
    assert lines[place + 1][9:] == "███   "


def test_nothing_yet() -> None:
    assert picture([], CATEGORIES, 10, 60).plain == "no windows yet"
