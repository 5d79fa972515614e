"""Amounts as people write them, converted exactly to minor units."""

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from fraudctl.events.schema import AMOUNT_MINOR_MAX
from fraudctl.tables.cells import Cell, Remark, text_of, visible
from fraudctl.tables.rejection import RejectedRowError

# Separators between groups of digits: apostrophes in Switzerland, blanks in France and Sweden.
THOUSANDS = (",", ".", "'", "\u2019", " ", "\u00a0", "\u202f", "\u2009", "_")
# Blanks of any width are one separator, and so are both apostrophes: people cannot tell them apart.
_ALIKE = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"})
# This remedy only turns rejected rows into chosen ones; no more rows can be taken.
LEAVE_OUT_ZERO = "say `zero: leave_out` in the mapping if such rows are expected"
_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_ROUNDED = re.compile(r"[+-]?[0-9]+[.,]([0-9]+)[eE]\+?([0-9]{1,3})")
_MINUS = "-\u2212\u2013"
FRACTION = "amount_minor has a fraction of a minor unit"


@dataclass(frozen=True)
class AmountFormat:
    """The format of a column of amounts; `times` converts its unit to minor units."""

    times: int = 1
    decimal: str = "."
    thousands: str = ""
    currency_sign: str = ""
    negative: Literal["reject", "leave_out", "absolute"] = "reject"
    zero: Literal["reject", "leave_out"] = "reject"


class Amount(NamedTuple):
    """An amount in minor units; `remark` tells if it differs from what the cell says."""

    minor: int
    remark: Remark | None


def amount_minor(cell: Cell, form: AmountFormat) -> int:
    """Return an amount in minor units; see `amount_of`.

    Raises:
        RejectedRowError: it is not a number in this format, or not one that an event may hold.
    """
    return amount_of(cell, form).minor


def amount_of(cell: Cell, form: AmountFormat) -> Amount:
    """Return an amount; with `times`, halves of a minor unit are rounded up, and the remark says so.

    Raises:
        RejectedRowError: it is not a number in this format, or not one that an event may hold, or it has a
            fraction although its unit is the minor one.
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
    exact = abs(number) * form.times
    amount = int(exact.to_integral_value(ROUND_HALF_UP))
    whole = exact == amount or _is_whole_but_for_float(cell, exact, form)
    if not whole and form.times == 1:
        raise RejectedRowError(
            FRACTION, text_of(cell), hint="say `times: 100` in the mapping if amounts are in whole units"
        )
    _check_range(cell, number, amount, form)
    return Amount(amount, _remark(cell, whole))


def _remark(cell: Cell, whole: bool) -> Remark | None:
    """Return how an amount may differ from what was meant; None if it does not."""
    if not whole:
        return Remark("amount_minor was rounded to a minor unit", text_of(cell))
    if not isinstance(cell, str) or "E" not in cell.upper():
        return None
    rounded = _ROUNDED.fullmatch(cell.strip())
    # 1.5E+03 counts hundreds, whatever the amount was.
    if rounded and int(rounded[2]) > len(rounded[1]):
        hint = "export the table again with this column as a plain number"
        return Remark("amount_minor is a number that was rounded", cell, hint)
    return None


def _is_whole_but_for_float(cell: Cell, exact: Decimal, form: AmountFormat) -> bool:
    """Tell whether only a float's last places make a fraction; a sum of floats misses by a few of them."""
    off = abs(exact - exact.to_integral_value(ROUND_HALF_UP))
    return isinstance(cell, float) and off <= Decimal(4 * math.ulp(cell) * form.times)


def _check_range(cell: Cell, number: Decimal, amount: int, form: AmountFormat) -> None:
    if amount == 0:
        raise RejectedRowError(
            "amount_minor is zero" if number == 0 else "amount_minor is less than one minor unit",
            text_of(cell),
            chosen=form.zero == "leave_out",
            hint=LEAVE_OUT_ZERO,
        )
    if amount > AMOUNT_MINOR_MAX:
        raise RejectedRowError(
            f"amount_minor is above {AMOUNT_MINOR_MAX:,}",
            text_of(cell),
            hint="look whether `amount_minor` in the mapping names the column of the amounts"
            + (", and leave `times` out if they are in minor units already" if form.times > 1 else ""),
        )


