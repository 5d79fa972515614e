"""Describe validation errors in plain words: of settings, rules, presets, mappings and models.

The validator's own messages speak of Python's types and are never shown. Each error type that the models can
raise has a text here that says what was given and what is allowed. If the document was read from a file, it
also names the line and how the value was read.
"""

import ast
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fraudctl.config.characters import holding
from fraudctl.config.closed import WayError
from fraudctl.config.yaml_file import Way, YamlDocument
from fraudctl.config.yaml_scalars import described

_EXAMPLE = 60
_NUMBERS = ("a number", "a whole number")
# The expected value, by the type of the error.
_WANTED = {
    "string_type": "a text",
    "string_unicode": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "number_from_bool": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "list_type": "a list, such as [a, b]",
    "dict_type": "a mapping, such as {a: 1}",
    "model_type": "a mapping, such as {a: 1}",
    "model_attributes_type": "a mapping, such as {a: 1}",
    "mapping_type": "a mapping, such as {a: 1}",
    "path_type": "a path",
    **dict.fromkeys(
        (
            "date_type",
            "date_parsing",
            "date_from_datetime_parsing",
            "date_from_datetime_inexact",
        ),
        "a day, such as 2026-03-02",
    ),
    **dict.fromkeys(
        (
            "datetime_type",
            "datetime_parsing",
            "datetime_object_invalid",
            "datetime_from_date_parsing",
            "timezone_aware",
        ),
        "a time with its zone, such as 2026-03-02T00:00:00Z",
    ),
}
# Descriptions of patterns that a text has to match.
_FORMS = {
    r"^[a-z_][a-z0-9_]{0,62}$": "small letters, digits and underscores, at most 63",
    r"^[A-Za-z0-9._-]{1,200}$": "letters, digits, dots, hyphens and underscores, at most 200",
    r"^[1-9][0-9]*[mg]$": "a size in megabytes or gigabytes, such as 512m or 2g",
    r"^[A-Z]{3}$": "three capital letters, such as EUR",
    r"^[^\x00-\x1f\x7f]*$": "one line without control characters",
    r"^[a-z0-9][a-z0-9-]{0,63}$": "small letters, digits and hyphens, at most 64",
    r"^[a-z0-9][a-z0-9.-]{0,63}$": "small letters, digits, dots and hyphens, at most 64",
    r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*(@sha256:[0-9a-f]{64})?$": "the name of an image, such as postgres:17",
}
# Descriptions of long or composed patterns, by how the pattern begins.
_FORMS_BEGIN = {
    r"^(local": "local[N], spark://HOST:PORT, k8s://ADDRESS or yarn",
    r"^(?:amount_minor": "a feature such as amount_minor, card_count, category=NAME or channel=NAME",
}
# A text in quotation marks, as the validator lists what is allowed.
_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_NAMES = {
    " ": "a blank",
    "\u00a0": "a no-break blank",
    "\u202f": "a narrow no-break blank",
    "\u2009": "a thin blank",
    "'": "an apostrophe",
    "\u2019": "a typographic apostrophe",
    "": "nothing",
}
_TRUE, _FALSE = {"true", "yes", "on", "y", "1"}, {"false", "no", "off", "n", "0"}


@dataclass(frozen=True)
class Problem:
    """One error in a document, with the path of keys and indexes that leads to it.

    `others` lead to values that could be changed instead.
    """

    way: Way
    text: str
    others: tuple[Way, ...] = ()


@dataclass(frozen=True)
class _Found:
    """One error of the validator.

    `tagged` means that it belongs to one of several types that the value may have; `of_key`, that it is about
    a key and not a value.
    """

    way: Way
    tagged: bool
    of_key: bool
    error: ErrorDetails
    others: tuple[Way, ...] = ()


