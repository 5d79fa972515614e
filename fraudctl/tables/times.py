"""Times of foreign tables: typed, by a pattern, as RFC 3339 or ISO 8601, or as a number of a unit."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from fraudctl.events.codec import rfc3339
from fraudctl.tables.cells import Cell, Moment, Remark, text_of
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
# What `strptime` understands.
_PARTS = frozenset("aAwdbBmyYHIMSfpzZjUWcxXGuV")
_WRITTEN = "a pattern is written as in %Y-%m-%d %H:%M:%S"
# R writes 100000 as 1e+05, and a float of 64 bits in as many digits as it needs; a spreadsheet cuts digits.
_EXPONENT = re.compile(r"[+-]?([0-9]+)(?:\.([0-9]*))?([eE])\+?([0-9]{1,2})")
_FRACTION = re.compile(r"([.,][0-9]{6})[0-9]+")
# 1900 to 2200: a time outside is in another unit, or a typing error.
_EARLIEST_MS = -2_208_988_800_000
_LATEST_MS = 7_258_118_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH_MS = 31 * 86_400_000
# 2000 to 2050: where a number of another unit would probably lie.
_LIKELY_MS = (946_684_800_000, 2_524_608_000_000)


def check_format(pattern: str) -> str:
    """Return a pattern of `strptime`, after checking that it names year, month and day.

    Raises:
        ValueError: the pattern leaves one of them out, or says something twice, without effect or not at all.
    """
    parts = re.findall(r"%(.?)", pattern.replace("%%", ""), re.DOTALL)
    named = set(parts)
    _check_parts(pattern, parts)
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
        raise ValueError(f"no time can be read with {pattern!r}; {_WRITTEN}") from error
    return pattern


def _check_parts(pattern: str, parts: list[str]) -> None:
    """Check the parts of a pattern: each is known, there once, and has an effect beside the others."""
    if not parts:
        raise ValueError(f"{pattern!r} is no pattern of strptime; {_WRITTEN}")
    for part in parts:
        if part not in _PARTS:
            what = f"%{part}, which is no part of a time" if part else "a % without a letter"
            raise ValueError(f"{pattern!r} has {what}; {_WRITTEN}")
        if parts.count(part) > 1:
            raise ValueError(f"{pattern!r} has %{part} twice; %m is the month, and %M the minute")
    if "I" in parts and "p" not in parts:
        raise ValueError(f"{pattern!r}: %I needs %p; write %H for 24 hours")
    if "p" in parts and "I" not in parts and not {"c", "X"} & set(parts):
        raise ValueError(f"{pattern!r}: %p has no effect without %I; write %I for 12 hours")


def moment_ms(cell: Cell, pattern: str | None, unit: str | None, origin: datetime) -> int:
    """Return a time in milliseconds since 1970; without a zone it is taken as UTC.

    Raises:
        RejectedRowError: the cell is not such a time.
    """
    ms = _ms(cell, pattern, unit, origin)
    if not _EARLIEST_MS <= ms <= _LATEST_MS:
        hint = _unit_hint(ms, unit, origin) if unit else "correct the year in the file"
        raise RejectedRowError("event_time is before 1900 or after 2200", text_of(cell), hint=hint)
    return ms


def remark_on_time(ms: int, unit: str | None, origin: datetime) -> Remark | None:
    """Return a remark on a number that counts from 1970 and comes no further than its first month."""
    if unit is None or origin != _EPOCH or not 0 <= ms < _MONTH_MS:
        return None
    return Remark("event_time lies in January 1970", rfc3339(ms), _unit_hint(ms, unit, origin))


def _unit_hint(ms: int, unit: str, origin: datetime) -> str:
    """Return the hint for a number that seems to have another unit, in which the time would be likely."""
    count = (ms - in_ms(origin)) / UNIT_US[unit]
    likely = [
        other
        for other, us in UNIT_US.items()
        if origin == _EPOCH and _LIKELY_MS[0] <= count * us <= _LIKELY_MS[1]
    ]
    if likely:
        return f"is the unit {likely[0]}? then say `unit: {likely[0]}` of event_time in the mapping"
    return "say `unit` of event_time in the mapping, and with `origin` from when it counts if not from 1970"


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
            raise RejectedRowError(
                f"event_time is not a number of {unit}",
                text,
                hint="leave `unit` out of the mapping, and say with `format` how the times are written, "
                "or map a column of numbers",
            )
        if isinstance(cell, str) and _step_us(text, unit) > UNIT_US["s"]:
            raise RejectedRowError(
                "event_time is a number that was rounded",
                text,
                hint="export the table again with this column as text: a spreadsheet has cut its last digits",
            )
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


def _step_us(text: str, unit: str) -> Decimal:
    """Return what the last written digit of a number with an exponent counts, in microseconds; else 0."""
    found = _EXPONENT.fullmatch(text)
    if found is None:
        return Decimal(0)
    whole, fraction, letter, exponent = found.groups()
    if letter == "e" and fraction is None and len(whole) == 1:
        return Decimal(0)
    lost = int(exponent) - len(fraction or "")
    return UNIT_US[unit] * 10**lost if lost > 0 else Decimal(0)


def in_ms(moment: datetime) -> int:
    """Return a time in milliseconds since 1970; without a zone it is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
