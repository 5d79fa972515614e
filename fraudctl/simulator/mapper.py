"""Conversion of a foreign table's rows to transactions, by a mapping."""

import re
from collections.abc import Mapping as Mapped
from typing import NamedTuple

from fraudctl.config.model import EventsSettings
from fraudctl.events.codec import Transaction
from fraudctl.events.schema import PATTERNS
from fraudctl.simulator.mapping import (
    AmountSource,
    IdentifierSource,
    Mapping,
    Source,
    TextSource,
    TimeSource,
    TransactionIdSource,
    check_mapping,
)
from fraudctl.tables.amounts import amount_minor
from fraudctl.tables.cells import Cell, is_empty, text_of
from fraudctl.tables.equality import value_of
from fraudctl.tables.identity import check_identifying, identifier, keyed_digest
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.times import moment_ms


class MappedRow(NamedTuple):
    """One row as a transaction.

    `event_ms` is the time in the table, in ms since 1970; the `event_time` of `event` is empty. `fraud` is
    None where the label says neither fraud nor genuine.
    """

    event_ms: int
    event: Transaction
    fraud: bool | None


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
        event = Transaction(
            transaction_id=self._identifier("transaction_id", known, cells) if known else numbered,
            event_time="",
            card_id=numbered if columns.card_id.row else self._identifier("card_id", columns.card_id, cells),
            merchant_id=self._identifier("merchant_id", columns.merchant_id, cells),
            category=self._text("category", columns.category, cells),
            amount_minor=self._amount(columns.amount_minor, cells),
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
        return MappedRow(self._moment_ms(columns.event_time, cells), event, self._label(cells))

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
                raise RejectedRowError(f"{field} holds bytes that are not UTF-8", cell)
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
            raise RejectedRowError(f"{field} is empty")
        return source.default

    def _identifier(
        self, field: str, source: TransactionIdSource | IdentifierSource, cells: Mapped[str, Cell]
    ) -> str:
        if isinstance(source, IdentifierSource) and source.value is not None:
            return source.value
        parts = [check_identifying(field, cells[name]) for name in source.names]
        if not any(parts):
            if not isinstance(source, IdentifierSource):
                raise RejectedRowError(f"{field} is empty")
            parts = [self._default(field, source)]
        elif isinstance(source, IdentifierSource):
            # Compared as texts: 0012 and 12 are different identifiers.
            replaced = source.map.get(" ".join(parts))
            parts = parts if replaced is None else [replaced]
        if source.hash:
            return keyed_digest(field.removesuffix("_id"), parts, self._key)
        return identifier("-".join(parts), parts)

    def _matching(self, field: str, source: TextSource, cells: Mapped[str, Cell]) -> str:
        text = self._text(field, source, cells)
        if not self._allowed(field, text):
            raise RejectedRowError(
                f"{field} is not of the form {PATTERNS[field]}",
                text,
                hint=f"translate {field} with `map` in the mapping, or give a `default`",
            )
        return text

    def _amount(self, source: AmountSource, cells: Mapped[str, Cell]) -> int:
        cell: Cell = source.value if source.column is None else cells[source.column]
        if is_empty(cell):
            if source.default is None:
                raise RejectedRowError("amount_minor is empty")
            cell = source.default
        return amount_minor(cell, source.form)

    def _moment_ms(self, source: TimeSource, cells: Mapped[str, Cell]) -> int:
        cell: Cell
        if source.column is not None:
            cell = cells[source.column]
        else:
            cell = " ".join(self._parts("event_time", source, cells))
        if is_empty(cell):
            raise RejectedRowError("event_time is empty")
        return moment_ms(cell, source.format, source.unit, source.origin)
