"""Read YAML strictly: settings, rules, presets and mappings are all read here.

YAML 1.1 (which PyYAML reads) and YAML 1.2 disagree on plain values, and people mean a third thing: 010 is 8
or 10, NO is false or a country, 22:00 is 1320 or a time, 1e5 is a text or a number. A plain value that the
two versions read differently is refused with both readings, and so are a key without a value, a key that is
given twice and the merge key <<, which YAML 1.2 does not have. Keys are texts: the key 1 is the text "1".
Days and times are read as the texts that they are, as in YAML 1.2. A document that is JSON is read as JSON.
"""

import json
from collections.abc import Hashable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from fraudctl.config.file_kinds import (
    ADDRESS,
    binary_kind,
    is_address,
    open_regular_file,
    shown_name,
    utf16_of,
)
from fraudctl.config.yaml_errors import WrittenError, conflict, explained, not_printable
from fraudctl.config.yaml_scalars import (
    MERGE,
    TAG,
    Unclear,
    ambiguity,
    core_reading,
    described,
    quoted,
    rest_of_value,
)
from fraudctl.errors import ConfigError

# The path to a value: keys of mappings and indexes of list items.
Way = tuple[str | int, ...]

# Limit of values in a document with its aliases expanded: a few lines can expand to billions of values.
_MOST_VALUES = 1_000_000
# People do not write longer files, and the parser is slow.
_MOST_BYTES = 400_000
_MOST_PROBLEMS = 20


class YamlDocument(dict[str, Any]):
    """A mapping from a YAML file that knows the line and the spelling of each of its values."""

    def __init__(self, document: dict[str, Any], file: Path, lines: dict[Way, int], written: dict[Way, str]):
        """Wrap a document.

        Args:
            document: the values.
            file: the file it was read from.
            lines: line number of each value, by its path.
            written: each scalar as it is written in the file, by its path.
        """
        super().__init__(document)
        self.file = file
        self._lines = lines
        self._written = written

    def place(self, way: Sequence[str | int]) -> str:
        """Return `FILE:LINE` of the value at a path, or of the nearest mapping or list above it."""
        for length in range(len(way), -1, -1):
            line = self._lines.get(tuple(way[:length]))
            if line is not None:
                return f"{self.file}:{line}"
        return f"{self.file}:1"

    def written(self, way: Sequence[str | int]) -> str | None:
        """Return a value as it is written in the file, with its quotation marks; None if it is no scalar."""
        return self._written.get(tuple(way))


def named_file(name: str) -> Path:
    """Return the path of a file, with `~` replaced by the home folder if there is one."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # no such user or home: opening the path will fail with an error that names it
        return Path(name)


def read_document(
    file: Path, kind: str, *, holds: str, hint: str, may_be_empty: bool = False
) -> YamlDocument:
    """Return the mapping that a YAML file holds.

    Args:
        file: the file.
        kind: the kind of file, for messages: "rules file".
        holds: the content it must have, for messages: "a mapping with the key `rules`".
        hint: advice for a file that is not valid.
        may_be_empty: read a file without any value as an empty mapping.

    Raises:
        ConfigError: it cannot be read, is not YAML, holds no mapping, or holds something ambiguous; the
            detail names each line.
    """
    raw = _content(file, kind)
    text = ""
    try:
        text = _decoded(raw)
        reading = _Reading(text)
        document = reading.document()
    except yaml.YAMLError as error:
        line, why = explained(error, text)
        raise ConfigError(
            f"the {kind} {file} is not valid YAML",
            detail=f"{file}:{line}: {why}" if line is not None else why,
            hint=hint,
        ) from error
    if document is None and may_be_empty:
        document = {}
    if reading.problems:
        raise _unclear(f"the {kind} {file}", file, reading.problems)
    if not isinstance(document, dict):
        found = "holds nothing" if document is None else f"holds {described(document)}"
        raise ConfigError(f"the {kind} {file} must hold {holds}", detail=f"it {found}", hint=hint)
    return YamlDocument(document, file, reading.lines, reading.written)


def _content(file: Path, kind: str) -> bytes:
    """Return the beginning of a file, longer than any that is read.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with open_regular_file(file, shell_pipe=True) as stream:
            return stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ConfigError(
            f"the {kind} {shown_name(file)} cannot be read",
            detail=why_unreadable(file, error),
            hint="name a YAML file that is there and may be read",
        ) from error


