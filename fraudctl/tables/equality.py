"""Comparison of values by meaning: 1, 1.0, true, "True" and " 1" are one value."""

import re
from collections.abc import Iterable
from decimal import Decimal

from fraudctl.tables.cells import Cell, text_of

_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
# Number of digits that Python's decimals hold exactly by default.
_DIGITS = 28
_FLAGS = {"true": "1", "false": "0"}
# The other half of a pair, for mappings that name only the values that mean fraud.
_OPPOSITES = {"1": "0", "yes": "no", "y": "n", "t": "f", "0": "1", "no": "yes", "n": "y", "f": "t"}


def value_of(cell: Cell) -> str:
    """Return the text that all spellings of a value have in common."""
    text = text_of(cell).strip().casefold()
    if text in _FLAGS:
        return _FLAGS[text]
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        # Adding zero takes the sign of a negative zero; a number beyond the precision stays as it is written.
        if len(number.as_tuple().digits) <= _DIGITS and abs(number.adjusted()) <= _DIGITS:
            return format((number + 0).normalize(), "f")
    return text


def values_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the values of several texts."""
    return frozenset(value_of(text) for text in texts)


def opposites(values: Iterable[str]) -> frozenset[str]:
    """Return the opposites of those values that have one, such as 0 for 1 and no for yes."""
    return frozenset(_OPPOSITES[value] for value in values if value in _OPPOSITES)
