"""Results as JSON: dataclasses and tuples become objects and lists, times RFC 3339, paths text."""

from dataclasses import asdict, is_dataclass
from pathlib import Path

import msgspec


def dumps(result: object) -> str:
    """Return a result dataclass, or plain data, as indented JSON."""
    plain = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    try:
        encoded = msgspec.json.encode(plain, enc_hook=_other)
    except UnicodeEncodeError:  # a file name that is not valid text
        encoded = msgspec.json.encode(_printable(plain), enc_hook=_other)
    return msgspec.json.format(encoded, indent=2).decode()


def _printable(value: object) -> object:
    """Return the data with lone surrogates, which JSON cannot hold, written as escapes."""
    if isinstance(value, dict):
        return {_printable(key): _printable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(one) for one in value]
    if isinstance(value, (str, Path)):
        return str(value).encode("utf-8", "backslashreplace").decode()
    return value


def _other(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")
