"""Cells of a table, the rows that hold them, and remarks on rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import NamedTuple

from fraudctl.events.card_numbers import mask

_SHOWN_CHARACTERS = 60
# A cell may be long; the rest of it is not searched for card numbers, and not shown.
_LOOKED_AT = 1_000
# Above it, a double no longer holds every whole number.
EXACT_FLOAT = 2**53
# More digits than any decimal column has.
_EXACT = Context(prec=100)


class Moment(NamedTuple):
    """A point in time of a typed column, in microseconds since 1970 (UTC)."""

    us: int


# Bytes stand for text that is not UTF-8: no field may be made of them.
Cell = str | int | float | bool | Decimal | Moment | bytes | None


class Defect(NamedTuple):
    """The reason why a row cannot be read, and what the user can do about it."""

    reason: str
    hint: str


@dataclass(frozen=True)
class Remark:
    """A doubt about a row that is taken nevertheless.

    `kind` is the same for every such row, whatever its values; `value` is the row's own.
    """

    kind: str
    value: object = ""
    hint: str = ""
    chosen: bool = False

    @property
    def example(self) -> str:
        """Return the row's value in a form that may be shown."""
        return shown(self.value)


class TableRow(NamedTuple):
    """One row of a table; `number` counts from 0, `line` is the line of a text file.

    `defect` says why the row cannot be read; `cells` then holds only a detail, under its reason. `content` is
    what a digest of the rows covers. `unfinished` rows stand in a last line without an end. `remarks` are
    doubts about a row that can be read.
    """

    number: int
    line: int | None
    cells: Mapping[str, Cell]
    content: bytes
    defect: Defect | None = None
    unfinished: bool = False
    remarks: tuple[Remark, ...] = ()


def text_of(cell: Cell) -> str:
    """Return a cell as text; equal numbers have one text, whatever type their column has."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        if cell != cell:
            return ""
        return str(int(cell)) if cell.is_integer() and abs(cell) < EXACT_FLOAT else repr(cell)
    if isinstance(cell, Decimal):
        return format(_EXACT.normalize(cell), "f") if cell.is_finite() else ""
    if isinstance(cell, Moment):
        return f"{cell.us}us"
    return " ".join(f"0x{byte:02x}" for byte in cell) if isinstance(cell, bytes) else str(cell)


def is_empty(cell: Cell) -> bool:
    """Tell whether a cell holds nothing: an empty text, a null, or a number that is NaN."""
    return cell is None or text_of(cell) == ""


def visible(text: str) -> str:
    """Return a text with every character that cannot be seen, such as a no-break blank, as its escape."""
    return "".join(one if one.isprintable() else _escape(ord(one)) for one in text)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(cell: object) -> str:
    """Return a cell as it may appear in a message: short, on one line, with card numbers masked."""
    text = mask((text_of(cell) if isinstance(cell, Cell) else repr(cell))[:_LOOKED_AT])
    plain = visible(text[: 2 * _SHOWN_CHARACTERS])
    return plain if len(plain) <= _SHOWN_CHARACTERS else plain[: _SHOWN_CHARACTERS - 1] + "…"
