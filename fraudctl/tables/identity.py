"""Identifiers made from foreign texts: two different texts never become the same identifier."""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence

from fraudctl.events.schema import IDENTIFIER
from fraudctl.tables.cells import EXACT_FLOAT, Cell, text_of, visible
from fraudctl.tables.rejection import RejectedRowError

_WHOLE = re.compile(IDENTIFIER)
_FOREIGN = re.compile(r"[^A-Za-z0-9._:-]+")
_LONGEST = 64
_DIGEST_DIGITS = 20
# The end of every text that was changed; an unchanged text that looks like one gets a digest as well.
_CHANGED = re.compile(rf".*\.[0-9a-f]{{{_DIGEST_DIGITS}}}", re.DOTALL)
# A number that was too long for a spreadsheet or a float: its last digits are lost. An exponent without a
# plus sign counts only after a fraction, as a digest may well read 12e5.
_ROUNDED = re.compile(r"[+-]?[0-9]+([.,][0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}")
# Texts by which exports say that there is no value: R writes NA, pandas nan and NaT, Hive and MySQL \\N.
_MISSING = {
    *("na", "n/a", "<na>", "nan", "nat", "null", "<null>", "(null)", "nil", "none", "undefined", "\\n"),
    *("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "(blank)", "#getting_data"),
}
# The characters with which a text begins that `_NOTHING` may match.
_NOTHING_BEGINS = frozenset("#-\u2010\u2011\u2012\u2013\u2014\u2015\u2212.?")
# A spreadsheet's errors (#REF!, #NAME?, #N/A, in German #NV), a column too narrow to show its value (####),
# and marks that stand for nothing (-, ---, ., ??).
_NOTHING = re.compile(r"#[\w\u00a1\u00bf/ ]*[!?]|#(n/?[adv]|n\.[adv]\.)|#+|[-\u2010-\u2015\u2212.?]+")


def identifier(text: str, parts: Sequence[str] = ()) -> str:
    """Return an identifier for a text, or for the `parts` from which it was put together.

    A text that is a valid identifier stays as it is. Any other is changed to fit and ends with a digest of
    the original, so that no two texts have one identifier.
    """
    # Parts that themselves hold the joining character could give one text in two ways.
    ambiguous = len(parts) > 1 and text.count("-") != len(parts) - 1
    if _WHOLE.fullmatch(text) and not ambiguous and not _CHANGED.fullmatch(text):
        return text
    digest = hashlib.sha256(_kept_apart(parts or (text,))).hexdigest()[:_DIGEST_DIGITS]
    plain = _FOREIGN.sub("-", text).strip("-._:")[: _LONGEST - _DIGEST_DIGITS - 1]
    return f"{plain}.{digest}" if plain else f"x.{digest}"


def keyed_digest(name: str, parts: Sequence[str], key: bytes) -> str:
    """Return an identifier from which the text cannot be found without the key (HMAC-SHA256, RFC 2104).

    A plain hash of a card number can be reversed by trying all numbers.
    """
    return f"{name}-{hmac.new(key, _kept_apart(parts), hashlib.sha256).hexdigest()[:_DIGEST_DIGITS]}"


def _kept_apart(parts: Sequence[str]) -> bytes:
    """Return texts as bytes, each after its length, so that no other texts give the same bytes."""
    encoded = (part.encode("utf-8", "surrogatepass") for part in parts)
    return b"".join(len(data).to_bytes(4, "big") + data for data in encoded)


def check_identifying(field: str, cell: Cell) -> str:
    """Return the text of a cell that identifies something.

    Raises:
        RejectedRowError: the cell has lost what made it different from others, or says that it has no value.
    """
    if isinstance(cell, bytes):
        raise not_utf_8(field, cell)
    text = text_of(cell)
    if is_rounded(cell, text):
        raise RejectedRowError(
            f"{field} is a number that was rounded",
            text,
            hint="export the table again with this column as text: its last digits are lost",
        )
    if text and says_nothing(text):
        raise RejectedRowError(f"{field} says that it has no value", text, hint=_name_hint(field, text))
    return text


def is_rounded(cell: Cell, text: str) -> bool:
    """Tell whether a number has lost its last digits, in a float or a spreadsheet."""
    if isinstance(cell, float) and cell == cell and abs(cell) >= EXACT_FLOAT:
        return True
    return _ROUNDED.fullmatch(text.strip()) is not None


def says_nothing(text: str) -> bool:
    """Tell whether a text says that there is no value."""
    plain = text.strip().casefold()
    if not plain or plain in _MISSING:
        return True
    return plain[0] in _NOTHING_BEGINS and _NOTHING.fullmatch(plain) is not None


def not_utf_8(field: str, cell: bytes) -> RejectedRowError:
    """Return the error of a cell whose bytes are no text."""
    hint = "write the column as text in UTF-8, and give that file"
    return RejectedRowError(f"{field} holds bytes that are not UTF-8", cell, hint=hint)


def _name_hint(field: str, text: str) -> str:
    if text.strip().startswith("#"):
        return "correct the cell in the spreadsheet (#### is a column too narrow), and export the table again"
    if field == "transaction_id":
        return "fill the column, or leave `transaction_id` out of the mapping: rows are numbered then"
    written = json.dumps(visible(text[:40]), ensure_ascii=False)
    return f"if it is a real name, give it another one in the mapping: `map: {{{written}: NAME}}` of {field}"
