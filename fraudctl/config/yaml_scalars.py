"""Read plain scalars as YAML 1.1 and 1.2 do, and say where the two, or a reader, would disagree."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

TAG = "tag:yaml.org,2002:"
MERGE = f"{TAG}merge"
_MOST_DIGITS = 40
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+$")
_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$")
# The core schema of YAML 1.2, section 10.3.2.
_CORE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("null", re.compile(r"(null|Null|NULL|~|)$")),
    ("bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$")),
    ("int", re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")),
    ("float", re.compile(r"([-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN)$")),
)


@dataclass(frozen=True, order=True)
class Unclear:
    """A value or a key that cannot be taken as it is written: its line, and what to write instead.

    `ambiguous`: it can be read in two ways.
    """

    line: int
    text: str
    ambiguous: bool = True


def described(value: object) -> str:
    """Return a value as a reader of YAML would name it: `the text "a"`, `the number 5`, `a list`."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {_shortened(_digits(value))}"
    return f"the text {_shortened(json.dumps(str(value), ensure_ascii=False))}"


def _digits(value: int | float) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python is ready to write
        return "with thousands of digits"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def ambiguity(node: yaml.ScalarNode, key: str | int | None, *, is_json: bool) -> Unclear | None:
    """Return what is unclear in a scalar, and how to say it clearly; None where nothing is.

    Args:
        node: the scalar.
        key: what the value belongs to, for the message.
        is_json: the document is JSON, which has one reading of its numbers.
    """
    line, text = node.start_mark.line + 1, node.value
    name = f"{key}: " if isinstance(key, str) else ""
    if node.style is not None:
        return None
    if not text:
        return Unclear(line, f"{name}there is no value; give one, or leave the key out", ambiguous=False)
    why = _unclear(node, is_json=is_json)
    return Unclear(line, f"{name}{why}") if why else None


def plain_number(text: str) -> Any:
    """Return the number or flag that a variable's text stands for, read as in a file; else the text.

    Raises:
        ValueError: it can be read in two ways; the message says how to write it.
    """
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    beginning = yaml.Mark("", 0, 0, 0, "", 0)
    why = _unclear(yaml.ScalarNode(tag, text, beginning, beginning), is_json=False, or_text=False)
    if why:
        raise ValueError(why)
    return core_reading(text)


def _unclear(node: yaml.ScalarNode, *, is_json: bool, or_text: bool = True) -> str:
    """Return what is unclear in a scalar that is not empty; `or_text`: it may be meant as a text."""
    text, core = node.value, core_reading(node.value)
    if core is None:
        return f'{text} was read as no value; give one, or leave the key out; write "{text}" for the text'
    if len(text) > _MOST_DIGITS and not isinstance(core, str):
        return f"{_shortened(text)} has too many digits for a number; write it in quotation marks"
    if is_json:
        return ""
    if _THOUSANDS.match(text):
        or_quoted = f", or {quoted(text)}" if or_text else ""
        return f"{text} was read as the text {quoted(text)}; write {_ungrouped(text)}{or_quoted}"
    if node.tag in (f"{TAG}timestamp", f"{TAG}value", MERGE):
        return ""
    old = _old_reading(node)
    if type(old) is type(core) and (old == core or old != old) and not _LEADING_ZERO.match(text):
        return ""
    return _two_readings(text, old, core, or_text=or_text)


def _two_readings(text: str, old: Any, core: Any, *, or_text: bool) -> str:
    others = [_literal(one) for one in (old, core) if not isinstance(one, str)]
    octal = _LEADING_ZERO.match(text)
    if octal and isinstance(old, str):  # 08: no octal number, so a text
        others = [_without_zeros(text)]
    clear = ", ".join(dict.fromkeys(one for one in others if one))
    how = ""
    if not isinstance(old, str):
        how = " (in base 60)" if ":" in text else " (in base 8)" if octal else ""
    as_text = f"{quoted(text)} for the text" if or_text else ""
    several = (as_text, clear) if isinstance(old, bool) or ":" in text else (clear, as_text)
    return f"{text} was read as {_named(old)}{how}; write {' or '.join(one for one in several if one)}"


def _ungrouped(text: str) -> str:
    """Return a number without the commas in it; one comma after a zero is that of a fraction."""
    if re.fullmatch(r"[-+]?0,[0-9]+", text):
        return text.replace(",", ".")
    plain = text.replace(",", "")
    return _without_zeros(plain) if plain.lstrip("+-").startswith("0") else plain


def _without_zeros(text: str) -> str:
    """Return a whole number without the zeros before it, and without underscores."""
    sign = "-" if text.startswith("-") else ""
    return sign + (text.lstrip("+-0_").replace("_", "") or "0")


def core_reading(text: str) -> Any:
    """Return what a plain scalar is to the core schema of YAML 1.2."""
    for kind, pattern in _CORE:
        if not pattern.match(text):
            continue
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if len(text) > _MOST_DIGITS:
            return 0  # refused by its length
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    return text


def _old_reading(node: yaml.ScalarNode) -> Any:
    """Return what a plain scalar is to PyYAML, which reads YAML 1.1."""
    if len(node.value) > _MOST_DIGITS:
        return node.value
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_object(node, deep=True)
    except (ValueError, yaml.YAMLError):  # such as 0b_ and 2026-13-45
        return node.value


def _named(value: object) -> str:
    """Return a reading for `was read as …`."""
    return described(value).removeprefix("the number ")


def _literal(value: object) -> str:
    """Return a number or a flag as both versions of YAML read it; empty for one that is not finite."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return _digits(value) if isinstance(value, int) else str(value)
    if not math.isfinite(value):
        return ""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    digits, exponent, power = repr(value).partition("e")
    # YAML 1.1 takes 1e+30 for a text: it wants a point before the exponent.
    return f"{digits}.0{exponent}{power}" if exponent and "." not in digits else repr(value)


def quoted(text: str) -> str:
    """Return a text in quotation marks, as YAML and JSON write it."""
    return json.dumps(text, ensure_ascii=False)


def rest_of_value(before: yaml.Node, key: yaml.ScalarNode, rest: Sequence[Any]) -> Unclear:
    """Return what is unclear about a key without a value that follows a value, as in `{a: 1,000}`.

    Args:
        before: the value before the key.
        key: the key.
        rest: this key and those after it that have no value either.
    """
    line = key.start_mark.line + 1
    if not isinstance(before, yaml.ScalarNode) or before.end_mark.line != key.start_mark.line:
        text = f"{key.value}: there is no value; give one, or leave the key out"
        return Unclear(line, text, ambiguous=False)
    read = f"was read as {before.value} and a key {key.value} without a value"
    parts = [before.value, *map(str, rest)]
    number = all(re.fullmatch(r"[-+]?[0-9][0-9.]*", part) for part in parts)
    if number and before.style is None and before.end_mark.index + 1 == key.start_mark.index:
        whole = ",".join(parts)
        clear = f"write {_ungrouped(whole)}" if _THOUSANDS.match(whole) else "write it without a comma"
        return Unclear(line, f"{whole} {read}; {clear}")
    return Unclear(line, f"{', '.join(parts)} {read}; write a list, [{', '.join(parts)}]")
