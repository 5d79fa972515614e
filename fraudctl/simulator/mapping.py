"""The mapping of a foreign table's columns to the fields of a transaction.

Each kind of field has a model of its own, so that an option that has no meaning for a field cannot be given.
Whatever a mapping fixes (a constant, a default, a target of `map`) is checked against what an event may hold.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping as Mapped
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from fraudctl.config.model import EventsSettings
from fraudctl.config.wording import problem_lines
from fraudctl.errors import ConfigError
from fraudctl.events.codec import Transaction
from fraudctl.events.schema import IDENTIFIER, PATTERNS
from fraudctl.tables.amounts import THOUSANDS, AmountFormat, amount_minor
from fraudctl.tables.cells import Cell, is_empty, text_of
from fraudctl.tables.equality import opposites, value_of, values_of
from fraudctl.tables.identity import check_identifying, identifier, keyed_digest
from fraudctl.tables.layout import Layout
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.times import check_format, moment_ms


def _scalar(value: object) -> object:
    """Return a number or a flag of the mapping as the text that it is compared as."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _scalar_keys(value: object) -> object:
    return {_scalar(key): _scalar(item) for key, item in value.items()} if isinstance(value, dict) else value


Text = Annotated[str, BeforeValidator(_scalar)]
ColumnName = Annotated[str, Field(min_length=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Source(_Closed):
    """The column of a field, or several that belong together."""

    column: str | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=2)] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return every column that must be there."""
        return self.columns or (() if self.column is None else (self.column,))

    def fixed(self) -> Iterator[tuple[str, str]]:
        """Yield every text that the mapping itself puts into the field, with the key that does."""
        return iter(())

    def _check_one_of(self, *keys: str) -> None:
        given = [key for key in keys if getattr(self, key) not in (None, False)]
        if len(given) != 1:
            expected = f"{', '.join(keys[:-1])} or {keys[-1]}"
            raise ValueError(
                f"give one of {expected}" + (f", and not {' and '.join(given)} together" if given else "")
            )

    @model_validator(mode="after")
    def _check(self) -> "_Source":
        self._check_one_of("column", "columns")
        self._check_no_repetition()
        return self

    def _check_no_repetition(self) -> None:
        if self.columns and len(set(self.columns)) < len(self.columns):
            raise ValueError("columns: a column is named twice")


class _ValueSource(_Source):
    """A field of text: columns or one value for all, with texts to replace; `default` is for empty cells."""

    value: Text | None = None
    map: Annotated[dict[str, str], BeforeValidator(_scalar_keys)] = {}
    default: Text | None = None

    def fixed(self) -> Iterator[tuple[str, str]]:
        if self.value is not None:
            yield "value", self.value
        if self.default is not None:
            yield "default", self.default
        for key, target in self.map.items():
            yield f"map.{key}", target

    @model_validator(mode="after")
    def _check(self) -> "_ValueSource":
        self._check_one_of("column", "columns", "value")
        self._check_no_repetition()
        self._check_map()
        return self

    def _check_map(self) -> None:
        if self.value is not None and (self.map or self.default is not None):
            raise ValueError(
                "`map` and `default` have no effect beside `value`, which is the same for all rows"
            )
        seen: dict[str, str] = {}
        for key in self.map:
            other = seen.setdefault(value_of(key), key)
            if other != key and self.map[other] != self.map[key]:
                raise ValueError(
                    f"map: {other!r} and {key!r} are one value, and are mapped to different ones"
                )


class TextSource(_ValueSource):
    """A category, a country or a channel.

    `default` is also for texts that `map` does not name, or, without `map`, that no event may hold.
    """


class IdentifierSource(_ValueSource):
    """A merchant or a card. `hash`: a digest with the stack's key instead of the text."""

    hash: bool = False

    @model_validator(mode="after")
    def _check_hash(self) -> "IdentifierSource":
        if self.hash and self.value is not None:
            raise ValueError("`hash` has no effect beside `value`, which is the same for all rows")
        return self


