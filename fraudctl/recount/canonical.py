"""Read many messages at once, those in canonical form with one regular expression.

A message is canonical when its fields come in the order of fraudctl/events/schema.py, without blanks, escapes
or leading zeros, and its event time has milliseconds and ends in Z. Every other message goes to the strict
parser (fraudctl/recount/parse.py), which alone decides about it. Every message that the pattern accepts, the
strict parser accepts too, with the same result: tests compare the two.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudctl.config.model import EventsSettings
from fraudctl.events.schema import AMOUNT_MINOR_MAX, FIELDS, PATTERNS, SCHEMA_VERSION
from fraudctl.recount.instants import DAY_US, parse_instant
from fraudctl.recount.parse import Rejected, Transaction, parser

Integers = npt.NDArray[np.int64]

_TIME = rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_TIME_BYTES = len(b"2026-03-10T12:00:00.000Z")
# (position, weight) of the digits of an event time; for the clock (tens, weight, units).
_DATE = ((0, 10**7), (1, 10**6), (2, 10**5), (3, 10**4), (5, 1000), (6, 100), (8, 10), (9, 1))
_CLOCK = ((11, 10, 12), (14, 10, 15), (17, 10, 18))
_MILLISECONDS = ((20, 100), (21, 10), (22, 1))


class Fields(NamedTuple):
    """The fields that tell transactions apart, as the bytes of a canonical message.

    Schema version and currency are the same for all.
    """

    transaction_id: bytes
    event_time: bytes
    card_id: bytes
    merchant_id: bytes
    category: bytes
    amount_minor: bytes
    country: bytes
    channel: bytes


@dataclass(frozen=True)
class Lines:
    """The messages of one block, divided into transactions and rejected ones.

    `rows`: the index in the block of each transaction, ascending; `rejected`: reasons, by index in the block.
    """

    rows: Integers
    fields: Sequence[Fields | tuple[bytes, ...]]
    event_us: Integers
    rejected: dict[int, str]


def reader(events: EventsSettings) -> Callable[[Sequence[bytes | None]], Lines]:
    """Return a function that reads the values of many messages under these settings."""
    match = re.compile(_pattern(events)).fullmatch
    strict = parser(events)
    categories = frozenset(name.encode() for name in events.categories)
    max_bytes = events.max_bytes

    def read(values: Sequence[bytes | None]) -> Lines:
        found: list[Fields | tuple[bytes, ...] | None] = [
            own.groups() if value and (own := match(value)) else None for value in values
        ]
        event_us = np.zeros(len(found), dtype=np.int64)
        taken = np.array([fields is not None and fields[4] in categories for fields in found], dtype=bool)
        taken &= np.array([len(value or b"") for value in values]) <= max_bytes
        doubtful = np.flatnonzero(~taken).tolist()
        canonical = np.flatnonzero(taken)
        instants, sound = _instants([found[row][1] for row in canonical])  # type: ignore[index]
        event_us[canonical] = instants
        doubtful += canonical[~sound].tolist()
        rejected: dict[int, str] = {}
        for row in doubtful:
            parsed = strict(values[row])
            if isinstance(parsed, Rejected):
                rejected[row] = parsed.reason
                found[row] = None
                taken[row] = False
            else:
                found[row] = fields_of(parsed)
                event_us[row] = parsed.event_us
                taken[row] = True
        rows = np.flatnonzero(taken)
        return Lines(rows, [one for one in found if one is not None], event_us[rows], rejected)

    return read


def fields_of(transaction: Transaction) -> Fields:
    """Return the fields that a canonical message of this transaction would hold.

    An instant that the canonical form cannot express is written as its microseconds since 1970.
    """
    return Fields(
        transaction.transaction_id.encode(),
        _time_text(transaction.event_us),
        transaction.card_id.encode(),
        transaction.merchant_id.encode(),
        transaction.category.encode(),
        b"%d" % transaction.amount_minor,
        transaction.country.encode(),
        transaction.channel.encode(),
    )


def transaction_of(fields: Iterable[bytes], event_us: int, currency: str) -> Transaction:
    """Return the transaction with these fields."""
    name, _time, card, merchant, category, amount, country, channel = fields
    return Transaction(
        SCHEMA_VERSION,
        name.decode(),
        event_us,
        card.decode(),
        merchant.decode(),
        category.decode(),
        int(amount),
        currency,
        country.decode(),
        channel.decode(),
    )


def _pattern(events: EventsSettings) -> bytes:
    """Return the pattern of a canonical message, with a group for each of `Fields`."""
    amounts = rb"[1-9][0-9]{0,%d}|%d" % (len(str(AMOUNT_MINOR_MAX)) - 2, AMOUNT_MINOR_MAX)
    values = {
        "schema_version": b"%d" % SCHEMA_VERSION,
        "event_time": rb'"(%s)"' % _TIME,
        # Categories are looked up later: a pattern with a thousand alternatives would be slow.
        "category": rb'"([^"\\\x00-\x1f]+)"',
        "amount_minor": rb"(%s)" % amounts,
        "currency": rb'"%s"' % re.escape(events.currency.encode()),
    }
    for name in ("transaction_id", "card_id", "merchant_id", "country", "channel"):
        values[name] = rb'"(%s)"' % PATTERNS[name].encode()
    return rb"\{%s\}" % b",".join(b'"%s":%s' % (name.encode(), values[name]) for name in FIELDS)


def _instants(texts: Sequence[bytes]) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return microseconds since 1970 of canonical event times, and which of them exist in the calendar."""
    digits = np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(-1, _TIME_BYTES).astype(np.int64) - ord(
        "0"
    )
    dates = sum((digits[:, at] * worth for at, worth in _DATE), np.zeros(len(texts), dtype=np.int64))
    hours, minutes, seconds = (digits[:, at] * worth + digits[:, rest] for at, worth, rest in _CLOCK)
    rest_ms = sum(
        (digits[:, at] * worth for at, worth in _MILLISECONDS), np.zeros(len(texts), dtype=np.int64)
    )
    different, which = np.unique(dates, return_inverse=True)
    days = np.array([_midnight_us(int(date)) for date in different], dtype=np.int64)[which]
    sound = (days >= 0) & (hours <= 23) & (minutes <= 59) & (seconds <= 59)
    clock_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest_ms
    return days + clock_ms * 1000, sound


def _midnight_us(date: int) -> int:
    """Return the begin of the day yyyymmdd; -1 when the calendar has no such day."""
    year, rest = divmod(date, 10_000)
    found = parse_instant(f"{year:04}-{rest // 100:02}-{rest % 100:02}T00:00:00Z")
    return -1 if found is None else found


def _time_text(event_us: int) -> bytes:
    """Return the canonical text of an instant, or its microseconds where there is none."""
    ms, beyond = divmod(event_us, 1000)
    if beyond or not 0 <= event_us < _END_US:
        return b"%d" % event_us
    return f"{np.datetime64(ms, 'ms')}Z".encode()


_END_US = 200 * 366 * DAY_US
