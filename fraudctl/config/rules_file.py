"""Find and read the rules document that `rules.file` names, and the models that it names in turn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fraudctl import assets
from fraudctl.config.yaml_file import Way, line_of, read_yaml_with_lines
from fraudctl.errors import ConfigError


class RulesDocument(dict[str, Any]):
    """A rules document as plain data that knows from which lines of which file it came."""

    def __init__(self, document: dict[str, Any], file: Path, lines: dict[Way, int]) -> None:
        super().__init__(document)
        self.file = file
        self._lines = lines

    def place(self, way: Sequence[str | int]) -> str:
        """`FILE:LINE` of the value at the end of the way, or of what should hold it."""
        return f"{self.file}:{line_of(self._lines, way)}"


def read_rules_document(name: str) -> RulesDocument:
    """The YAML document of the rules, as plain data; `fraudctl.rules` gives it meaning.

    In place of a model's `file`, a path beside the rules or an absolute one, stands its content: what judges
    must be known from the rules alone.

    Raises:
        ConfigError: the file, or one that it names, is missing, unreadable or not a mapping.
    """
    file = Path(name).expanduser()
    own = assets.configs() / name
    if not file.is_file() and own.is_file():  # rules.file may name one that comes with the program
        file = own
    try:
        document, lines = read_yaml_with_lines(file)
    except OSError as error:
        raise ConfigError(
            f"the rules file {file} cannot be read",
            detail=str(error),
            hint="name a YAML file that is there, by its argument or by rules.file",
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"the rules file {file} is not valid YAML",
            detail=str(error),
            hint="compare it with configs/rules.yaml",
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(
            f"the rules file {file} must hold a mapping with the key `rules`",
            hint="compare it with configs/rules.yaml",
        )
    read = RulesDocument(document, file, lines)
    rules = read.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        when = rule.get("when") if isinstance(rule, dict) else None
        model = when.get("model") if isinstance(when, dict) else None
        if isinstance(model, dict) and isinstance(model.get("file"), str) and "forest" not in model:
            named = file.parent / Path(model.pop("file")).expanduser()
            model["forest"] = _read_model(named, read.place(("rules", number, "when", "model", "file")))
    return read


def _read_model(file: Path, named_at: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the model {file} cannot be read",
            detail=f"{named_at}: {error}",
            hint="name a file that `fraudctl train --features stream --out FOLDER` has written",
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"the model {file} is not a JSON object",
            detail=named_at,
            hint="name a file that `fraudctl train --features stream --out FOLDER` has written",
        )
    return content