class CardSource(IdentifierSource):
    """A card. `row`: the table knows no cards, and each row gets one of its own."""

    row: bool = False

    @model_validator(mode="after")
    def _check(self) -> "CardSource":
        self._check_one_of("column", "columns", "value", "row")
        self._check_no_repetition()
        self._check_map()
        if self.row and (self.map or self.default is not None or self.hash):
            raise ValueError("`map`, `default` and `hash` have no effect beside `row`")
        return self


class TransactionIdSource(_Source):
    """A transaction's id; it differs from row to row, so it has neither `value` nor `default` nor `map`."""

    hash: bool = False


class TimeSource(_Source):
    """A time: a pattern for strptime, numbers of a unit since an origin, or what is written as RFC 3339."""

    format: str | None = None
    unit: Literal["ns", "us", "ms", "s", "min", "h", "d", "months"] | None = None
    origin: AwareDatetime = datetime(1970, 1, 1, tzinfo=UTC)

    @model_validator(mode="after")
    def _check_unit(self) -> "TimeSource":
        if self.unit and self.format:
            raise ValueError("give either `unit` (for numbers) or `format` (for texts), not both")
        if self.format is not None:
            check_format(self.format)
        if self.unit and self.columns:
            raise ValueError("`unit` is of one column, and `columns` takes several together as text")
        if "origin" in self.model_fields_set and not self.unit:
            raise ValueError("`origin` has no effect without `unit`")
        return self


class AmountSource(_Source):
    """An amount. `times` leads from the table's unit to minor units (100 from dollars to cents)."""

    value: Text | None = None
    default: Text | None = None
    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    decimal: Literal[".", ","] = "."
    thousands: Literal[THOUSANDS] | None = None  # type: ignore[valid-type]
    currency_sign: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    negative: Literal["reject", "leave_out", "absolute"] = "reject"
    zero: Literal["reject", "leave_out"] = "reject"

    @property
    def form(self) -> AmountFormat:
        """Return how the column writes amounts."""
        return AmountFormat(
            self.times, self.decimal, self.thousands or "", self.currency_sign or "", self.negative, self.zero
        )

    def fixed(self) -> Iterator[tuple[str, str]]:
        return ((key, text) for key in ("value", "default") if (text := getattr(self, key)) is not None)

    @model_validator(mode="after")
    def _check(self) -> "AmountSource":
        self._check_one_of("column", "value")
        if self.columns is not None:
            raise ValueError("an amount is of one column; `columns` is for what is put together of several")
        if self.value is not None and self.default is not None:
            raise ValueError("`default` has no effect beside `value`, which is the same for all rows")
        if self.thousands == self.decimal:
            raise ValueError(f"`thousands` and `decimal` are both {self.decimal!r}")
        if self.currency_sign and re.search(r"[0-9.,+-]", self.currency_sign):
            raise ValueError(f"`currency_sign` {self.currency_sign!r} is not the sign of a currency")
        return self


def _short(given: object) -> object:
    """Take a bare text as the name of a column."""
    return {"column": given} if isinstance(given, str) else given


Short = BeforeValidator(_short)


class Columns(_Closed):
    """The source of each field; without a transaction_id, rows are numbered."""

    transaction_id: Annotated[TransactionIdSource, Short] | None = None
    event_time: Annotated[TimeSource, Short]
    card_id: Annotated[CardSource, Short]
    merchant_id: Annotated[IdentifierSource, Short]
    category: Annotated[TextSource, Short]
    amount_minor: Annotated[AmountSource, Short]
    country: Annotated[TextSource, Short]
    channel: Annotated[TextSource, Short]

    @property
    def sources(self) -> dict[str, _Source]:
        """Return the sources by the names of their fields."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: source for name, source in given.items() if source is not None}


class LabelSource(_Closed):
    """The column that says what was fraud. Values are compared by what they mean: "1" is 1.0 and true.

    Without `genuine`, it is the other half of a pair such as 1 and 0; any other value is told as unclear.
    """

    column: ColumnName
    fraud: Annotated[tuple[Text, ...], Field(min_length=1)]
    genuine: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None

    @property
    def fraud_values(self) -> frozenset[str]:
        """Return the values that mean fraud."""
        return values_of(self.fraud)

    @property
    def genuine_values(self) -> frozenset[str]:
        """Return the values that mean that it was none."""
        if self.genuine is None:
            return opposites(self.fraud_values) - self.fraud_values
        return values_of(self.genuine)

    @model_validator(mode="after")
    def _check_apart(self) -> "LabelSource":
        both = self.fraud_values & self.genuine_values
        if both:
            raise ValueError(f"{', '.join(sorted(map(repr, both)))} means fraud and genuine at once")
        return self


class Mapping(_Closed):
    """A mapping as its document says it."""

    description: str
    table: Layout = Layout()
    columns: Columns
    label: LabelSource | None = None

    @property
    def needed(self) -> set[str]:
        """Return every column that must be there."""
        names = {name for source in self.columns.sources.values() for name in source.names}
        return names | ({self.label.column} if self.label else set())

    @property
    def has_digests(self) -> bool:
        """Tell whether a field is a digest with the stack's key."""
        return any(getattr(source, "hash", False) for source in self.columns.sources.values())


