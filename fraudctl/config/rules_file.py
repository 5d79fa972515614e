"""Find and read the rules file that `rules.file` names, and the models that it refers to."""

import json
from pathlib import Path
from typing import Any

from fraudctl import assets
from fraudctl.config.yaml_file import YamlDocument, named_file, read_document
from fraudctl.errors import ConfigError


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
        hint="compare it with configs/rules.yaml",
    )
    rules = read.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        when = rule.get("when") if isinstance(rule, dict) else None
        model = when.get("model") if isinstance(when, dict) else None
        if isinstance(model, dict) and "file" in model:
            place = read.place(("rules", number, "when", "model", "file"))
            if not isinstance(model["file"], str) or "forest" in model:
                raise ConfigError(
                    "the rules are not valid",
                    detail=f"{place}: rules.{number}.when.model: give its `file`, and no forest beside it",
                    hint="name a file that `fraudctl train --features stream --out FOLDER` has written",
                )
            model["forest"] = _read_model(file.parent / named_file(model.pop("file")), place)
    return read


def _read_model(file: Path, named_at: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes(), object_pairs_hook=_distinct)
    except (OSError, ValueError, RecursionError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise ConfigError(
            f"the model {file} cannot be read",
            detail=f"{named_at}: {reason}",
            hint="name a file that `fraudctl train --features stream --out FOLDER` has written",
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"the model {file} is not a JSON object",
            detail=named_at,
            hint="name a file that `fraudctl train --features stream --out FOLDER` has written",
        )
    return content


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key is given twice")
    return result
