"""Any result as JSON: dataclasses and tuples become objects and lists, times RFC 3339, paths text."""

from dataclasses import asdict, is_dataclass
from pathlib import Path

import msgspec


def dumps(result: object) -> str:
    """Indented JSON of a result dataclass (or of plain data)."""
    plain = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    return msgspec.json.format(msgspec.json.encode(plain, enc_hook=_other), indent=2).decode()


def _other(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")
