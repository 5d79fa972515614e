"""Read a YAML file as plain data; a key that is given twice is an error, and not silently the last one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

# The way to a value: keys of mappings and numbers of list items.
Way = tuple[str | int, ...]


# So many values may a document have, its aliases written out; a few lines can stand for billions.
_MOST_VALUES = 1_000_000


class RepeatedKeyError(yaml.MarkedYAMLError):
    """A mapping names the same key twice: which of the two values was meant, nobody can tell."""


def read_yaml(file: Path) -> Any:
    """The document that the file holds; None when it is empty.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
        yaml.YAMLError: it is not valid YAML, or names a key twice; both say in which line.
    """
    return read_yaml_with_lines(file)[0]


def read_yaml_with_lines(file: Path) -> tuple[Any, dict[Way, int]]:
    """The document, and in which line (from 1) each of its values begins, or the key that names it.

    Raises:
        as `read_yaml` does.
    """
    loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
    loader.name = str(file)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, {}
        # Before anything is built: merging (`<<`) puts keys beside each other that were not given twice.
        _refuse_repeated(root, set())
        lines: dict[Way, int] = {}
        for way, line in _lines(root, (), set()):
            lines[way] = line
            if len(lines) > _MOST_VALUES:
                raise yaml.YAMLError(f"it has more than {_MOST_VALUES:,} values, its aliases written out")
        return loader.construct_document(root), lines
    except RecursionError as error:
        raise yaml.YAMLError("its lists and mappings are nested too deeply") from error
    finally:
        loader.dispose()


def line_of(lines: dict[Way, int], way: Sequence[str | int]) -> int:
    """The line of the value at the end of the way, or of the last value on the way that the file has."""
    for length in range(len(way), -1, -1):
        line = lines.get(tuple(way[:length]))
        if line is not None:
            return line
    return 1


def _lines(node: yaml.Node, way: Way, above: set[int]) -> Iterator[tuple[Way, int]]:
    yield way, node.start_mark.line + 1
    if id(node) in above:  # an alias that leads back to itself
        return
    above = above | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _lines(item, (*way, number), above)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _lines(value, (*way, key.value), above)
                yield (*way, key.value), key.start_mark.line + 1


def _refuse_repeated(node: yaml.Node, looked_at: set[int]) -> None:
    if id(node) in looked_at:  # an alias, which may even lead back to itself
        return
    looked_at.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated(item, looked_at)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[tuple[str, str], yaml.Mark] = {}
        for key, value in node.value:
            _refuse_repeated(value, looked_at)
            if isinstance(key, yaml.ScalarNode):
                name = (key.tag, key.value)
                if name in seen:
                    raise RepeatedKeyError(
                        f"the key {key.value!r} is given", seen[name], "and once more", key.start_mark
                    )
                seen[name] = key.start_mark
