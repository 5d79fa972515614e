"""Windows as a table and as a picture, for a terminal."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from rich.table import Table
from rich.text import Text

from fraudctl.database.windows import CategoryCount, WindowCounts

_COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "white")
# Fills that tell the categories apart without colour.
_FILLS = "█▓▒░▪·"
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_HEIGHT = 10
# Width of the axis on the left, and of " UTC" after the last time on the right.
_MARGINS = 13
_NONE = CategoryCount(0, 0)


def table(windows: Sequence[WindowCounts], categories: Sequence[str], length_minutes: int) -> Table:
    """Return a table with one row for each window, newest first."""
    result = Table(title="newest windows (UTC)", title_justify="left")
    result.add_column("window", no_wrap=True)
    for category in categories:
        result.add_column(category, justify="right")
    result.add_column("all", justify="right")
    result.add_column("flagged", justify="right")
    for window in windows:
        end = window.start + timedelta(minutes=length_minutes)
        result.add_row(
            f"{window.start:%H:%M} to {end:%H:%M}",
            *(f"{window.by_category.get(category, _NONE).count:,}" for category in categories),
            f"{window.count:,}",
            f"{window.flagged:,}",
        )
    return result


def picture(
    slices: Sequence[WindowCounts], categories: Sequence[str], length_minutes: int, width: int
) -> Text:
    """Return a chart of volume by category and of the flagged share, one column for each slice of time."""
    if not slices:
        return Text("no windows yet")
    room = max(10, width - _MARGINS)
    columns = _filled(slices, length_minutes)
    step = -(-len(columns) // room)
    columns = [_joined(columns[at : at + step]) for at in range(0, len(columns), step)]
    repeat = max(1, min(3, room // len(columns)))
    peak = max(column.count for column in columns) or 1
    picture = Text()
    picture.append(f"transactions in {length_minutes * step} minutes\n", style="bold")
    for level in range(_HEIGHT, 0, -1):
        axis = f"{peak * level // _HEIGHT:>8,} " if level in (_HEIGHT, _HEIGHT // 2) else " " * 9
        picture.append(axis)
        for column in columns:
            glyph, style = _cell(column, categories, peak, level)
            picture.append(glyph * repeat, style=style)
        picture.append("\n")
    picture.append(_time_axis(columns, repeat) + "\n")
    picture.append(_shares(columns, repeat))
    picture.append("         ")
    for place, category in enumerate(categories):
        picture.append(_fill(place), style=_colour(place))
        picture.append(f" {category}  ")
    return picture


def _filled(slices: Sequence[WindowCounts], length_minutes: int) -> list[WindowCounts]:
    """Add the slices in which nothing happened: they have no row, and the time axis would be too short."""
    length = timedelta(minutes=length_minutes)
    result: list[WindowCounts] = []
    for this, following in pairwise(slices):
        result.append(this)
        gaps = (following.start - this.start) // length - 1
        result += [WindowCounts(this.start + length * (gap + 1), {}) for gap in range(gaps)]
    return result + list(slices[-1:])


def _joined(parts: Sequence[WindowCounts]) -> WindowCounts:
    names = {name for part in parts for name in part.by_category}
    return WindowCounts(
        parts[0].start,
        {
            name: CategoryCount(
                sum(part.by_category.get(name, _NONE).count for part in parts),
                sum(part.by_category.get(name, _NONE).flagged for part in parts),
            )
            for name in names
        },
    )


def _cell(column: WindowCounts, categories: Sequence[str], peak: int, level: int) -> tuple[str, str]:
    """Return glyph and style of one cell of a column, at `level` from the bottom; tops are in eighths."""
    below = peak * (level - 1) / _HEIGHT
    total = 0.0
    for place, category in enumerate(categories):
        total += column.by_category.get(category, _NONE).count
        if total > below + peak / _HEIGHT / 2:
            return _fill(place), _colour(place)
    if total > below:
        eighths = max(1, min(8, round((total - below) / (peak / _HEIGHT) * 8)))
        return _EIGHTHS[eighths], _colour(len(categories) - 1)
    return " ", ""


def _time_axis(columns: Sequence[WindowCounts], repeat: int) -> str:
    line = ""
    for place, column in enumerate(columns):
        if len(line) <= place * repeat <= len(columns) * repeat - len("hh:mm"):
            line = line.ljust(place * repeat) + f"{column.start:%H:%M}  "
    return " " * 9 + (line or f"{columns[0].start:%H:%M}").rstrip() + " UTC"


def _shares(columns: Sequence[WindowCounts], repeat: int) -> Text:
    shares = [column.flagged / column.count if column.count else 0.0 for column in columns]
    top = max(shares) or 1.0
    line = Text()
    line.append(f"\nflagged share, at most {top:.1%}\n         ", style="bold")
    for share in shares:
        # A share above zero must be visible, however small it is.
        eighths = max(1, round(share / top * 8)) if share else 0
        line.append(_EIGHTHS[eighths] * repeat, style="red")
    return line.append("\n\n")


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]


def _fill(place: int) -> str:
    return _FILLS[place % len(_FILLS)]
