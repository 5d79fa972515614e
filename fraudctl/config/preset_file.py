"""Find and read presets and mappings, either those of fraudctl or the user's own files."""

import difflib
from pathlib import Path

from fraudctl import assets
from fraudctl.config.yaml_file import YamlDocument, named_file, read_document
from fraudctl.errors import ConfigError


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets that come with fraudctl."""
    return _names("scenarios")


def mapping_names() -> tuple[str, ...]:
    """Return the names of the mappings that come with fraudctl."""
    return _names("mappings")


def mapping_file(name: str) -> Path:
    """Return the file of a mapping that comes with fraudctl."""
    return assets.configs() / "mappings" / f"{name}.yaml"


def read_preset_document(name: str) -> YamlDocument:
    """Return the YAML document of a preset as plain data; `fraudctl.simulator.preset` parses it.

    `name` is one of `preset_names`, or the path of a file that ends in .yaml, .yml or .json.

    Raises:
        ConfigError: there is no such preset, or its file is unreadable or not a YAML mapping.
    """
    return _read("preset", "scenarios", name)


def read_mapping_document(name: str) -> YamlDocument:
    """Return the YAML document of a mapping as plain data; `fraudctl.simulator.mapping` parses it.

    `name` is one of `mapping_names`, or the path of a file that ends in .yaml, .yml or .json.

    Raises:
        ConfigError: there is no such mapping, or its file is unreadable or not a YAML mapping.
    """
    return _read("mapping", "mappings", name)


def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (assets.configs() / folder).glob("*.yaml")))


def _read(kind: str, folder: str, name: str) -> YamlDocument:
    known = _names(folder)
    if Path(name).suffix.lower() in (".yaml", ".yml", ".json"):
        file = named_file(name)
    elif name in known:
        file = assets.configs() / folder / f"{name}.yaml"
    else:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        raise ConfigError(
            f"there is no {kind} {name!r}",
            detail=f"known: {', '.join(known)}",
            hint=f"did you mean {near[0]}?" if near else "name one of them, or a YAML file of your own",
        )
    return read_document(file, kind, holds="a mapping of settings", hint=f"compare it with configs/{folder}")
