"""Amounts as people write them, converted exactly to minor units."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from fraudctl.events.schema import AMOUNT_MINOR_MAX
from fraudctl.tables.cells import Cell, text_of
from fraudctl.tables.rejection import RejectedRowError

# Separators between groups of digits: apostrophes in Switzerland, blanks in France and Sweden.
THOUSANDS = (",", ".", "'", "\u2019", " ", "\u00a0", "\u202f", "_")
# This remedy only turns rejected rows into chosen ones; no more rows can be taken.
LEAVE_OUT_ZERO = "say `zero: leave_out` in the mapping if such rows are expected"
_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MINUS = "-\u2212\u2013"


@dataclass(frozen=True)
class AmountFormat:
    """The format of a column of amounts; `times` converts its unit to minor units."""

    times: int = 1
    decimal: str = "."
    thousands: str = ""
    currency_sign: str = ""
    negative: Literal["reject", "leave_out", "absolute"] = "reject"
    zero: Literal["reject", "leave_out"] = "reject"


def amount_minor(cell: Cell, form: AmountFormat) -> int:
    """Return an amount in minor units; halves are rounded up.

    Raises:
        RejectedRowError: it is not a number in this format, or not one that an event may hold.
    """
    number = _number(cell, form)
    if number is None:
        raise RejectedRowError("amount_minor is not a number", text_of(cell), hint=_hint(cell, form))
    if number < 0 and form.negative != "absolute":
        raise RejectedRowError(
            "amount_minor is negative",
            text_of(cell),
            chosen=form.negative == "leave_out",
            hint="say `negative: leave_out` (or absolute) in the mapping if refunds are expected",
        )
    amount = int((abs(number) * form.times).to_integral_value(ROUND_HALF_UP))
    if amount == 0:
        raise RejectedRowError(
            "amount_minor is zero" if number == 0 else "amount_minor is less than one minor unit",
            text_of(cell),
            chosen=form.zero == "leave_out",
            hint=LEAVE_OUT_ZERO,
        )
    if amount > AMOUNT_MINOR_MAX:
        raise RejectedRowError(f"amount_minor is above {AMOUNT_MINOR_MAX:,}", text_of(cell))
    return amount


def _number(cell: Cell, form: AmountFormat) -> Decimal | None:
    if isinstance(cell, bool | bytes):
        return None
    if isinstance(cell, int | float | Decimal):
        exact = Decimal(repr(cell)) if isinstance(cell, float) else Decimal(cell)
        return exact if exact.is_finite() and abs(exact) < Decimal(10) ** 30 else None
    text = text_of(cell).strip()
    negative = False
    if text.startswith("(") and text.endswith(")"):
        text, negative = text[1:-1].strip(), True
    # The sign may stand on either side of the currency, and after the number.
    for _ in range(2):
        if form.currency_sign:
            text = text.removeprefix(form.currency_sign).removesuffix(form.currency_sign).strip()
        if text[:1] and text[0] in _MINUS + "+" and not negative:
            negative, text = text[0] in _MINUS, text[1:].strip()
        elif text[-1:] and text[-1] in _MINUS and not negative:
            negative, text = True, text[:-1].strip()
    plain = _without_groups(text, form)
    if plain is None or not _NUMBER.fullmatch(plain):
        return None
    number = Decimal(plain)
    if number >= Decimal(10) ** 30:
        return None
    return -number if negative else number


def _without_groups(text: str, form: AmountFormat) -> str | None:
    """Return the number with a decimal point and without groups, or None if its groups are not valid.

    The last group must have three digits; those between it and the first may have two, as in India.
    """
    whole, point, fraction = text.partition(form.decimal)
    if form.thousands and form.thousands in whole:
        groups = whole.split(form.thousands)
        if not 1 <= len(groups[0]) <= 3 or any(len(group) not in (2, 3) for group in groups[1:]):
            return None
        if len(groups[-1]) != 3:
            return None
        whole = "".join(groups)
    if form.decimal != "." and "." in whole + fraction:
        return None
    return whole + ("." + fraction if point else "")


def _hint(cell: Cell, form: AmountFormat) -> str:
    text = text_of(cell)
    keys = []
    if re.search(r"[0-9],[0-9]{3}(\D|$)", text) and not form.thousands and form.decimal != ",":
        keys.append('thousands: ","')
    elif re.search(r"[0-9],[0-9]{1,2}\s*\D?$", text) and form.decimal != ",":
        keys.append('decimal: ","')
    sign = re.search(r"[^\s\w.,+'()-]|[A-Z]{3}", text)
    if sign and not form.currency_sign:
        keys.append(f'currency_sign: "{sign[0]}"')
    return f"say {' and '.join(f'`{key}`' for key in keys)} of amount_minor in the mapping" if keys else ""
