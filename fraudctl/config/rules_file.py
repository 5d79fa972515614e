"""Find and read the rules document that `rules.file` names."""

from pathlib import Path
from typing import Any

import yaml

from fraudctl import assets
from fraudctl.config.yaml_file import read_yaml
from fraudctl.errors import ConfigError


def read_rules_document(name: str) -> dict[str, Any]:
    """The YAML document of the rules, as plain data; `fraudctl.rules` gives it meaning.

    Raises:
        ConfigError: the file is missing, unreadable or not a YAML mapping.
    """
    file = Path(name).expanduser()
    if not file.is_absolute() and not file.is_file():
        file = assets.configs() / name
    try:
        document = read_yaml(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"the rules file {file} cannot be read", detail=str(error), hint="set rules.file to a YAML file"
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(f"the rules file {file} must hold a mapping with the key `rules`")
    return document
