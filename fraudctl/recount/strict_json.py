"""Read one message as one strict JSON object, or not at all."""

import json
from typing import Any, Final

from fraudctl.errors import FraudctlError

_INTEGER_64 = range(-(2**63), 2**63)
_LONGEST_INTEGER = len(str(-(2**63)))


class NotAnInteger:
    """A placeholder for any JSON number that is no 64-bit integer: its value does not matter."""


NOT_AN_INTEGER: Final = NotAnInteger()


class NotStrictError(FraudctlError):
    """An error for text that is not one strict JSON object; it never leaves this package."""


def read_object(value: bytes | None, max_bytes: int) -> dict[str, Any] | None:
    """Return the object with its fields, or None when `value` is not one strict JSON object.

    Integers of 64 bits become int, all other numbers `NOT_AN_INTEGER`.
    """
    if not value or len(value) > max_bytes:
        return None
    try:
        # Decode explicitly: json.loads(bytes) would guess UTF-16 and accept a byte-order mark.
        document = _decoder.decode(value.decode("utf-8"))
    except (ValueError, RecursionError, NotStrictError):
        return None
    return document if isinstance(document, dict) else None


def complaint(value: bytes | None, max_bytes: int) -> str:
    """Return the reason why `read_object` rejects this value, in words; empty when it does not."""
    if not value:
        return "the record has no value" if value is None else "the record's value is empty"
    if len(value) > max_bytes:
        return f"the message has {len(value):,} bytes, and events.max_bytes allows {max_bytes:,}"
    try:
        document = _decoder.decode(value.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"the message is not UTF-8: byte 0x{value[error.start]:02x} at position {error.start}"
    except UnicodeEncodeError:
        return "the text holds half of a surrogate pair, which has no UTF-8 form"
    except json.JSONDecodeError as error:
        return f"the message is not JSON: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos}"
    except RecursionError:
        return "the JSON is nested too deeply"
    except NotStrictError as error:
        return f"the JSON is not strict: {error.message}"
    if not isinstance(document, dict):
        return f"the JSON is {json_kind(document)}, not an object"
    return ""


def json_kind(value: object) -> str:
    """Return the kind of a decoded JSON value, with its article."""
    if isinstance(value, NotAnInteger):
        return "a number that is no 64-bit integer"
    if value is None:
        return "null"
    kinds = {bool: "a boolean", int: "an integer", str: "a string", list: "an array", dict: "an object"}
    return kinds[type(value)]


def _integer(text: str) -> int | NotAnInteger:
    # Check the length first: int() is slow on thousands of digits, and then raises an error.
    if len(text) > _LONGEST_INTEGER:
        return NOT_AN_INTEGER
    number = int(text)
    return number if number in _INTEGER_64 else NOT_AN_INTEGER


def _fraction(_text: str) -> NotAnInteger:
    return NOT_AN_INTEGER


def _constant(text: str) -> Any:
    raise NotStrictError(f"{text} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise NotStrictError("a key is given twice")
    for key, value in pairs:
        # An escaped lone surrogate is text that has no UTF-8 form; encoding it raises a ValueError.
        key.encode()
        if isinstance(value, str):
            value.encode()
    return result


_decoder = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