def why_unreadable(file: Path, error: OSError | ValueError) -> str:
    """Return why a file cannot be read."""
    if is_address(str(file)):
        return ADDRESS
    if not isinstance(error, OSError):
        return "no file can have this name"
    if isinstance(error, FileNotFoundError) and file.is_symlink():
        return "it is a link to a file that is not there"
    return error.strerror or "the operating system gives no reason"


def _unclear(what: str, file: Path, problems: Sequence[Unclear]) -> ConfigError:
    lines = [f"{file}:{one.line}: {one.text}" for one in sorted(problems)[:_MOST_PROBLEMS]]
    more = len(problems) - len(lines)
    count = "a mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    ambiguous = all(one.ambiguous for one in problems)
    return ConfigError(
        f"{what} says something that can be read in two ways" if ambiguous else f"{what} has {count}",
        detail="\n".join([*lines, *([f"and {more} more"] if more else [])]),
        hint="write each value as the detail says"
        if ambiguous
        else "correct each line that the detail names",
    )


def read_value(text: str) -> Any:
    """Return the value of a piece of YAML or JSON, read by the rules for files.

    Raises:
        ValueError: it is not valid or is ambiguous; the text says why.
    """
    try:
        reading = _Reading(text)
        value = reading.document()
    except yaml.YAMLError as error:
        raise ValueError(explained(error, text)[1]) from error
    if reading.problems:
        raise ValueError("; ".join(one.text for one in reading.problems[:_MOST_PROBLEMS]))
    return value


def _decoded(raw: bytes) -> str:
    """Return the text of a file.

    Raises:
        WrittenError: it is no text, or in an encoding that cannot be told.
    """
    kind = binary_kind(raw[:16])
    if kind:
        is_text = kind.startswith("a text")
        raise WrittenError(f"it is {kind}{'; save it as UTF-8' if is_text else ', and not a text'}")
    if len(raw) > _MOST_BYTES:
        raise WrittenError(f"it is longer than {_MOST_BYTES:,} bytes, which nobody has written by hand")
    codec = utf16_of(raw[:16]) or "utf-8-sig"
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        name = "UTF-8" if codec == "utf-8-sig" else "UTF-16"
        raise WrittenError(
            f"this line is not {name}: byte 0x{raw[error.start]:02x}; save the file as UTF-8", line
        ) from error


