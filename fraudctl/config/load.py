"""Merge the layers of settings into one frozen `Settings`, and remember the origin of each value."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from fraudctl import assets
from fraudctl.config.characters import holding
from fraudctl.config.model import Settings
from fraudctl.config.variables import Tree, Variables, from_environment, variable_of
from fraudctl.config.wording import problems_of, shown_way
from fraudctl.config.yaml_file import Way, YamlDocument, read_document
from fraudctl.errors import ConfigError

_DEFAULT_ORIGIN = "configs/default.yaml"
_PROFILE_ORIGIN = "configs/profiles/"
# It holds every setting, and is valid whatever a user's file or environment says.
_DEFAULTS = assets.configs() / "default.yaml"
_EVERY_SETTING = f"{_DEFAULTS} lists every setting with its default"
# Settings of one command each; how services run is another question.
_OWN_PROFILES = frozenset({"demo", "drill"})


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
    defaults = _read_yaml(_DEFAULTS)
    layers: list[tuple[str, Tree]] = [(_DEFAULT_ORIGIN, defaults)]
    mine: Tree = _read_yaml(config_file) if config_file else {}
    variables = from_environment()
    environment = variables.tree
    chosen = profile or environment.get("profile") or mine.get("profile") or defaults["profile"]
    if isinstance(chosen, str):  # anything else is refused below, with its line
        layers += _profile_layer(chosen, "" if profile else _profile_origin(variables, mine))
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
            variable = variables.name_of(key) if origin == "environment" else ""
            _refuse_unknown(key, known, origin, documents.get(origin), variable)
            origins[key] = variable or origin
        merged = _merge(merged, tree, known)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise _readable(error, merged, origins, documents) from error
    settings.remember_origins(_placed(origins, documents))
    return Loaded(settings, origins)


def _placed(origins: Mapping[str, str], documents: Mapping[str, YamlDocument]) -> dict[str, str]:
    """Return where each setting stands: FILE:LINE for one of a file, else its variable or flag."""
    return {
        key: documents[origin].place(key.split(".")) if origin in documents else origin
        for key, origin in origins.items()
    }


def _profile_origin(variables: Variables, mine: Tree) -> str:
    """Return what names the profile, for a message: a variable, or a line of the user's file."""
    if "profile" in variables.tree:
        return variables.name_of("profile")
    return mine.place(("profile",)) if isinstance(mine, YamlDocument) and "profile" in mine else ""


def _profile_layer(name: str, named_by: str) -> list[tuple[str, Tree]]:
    folder = assets.configs() / "profiles"
    file = folder / f"{name}.yaml"
    if file.is_file():
        return [(f"{_PROFILE_ORIGIN}{name}.yaml", _read_yaml(file))]
    names = get_args(Settings.model_fields["profile"].annotation)
    if name in names:
        return []
    known = f"known profiles: {', '.join(names)}"
    raise ConfigError(
        f"there is no profile {name!r}{holding(name)}",
        detail=f"{named_by}: {known}" if named_by else known,
        hint=_nearest(name, names) or "run `fraudctl up --profile local`",
    )


def _read_yaml(file: Path) -> YamlDocument:
    return read_document(
        file,
        "settings file",
        holds="a mapping of sections",
        hint=f"compare it with {_DEFAULTS}",
        may_be_empty=True,
    )


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


def _refuse_unknown(
    key: str, known: set[str], origin: str, document: YamlDocument | None, variable: str
) -> None:
    if key in known:
        return
    name = variable or key
    place = document.place(key.split(".")) if document is not None else f"in {origin}"
    inside = sorted(one for one in known if one.startswith(f"{key}."))
    if inside:
        section, first = inside[0].split(".")
        raise ConfigError(
            f"{name} is a section, and has no value of its own",
            detail=place,
            hint=f"give its settings: `{section}: {{{first}: …}}`; {_DEFAULTS} lists them",
        )
    raise ConfigError(
        f"unknown setting {name!r}{holding(name)}",
        detail=place,
        hint=_nearest(key, known, environment=bool(variable)) or _EVERY_SETTING,
    )


def _nearest(name: str, known: "set[str] | tuple[str, ...]", *, environment: bool = False) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    if not near:
        return ""
    return f"did you mean {variable_of(near[0]) if environment else near[0]}?"


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
        changed = [one for one in inside if not _is_own(one)]
        return next(iter((*own, *changed)), "")

    def written(way: Way) -> str | None:
        document = documents.get(origin_of(way))
        return document.written(way) if document is not None else None

    lines = []
    for problem in problems_of(error, Settings, merged, written=written):
        # Of several values that do not fit together, the one that was set by somebody.
        ways = (problem.way, *problem.others)
        way = next((one for one in ways if not _is_own(origin_of(one))), problem.way)
        origin, key = origin_of(way), shown_way(way)
        said = f"{key}: {problem.text}" if key else problem.text
        document = documents.get(origin)
        if document is not None:
            lines.append(f"{document.place(way)}: {said}")
        else:
            lines.append(f"{said} (from {origin})" if origin else said)
    return ConfigError(
        "a setting is not allowed" if len(lines) == 1 else f"{len(lines)} settings are not allowed",
        detail="\n".join(lines),
        hint=f"correct what the detail names; {_EVERY_SETTING}",
    )


def _is_own(origin: str) -> bool:
    """Tell whether a layer comes with the program."""
    return origin == _DEFAULT_ORIGIN or origin.startswith(_PROFILE_ORIGIN)
