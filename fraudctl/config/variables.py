"""Read the settings that variables of the environment give: FRAUDCTL_SECTION__KEY."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from fraudctl import failpoints
from fraudctl.config.model import Settings
from fraudctl.config.yaml_file import read_value
from fraudctl.config.yaml_scalars import plain_number
from fraudctl.environment import is_service_link
from fraudctl.errors import ConfigError

PREFIX = "FRAUDCTL_"
# Read elsewhere: they choose the stack, the cache or a test hook, and are no settings.
NOT_SETTINGS = frozenset(
    {"FRAUDCTL_HOME", "FRAUDCTL_STACK", "FRAUDCTL_CACHE_DIR", "FRAUDCTL_CONFIG", failpoints.VARIABLE}
)
_FLAGS = {
    **dict.fromkeys(("true", "yes", "on", "y", "1", "t"), True),
    **dict.fromkeys(("false", "no", "off", "n", "0", "f"), False),
}

Tree = dict[str, Any]


@dataclass(frozen=True)
class Variables:
    """Settings of the environment; `names` maps their dotted keys to the variables that give them."""

    tree: Tree
    names: Mapping[str, str]

    def name_of(self, key: str) -> str:
        """Return the variable that gives a setting: its own, or that of its section."""
        section = key.partition(".")[0]
        return self.names.get(key) or self.names.get(section) or variable_of(key)


def variable_of(key: str) -> str:
    """Return the name of the variable for a setting, by its dotted key."""
    return f"{PREFIX}{key.upper().replace('.', '__')}"


def from_environment() -> Variables:
    """Return what the environment sets; lists and mappings are given as in a YAML file, or as JSON.

    Raises:
        ConfigError: a setting is given twice, a list or a mapping is not valid, or a number can be read in
            two ways.
    """
    names = _names()
    try:
        tree: Tree = dict(_Environment(Settings)())
    except SettingsError as error:
        raise ConfigError(
            "a list or mapping in the environment is not valid YAML",
            detail=str(error.__cause__ or error),
            hint="write it like FRAUDCTL_EVENTS__CATEGORIES='[Retail, Food]'",
        ) from error
    for key, name in names.items():
        if key.partition(".")[0] not in Settings.model_fields:
            # pydantic-settings passes over what it does not know; a mistyped name must not go unseen.
            tree[key] = os.environ[name]
    variables = Variables(tree, names)
    _read_numbers(variables)
    return variables


class _Environment(EnvSettingsSource):
    """The variables of the environment; lists and mappings in them are YAML, and so may be JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return read_value(value)
        except ValueError as error:
            raise ValueError(f"{field_name} = {value!r}: {error}") from error


def _names() -> dict[str, str]:
    """Return the variables that are meant as settings, by the dotted keys of these.

    Raises:
        ConfigError: two of them give one setting: in other letters, or by its section.
    """
    names: dict[str, str] = {}
    for name in sorted(os.environ):
        if not name.upper().startswith(PREFIX) or name.upper() in NOT_SETTINGS:
            continue
        if is_service_link(name, os.environ[name]):
            continue
        key = name[len(PREFIX) :].lower().replace("__", ".")
        if key in names:
            raise _given_twice(key, names[key], name)
        names[key] = name
    for key, name in names.items():
        for above in _above(key):
            if above in names and _holds(os.environ[names[above]], key[len(above) + 1 :]):
                raise _given_twice(key, names[above], name)
    return names


def _above(key: str) -> Iterator[str]:
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _holds(text: str, way: str) -> bool:
    """Tell whether a mapping in a variable has a value at the end of a dotted way."""
    try:
        value = read_value(text)
    except ValueError:
        return False  # refused when it is read as a setting
    for part in way.split("."):
        lower = {str(key).lower(): inner for key, inner in value.items()} if isinstance(value, dict) else {}
        if part not in lower:
            return False
        value = lower[part]
    return True


def _given_twice(key: str, first: str, second: str) -> ConfigError:
    return ConfigError(
        f"the setting {key} is given twice in the environment",
        detail=f"by {first} and by {second}",
        hint=f"unset one of them: `unset {second}`",
    )


def _read_numbers(variables: Variables) -> None:
    """Put numbers and flags for the texts of the settings that are such; texts of others stay.

    Raises:
        ConfigError: a number can be read in two ways.
    """
    wrong = []
    for key, annotation in _plain_leaves(Settings):
        section, _, name = key.rpartition(".")
        holder = variables.tree.get(section) if section else variables.tree
        if (
            key not in variables.names
            or not isinstance(holder, dict)
            or not isinstance(holder.get(name), str)
        ):
            continue
        text = holder[name].strip()
        try:
            holder[name] = _FLAGS.get(text.lower(), text) if annotation is bool else _number(text)
        except ValueError as error:
            wrong.append(f"{variables.names[key]}: {error}")
    if wrong:
        raise ConfigError(
            "a number in the environment can be read in two ways",
            detail="\n".join(wrong),
            hint="write it as the detail says, or unset the variable",
        )


def _number(text: str) -> object:
    """Return the number that a text stands for; the text where it is none.

    Raises:
        ValueError: it can be read in two ways.
    """
    return plain_number(text) if any(character.isdigit() for character in text) else text


def _plain_leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of the settings that are a number or a flag, and their types."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _plain_leaves(kind, f"{prefix}{name}.")
        elif kind in (bool, int, float) and not get_args(kind):
            yield f"{prefix}{name}", kind
