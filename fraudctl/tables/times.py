"""Times of foreign tables: typed, by a pattern, as RFC 3339 or ISO 8601, or as a number of a unit."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from fraudctl.tables.cells import Cell, Moment, text_of
from fraudctl.tables.rejection import RejectedRowError

# A month has 30 days here: tables that count months have no dates, only an order.
UNIT_US = {
    "ns": Decimal("0.001"),
    "us": Decimal(1),
    "ms": Decimal(1_000),
    "s": Decimal(1_000_000),
    "min": Decimal(60_000_000),
    "h": Decimal(3_600_000_000),
    "d": Decimal(86_400_000_000),
    "months": Decimal(30 * 86_400_000_000),
}
_NUMBER = re.compile(r"[+-]?([0-9]{1,25}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?\s?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
_FRACTION = re.compile(r"([.,][0-9]{6})[0-9]+")
# 1900 to 2200: a time outside is in another unit, or a typing error.
_EARLIEST_MS = -2_208_988_800_000
_LATEST_MS = 7_258_118_400_000


def check_format(pattern: str) -> str:
    """Return a pattern of `strptime`, after checking that it names year, month and day.

    Raises:
        ValueError: the pattern leaves one of them out, has the name of a zone, or is not valid.
    """
    named = set(re.findall(r"%[-_^#]?([A-Za-z])", pattern.replace("%%", "")))
    whole = named & {"c", "x"} or (
        named & {"Y", "y", "G"}
        and (named & {"j"} or (named & {"m", "b", "B"} and "d" in named) or "V" in named)
    )
    if not whole:
        raise ValueError(
            f"{pattern!r} names no year, month and day; take several columns together with "
            'columns: [Year, Month, Day, Time] and format: "%Y %m %d %H:%M"'
        )
    if "Z" in named:
        raise ValueError(f"{pattern!r} has %Z, and a zone's name is not its offset; take %z, or give UTC")
    try:
        sample = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
        datetime.strptime(sample.strftime(pattern), pattern)
    except (ValueError, re.error) as error:
        raise ValueError(f"{pattern!r} is not a pattern of strptime: {error}") from error
    return pattern


def moment_ms(cell: Cell, pattern: str | None, unit: str | None, origin: datetime) -> int:
    """Return a time in milliseconds since 1970; without a zone it is taken as UTC.

    Raises:
        RejectedRowError: the cell is not such a time.
    """
    ms = _ms(cell, pattern, unit, origin)
    if not _EARLIEST_MS <= ms <= _LATEST_MS:
        raise RejectedRowError("event_time is before 1900 or after 2200", text_of(cell))
    return ms


def _ms(cell: Cell, pattern: str | None, unit: str | None, origin: datetime) -> int:
    if isinstance(cell, Moment):
        if unit:
            raise RejectedRowError(
                "event_time is a time already, and no number of a unit",
                text_of(cell),
                hint="leave `unit` out of the mapping",
            )
        return cell.us // 1000
    text = text_of(cell).strip()
    if unit:
        if isinstance(cell, bool | bytes) or not _NUMBER.fullmatch(text):
            raise RejectedRowError(f"event_time is not a number of {unit}", text)
        return in_ms(origin) + int(Decimal(text) * UNIT_US[unit] / 1000)
    try:
        if pattern:
            return in_ms(datetime.strptime(text, pattern))
        if not _ISO.fullmatch(text):
            raise ValueError(text)
        return in_ms(datetime.fromisoformat(_FRACTION.sub(r"\1", text.replace(" Z", "Z").replace(",", "."))))
    except (ValueError, OverflowError):
        expected = f"of the form {pattern}" if pattern else "of the form 2026-03-01T12:00:00Z"
        raise RejectedRowError(
            f"event_time is not {expected}",
            text,
            hint="say in the mapping how it is written, for example "
            '`event_time: {column: …, format: "%d/%m/%Y %H:%M"}`, or `unit: s` for numbers',
        ) from None


def in_ms(moment: datetime) -> int:
    """Return a time in milliseconds since 1970; without a zone it is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
