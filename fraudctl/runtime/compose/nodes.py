"""YAML nodes that are read as values of one type; an error names the file and the line."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from fraudctl.errors import ConfigError
from fraudctl.runtime.compose.interpolate import InterpolationError, interpolate

_SIZE = re.compile(r"([0-9]+)([bkmg]?)b?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Reading:
    """One file, and the variables that its text may use.

    Each method that reads a node raises ConfigError if the node holds something else.
    """

    file: Path
    variables: Mapping[str, str]

    def error(self, node: yaml.Node, message: str, hint: str = "") -> ConfigError:
        """Return the error for what is wrong with a node, with file and line."""
        line = node.start_mark.line + 1
        return ConfigError(
            f"{self.file}:{line}: {message}",
            hint=hint
            or "fraudctl runs a part of the Compose specification only; compare it with the original",
        )

    def mapping(self, node: yaml.Node, known: Iterable[str] | None = None) -> dict[str, yaml.Node]:
        """Return keys and their nodes. With `known`, any other key is refused, unless it begins with x-."""
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, "a mapping is expected here")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, "a plain name is expected as a key")
            name = str(key.value)
            if name in found:
                raise self.error(key, f"the key {name!r} is there twice")
            if known is not None and name not in known:
                if name.startswith("x-"):
                    continue
                near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
                raise self.error(
                    key, f"unknown key {name!r}", hint=f"did you mean {near[0]}?" if near else ""
                )
            found[name] = value
        return found

    def text(self, node: yaml.Node) -> str:
        """Return a single value with its variables replaced; null is refused."""
        if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null"):
            raise self.error(node, "a single value is expected here")
        try:
            return interpolate(node.value, self.variables)
        except InterpolationError as error:
            raise self.error(node, str(error)) from error

    def texts(self, node: yaml.Node) -> tuple[str, ...]:
        """Return the values of a list."""
        return tuple(self.text(item) for item in self.items(node))

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """Return the nodes of a list."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, "a list is expected here")
        return list(node.value)

    def pairs(self, node: yaml.Node) -> tuple[tuple[str, str], ...]:
        """Return names and values of a mapping, in their order."""
        return tuple((name, self.text(value)) for name, value in self.mapping(node).items())

    def one_of(self, node: yaml.Node, allowed: tuple[str, ...]) -> str:
        """Return a value that must be one of `allowed`."""
        text = self.text(node)
        if text not in allowed:
            raise self.error(node, f"{text!r} is not one of {', '.join(allowed)}")
        return text

    def flag(self, node: yaml.Node) -> bool:
        """Return a value that must be true or false."""
        return self.one_of(node, ("true", "false")) == "true"

    def number(self, node: yaml.Node) -> int:
        """Return a value that must be a whole number, zero or more."""
        text = self.text(node)
        if not text.isdecimal():
            raise self.error(node, f"{text!r} is not a whole number")
        return int(text)

    def size(self, node: yaml.Node) -> int:
        """Return the bytes of a size such as 512m or 1g."""
        text = self.text(node)
        found = _SIZE.fullmatch(text)
        if found is None:
            raise self.error(node, f"{text!r} is not a size such as 512m or 1g")
        return int(found[1]) * _SIZE_UNITS[found[2].lower()]

    def seconds(self, node: yaml.Node) -> float:
        """Return the seconds of a duration such as 2s, 1m30s or 500ms."""
        text = self.text(node)
        parts = _DURATION.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise self.error(node, f"{text!r} is not a duration such as 2s or 1m30s")
        return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