class _Loader(yaml.SafeLoader):
    """A YAML parser that rejects tags, which say how a value is to be read; no file here needs them."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise WrittenError(
                f"the tag {tag} is not allowed; a text that begins with ! must stand in quotation marks",
                event.start_mark.line + 1,
            )
        return super().compose_node(parent, index)


class _Reading:
    """One document on its way from nodes to values; `problems` are what cannot be taken as it is written."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Way, int] = {}
        self.written: dict[Way, str] = {}
        self.problems: list[Unclear] = []
        self._json = _is_json(text)
        # In JSON a tab is a blank, and strings hold no unescaped one; YAML rejects tabs.
        self._text = text.replace("\t", " ") if self._json else text
        self._values = 0

    def document(self) -> Any:
        """Return the only document of the text; None when it is empty."""
        fault = not_printable(self._text) or (None if self._json else conflict(self._text))
        if fault is not None:
            raise WrittenError(fault[1], fault[0])
        loader: _Loader | None = None
        try:
            loader = _Loader(self._text)
            root = loader.get_single_node()
            if root is None:
                return None
            _check_repeated_keys(root, set())
            return self._value(root, (), frozenset())
        except RecursionError as error:
            raise WrittenError("its lists and mappings are nested too deeply") from error
        finally:
            if loader is not None:
                loader.dispose()

    def _count(self) -> None:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise WrittenError(f"it has more than {_MOST_VALUES:,} values, its aliases written out")

    def _value(self, node: yaml.Node, way: Way, above: frozenset[int]) -> Any:
        self._count()
        if id(node) in above:
            raise WrittenError("an alias leads back to itself", node.start_mark.line + 1)
        self.lines.setdefault(way, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, way)
        above = above | {id(node)}
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*way, number), above) for number, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, way, above)

    def _mapping(self, node: yaml.MappingNode, way: Way, above: frozenset[int]) -> dict[str, Any]:
        self._count()
        result: dict[str, Any] = {}
        before: yaml.Node | None = None
        for number, (key, value) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value and _is_empty(value) and before is not None:
                # Several such keys in one line are the rest of one value: report them once.
                if not (_is_empty(before) and before.end_mark.line == key.start_mark.line):
                    without = takewhile(lambda entry: _is_empty(entry[1]), node.value[number:])
                    self.problems.append(rest_of_value(before, key, [one.value for one, _ in without]))
                before = value
                continue
            name = self._key(key, node)
            before = value
            if name is not None:
                self.lines[(*way, name)] = key.start_mark.line + 1
                result[name] = self._value(value, (*way, name), above)
        return result

    def _key(self, key: yaml.Node, mapping: yaml.MappingNode) -> str | None:
        """Return the name of an entry; None after a problem was noted."""
        wrong = self._wrong_key(key, mapping)
        if wrong or not isinstance(key, yaml.ScalarNode):
            self.problems.append(Unclear(key.start_mark.line + 1, wrong, ambiguous=False))
            return None
        unclear = ambiguity(key, None, is_json=self._json)
        if unclear is not None:
            self.problems.append(unclear)
            return None
        # Keys are texts everywhere: a number or a flag that can be read in one way only is the text it is.
        is_flag = key.style is None and isinstance(core_reading(key.value), bool)
        return self._checked_text(key, key.value.lower() if is_flag else key.value)

    def _wrong_key(self, key: yaml.Node, mapping: yaml.MappingNode) -> str:
        """Return why a node can be no key, whatever its value; empty if it can."""
        if not isinstance(key, yaml.ScalarNode):
            whole = self._text[mapping.start_mark.index : mapping.end_mark.index]
            if whole.startswith("{{") and whole.endswith("}}"):
                return f"a template's name must stand in quotation marks; write {quoted(whole)}"
            return "a list or a mapping stands where a key should be; keys are texts"
        if key.style is None and not key.value:
            return "a key is empty; give it a name"
        if key.style is None and key.tag == MERGE:
            return "the merge key << is none of YAML 1.2; write out the keys that it would merge"
        return ""

    def _scalar(self, node: yaml.ScalarNode, way: Way) -> Any:
        if node.style is not None:
            self.written[way] = quoted(node.value) if node.style in "'\"" else node.value
            return self._checked_text(node, node.value)
        self.written[way] = node.value
        unclear = ambiguity(node, way[-1] if way else None, is_json=self._json)
        if unclear is not None:
            self.problems.append(unclear)
            return node.value
        if node.tag in (f"{TAG}str", f"{TAG}timestamp", f"{TAG}value", MERGE) and not self._json:
            return self._checked_text(node, node.value)
        return core_reading(node.value)

    def _checked_text(self, node: yaml.Node, text: str) -> str:
        """Return the text with halves of surrogate pairs joined.

        Raises:
            WrittenError: it holds NUL, or half of a pair.
        """
        if "\x00" in text:
            raise WrittenError("a text holds the character NUL; remove it", node.start_mark.line + 1)
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as error:
            raise WrittenError(
                "a text holds half of a surrogate pair, which is no character", node.start_mark.line + 1
            ) from error


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[", '"')):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and not node.value


def _check_repeated_keys(node: yaml.Node, looked_at: set[int]) -> None:
    """Check that no mapping names a key twice: nobody can tell which of the two values was meant.

    Raises:
        WrittenError: one does.
    """
    if id(node) in looked_at:  # an alias, which may form a cycle
        return
    looked_at.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_repeated_keys(item, looked_at)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, int] = {}
        for key, value in node.value:
            _check_repeated_keys(value, looked_at)
            if isinstance(key, yaml.ScalarNode) and not _is_empty(value):  # without a value: told later
                line = key.start_mark.line + 1
                if key.value in seen:
                    first = f"the first time in line {seen[key.value]}"
                    raise WrittenError(
                        f"the key {quoted(key.value)} is given twice, {first}; keep one of them", line
                    )
                seen[key.value] = line
