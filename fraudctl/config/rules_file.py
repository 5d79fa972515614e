"""Find and read the rules file that `rules.file` names, and the models that it refers to."""

import json
from pathlib import Path
from typing import Any

from fraudctl import assets
from fraudctl.config.file_kinds import ADDRESS, is_address, open_regular_file
from fraudctl.config.model import Settings
from fraudctl.config.wording import shown_way
from fraudctl.config.yaml_file import YamlDocument, named_file, read_document, why_unreadable
from fraudctl.errors import ConfigError

_MODEL_HINT = "name a file that `fraudctl train --features stream --out FOLDER` has written"


def read_rules_document(name: str) -> YamlDocument:
    """Return the YAML document of the rules as plain data; `fraudctl.rules` parses it.

    A model's `file`, a path relative to the rules file or an absolute one, is replaced by the content of that
    file: the stored rules must contain everything that evaluates a transaction.

    Raises:
        ConfigError: the file, or one that it names, is missing, unreadable, ambiguous or not a mapping.
    """
    file = named_file(name)
    own = assets.configs() / name
    if not file.is_file() and own.is_file():  # rules.file may name a file of fraudctl itself
        file = own
    read = read_document(
        file,
        "rules file",
        holds="a mapping with the key `rules`",
        hint=f"compare it with {assets.configs() / 'rules.yaml'}",
    )
    rules = read.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        when = rule.get("when") if isinstance(rule, dict) else None
        model = when.get("model") if isinstance(when, dict) else None
        if isinstance(model, dict) and "file" in model:
            way = ("rules", number, "when", "model")
            place = read.place((*way, "file"))
            if not isinstance(model["file"], str) or "forest" in model:
                raise ConfigError(
                    "the rules are not valid",
                    detail=f"{place}: {shown_way(way)}: give its `file`, and no forest beside it",
                    hint=_MODEL_HINT,
                )
            model["forest"] = _read_model(model.pop("file"), file.parent, place)
    return read


def read_configured_rules(settings: Settings) -> YamlDocument:
    """Return the rules document that the setting `rules.file` names.

    Raises:
        ConfigError: as `read_rules_document`; the detail names where the setting comes from.
    """
    try:
        return read_rules_document(settings.rules.file)
    except ConfigError as error:
        origin = settings.origin("rules.file")
        named = "the setting rules.file names it" + (f": {origin}" if origin else "")
        error.detail = f"{error.detail}\n{named}" if error.detail else named
        raise


def _read_model(name: str, folder: Path, named_at: str) -> dict[str, Any]:
    file = folder / named_file(name)
    try:
        with open_regular_file(file) as stream:
            content = json.loads(stream.read(), object_pairs_hook=_distinct)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"the model {name if is_address(name) else file} cannot be read",
            detail=f"{named_at}: {_why_no_model(name, file, error)}",
            hint=_MODEL_HINT,
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"the model {file} is not a JSON object", detail=named_at, hint=_MODEL_HINT)
    return content


def _why_no_model(name: str, file: Path, error: Exception) -> str:
    """Return why a model cannot be read, in plain words."""
    if is_address(name):
        return ADDRESS
    if isinstance(error, json.JSONDecodeError):
        empty = not error.doc.strip()
        return "it is empty" if empty else f"it is not valid JSON from its line {error.lineno} on"
    if isinstance(error, UnicodeDecodeError):
        return "it is not a text in UTF-8"
    if isinstance(error, RecursionError):
        return "its lists and objects are nested too deeply"
    if isinstance(error, _RepeatedKeyError):
        return str(error)
    # Python refuses to read numbers of thousands of digits.
    return why_unreadable(file, error) if isinstance(error, OSError) else "a number in it has too many digits"


class _RepeatedKeyError(ValueError):
    """An object of JSON that has a key twice."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _RepeatedKeyError(f"the key {json.dumps(key, ensure_ascii=False)} is given twice")
        result[key] = value
    return result
