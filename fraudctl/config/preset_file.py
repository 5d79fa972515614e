"""Find and read the document of a simulation's preset: one of configs/scenarios, or a file of one's own."""

import difflib
from pathlib import Path
from typing import Any

import yaml

from fraudctl import assets
from fraudctl.errors import ConfigError


def preset_names() -> tuple[str, ...]:
    """The presets that come with fraudctl."""
    return tuple(sorted(file.stem for file in (assets.configs() / "scenarios").glob("*.yaml")))


def read_preset_document(name: str) -> dict[str, Any]:
    """The YAML document of the preset, as plain data; `fraudctl.simulator.preset` gives it meaning.

    `name` is one of `preset_names`, or the path of a file that ends in .yaml or .yml.

    Raises:
        ConfigError: there is no such preset, or its file is unreadable or not a YAML mapping.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        file = Path(name).expanduser()
    elif name in preset_names():
        file = assets.configs() / "scenarios" / f"{name}.yaml"
    else:
        near = difflib.get_close_matches(name, preset_names(), n=1, cutoff=0.5)
        raise ConfigError(
            f"there is no preset {name!r}",
            detail=f"known presets: {', '.join(preset_names())}",
            hint=f"did you mean {near[0]}?" if near else "name one of them, or a YAML file of your own",
        )
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"the preset {file} cannot be read", detail=str(error), hint="compare it with configs/scenarios"
        ) from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise ConfigError(
            f"the preset {file} must hold a mapping of settings", hint="compare it with configs/scenarios"
        )
    return document