def problem_lines(
    error: ValidationError,
    model: Any,
    document: Mapping[str, object],
    *,
    renamed: Mapping[str, str] | None = None,
) -> str:
    """Return one line for each error: `FILE:LINE: the.key: what is wrong`, or without file and line.

    Args:
        error: the validator's error.
        model: the model, or the union of models, that the document had to fit.
        document: the validated document.
        renamed: keys that have another name in files than in the model.
    """
    lines = []
    for problem in problems_of(error, model, document, renamed=renamed):
        place = f"{document.place(problem.way)}: " if isinstance(document, YamlDocument) else ""
        way = shown_way(problem.way)
        lines.append(f"{place}{way}: {problem.text}" if way else f"{place}{problem.text}")
    return "\n".join(lines)


def problems_of(
    error: ValidationError,
    model: Any,
    document: Mapping[str, object],
    *,
    written: Callable[[Way], str | None] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Return the errors of a document, one for each path, in the order in which the validator found them.

    Args:
        error: the validator's error.
        model: the model, or the union of models, that the document had to fit.
        document: the validated document.
        written: returns a value as it is written in its file; by default the document is asked.
        renamed: keys that have another name in files than in the model.
    """
    if written is None:
        written = document.written if isinstance(document, YamlDocument) else _unknown
    found = [_found(one, document) for one in error.errors(include_url=False)]
    by_way: dict[Way, list[_Found]] = {}
    for one in found:
        if not _is_other_branch(one, found):
            by_way.setdefault(one.way, []).append(one)
    return [
        Problem(way, _text(way, several, model, document, written(way), renamed or {}), several[0].others)
        for way, several in by_way.items()
    ]


def option_text(error: ValidationError) -> str:
    """Return what is wrong with one value of the command line, to stand after its option's name.

    Empty where a parser of this program has found it, and has said so in words of its own.
    """
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return ""
    if first["type"] in _WANTED:
        return f"must be {_WANTED[first['type']]}, not {described(first['input'])}"
    return _out_of_bounds(first["type"], _as_number(first["input"]), first.get("ctx", {}))


def _as_number(given: object) -> object:
    """Return a text of the command line as the number that it was read as; else as it is."""
    for read in (int, float):
        with suppress(ValueError):
            return read(str(given))
    return given


def shown_way(way: Sequence[str | int]) -> str:
    """Return a way for a message, entries of lists counted from 1: `rules #1.when.hours_utc #2`."""
    parts = [f" #{part + 1}" if isinstance(part, int) else f".{part}" for part in way]
    return "".join(parts).removeprefix(".").strip()


def known_keys(model: Any, way: Sequence[str | int], document: Mapping[str, object]) -> list[str]:
    """Return the keys that are allowed in the mapping at the end of the path `way`."""
    annotations: list[Any] = [model]
    value: object = document
    for part in way:
        annotations = [inner for one in annotations for inner in _inside(one, part)]
        value = _step(value, part)
    models = [
        one
        for annotation in annotations
        for one in _branches(annotation)
        if isinstance(one, type) and issubclass(one, BaseModel)
    ]
    fitting = [one for one in models if isinstance(value, Mapping) and _fits(one, value)] or models
    return list(dict.fromkeys(name for one in fitting for name in one.model_fields))


def _unknown(_way: Way) -> None:
    return None


def _found(error: ErrorDetails, document: object) -> _Found:
    """Return the error with its path in the document, without the names of union members and models."""
    way: list[str | int] = []
    value, tagged = document, False
    parts = list(error["loc"])
    for number, part in enumerate(parts):
        inner = _step(value, part)
        if inner is not _ABSENT:
            value = inner
            way.append(part)
        elif error["type"] == "missing" and number == len(parts) - 1:
            way.append(part)
        elif part != "[key]":
            tagged = True
    fault = error.get("ctx", {}).get("error")
    ways = fault.ways if isinstance(fault, WayError) else ()
    first, *others = [_followed(value, tuple(way), more) for more in ways] or [tuple(way)]
    return _Found(first, tagged, "[key]" in parts, error, tuple(others))


def _followed(value: object, way: Way, more: Way) -> Way:
    """Return the way, and so much more of it as the value has."""
    for part in more:
        value = _step(value, part)
        if value is _ABSENT:
            break
        way = (*way, part)
    return way


_ABSENT = object()


def _step(value: object, part: str | int) -> object:
    if isinstance(value, Mapping):
        return value.get(part, _ABSENT)
    if isinstance(value, (list, tuple)) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return _ABSENT


def _is_other_branch(one: _Found, found: Sequence[_Found]) -> bool:
    """Return True if the error adds nothing to the other errors.

    In a union that is an error of a type that the value was not meant for. A list whose entries are all wrong
    is reported as too short as well; that is no error of its own.
    """
    if one.error["type"] == "too_short" and isinstance(one.error["input"], (list, tuple, dict)):
        return len(one.error["input"]) >= int(one.error.get("ctx", {}).get("min_length", 0))
    return (
        one.tagged
        and one.error["type"] in _WANTED
        and any(
            other is not one
            and other.way[: len(one.way)] == one.way
            and (len(other.way) > len(one.way) or other.error["type"] not in _WANTED)
            for other in found
        )
    )


def _text(
    way: Way,
    several: list[_Found],
    model: Any,
    document: Mapping[str, object],
    written: str | None,
    renamed: Mapping[str, str],
) -> str:
    wanted = list(
        dict.fromkeys(_WANTED[one.error["type"]] for one in several if one.error["type"] in _WANTED)
    )
    first = several[0]
    if wanted and not first.of_key:
        return _mismatch(wanted, first.error["input"], written)
    error = first.error
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(str(way[-1]), known_keys(model, way[:-1], document), renamed)
    if kind == "missing":
        return _missing(way, renamed)
    if kind in ("literal_error", "enum"):
        allowed = [_as_written(one) for one in _listed(str(context["expected"]))]
        return not_among(given, allowed, of_key=first.of_key)
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", "it is not allowed"))
    if kind == "string_pattern_mismatch":
        return f"must be {_form(str(context['pattern']))}, not {described(given)}{holding(str(given))}"
    if first.of_key or kind == "invalid_key":
        shown = given if isinstance(given, str) else json.dumps(given, default=str)
        return f"a key must be a text; write {json.dumps(str(shown), ensure_ascii=False)}"
    return _out_of_bounds(kind, given, context)


def _mismatch(wanted: list[str], given: object, written: str | None) -> str:
    text = f"must be {' or '.join(wanted)}, not {described(given)}"
    plain = given.strip() if isinstance(given, str) else ""
    if "a text" in wanted and isinstance(given, (int, float)):
        raw = written or described(given).removeprefix("the number ")
        return f'must be a text, but {raw} was read as {described(given)}; write "{raw}"'
    if set(wanted) & set(_NUMBERS):
        if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", plain):
            return f"{text}; write {plain} without quotation marks"
        if isinstance(given, float) and given.is_integer():
            return f"{text}; write {int(given)}"
    if wanted == ["true or false"] and plain.lower() in _TRUE | _FALSE:
        return f"{text}; write {'true' if plain.lower() in _TRUE else 'false'}"
    if wanted == [_WANTED["list_type"]] and isinstance(given, (str, int, float)):
        raw = given if isinstance(given, str) else written or described(given).removeprefix("the number ")
        return f"must be a list, not {described(given)}; write [{raw[:_EXAMPLE]}]"
    return text


def _unknown_key(name: str, known: list[str], renamed: Mapping[str, str]) -> str:
    names = [renamed.get(one, one) for one in known]
    near = _nearest(name, names)
    shown = json.dumps(name, ensure_ascii=False) + holding(name)
    if near:
        return f"there is no key {shown}; did you mean {near[0]}?"
    return f"there is no key {shown}; the keys are {', '.join(names)}" if names else f"{shown} is not allowed"


def _missing(way: Way, renamed: Mapping[str, str]) -> str:
    if way and isinstance(way[-1], int):
        return f"must have at least {way[-1] + 1} entries"
    name = str(way[-1]) if way else ""
    return "is missing" if name not in renamed else f"is missing; name it by `{renamed[name]}`"


def not_among(given: object, allowed: list[str], *, of_key: bool = False) -> str:
    """Return the text for a value, or a key, that is none of the allowed ones."""
    near = _nearest(str(given), allowed)
    hint = f"; did you mean {near[0]}?" if near else ""
    if of_key:
        known = "" if near else f"; the keys are {', '.join(allowed)}"
        shown = json.dumps(str(given), ensure_ascii=False) + holding(str(given), allowed)
        return f"there is no key {shown}{hint}{known}"
    several = " or ".join([", ".join(allowed[:-1]), allowed[-1]] if len(allowed) > 1 else allowed)
    return f"must be {several}, not {described(given)}{holding(str(given), allowed)}{hint}"


def _nearest(given: str, allowed: Sequence[str]) -> list[str]:
    """Return a list with the allowed name that was probably meant; an empty list if none is similar."""
    plain = given.strip().casefold()
    same = [one for one in allowed if one.casefold() == plain]
    begun = [one for one in allowed if len(one) > 2 and plain.startswith(one.casefold())]
    return (same or difflib.get_close_matches(given, allowed, n=1, cutoff=0.6) or begun)[:1]


def _listed(expected: str) -> list[str]:
    """Return the values in a phrase such as `'a', "'" or 'c'`."""
    return [str(ast.literal_eval(one)) for one in _LITERAL.findall(expected)] or [expected]


def _as_written(value: str) -> str:
    """Return a value as it is to be written: a word plainly, any other in quotation marks."""
    if re.fullmatch(r"[\w./:-]*\w[\w./:-]*", value):
        return value
    written = json.dumps(value, ensure_ascii=not value.isprintable())
    return f"{written} ({_NAMES[value]})" if value in _NAMES else written


def _form(pattern: str) -> str:
    if pattern in _FORMS:
        return _FORMS[pattern]
    for beginning, form in _FORMS_BEGIN.items():
        if pattern.startswith(beginning):
            return form
    return "a text of another form (characters or length are not allowed here)"


def _out_of_bounds(kind: str, given: object, context: Mapping[str, Any]) -> str:
    least, most = context.get("min_length"), context.get("max_length")
    if kind in ("too_short", "too_long"):
        actual = context.get("actual_length")
        has = f", and has {actual}" if actual is not None else ""
        if kind == "too_short":
            return f"must have at least {least} {'entry' if least == 1 else 'entries'}{has}"
        return f"must have at most {most} {'entry' if most == 1 else 'entries'}{has}"
    bounds = {
        "greater_than": f"more than {context.get('gt')}",
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"{context.get('le')} or less",
        "multiple_of": f"a multiple of {context.get('multiple_of')}",
        "string_too_short": f"a text of at least {least} character{'' if least == 1 else 's'}",
        "string_too_long": f"a text of at most {most} characters",
    }
    if kind in bounds:
        return f"must be {bounds[kind]}, not {described(given)}"
    return f"{described(given)} is not allowed here"


def _branches(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _branches(one)
    else:
        yield annotation


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    for one in _branches(annotation):
        arguments = get_args(one)
        if isinstance(one, type) and issubclass(one, BaseModel):
            if part in one.model_fields:
                yield one.model_fields[str(part)].annotation
        elif get_origin(one) in (tuple, list) and isinstance(part, int):
            yield arguments[part] if len(arguments) > part and arguments[-1] is not ... else arguments[0]
        elif get_origin(one) is dict:
            yield arguments[1]


def _fits(model: type[BaseModel], value: Mapping[Any, Any]) -> bool:
    """Return True if each field of the model that allows only certain values has one of them."""
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is Literal and value.get(name) not in get_args(field.annotation):
            return False
    return True
