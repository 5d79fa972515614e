"""Conversion of a foreign table's rows to transactions, by a mapping."""

import re
from collections.abc import Mapping as Mapped
from typing import NamedTuple

from fraudctl.config.model import EventsSettings
from fraudctl.events.codec import Transaction
from fraudctl.events.schema import PATTERNS
from fraudctl.simulator.mapping import (
    FORMS,
    AmountSource,
    IdentifierSource,
    Mapping,
    Source,
    TextSource,
    TimeSource,
    TransactionIdSource,
    check_mapping,
)
from fraudctl.tables.amounts import Amount, amount_of
from fraudctl.tables.cells import Cell, Remark, is_empty, text_of
from fraudctl.tables.equality import value_of
from fraudctl.tables.identity import check_identifying, identifier, keyed_digest, not_utf_8
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.times import moment_ms, remark_on_time


class MappedRow(NamedTuple):
    """One row as a transaction.

    `event_ms` is the time in the table, in ms since 1970; the `event_time` of `event` is empty. `fraud` is
    None where the label says neither fraud nor genuine. `remarks` are doubts about what was read.
    """

    event_ms: int
    event: Transaction
    fraud: bool | None
    remarks: tuple[Remark, ...] = ()


class Mapper:
    """A converter of rows to transactions; the same row always gives the same transaction."""

    def __init__(self, mapping: Mapping, events: EventsSettings, prefix: str, key: bytes) -> None:
        """Set up the conversion.

        Args:
            mapping: sources of the fields.
            events: settings with the categories and the currency.
            prefix: text before the row number, in the ids of numbered rows.
            key: secret key of the digests.

        Raises:
            ConfigError: the mapping itself gives events values that none may hold.
        """
        check_mapping(mapping, events)
        self._mapping = mapping
        self._categories = frozenset(events.categories)
        self._currency = events.currency
        self._prefix = prefix
        self._key = key
        self._maps = {
            field: {value_of(text): target for text, target in source.map.items()}
            for field, source in mapping.columns.sources.items()
            if isinstance(source, TextSource)
        }
        label = mapping.label
        self._fraud = label.fraud_values if label else frozenset()
        self._genuine = label.genuine_values if label else frozenset()

    def row(self, number: int, cells: Mapped[str, Cell]) -> MappedRow:
        """Return the transaction of one row; `number` is its index in the table, from 0.

        Raises:
            RejectedRowError: a field is missing, or is not what it must be.
        """
        columns = self._mapping.columns
        numbered = f"{self._prefix}-{number:010d}"
        known = columns.transaction_id
        amount = self._amount(columns.amount_minor, cells)
        event = Transaction(
            transaction_id=self._identifier("transaction_id", known, cells) if known else numbered,
            event_time="",
            card_id=numbered if columns.card_id.row else self._identifier("card_id", columns.card_id, cells),
            merchant_id=self._identifier("merchant_id", columns.merchant_id, cells),
            category=self._text("category", columns.category, cells),
            amount_minor=amount.minor,
            currency=self._currency,
            country=self._matching("country", columns.country, cells),
            channel=self._matching("channel", columns.channel, cells),
        )
        if event.category not in self._categories:
            raise RejectedRowError(
                "category is none of events.categories",
                event.category,
                hint="translate it with `map` in the mapping, or give a `default`",
            )
        event_ms = self._moment_ms(columns.event_time, cells)
        remarks = (
            amount.remark,
            remark_on_time(event_ms, columns.event_time.unit, columns.event_time.origin),
        )
        return MappedRow(event_ms, event, self._label(cells), tuple(one for one in remarks if one))

    def _label(self, cells: Mapped[str, Cell]) -> bool | None:
        label = self._mapping.label
        if label is None:
            return False
        value = value_of(cells[label.column])
        if value in self._fraud:
            return True
        return False if value in self._genuine else None

    def _parts(self, field: str, source: Source, cells: Mapped[str, Cell]) -> list[str]:
        """Return the texts of a source's columns, or an empty list if all of them are empty."""
        parts = []
        for name in source.names:
            cell = cells[name]
            if isinstance(cell, bytes):
                raise not_utf_8(field, cell)
            parts.append("" if is_empty(cell) else text_of(cell))
        return parts if any(parts) else []

    def _text(self, field: str, source: TextSource, cells: Mapped[str, Cell]) -> str:
        if source.value is not None:
            return source.value
        parts = self._parts(field, source, cells)
        if not parts:
            return self._default(field, source)
        text = " ".join(parts)
        replaced = self._replaced(field, source, text)
        if replaced is not None:
            return replaced
        if source.default is not None and (source.map or not self._allowed(field, text)):
            return source.default
        return text

    def _replaced(self, field: str, source: TextSource, text: str) -> str | None:
        """Return the mapping's replacement for a text, or None if there is none."""
        target = source.map.get(text)
        return self._maps[field].get(value_of(text)) if target is None and source.map else target

    def _allowed(self, field: str, text: str) -> bool:
        if field == "category":
            return text in self._categories
        return re.fullmatch(PATTERNS[field], text) is not None

    def _default(self, field: str, source: TextSource | IdentifierSource) -> str:
        if source.default is None:
            hint = f"say in the mapping what {field} is then, with `default`, or fill the column"
            raise RejectedRowError(f"{field} is empty", hint=hint)
        return source.default

    def _identifier(
        self, field: str, source: TransactionIdSource | IdentifierSource, cells: Mapped[str, Cell]
    ) -> str:
        if isinstance(source, IdentifierSource) and source.value is not None:
            return source.value
        parts = self._identifying(field, source, cells)
        if source.hash:
            return keyed_digest(field.removesuffix("_id"), parts, self._key)
        return identifier("-".join(parts), parts)

    def _identifying(
        self, field: str, source: TransactionIdSource | IdentifierSource, cells: Mapped[str, Cell]
    ) -> list[str]:
        """Return the texts that identify something: of the columns, of `map` or of `default`."""
        if isinstance(source, IdentifierSource) and source.map:
            # Compared as texts: 0012 and 12 are different identifiers.
            replaced = source.map.get(" ".join(self._parts(field, source, cells)))
            if replaced is not None:
                return [replaced]
        parts = [check_identifying(field, cells[name]) for name in source.names]
        if any(parts):
            return _complete(field, source, parts) if len(parts) > 1 else parts
        if isinstance(source, IdentifierSource):
            return [self._default(field, source)]
        hint = "fill the column, or leave `transaction_id` out of the mapping: rows are numbered then"
        raise RejectedRowError(f"{field} is empty", hint=hint)

    def _matching(self, field: str, source: TextSource, cells: Mapped[str, Cell]) -> str:
        text = self._text(field, source, cells)
        if not self._allowed(field, text):
            raise RejectedRowError(
                f"{field} is not {FORMS[field]}",
                text,
                hint=f"translate {field} with `map` in the mapping, or give a `default`",
            )
        return text

    def _amount(self, source: AmountSource, cells: Mapped[str, Cell]) -> Amount:
        cell: Cell = source.value if source.column is None else cells[source.column]
        if is_empty(cell):
            if source.default is None:
                hint = "say in the mapping what amount_minor is then, with `default`, or fill the column"
                raise RejectedRowError("amount_minor is empty", hint=hint)
            cell = source.default
        return amount_of(cell, source.form)

    def _moment_ms(self, source: TimeSource, cells: Mapped[str, Cell]) -> int:
        cell: Cell
        if source.column is not None:
            cell = cells[source.column]
        else:
            parts = self._parts("event_time", source, cells)
            cell = " ".join(_complete("event_time", source, parts) if parts else [])
        if is_empty(cell):
            hint = "fill the column, or name one in the mapping that has a time in each row"
            raise RejectedRowError("event_time is empty", hint=hint)
        return moment_ms(cell, source.format, source.unit, source.origin)


def _complete(field: str, source: Source, parts: list[str]) -> list[str]:
    """Return the texts of a source's columns, after checking that none is missing between the others.

    Raises:
        RejectedRowError: a part is empty, so that rows would be taken for one that only share the others.
    """
    for name, part in zip(source.names, parts, strict=True):
        if not part.strip():
            raise RejectedRowError(
                f"{field}: the column {name!r} is empty",
                hint=f"fill the column, or leave it out of `columns` of {field} in the mapping",
            )
    return parts
