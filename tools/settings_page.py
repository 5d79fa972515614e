"""The reference page of the settings: defaults and comments of default.yaml, and the bounds of the model."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fraudctl import assets, failpoints
from fraudctl.config.model import Settings
from tools.markup import code, sentence

PREFIX = Settings.model_config["env_prefix"]
_SECTION = re.compile(r"([a-z_]+):\s*(?:#\s*(.*))?$")
_KEY = re.compile(r"(?P<indent> *)(?P<name>[a-z_]+):\s+(?P<value>\S.*?)\s*(?:\s#\s*(?P<comment>.*))?$")


def settings_page() -> Iterator[str]:
    """Yield the lines of the page of settings: defaults, comments of default.yaml and bounds of the model."""
    comments = _comments()
    yield "# Settings"
    yield ""
    yield "Values are taken from these layers; a later one wins: `configs/default.yaml`, the profile"
    yield "(`configs/profiles/`), the file of `--config`, environment variables, options of the command."
    yield "`fraudctl config show --origin` says where each value came from."
    yield ""
    yield "The variable of `section.key` is `FRAUDCTL_SECTION__KEY`. Lists and mappings are written as in"
    yield "YAML."
    yield ""
    yield "Some variables are no settings: `FRAUDCTL_HOME`, `FRAUDCTL_STACK` and `FRAUDCTL_CONFIG` stand for"
    yield "[options of every command](commands.md#options-of-every-command), `FRAUDCTL_CACHE_DIR` names the"
    yield f"folder of downloads, and `{failpoints.VARIABLE}` is a hook for tests."
    yield ""
    fields = dict(_leaf_fields(Settings))
    if set(fields) != set(comments):
        raise ValueError(f"default.yaml and the model differ in {sorted(set(fields) ^ set(comments))}")
    section = ""
    for key, (default, comment) in comments.items():
        first = key.partition(".")[0]
        if first not in (section, key):
            yield from _section_heading(first)
        section = first
        yield f"{'#' if first == key else '##'}# {code(key)}"
        yield ""
        yield from _entry(key, fields[key], default, comment)
    yield from _profiles()


def _section_heading(name: str) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    if note := _comment_of_section(name):
        yield sentence(note)
        yield ""


def _entry(key: str, field: FieldInfo, default: str, comment: str) -> Iterator[str]:
    allowed = _allowed(field.annotation, field.metadata)
    names_only = comment.split(" | ") == allowed.removeprefix("one of ").replace("`", "").split(", ")
    if comment and not names_only:
        yield sentence(comment)
        yield ""
    yield f"* Default: {code(default)}"
    yield f"* Allowed: {allowed}"
    yield f"* Variable: `{PREFIX}{key.upper().replace('.', '__')}`"
    yield ""


def _default_lines() -> list[str]:
    return (assets.configs() / "default.yaml").read_text(encoding="utf-8").splitlines()


def _comment_of_section(name: str) -> str:
    """Return the comment behind the name of a section."""
    return next(
        (found[2] or "" for line in _default_lines() if (found := _SECTION.match(line)) and found[1] == name),
        "",
    )


def _comments() -> dict[str, tuple[str, str]]:
    """Return default and comment of each dotted key, in the order of the file."""
    found: dict[str, tuple[str, str]] = {}
    section, last = "", ""
    for line in _default_lines():
        if (more := line.strip()).startswith("#") and line.startswith(" ") and last:
            default, comment = found[last]
            found[last] = (default, f"{comment} {more[1:].strip()}")
        elif heading := _SECTION.match(line):
            section, last = heading[1], ""
        elif entry := _KEY.match(line):
            last = f"{section}.{entry['name']}" if entry["indent"] else entry["name"]
            found[last] = (entry["value"], entry["comment"] or "")
        else:
            last = ""
    return found


def _leaf_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaf_fields(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _allowed(annotation: Any, metadata: Iterable[Any]) -> str:
    """Say in words what a type with its bounds allows."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated[kind, Field(…)]
        inner = [each for one in annotation.__metadata__ for each in getattr(one, "metadata", [one])]
        return _allowed(arguments[0], inner)
    if origin is Literal:
        return "one of " + ", ".join(code(str(each)) for each in arguments)
    if origin is tuple:
        bounds = _bounds(metadata)
        many = f" of {bounds} entries" if bounds else ""
        return f"a list{many}; each entry: {_allowed(arguments[0], ())}"
    if origin is dict:
        return f"a mapping; each value: {_allowed(arguments[1], ())}"
    if annotation is bool:
        return "`true` or `false`"
    if annotation is str:
        pattern = next((each.pattern for each in metadata if getattr(each, "pattern", None)), None)
        return f"text that matches {code(pattern)}" if pattern else "text"
    bounds = _bounds(metadata)
    kind = {int: "a whole number", float: "a number"}[annotation]
    return f"{kind}{', ' + bounds if bounds else ''}"


def _bounds(metadata: Iterable[Any]) -> str:
    low = high = above = None
    for each in metadata:
        match each:
            case Ge(ge=value) | MinLen(min_length=value):
                low = value
            case Gt(gt=value):
                above = value
            case Le(le=value) | MaxLen(max_length=value):
                high = value
    if above is not None:
        return f"above {above}" + (f", at most {high}" if high is not None else "")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""


def _profiles() -> Iterator[str]:
    yield "## Profiles"
    yield ""
    yield "A profile file holds only what differs from `configs/default.yaml`."
    yield ""
    for file in sorted((assets.configs() / "profiles").glob("*.yaml")):
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        yield f"* {code(file.stem)}: " + ", ".join(code(f"{key} = {value}") for key, value in _flat(tree))
    yield ""


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
