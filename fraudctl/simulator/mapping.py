"""The mapping of a foreign table's columns to the fields of a transaction.

Each kind of field has its own model, so that an option that has no meaning for a field cannot be given.
Whatever a mapping sets itself (a constant, a default, a target of `map`) is checked against what an event
may hold.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping as Mapped
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from fraudctl import assets
from fraudctl.config.closed import Flag, Whole
from fraudctl.config.model import EventsSettings
from fraudctl.config.wording import problem_lines
from fraudctl.config.yaml_file import Way, YamlDocument
from fraudctl.config.yaml_scalars import described
from fraudctl.errors import ConfigError
from fraudctl.events.schema import IDENTIFIER, PATTERNS
from fraudctl.tables.amounts import FRACTION, THOUSANDS, AmountFormat, amount_of
from fraudctl.tables.equality import opposites, value_of, values_of
from fraudctl.tables.layout import Layout
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.times import check_format

# What the patterns of an event's texts say, in words.
_IDENTIFIER_FORM = (
    "an identifier (letters, digits and . _ : -, at most 64, of which the first is a letter or digit)"
)
FORMS = {
    "card_id": _IDENTIFIER_FORM,
    "merchant_id": _IDENTIFIER_FORM,
    "country": "two capital letters, such as DE",
    "channel": "small letters, digits and underscores, at most 32, of which the first is a letter",
}
_WRITTEN_ORIGIN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*")


def _scalar(value: object) -> object:
    """Return a number or a boolean of the mapping as text, the form in which it is compared."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _scalar_keys(value: object) -> object:
    return {_scalar(key): _scalar(item) for key, item in value.items()} if isinstance(value, dict) else value


def _check_origin(value: object) -> object:
    """Return a time that begins with a date; the validator would take a bare number as seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _WRITTEN_ORIGIN.fullmatch(value.strip())):
        return value
    raise ValueError(f"must be a time with its zone, such as 2026-03-02T00:00:00Z, not {described(value)}")


def _check_not_empty(value: object) -> object:
    if value == {}:
        raise ValueError("is empty, which has no effect; leave it out")
    return value


Text = Annotated[str, BeforeValidator(_scalar)]
# A mapping that is given must have an effect.
Replacements = Annotated[dict[str, str], BeforeValidator(_scalar_keys), BeforeValidator(_check_not_empty)]
ColumnName = Annotated[str, Field(min_length=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Closed):
    """The column of a field, or several columns that belong together."""

    column: str | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=2)] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return every column that the table must have."""
        return self.columns or (() if self.column is None else (self.column,))

    def fixed(self) -> Iterator[tuple[Way, str]]:
        """Yield path and text of everything that the mapping itself puts into the field."""
        return iter(())

    def _check_one_of(self, *keys: str) -> None:
        given = [key for key in keys if getattr(self, key) not in (None, False)]
        if len(given) != 1:
            expected = f"{', '.join(keys[:-1])} or {keys[-1]}"
            raise ValueError(
                f"give one of {expected}" + (f", and not {' and '.join(given)} together" if given else "")
            )

    @model_validator(mode="after")
    def _check(self) -> "Source":
        self._check_one_of("column", "columns")
        self._check_no_repetition()
        return self

    def _check_no_repetition(self) -> None:
        if self.columns and len(set(self.columns)) < len(self.columns):
            raise ValueError("columns: a column is named twice")


class ValueSource(Source):
    """A text field: columns or one value for all rows, with replacements; `default` is for empty cells."""

    value: Text | None = None
    map: Replacements = {}
    default: Text | None = None

    def fixed(self) -> Iterator[tuple[Way, str]]:
        """Yield path and text of `value`, of `default` and of the targets of `map`."""
        if self.value is not None:
            yield ("value",), self.value
        if self.default is not None:
            yield ("default",), self.default
        for key, target in self.map.items():
            yield ("map", key), target

    @model_validator(mode="after")
    def _check(self) -> "ValueSource":
        self._check_one_of("column", "columns", "value")
        self._check_no_repetition()
        self._check_map()
        return self

    def _check_map(self) -> None:
        if self.value is not None and (self.map or self.default is not None):
            raise ValueError(
                "`map` and `default` have no effect beside `value`, which is the same for all rows"
            )


