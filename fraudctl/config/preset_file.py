"""Find and read presets and mappings, either those of fraudctl or the user's own files."""

import difflib
from pathlib import Path

from fraudctl import assets
from fraudctl.config.characters import holding
from fraudctl.config.file_kinds import is_address, special_kind
from fraudctl.config.yaml_file import YamlDocument, named_file, read_document, why_unreadable
from fraudctl.errors import ConfigError

# A file of a user's own is told from a name by these.
_ENDINGS = (".yaml", ".yml", ".json")


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
    own = assets.configs() / folder
    if Path(name).suffix.lower() in _ENDINGS:
        file = named_file(name)
    elif name in _names(folder):
        file = own / f"{name}.yaml"
    else:
        raise _no_such(kind, folder, name)
    return read_document(file, kind, holds="a mapping of settings", hint=f"compare it with those in {own}")


def _no_such(kind: str, folder: str, name: str) -> ConfigError:
    """Return the error for a name that is neither known nor that of a YAML file."""
    known = _names(folder)
    why = _why_no_file(name)
    if why:
        return ConfigError(
            f"the {kind} {name} cannot be read", detail=why, hint="name a YAML file, such as mine.yaml"
        )
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return ConfigError(
        f"there is no {kind} {name!r}{holding(name)}",
        detail=f"known: {', '.join(known)}",
        hint=f"did you mean {near[0]}?" if near else "name one of them, or a YAML file of your own",
    )


def _why_no_file(name: str) -> str:
    """Return why what a name stands for is not read as a file; empty where it stands for none."""
    file = named_file(name)
    try:
        kind = special_kind(file)
    except (OSError, ValueError) as error:
        if is_address(name) or file.is_symlink() or "/" in name:
            return why_unreadable(file, error)
        return ""
    ending = f"a file of yours must end in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}"
    return f"it is {kind}; {ending}" if kind else ending