def _number(cell: Cell, form: AmountFormat) -> Decimal | None:
    if isinstance(cell, bool | bytes):
        return None
    if isinstance(cell, int | float | Decimal):
        exact = Decimal(repr(cell)) if isinstance(cell, float) else Decimal(cell)
        return exact if exact.is_finite() and abs(exact) < Decimal(10) ** 30 else None
    text, negative = _unsigned(text_of(cell).strip(), form.currency_sign)
    plain = _without_groups(text, form)
    if plain is None or not _NUMBER.fullmatch(plain):
        return None
    number = Decimal(plain)
    if number >= Decimal(10) ** 30:
        return None
    return -number if negative else number


def _unsigned(text: str, currency_sign: str) -> tuple[str, bool]:
    """Return a text without its signs, and whether it is negative."""
    negative = False
    if text.startswith("(") and text.endswith(")"):
        text, negative = text[1:-1].strip(), True
    # The sign may stand on either side of the currency, and after the number.
    for _ in range(2):
        if currency_sign:
            text = text.removeprefix(currency_sign).removesuffix(currency_sign).strip()
        if text[:1] and text[0] in _MINUS + "+" and not negative:
            negative, text = text[0] in _MINUS, text[1:].strip()
        elif text[-1:] and text[-1] in _MINUS and not negative:
            negative, text = True, text[:-1].strip()
    return text, negative


def _without_groups(text: str, form: AmountFormat) -> str | None:
    """Return the number with a decimal point and without groups, or None if its groups are not valid.

    The last group must have three digits; those between it and the first may have two, as in India.
    """
    whole, point, fraction = text.partition(form.decimal)
    separator = form.thousands.translate(_ALIKE)
    if separator and separator in (alike := whole.translate(_ALIKE)):
        groups = alike.split(separator)
        if not 1 <= len(groups[0]) <= 3 or any(len(group) not in (2, 3) for group in groups[1:]):
            return None
        if len(groups[-1]) != 3:
            return None
        whole = "".join(groups)
    if form.decimal != "." and "." in whole + fraction:
        return None
    return whole + ("." + fraction if point else "")


def _hint(cell: Cell, form: AmountFormat) -> str:
    """Return the keys of the mapping with which the cell can be read, as a hint."""
    if not isinstance(cell, str):
        return "map a column of numbers, or of texts that are numbers"
    # Digits do not matter for it, so that few forms have to be tried, however many rows are left out.
    return _hint_of(re.sub("[0-9]", "1", cell.strip()[:60]), form)


@lru_cache(maxsize=256)
def _hint_of(text: str, form: AmountFormat) -> str:
    for other in _other_forms(text, form):
        if _number(text, other) is not None:
            keys = [
                f'{key}: "{visible(getattr(other, key))}"'
                for key in ("thousands", "decimal", "currency_sign")
                if getattr(other, key) != getattr(form, key)
            ]
            return f"say {' and '.join(f'`{key}`' for key in keys)} of amount_minor in the mapping"
    return (
        "correct these amounts in the file; `decimal`, `thousands` and `currency_sign` of amount_minor in "
        "the mapping say how amounts are written"
    )


def _other_forms(text: str, form: AmountFormat) -> Iterator[AmountFormat]:
    """Yield forms that a text may have, those with the fewest changes first."""
    present = [separator for separator in THOUSANDS if separator in text]
    forms = [
        replace(form, decimal=decimal, thousands=thousands, currency_sign=sign)
        for sign in dict.fromkeys((form.currency_sign, *_currency_signs(text)))
        for decimal in dict.fromkeys((form.decimal, ".", ","))
        for thousands in dict.fromkeys((form.thousands, *present))
        if thousands != decimal
    ]
    keys = ("decimal", "thousands", "currency_sign")
    yield from sorted(forms, key=lambda one: sum(getattr(one, key) != getattr(form, key) for key in keys))


def _currency_signs(text: str) -> Iterator[str]:
    """Yield what may be the sign of a currency before or after the number."""
    for found in (
        re.match(r"\(?[-+]?\s*([^0-9\s.,+()-]+)", text),
        re.search(r"([^0-9\s.,+()-]+)\s*-?\)?$", text),
    ):
        if found and len(found[1]) <= 8 and _is_currency(found[1]):
            yield found[1]


def _is_currency(sign: str) -> bool:
    return any(unicodedata.category(one) == "Sc" for one in sign) or (sign.isalpha() and len(sign) in (2, 3))
