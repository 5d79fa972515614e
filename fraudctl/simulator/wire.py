"""Batches as JSON lines: the bytes that events/codec.py would write one by one, made column by column.

Every line is laid out at full width in one table. Gaps are filled with NUL, which no name can hold; removing
the NULs leaves the lines. Names are looked up as bytes of one width.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fraudctl.events.codec import Transaction, rfc3339
from fraudctl.events.schema import SCHEMA_VERSION
from fraudctl.simulator.batch import DAY_MS, Batch, Names
from fraudctl.simulator.draws import Ints, Words

Texts = npt.NDArray[np.bytes_]

# This many lines at once fit in the processor's cache.
ROWS = 1_024
_SECOND_MS = 1_000
# A UUIDv7: 48 bits of time, the version, 12 bits, two bits of the variant, 62 bits.
_ID_PARTS: tuple[tuple[str, int], ...] = (
    *(("id_time_high", 4), ("id_time_middle", 4), ("id_dash1", 1), ("id_time_low", 4), ("id_dash2", 1)),
    *(("id_version", 4), ("id_dash3", 1), ("id_variant", 4), ("id_dash4", 1)),
    *(("id_node_high", 4), ("id_node_middle", 4), ("id_node_low", 4)),
)


class Wire:
    """An encoder for the batches of one simulation."""

    def __init__(self, names: Names) -> None:
        """Encode the names, and lay out a line."""
        self._names = names
        self._tables = {
            "card_id": _quoted(names.cards),
            "merchant_id": _quoted(names.merchants),
            "category": _quoted(names.categories),
            "country": _quoted(names.countries),
            "channel": _quoted(names.channels),
        }
        self._layout = self._laid_out()

    def lines(self, batch: Batch) -> Iterator[bytes]:
        """Yield pieces of whole lines, each line ended by a newline."""
        for begin in range(0, len(batch), ROWS):
            yield self._piece(batch.take(slice(begin, begin + ROWS)))

    def values(self, batch: Batch) -> list[bytes]:
        """Return one value for each transaction, as it goes into a record."""
        return [line for piece in self.lines(batch) for line in piece.split(b"\n")[:-1]]

    def transaction(self, batch: Batch, place: int) -> Transaction:
        """Return one row as the transaction that the codec knows."""
        names = self._names
        return Transaction(
            transaction_id=transaction_ids(batch.take(slice(place, place + 1)))[0],
            event_time=rfc3339(int(batch.time_ms[place])),
            card_id=names.cards[batch.card[place]],
            merchant_id=names.merchants[batch.merchant[place]],
            category=names.categories[batch.category[place]],
            amount_minor=int(batch.amount_minor[place]),
            currency=names.currency,
            country=names.countries[batch.country[place]],
            channel=names.channels[batch.channel[place]],
        )

    def _laid_out(self) -> npt.NDArray[np.void]:
        """Return one row of the table, with the constant parts of a line already written."""
        widths = {name: table.dtype.itemsize for name, table in self._tables.items()}
        parts: list[tuple[str, str | int]] = [
            ("", f'{{"schema_version":{SCHEMA_VERSION},"transaction_id":"'),
            *_ID_PARTS,
            ("", '","event_time":"'), ("date", 11), ("time", 8), ("fraction", 5),
            ("", '","card_id":'), ("card_id", widths["card_id"]),
            ("", ',"merchant_id":'), ("merchant_id", widths["merchant_id"]),
            ("", ',"category":'), ("category", widths["category"]),
            ("", ',"amount_minor":'), ("amount_high", 4), ("amount_middle", 4), ("amount_low", 4),
            ("", f',"currency":"{self._names.currency}","country":'), ("country", widths["country"]),
            ("", ',"channel":'), ("channel", widths["channel"]),
            ("", "}\n"),
        ]  # fmt: skip
        layout, fixed = [], {}
        for number, (name, part) in enumerate(parts):
            key = name or f"fixed{number}"
            layout.append((key, f"S{len(part) if isinstance(part, str) else part}"))
            if isinstance(part, str):
                fixed[key] = part.encode()
        row = np.zeros(1, dtype=np.dtype(layout))
        for key, text in fixed.items():
            row[key] = text
        return row

    def _piece(self, batch: Batch) -> bytes:
        table = np.repeat(self._layout, len(batch))
        _write_ids(table, batch)
        days, in_day = np.divmod(batch.time_ms, DAY_MS)
        table["date"] = _dates(days)
        table["time"] = _times()[in_day // _SECOND_MS]
        table["fraction"] = _fractions()[in_day % _SECOND_MS]
        for name, texts in self._tables.items():
            table[name] = texts[getattr(batch, name.removesuffix("_id"))]
        _write_amounts(table, batch.amount_minor)
        everything: npt.NDArray[np.uint8] = table.view(np.uint8)
        return bytes(everything[everything != 0])


def transaction_ids(batch: Batch) -> list[str]:
    """Return the ids of a batch, as text."""
    table = np.zeros(len(batch), dtype=np.dtype([(name, f"S{width}") for name, width in _ID_PARTS]))
    _write_ids(table, batch)
    return [row.decode() for row in table.view(f"S{table.dtype.itemsize}").tolist()]


def _write_ids(table: npt.NDArray[np.void], batch: Batch) -> None:
    time = batch.time_ms.astype(np.uint64)
    table["id_time_high"] = _hex(time >> np.uint64(32))
    table["id_time_middle"] = _hex(time >> np.uint64(16))
    table["id_time_low"] = _hex(time)
    table["id_version"] = _hex((batch.id_high & np.uint64(0x0FFF)) | np.uint64(0x7000))
    table["id_variant"] = _hex(((batch.id_low >> np.uint64(48)) & np.uint64(0x3FFF)) | np.uint64(0x8000))
    table["id_node_high"] = _hex(batch.id_low >> np.uint64(32))
    table["id_node_middle"] = _hex(batch.id_low >> np.uint64(16))
    table["id_node_low"] = _hex(batch.id_low)
    for number in range(1, 5):
        table[f"id_dash{number}"] = b"-"


def _write_amounts(table: npt.NDArray[np.void], amounts: Ints) -> None:
    """Write up to twelve digits in three groups; only a group that follows another has leading zeros."""
    upper, low = np.divmod(amounts, 10_000)
    high, middle = np.divmod(upper, 10_000)
    bare, padded = _bare_digits(), _padded_digits()
    table["amount_high"] = bare[high]
    table["amount_middle"] = np.where(high > 0, padded[middle], bare[middle])
    # An amount of zero would leave this group empty, but there is none.
    table["amount_low"] = np.where(upper > 0, padded[low], bare[low])


def _hex(words: Words) -> Texts:
    """Return the lowest 16 bits as four hexadecimal digits."""
    return _hex_digits()[(words & np.uint64(0xFFFF)).astype(np.int64)]


def _dates(days: Ints) -> Texts:
    """Return `2026-03-01T` for each day; a batch holds few different days."""
    distinct, places = np.unique(days, return_inverse=True)
    texts = [rfc3339(int(day) * DAY_MS)[:11] for day in distinct]
    return np.array(texts, dtype="S11")[places]


def _quoted(names: Iterable[str]) -> Texts:
    return np.array([msgspec.json.encode(name) for name in names])


@cache
def _times() -> Texts:
    return _texts(
        f"{hour:02d}:{minute:02d}:{second:02d}"
        for hour in range(24)
        for minute in range(60)
        for second in range(60)
    )


@cache
def _fractions() -> Texts:
    return _texts(f".{ms:03d}Z" for ms in range(_SECOND_MS))


@cache
def _hex_digits() -> Texts:
    return _texts(f"{number:04x}" for number in range(1 << 16))


@cache
def _padded_digits() -> Texts:
    return _texts(f"{number:04d}" for number in range(10_000))


@cache
def _bare_digits() -> Texts:
    return _texts(str(number) if number else "" for number in range(10_000))


def _texts(texts: Iterable[str]) -> Texts:
    result: npt.NDArray[Any] = np.array([text.encode() for text in texts])
    return result