class MappedRow(NamedTuple):
    """One row as a transaction; its event_time is that of the table.

    `fraud` is None where the label says neither that it was fraud nor that it was none.
    """

    event_ms: int
    event: Transaction
    fraud: bool | None


def parse_mapping(document: Mapped[str, object]) -> Mapping:
    """Give a mapping's document its meaning.

    Raises:
        ConfigError: something is not as it must be; the detail names each place.
    """
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            "the mapping is not valid",
            detail=problem_lines(error, Mapping, document),
            hint="compare it with configs/mappings",
        ) from error


def check_mapping(mapping: Mapping, events: EventsSettings) -> None:
    """Check everything that the mapping itself puts into an event.

    Raises:
        ConfigError: no event may hold one of the values; the detail names each of them with its key.
    """
    wrong = []
    for field, source in mapping.columns.sources.items():
        for key, text in source.fixed():
            complaint = _complaint(field, source, text, events)
            if complaint:
                wrong.append(f"columns.{field}.{key}: {complaint}")
    if wrong:
        raise ConfigError(
            "the mapping gives events values that none may hold",
            detail="\n".join(wrong),
            hint="change these values, or, for categories, name them in the setting events.categories",
        )


def _complaint(field: str, source: _Source, text: str, events: EventsSettings) -> str:
    """Return what is wrong with a text that the mapping puts into a field; nothing if it may stand there."""
    if field == "category":
        if text not in events.categories:
            return f"{text!r} is none of events.categories: {', '.join(events.categories)}"
    elif isinstance(source, AmountSource):
        try:
            amount_minor(text, source.form)
        except RejectedRowError as error:
            return f"{text!r} cannot be the amount: {error.kind}"
    elif isinstance(source, IdentifierSource):
        if not source.hash and not re.fullmatch(IDENTIFIER, text):
            return f"{text!r} is not of the form {IDENTIFIER}"
    elif not re.fullmatch(PATTERNS[field], text):
        return f"{text!r} is not of the form {PATTERNS[field]}"
    return ""


class Mapper:
    """Maps rows one by one; the same row always gives the same transaction.

    `prefix` goes before the numbers of rows, `key` into the digests of cards.
    """

    def __init__(self, mapping: Mapping, events: EventsSettings, prefix: str, key: bytes) -> None:
        check_mapping(mapping, events)
        self._mapping = mapping
        self._categories = frozenset(events.categories)
        self._currency = events.currency
        self._prefix = prefix
        self._key = key
        self._maps = {
            field: {value_of(text): target for text, target in source.map.items()}
            for field, source in mapping.columns.sources.items()
            if isinstance(source, _ValueSource)
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

    def _parts(self, field: str, source: _Source, cells: Mapped[str, Cell]) -> list[str]:
        """Return the texts of a source's columns; none of them if the field is empty."""
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

    def _replaced(self, field: str, source: _ValueSource, text: str) -> str | None:
        """Return what the mapping replaces a text with; None if it names no such text."""
        target = source.map.get(text)
        return self._maps[field].get(value_of(text)) if target is None and source.map else target

    def _allowed(self, field: str, text: str) -> bool:
        if field == "category":
            return text in self._categories
        return re.fullmatch(PATTERNS[field], text) is not None

    def _default(self, field: str, source: _ValueSource) -> str:
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
            replaced = self._replaced(field, source, " ".join(parts))
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
