"""Read a YAML file as plain data; a key that is given twice is an error, and not silently the last one."""

from pathlib import Path
from typing import Any

import yaml


class RepeatedKeyError(yaml.MarkedYAMLError):
    """A mapping names the same key twice: which of the two values was meant, nobody can tell."""


def read_yaml(file: Path) -> Any:
    """The document that the file holds; None when it is empty.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
        yaml.YAMLError: it is not valid YAML, or names a key twice; both say in which line.
    """
    loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
    loader.name = str(file)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        # Before anything is built: merging (`<<`) puts keys beside each other that were not given twice.
        _refuse_repeated(root, set())
        return loader.construct_document(root)
    finally:
        loader.dispose()


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