class TextSource(ValueSource):
    """The source of a category, a country or a channel.

    `default` also replaces texts that `map` does not name or, without `map`, texts that no event may hold.
    Keys of `map` are compared by value.
    """

    @model_validator(mode="after")
    def _check_keys(self) -> "TextSource":
        seen: dict[str, str] = {}
        for key in self.map:
            other = seen.setdefault(value_of(key), key)
            if other != key and self.map[other] != self.map[key]:
                raise ValueError(
                    f"map: {other!r} and {key!r} are one value, and are mapped to different ones"
                )
        return self


class IdentifierSource(ValueSource):
    """The source of a merchant or a card; with `hash`, a digest with the stack's key replaces the text."""

    hash: Flag = False

    @model_validator(mode="after")
    def _check_hash(self) -> "IdentifierSource":
        if self.hash and self.value is not None:
            raise ValueError("`hash` has no effect beside `value`, which is the same for all rows")
        return self


class CardSource(IdentifierSource):
    """The source of a card; with `row`, the table has no cards, and each row gets a card of its own."""

    row: Flag = False

    @model_validator(mode="after")
    def _check(self) -> "CardSource":
        self._check_one_of("column", "columns", "value", "row")
        self._check_no_repetition()
        self._check_map()
        if self.row and (self.map or self.default is not None or self.hash):
            raise ValueError("`map`, `default` and `hash` have no effect beside `row`")
        return self


class TransactionIdSource(Source):
    """The source of a transaction's id, which differs in every row: no `value`, `default` or `map`."""

    hash: Flag = False


class TimeSource(Source):
    """The source of a time: a strptime pattern, numbers of a unit since an origin, or RFC 3339 text."""

    format: str | None = None
    unit: Literal["ns", "us", "ms", "s", "min", "h", "d", "months"] | None = None
    origin: Annotated[AwareDatetime, BeforeValidator(_check_origin)] = datetime(1970, 1, 1, tzinfo=UTC)

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


class AmountSource(Source):
    """The source of an amount; `times` converts the table's unit to minor units (100 for dollars).

    `value` and `default` are written as the column's amounts are: `times` and `decimal` hold for them, too.
    `currency` names the currency of the table. Amounts are not converted: events have that of the settings,
    and a run notes it if the two differ.
    """

    value: Text | None = None
    default: Text | None = None
    times: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    decimal: Literal[".", ","] = "."
    thousands: Literal[THOUSANDS] | None = None  # type: ignore[valid-type]
    currency_sign: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    negative: Literal["reject", "leave_out", "absolute"] = "reject"
    zero: Literal["reject", "leave_out"] = "reject"

    @property
    def form(self) -> AmountFormat:
        """Return the format in which the column writes amounts."""
        return AmountFormat(
            self.times, self.decimal, self.thousands or "", self.currency_sign or "", self.negative, self.zero
        )

    def fixed(self) -> Iterator[tuple[Way, str]]:
        """Yield path and text of `value` and of `default`."""
        return (((key,), text) for key in ("value", "default") if (text := getattr(self, key)) is not None)

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


def _reject_currency(given: object) -> object:
    """Reject the key `currency` where no mapping has it, with what to say instead.

    Raises:
        ValueError: the key is there.
    """
    if isinstance(given, dict) and "currency" in given:
        raise ValueError(
            'there is no key "currency" here: all events have the currency of the setting events.currency; '
            "the currency of the table may be named as `amount_minor: {currency: USD}`"
        )
    return given


def _short(given: object) -> object:
    """Return a bare text as the source that names it as its column."""
    return {"column": given} if isinstance(given, str) else given


Short = BeforeValidator(_short)


class Columns(_Closed):
    """The source of each field; without a `transaction_id`, rows are numbered."""

    _check_currency = model_validator(mode="before")(_reject_currency)

    transaction_id: Annotated[TransactionIdSource, Short] | None = None
    event_time: Annotated[TimeSource, Short]
    card_id: Annotated[CardSource, Short]
    merchant_id: Annotated[IdentifierSource, Short]
    category: Annotated[TextSource, Short]
    amount_minor: Annotated[AmountSource, Short]
    country: Annotated[TextSource, Short]
    channel: Annotated[TextSource, Short]

    @property
    def sources(self) -> dict[str, Source]:
        """Return the sources by the names of their fields."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: source for name, source in given.items() if source is not None}


class LabelSource(_Closed):
    """The column that tells fraud from genuine; values are compared by meaning: "1" equals 1.0 and true.

    Without `genuine`, the genuine values are the other halves of pairs such as 1 and 0. Any other value is
    reported as unclear.
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
        """Return the values that mean genuine."""
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
    """A parsed mapping document."""

    _check_currency = model_validator(mode="before")(_reject_currency)

    description: str
    table: Annotated[Layout, BeforeValidator(_check_not_empty)] = Layout()
    columns: Columns
    label: LabelSource | None = None
    _document: Mapped[str, object] = PrivateAttr(default_factory=dict)

    def place(self, way: Way) -> str:
        """Return `FILE:LINE: the.key` of the value at a path, without file and line if it was no file's."""
        key = ".".join(map(str, way))
        return f"{self._document.place(way)}: {key}" if isinstance(self._document, YamlDocument) else key

    @property
    def needed(self) -> set[str]:
        """Return every column that the table must have."""
        names = {name for source in self.columns.sources.values() for name in source.names}
        return names | ({self.label.column} if self.label else set())

    @property
    def has_digests(self) -> bool:
        """Tell whether a field is a digest with the stack's key."""
        return any(getattr(source, "hash", False) for source in self.columns.sources.values())


