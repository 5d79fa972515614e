"""Merge the layers of settings into one frozen `Settings`, and remember the origin of each value."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from fraudctl import assets, failpoints
from fraudctl.config.model import Settings
from fraudctl.config.wording import problems_of
from fraudctl.config.yaml_file import Way, YamlDocument, read_document, read_value
from fraudctl.environment import is_service_link
from fraudctl.errors import ConfigError

ENV_PREFIX = "FRAUDCTL_"
# Variables that are read elsewhere: they choose the stack, the cache or a test hook, and are no settings.
ENV_NOT_SETTINGS = frozenset(
    {"FRAUDCTL_HOME", "FRAUDCTL_STACK", "FRAUDCTL_CACHE_DIR", "FRAUDCTL_CONFIG", failpoints.VARIABLE}
)
# Profiles with the settings of one command each; they do not say how services run.
_OWN_PROFILES = frozenset({"demo", "drill"})

Tree = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """The merged settings; `origins` maps every dotted key to the layer that set it."""

    settings: Settings
    origins: dict[str, str]


def load(
    *,
    profile: str | None = None,
    config_file: Path | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded:
    """Merge default.yaml, the profile, `config_file`, the environment and `flags` (dotted key → value).

    A later layer overrides an earlier one.

    Raises:
        ConfigError: a file cannot be read, a key is unknown, or a value is not allowed.
    """
    defaults = _read_yaml(assets.configs() / "default.yaml")
    layers: list[tuple[str, Tree]] = [("configs/default.yaml", defaults)]
    mine: Tree = _read_yaml(config_file) if config_file else {}
    environment = _from_environment()
    chosen = profile or environment.get("profile") or mine.get("profile") or defaults["profile"]
    if isinstance(chosen, str):  # anything else is rejected below, with its line
        layers += _profile_layer(chosen)
    if config_file:
        layers.append((str(config_file), mine))
    layers.append(("environment", environment))
    layers.append(("flag", _nest(flags or {})))
    if profile:
        layers.append(("flag --profile", {} if profile in _OWN_PROFILES else {"profile": profile}))
    known = set(_leaf_keys(Settings))
    merged: Tree = {}
    origins: dict[str, str] = {}
    documents = {origin: tree for origin, tree in layers if isinstance(tree, YamlDocument)}
    for origin, tree in layers:
        for key in _flatten(tree, known):
            _refuse_unknown(key, known, origin, documents.get(origin))
            origins[key] = (
                f"{ENV_PREFIX}{key.upper().replace('.', '__')}" if origin == "environment" else origin
            )
        merged = _merge(merged, tree, known)
    try:
        return Loaded(Settings.model_validate(merged), origins)
    except ValidationError as error:
        raise _readable(error, merged, origins, documents) from error


def _profile_layer(name: str) -> list[tuple[str, Tree]]:
    folder = assets.configs() / "profiles"
    file = folder / f"{name}.yaml"
    if file.is_file():
        return [(f"configs/profiles/{name}.yaml", _read_yaml(file))]
    names = get_args(Settings.model_fields["profile"].annotation)
    if name in names:
        return []
    raise ConfigError(
        f"there is no profile {name!r}",
        detail=f"known profiles: {', '.join(names)}",
        hint=_nearest(name, names) or "run `fraudctl up --profile local`",
    )


def _read_yaml(file: Path) -> YamlDocument:
    return read_document(
        file,
        "settings file",
        holds="a mapping of sections",
        hint="compare it with `fraudctl config show`",
        may_be_empty=True,
    )


class _Environment(EnvSettingsSource):
    """A reader of environment variables; lists and mappings in them are YAML, so JSON works too."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Return the list or mapping that a variable holds.

        Raises:
            ValueError: it is not valid YAML or is ambiguous.
        """
        try:
            return read_value(value)
        except ValueError as error:
            raise ValueError(f"{field_name} = {value!r}: {error}") from error


def _from_environment() -> Tree:
    """Return the variables FRAUDCTL_SECTION__KEY as a tree.

    Raises:
        ConfigError: a list or mapping is not valid YAML.
    """
    try:
        tree: Tree = dict(_Environment(Settings)())
    except SettingsError as error:
        raise ConfigError(
            "a list or mapping in the environment is not valid YAML",
            detail=str(error.__cause__ or error),
            hint="write it like FRAUDCTL_EVENTS__CATEGORIES='[Retail, Food]'",
        ) from error
    sections = {name.upper() for name in Settings.model_fields}
    for name in os.environ:
        first = name.removeprefix(ENV_PREFIX).split("__")[0].upper()
        if name.startswith(ENV_PREFIX) and is_service_link(name, os.environ[name]):
            continue
        if name.startswith(ENV_PREFIX) and first not in sections and name not in ENV_NOT_SETTINGS:
            # pydantic-settings ignores unknown variables; a mistyped name must be reported.
            tree[name.removeprefix(ENV_PREFIX).lower().replace("__", ".")] = os.environ[name]
    return tree


def _nest(flags: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for key, value in flags.items():
        if value is not None:
            _put(tree, key.split("."), value)
    return tree


def _put(tree: Tree, keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            branch = tree[key] = {}
        tree = branch
    tree[keys[-1]] = value


def _leaf_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaf_keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _flatten(tree: Tree, known: set[str], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in known:
            yield from _flatten(value, known, f"{key}.")
        else:
            yield key


def _merge(low: Tree, high: Tree, known: set[str], prefix: str = "") -> Tree:
    """Merge two trees: sections key by key, but a value that is itself a mapping as a whole."""
    result = dict(low)
    for name, value in high.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in known and isinstance(result.get(name), dict):
            result[name] = _merge(result[name], value, known, f"{key}.")
        else:
            result[name] = value
    return result


def _refuse_unknown(key: str, known: set[str], origin: str, document: YamlDocument | None) -> None:
    if key in known:
        return
    name = f"{ENV_PREFIX}{key.upper().replace('.', '__')}" if origin == "environment" else key
    place = document.place(key.split(".")) if document is not None else f"in {origin}"
    inside = sorted(one for one in known if one.startswith(f"{key}."))
    if inside:
        section, first = inside[0].split(".")
        raise ConfigError(
            f"{name} is a section, and has no value of its own",
            detail=place,
            hint=f"give its settings: `{section}: {{{first}: …}}`; `fraudctl config show` lists them",
        )
    raise ConfigError(
        f"unknown setting {name!r}",
        detail=place,
        hint=_nearest(key, known, environment=origin == "environment")
        or "`fraudctl config show` lists every setting",
    )


def _nearest(name: str, known: "set[str] | tuple[str, ...]", *, environment: bool = False) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    if not near:
        return ""
    shown = f"{ENV_PREFIX}{near[0].upper().replace('.', '__')}" if environment else near[0]
    return f"did you mean {shown}?"


def _readable(
    error: ValidationError,
    merged: Tree,
    origins: Mapping[str, str],
    documents: Mapping[str, YamlDocument],
) -> ConfigError:
    def origin_of(way: Way) -> str:
        key = ".".join(map(str, way))
        own = [origins[known] for known in origins if key == known or key.startswith(f"{known}.")]
        # An error of a whole section comes from a layer above the defaults.
        inside = [origins[known] for known in origins if key and known.startswith(f"{key}.")]
        changed = [one for one in inside if not one.startswith("configs/")]
        return next(iter((*own, *changed)), "")

    def written(way: Way) -> str | None:
        document = documents.get(origin_of(way))
        return document.written(way) if document is not None else None

    lines = []
    for problem in problems_of(error, Settings, merged, written=written):
        origin, key = origin_of(problem.way), ".".join(map(str, problem.way))
        said = f"{key}: {problem.text}" if key else problem.text
        document = documents.get(origin)
        if document is not None:
            lines.append(f"{document.place(problem.way)}: {said}")
        else:
            lines.append(f"{said} (from {origin})" if origin else said)
    return ConfigError(
        "a setting is not allowed" if len(lines) == 1 else f"{len(lines)} settings are not allowed",
        detail="\n".join(lines),
        hint="`fraudctl config show --origin` lists every setting and where it comes from",
    )
