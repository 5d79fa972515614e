"""Instants as integer microseconds since 1970-01-01T00:00:00Z: no floating point, no time zone database."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
# A value for PostgreSQL's infinity, beyond every instant that it can store.
INFINITY_US = 2**64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()


def parse_instant(text: str) -> int | None:
    """Return the microseconds of an RFC 3339 text with the right pattern; None if it does not exist."""
    day = _day(text[:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    if day is None or hour > 23 or minute > 59 or second > 59:
        return None
    if text[-1] == "Z":
        fraction, offset_minutes = text[20:-1], 0
    else:
        fraction, zone = text[20:-6], text[-6:]
        offset_minutes = int(zone[1:3]) * 60 + int(zone[4:6])
        if zone[0] == "-":
            offset_minutes = -offset_minutes
    local = day * DAY_US + hour * HOUR_US + minute * MINUTE_US + second * 1_000_000
    return local + int(fraction.ljust(6, "0")) - offset_minutes * MINUTE_US


@lru_cache(maxsize=1024)
def _day(text: str) -> int | None:
    """Return the days from the epoch to yyyy-mm-dd; None when the calendar has no such day."""
    try:
        return date(int(text[:4]), int(text[5:7]), int(text[8:10])).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


def hour_of_day(instant_us: int) -> int:
    """Return the hour in UTC, 0 to 23."""
    return instant_us % DAY_US // HOUR_US


def instant_text(instant_us: int) -> str:
    """Return an instant as RFC 3339 in UTC, or as a bare number outside the years 1 to 9999."""
    if abs(instant_us) == INFINITY_US:
        return "infinity" if instant_us > 0 else "-infinity"
    try:
        text = (_EPOCH + timedelta(microseconds=instant_us)).isoformat()
    except OverflowError:
        return f"{instant_us} microseconds since 1970"
    return text.removesuffix("+00:00") + "Z"