def parse_mapping(document: Mapped[str, object]) -> Mapping:
    """Parse the document of a mapping.

    Raises:
        ConfigError: something is not as it must be; the detail names each location.
    """
    try:
        mapping = Mapping.model_validate(document)
        mapping._document = document
        return mapping
    except ValidationError as error:
        raise ConfigError(
            "the mapping is not valid",
            detail=problem_lines(error, Mapping, document),
            hint=f"compare it with those in {assets.configs() / 'mappings'}",
        ) from error


def check_mapping(mapping: Mapping, events: EventsSettings) -> None:
    """Check everything that the mapping itself puts into an event.

    Raises:
        ConfigError: no event may hold one of the values; the detail names each of them with its key.
    """
    wrong = []
    for field, source in mapping.columns.sources.items():
        for way, text in source.fixed():
            complaint = _complaint(field, source, text, events)
            if complaint:
                wrong.append(f"{mapping.place(('columns', field, *way))}: {complaint}")
    if wrong:
        raise ConfigError(
            "the mapping gives events values that none may hold",
            detail="\n".join(wrong),
            hint="change these values, or, for categories, name them in the setting events.categories",
        )


# The currencies whose amounts carry a sign; any text that is not here stands for itself.
_CURRENCIES_OF_SIGNS = {
    "$": ("USD", "AUD", "CAD", "HKD", "MXN", "NZD", "SGD", "ARS", "CLP", "COP", "TWD"),
    "US$": ("USD",),
    "€": ("EUR",),
    "EURO": ("EUR",),
    "£": ("GBP", "EGP"),
    "¥": ("JPY", "CNY"),
    "KR": ("SEK", "NOK", "DKK", "ISK"),
    "FR": ("CHF",),
    "SFR": ("CHF",),
    "R$": ("BRL",),
    "₹": ("INR",),
    "ZŁ": ("PLN",),
    "KČ": ("CZK",),
    "FT": ("HUF",),
    "₺": ("TRY",),
    "₽": ("RUB",),
    "₩": ("KRW",),
    "₪": ("ILS",),
}


def currency_notes(mapping: Mapping, events: EventsSettings) -> tuple[str, ...]:
    """Return a note if the mapping names another currency than the one that events have."""
    source = mapping.columns.amount_minor
    sign = (source.currency_sign or "").strip().upper()
    if source.currency:
        same, named = source.currency == events.currency, f"currency {source.currency}"
    else:
        same = not sign or events.currency in _CURRENCIES_OF_SIGNS.get(sign, (sign,))
        named = f"the sign {source.currency_sign!r}"
    if same:
        return ()
    return (
        f"amounts are sent as {events.currency} (events.currency), and not converted: the mapping's "
        f"amount_minor has {named}",
    )


def _complaint(field: str, source: Source, text: str, events: EventsSettings) -> str:
    """Return what is wrong with a text that the mapping puts into a field, or an empty text if nothing is."""
    if field == "category":
        if text not in events.categories:
            return f"{text!r} is none of events.categories: {', '.join(events.categories)}"
    elif isinstance(source, AmountSource):
        try:
            amount = amount_of(text, source.form)
        except RejectedRowError as error:
            return f"{text!r} cannot be the amount: {error.kind}"
        if amount.remark is not None:
            return f"{text!r} cannot be the amount: {FRACTION}"
    elif isinstance(source, IdentifierSource):
        if not source.hash and not re.fullmatch(IDENTIFIER, text):
            return f"{text!r} is not {FORMS[field]}"
    elif not re.fullmatch(PATTERNS[field], text):
        return f"{text!r} is not {FORMS[field]}"
    return ""
