"""Find and read presets and mappings: those that come with fraudctl, or files of one's own."""

import difflib
from pathlib import Path
from typing import Any

import yaml

from fraudctl import assets
from fraudctl.config.yaml_file import read_yaml
from fraudctl.errors import ConfigError


def preset_names() -> tuple[str, ...]:
    """The presets that come with fraudctl."""
    return _names("scenarios")


def mapping_names() -> tuple[str, ...]:
    """The mappings that come with fraudctl."""
    return _names("mappings")


def read_preset_document(name: str) -> dict[str, Any]:
    """The YAML document of a preset, as plain data; `fraudctl.simulator.preset` gives it meaning.

    `name` is one of `preset_names`, or the path of a file that ends in .yaml or .yml.

    Raises:
        ConfigError: there is no such preset, or its file is unreadable or not a YAML mapping.
    """
    return _read("preset", "scenarios", name)


def read_mapping_document(name: str) -> dict[str, Any]:
    """The same of a mapping; `fraudctl.simulator.mapping` gives it meaning.

    Raises:
        ConfigError: there is no such mapping, or its file is unreadable or not a YAML mapping.
    """
    return _read("mapping", "mappings", name)


def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (assets.configs() / folder).glob("*.yaml")))


def _read(kind: str, folder: str, name: str) -> dict[str, Any]:
    known = _names(folder)
    if Path(name).suffix in (".yaml", ".yml"):
        file = Path(name).expanduser()
    elif name in known:
        file = assets.configs() / folder / f"{name}.yaml"
    else:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        raise ConfigError(
            f"there is no {kind} {name!r}",
            detail=f"known: {', '.join(known)}",
            hint=f"did you mean {near[0]}?" if near else "name one of them, or a YAML file of your own",
        )
    try:
        document = read_yaml(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"the {kind} {file} cannot be read", detail=str(error), hint=f"compare it with configs/{folder}"
        ) from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise ConfigError(
            f"the {kind} {file} must hold a mapping of settings", hint=f"compare it with configs/{folder}"
        )
    return document
