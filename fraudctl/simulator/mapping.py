"""A table of somebody else's transactions, column by column, as transactions of ours."""

import hashlib
import re
from collections.abc import Mapping as Mapped
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NamedTuple

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
from fraudctl.events.schema import AMOUNT_MINOR_MAX, AMOUNT_MINOR_MIN, PATTERNS

_UNIT_MS = {"s": 1000, "ms": 1}
_FOREIGN = re.compile(r"[^A-Za-z0-9._:-]+")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Closed):
    """Where one field comes from: a column, or one value for all."""

    column: str | None = None
    value: str | None = None
    # Texts to replace; what is not named becomes `default`, or stays as it is without one.
    map: dict[str, str] = {}
    default: str | None = None
    # Only of amounts: from the table's unit to minor units.
    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    # Only of identifiers: a digest instead of the text, always the same one.
    hash: bool = False
    # Only of times: a pattern for strptime, or numbers of a unit since an origin. In UTC.
    format: str | None = None
    unit: Literal["s", "ms"] | None = None
    origin: AwareDatetime = datetime(1970, 1, 1, tzinfo=UTC)

    @model_validator(mode="after")
    def _from_one_place(self) -> "Source":
        if (self.column is None) == (self.value is None):
            raise ValueError("give either a column or a value")
        return self


def _short(given: object) -> object:
    """A bare text is the name of a column."""
    return {"column": given} if isinstance(given, str) else given


From = Annotated[Source, BeforeValidator(_short)]


class Columns(_Closed):
    """Without a transaction_id, rows are numbered."""

    transaction_id: From | None = None
    event_time: From
    card_id: From
    merchant_id: From
    category: From
    amount_minor: From
    country: From
    channel: From


class LabelSource(_Closed):
    column: str
    # The texts that mean fraud.
    fraud: Annotated[tuple[str, ...], Field(min_length=1)]


class Mapping(_Closed):
    description: str
    columns: Columns
    label: LabelSource | None = None

    @property
    def needed(self) -> set[str]:
        """Every column that must be there."""
        sources = (getattr(self.columns, name) for name in Columns.model_fields)
        names = {source.column for source in sources if source and source.column}
        return names | ({self.label.column} if self.label else set())


class MappedRow(NamedTuple):
    """One row as a transaction; its event_time is that of the table."""

    event_ms: int
    event: Transaction
    fraud: bool


class UnmappableError(ValueError):
    """A row that cannot be a transaction; the text says why."""


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


class Mapper:
    """Maps rows one by one; the same row always gives the same transaction."""

    def __init__(self, mapping: Mapping, events: EventsSettings, prefix: str) -> None:
        self._mapping = mapping
        self._categories = frozenset(events.categories)
        self._currency = events.currency
        self._prefix = prefix

    def row(self, number: int, row: Mapped[str, Any]) -> MappedRow:
        """The transaction of one row; `number` is its place in the table.

        Raises:
            UnmappableError: a field is missing, or is not what it must be.
        """
        columns, label = self._mapping.columns, self._mapping.label
        known = columns.transaction_id
        event = Transaction(
            transaction_id=(
                _identifier(known, row, "transaction_id") if known else f"{self._prefix}-{number:010d}"
            ),
            event_time="",
            card_id=_identifier(columns.card_id, row, "card_id"),
            merchant_id=_identifier(columns.merchant_id, row, "merchant_id"),
            category=_text(columns.category, row, "category"),
            amount_minor=_amount(columns.amount_minor, row),
            currency=self._currency,
            country=_matching(columns.country, row, "country"),
            channel=_matching(columns.channel, row, "channel"),
        )
        if event.category not in self._categories:
            raise UnmappableError(f"category {event.category!r} is none of events.categories")
        fraud = label is not None and str(row.get(label.column)) in label.fraud
        return MappedRow(_moment_ms(columns.event_time, row), event, fraud)


def _text(source: Source, row: Mapped[str, Any], field: str) -> str:
    if source.value is not None:
        return source.value
    value = row.get(source.column or "")
    if value is None or value == "":
        if source.default is None:
            raise UnmappableError(f"{field} is empty")
        return source.default
    text = str(value)
    return source.map.get(text, text if source.default is None else source.default)


def _identifier(source: Source, row: Mapped[str, Any], field: str) -> str:
    """Characters that an identifier cannot hold become a hyphen."""
    text = _text(source, row, field)
    if source.hash:
        return f"{field.removesuffix('_id')}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    plain = _FOREIGN.sub("-", text).strip("-._:")[:64]
    if not plain:
        raise UnmappableError(f"{field} {text!r} holds nothing that an identifier may hold")
    return plain


def _matching(source: Source, row: Mapped[str, Any], field: str) -> str:
    text = _text(source, row, field)
    if not re.fullmatch(PATTERNS[field], text):
        raise UnmappableError(f"{field} {text!r} is not of the form {PATTERNS[field]}")
    return text


def _amount(source: Source, row: Mapped[str, Any]) -> int:
    text = _text(source, row, "amount_minor")
    try:
        exact = Decimal(text) * source.times
        amount = int(exact.to_integral_value(ROUND_HALF_UP))
    except (InvalidOperation, ValueError, OverflowError):
        raise UnmappableError(f"amount {text!r} is not a number") from None
    if not AMOUNT_MINOR_MIN <= amount <= AMOUNT_MINOR_MAX:
        raise UnmappableError(f"amount {text!r} is out of bounds")
    return amount


def _moment_ms(source: Source, row: Mapped[str, Any]) -> int:
    given = row.get(source.column or "")
    if isinstance(given, datetime):
        return _in_ms(given)
    text = _text(source, row, "event_time")
    try:
        if source.unit:
            return _in_ms(source.origin) + int(Decimal(text) * _UNIT_MS[source.unit])
        if source.format:
            return _in_ms(datetime.strptime(text, source.format))
        return _in_ms(datetime.fromisoformat(text))
    except (InvalidOperation, ValueError, OverflowError):
        raise UnmappableError(f"event_time {text!r} is not a time") from None


def _in_ms(moment: datetime) -> int:
    """A moment that names no zone is in UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
