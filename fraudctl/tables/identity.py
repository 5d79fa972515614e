"""Identifiers made from foreign texts: two different texts never become the same identifier."""

import hashlib
import hmac
import re
from collections.abc import Sequence

from fraudctl.events.schema import IDENTIFIER
from fraudctl.tables.cells import EXACT_FLOAT, Cell, text_of
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
# Texts by which exports say that there is no value.
_MISSING = {"nan", "null", "none", "\\n", "n/a", "#n/a", "<na>", "<null>"}


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
        raise RejectedRowError(f"{field} holds bytes that are not UTF-8", cell)
    if isinstance(cell, float) and abs(cell) >= EXACT_FLOAT:
        raise RejectedRowError(f"{field} is a number that was rounded", cell)
    text = text_of(cell)
    plain = text.strip()
    if _ROUNDED.fullmatch(plain):
        raise RejectedRowError(
            f"{field} is a number that was rounded",
            text,
            hint="export the table again with this column as text: a spreadsheet has cut its last digits",
        )
    if plain.casefold() in _MISSING or (text and not plain):
        raise RejectedRowError(f"{field} says that it has no value", text)
    return text
