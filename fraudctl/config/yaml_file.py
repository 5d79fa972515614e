"""Read YAML strictly: settings, rules, presets and mappings are all read here.

YAML 1.1 (which PyYAML reads) and YAML 1.2 disagree on plain values, and people mean a third thing: 010 is 8
or 10, NO is false or a country, 22:00 is 1320 or a time, 1e5 is a text or a number. A plain value that the
two versions read differently is rejected with both readings, and so are a key without a value and a key that
is given twice. Keys are texts: the key 1 is the text "1". Dates and times stay texts, as in YAML 1.2. A
document that is JSON is read as JSON.
"""

import json
import re
from collections.abc import Collection, Hashable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from fraudctl.config.file_kinds import binary_kind, utf16_of
from fraudctl.errors import ConfigError

# The path to a value: keys of mappings and indexes of list items.
Way = tuple[str | int, ...]

# Limit of values in a document with its aliases expanded: a few lines can expand to billions of values.
_MOST_VALUES = 1_000_000
# People do not write longer files, and the parser is slow.
_MOST_BYTES = 400_000
_MOST_PROBLEMS = 20
_MOST_DIGITS = 40

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+$")
_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$")
# The core schema of YAML 1.2, section 10.3.2.
_CORE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("null", re.compile(r"(null|Null|NULL|~|)$")),
    ("bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$")),
    ("int", re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")),
    ("float", re.compile(r"([-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN)$")),
)


class RepeatedKeyError(yaml.MarkedYAMLError):
    """A mapping that names the same key twice, so that its value is ambiguous."""


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
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: the name is not allowed for a file
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConfigError(
            f"the {kind} {file} cannot be read",
            detail="it is a folder" if isinstance(error, IsADirectoryError) else reason or str(error),
            hint="name a YAML file that is there and may be read",
        ) from error
    invalid = f"the {kind} {file} is not valid YAML"
    try:
        reading = _Reading(_decoded(raw), str(file))
        document = reading.document()
    except yaml.YAMLError as error:
        raise ConfigError(invalid, detail=_plain(error), hint=hint) from error
    if document is None and may_be_empty:
        document = {}
    if reading.problems:
        lines = [f"{file}:{line}: {text}" for line, text in sorted(reading.problems)[:_MOST_PROBLEMS]]
        more = len(reading.problems) - len(lines)
        raise ConfigError(
            f"the {kind} {file} says something that can be read in two ways",
            detail="\n".join([*lines, *([f"and {more} more"] if more else [])]),
            hint="write each value as the detail says",
        )
    if not isinstance(document, dict):
        found = "holds nothing" if document is None else f"holds {described(document)}"
        raise ConfigError(f"the {kind} {file} must hold {holds}", detail=f"it {found}", hint=hint)
    return YamlDocument(document, file, reading.lines, reading.written)


def read_value(text: str) -> Any:
    """Return the value of a piece of YAML or JSON, read by the rules for files.

    Raises:
        ValueError: it is not valid or is ambiguous; the text says why.
    """
    try:
        reading = _Reading(text, "it")
        value = reading.document()
    except yaml.YAMLError as error:
        raise ValueError(_plain(error)) from error
    if reading.problems:
        raise ValueError("; ".join(problem for _line, problem in reading.problems[:_MOST_PROBLEMS]))
    return value


def described(value: object) -> str:
    """Return a value in the words of YAML: `the text "a"`, `the number 5`, `a list`."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {_shortened(_digits(value))}"
    return f"the text {_shortened(json.dumps(str(value), ensure_ascii=False))}"


def _digits(value: int | float) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python writes by default
        return "with thousands of digits"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(error: yaml.YAMLError) -> str:
    """Return the parser's message, preceded by a plain cause for common mistakes."""
    text = str(error)
    if "'\\t' that cannot start any token" in text or ("\\t" in text and "token" in text):
        return f"a tab stands where YAML wants spaces\n{text}"
    if "expected a single document" in text:
        return f"it holds several documents (a line with --- begins another one); keep one of them\n{text}"
    return text


def _decoded(raw: bytes) -> str:
    """Return the text of a file.

    Raises:
        yaml.YAMLError: it is too long, is no text, or has an unknown encoding.
    """
    kind = binary_kind(raw[:16])
    if kind:
        raise yaml.YAMLError(f"it is {kind}, and not a text")
    if len(raw) > _MOST_BYTES:
        raise yaml.YAMLError(f"it is longer than {_MOST_BYTES:,} bytes, which nobody has written by hand")
    codec = utf16_of(raw[:16]) or "utf-8-sig"
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise yaml.YAMLError(
            f"line {line} is not {'UTF-8' if codec == 'utf-8-sig' else 'UTF-16'}: byte "
            f"0x{raw[error.start]:02x}; save the file as UTF-8"
        ) from error


class _Loader(yaml.SafeLoader):
    """A YAML parser that rejects tags, which say how a value is to be read; no file here needs them."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise yaml.composer.ComposerError(None, None, f"the tag {tag} is not allowed", event.start_mark)
        return super().compose_node(parent, index)


class _Reading:
    """The conversion of one YAML text to values.

    `problems` holds the line and the text of each ambiguity.
    """

    def __init__(self, text: str, name: str) -> None:
        self.lines: dict[Way, int] = {}
        self.written: dict[Way, str] = {}
        self.problems: list[tuple[int, str]] = []
        self._name = name
        self._json = _is_json(text)
        # In JSON a tab is a blank, and strings hold no unescaped one; YAML rejects tabs.
        self._text = text.replace("\t", " ") if self._json else text
        self._values = 0

    def document(self) -> Any:
        """Return the only document of the text; None when it is empty."""
        loader: _Loader | None = None
        try:
            loader = _Loader(self._text)
            loader.name = self._name
            root = loader.get_single_node()
            if root is None:
                return None
            _check_repeated_keys(root, set())
            return self._value(root, (), frozenset())
        except RecursionError as error:
            raise yaml.YAMLError("its lists and mappings are nested too deeply") from error
        finally:
            if loader is not None:
                loader.dispose()

    def _count(self) -> None:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise yaml.YAMLError(f"it has more than {_MOST_VALUES:,} values, its aliases written out")

    def _value(self, node: yaml.Node, way: Way, above: frozenset[int]) -> Any:
        self._count()
        if id(node) in above:
            raise yaml.MarkedYAMLError(None, None, "an alias leads back to itself", node.start_mark)
        self.lines.setdefault(way, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, way)
        above = above | {id(node)}
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*way, number), above) for number, item in enumerate(node.value)]
        return self._mapping(node, way, above)

    def _mapping(
        self, node: yaml.Node, way: Way, above: frozenset[int], has: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return the entries of a mapping, without the keys in `has`.

        Those keys belong to the mapping that this one is merged into, and take precedence.
        """
        self._count()
        result: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        before: yaml.Node | None = None
        for number, (key, value) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and key.tag == _MERGE:
                merged.append(value)
                continue
            if isinstance(key, yaml.ScalarNode) and key.value and _is_empty(value) and before is not None:
                # Several such keys in one line are the rest of one value: report them once.
                if not (_is_empty(before) and before.end_mark.line == key.start_mark.line):
                    rest = [
                        one.value
                        for one, _ in takewhile(lambda entry: _is_empty(entry[1]), node.value[number:])
                    ]
                    self.problems.append((key.start_mark.line + 1, _rest_of(before, key, rest)))
                before = value
                continue
            name = self._key(key, way)
            before = value
            if name is not None and name not in has:
                self.lines[(*way, name)] = key.start_mark.line + 1
                result[name] = self._value(value, (*way, name), above)
        # The mapping's own entries take precedence over merged ones, and an earlier merge over later ones.
        for value in merged:
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for one in several:
                if not isinstance(one, yaml.MappingNode):
                    raise yaml.MarkedYAMLError(None, None, "<< wants a mapping", one.start_mark)
                if id(one) in above:
                    raise yaml.MarkedYAMLError(None, None, "an alias leads back to itself", one.start_mark)
                result.update(self._mapping(one, way, above | {id(one)}, {*has, *result}))
        return result

    def _key(self, key: yaml.Node, way: Way) -> str | None:
        """Return the name of an entry; None after a problem was noted."""
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            self.problems.append((line, "a list or a mapping stands where a key should be; keys are texts"))
            return None
        if not key.value and key.style is None:
            self.problems.append((line, "a key is empty; give it a name"))
            return None
        problem = self._ambiguous(key, way)
        if problem:
            self.problems.append((line, problem))
            return None
        # Keys are always texts: a number or a boolean with one reading only is kept as its text.
        is_flag = key.style is None and isinstance(_core_reading(key.value), bool)
        return self._checked_text(key, key.value.lower() if is_flag else key.value)

    def _scalar(self, node: yaml.ScalarNode, way: Way) -> Any:
        if node.style is not None:
            self.written[way] = _quoted(node.value) if node.style in "'\"" else node.value
            return self._checked_text(node, node.value)
        self.written[way] = node.value
        problem = self._ambiguous(node, way)
        if problem:
            self.problems.append((node.start_mark.line + 1, problem))
            return node.value
        if node.tag in (f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value", _MERGE) and not self._json:
            return self._checked_text(node, node.value)
        return _core_reading(node.value)

    def _checked_text(self, node: yaml.Node, text: str) -> str:
        """Return the text with halves of surrogate pairs joined.

        Raises:
            yaml.YAMLError: it holds NUL, or half of a pair.
        """
        if "\x00" in text:
            raise yaml.MarkedYAMLError(None, None, "a text holds the character NUL", node.start_mark)
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as error:
            raise yaml.MarkedYAMLError(
                None, None, "a text holds half of a surrogate pair, which is no character", node.start_mark
            ) from error

    def _ambiguous(self, node: yaml.ScalarNode, way: Way) -> str:
        """Return the ambiguity of a plain scalar, and how to avoid it; "" if there is none."""
        text = node.value
        key = f"{way[-1]}: " if way and isinstance(way[-1], str) else ""
        if node.style is not None:
            return ""
        core = _core_reading(text)
        if core is None:
            shown = f"{text} was read as no value" if text else "there is no value"
            return f"{key}{shown}; give one, or leave the key out" + (
                f'; write "{text}" for the text' if text else ""
            )
        if len(text) > _MOST_DIGITS and not isinstance(core, str):
            return f"{key}{_shortened(text)} has too many digits for a number; write it in quotation marks"
        if self._json:
            return ""
        if _THOUSANDS.match(text):
            plain = text.replace(",", "")
            return f"{key}{text} was read as the text {_quoted(text)}; write {plain}, or {_quoted(text)}"
        if node.tag in (f"{_TAG}timestamp", f"{_TAG}value", _MERGE):
            return ""
        old = _old_reading(node)
        if type(old) is type(core) and (old == core or old != old) and not _LEADING_ZERO.match(text):
            return ""
        others = [_literal(one) for one in (old, core) if not isinstance(one, str)]
        if _LEADING_ZERO.match(text) and isinstance(old, str):  # 08 is not octal, so PyYAML reads a text
            others = [text.lstrip("+0_").replace("_", "") or "0"]
        clear = ", ".join(dict.fromkeys(others))
        how = ""
        if not isinstance(old, str):
            how = " (in base 60)" if ":" in text else " (in base 8)" if _LEADING_ZERO.match(text) else ""
        as_text = f"{_quoted(text)} for the text"
        several = (as_text, clear) if isinstance(old, bool) or ":" in text else (clear, as_text)
        return f"{key}{text} was read as {_named(old)}{how}; write {' or '.join(several)}"


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[", '"')):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _core_reading(text: str) -> Any:
    """Return the value of a plain scalar by the core schema of YAML 1.2."""
    for kind, pattern in _CORE:
        if not pattern.match(text):
            continue
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if len(text) > _MOST_DIGITS:
            return 0  # the caller rejects it by its length
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    return text


def _old_reading(node: yaml.ScalarNode) -> Any:
    """Return the value of a plain scalar by PyYAML, which reads YAML 1.1."""
    if len(node.value) > _MOST_DIGITS:
        return node.value
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_object(node, deep=True)
    except (ValueError, yaml.YAMLError):  # such as 0b_ and 2026-13-45
        return node.value


def _named(value: object) -> str:
    """Return a value for the message `was read as …`."""
    return described(value).removeprefix("the number ")


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and not node.value


def _rest_of(before: yaml.Node, key: yaml.ScalarNode, rest: Sequence[Any]) -> str:
    """Return the message about a key without a value that follows a value, as in `{a: 1,000}`.

    Args:
        before: the value before the key.
        key: the key.
        rest: this key and those after it that have no value either.
    """
    if not isinstance(before, yaml.ScalarNode) or before.end_mark.line != key.start_mark.line:
        return f"{key.value}: there is no value; give one, or leave the key out"
    read = f"was read as {before.value} and a key {key.value} without a value"
    parts = [before.value, *map(str, rest)]
    number = all(re.fullmatch(r"[-+]?[0-9][0-9.]*", part) for part in parts)
    if number and before.style is None and before.end_mark.index + 1 == key.start_mark.index:
        whole = ",".join(parts)
        clear = f"write {whole.replace(',', '')}" if _THOUSANDS.match(whole) else "write it without a comma"
        return f"{whole} {read}; {clear}"
    return f"{', '.join(parts)} {read}; write a list, [{', '.join(parts)}]"


def _check_repeated_keys(node: yaml.Node, looked_at: set[int]) -> None:
    """Check the nodes for repeated keys before anything is merged, as a merge may repeat keys legitimately.

    Raises:
        RepeatedKeyError: a mapping names a key twice.
    """
    if id(node) in looked_at:  # an alias, which may form a cycle
        return
    looked_at.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_repeated_keys(item, looked_at)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, yaml.Mark] = {}
        for key, value in node.value:
            _check_repeated_keys(value, looked_at)
            if isinstance(key, yaml.ScalarNode) and not _is_empty(value):  # if empty: reported later
                if key.value in seen:
                    raise RepeatedKeyError(
                        f"the key {key.value!r} is given", seen[key.value], "and once more", key.start_mark
                    )
                seen[key.value] = key.start_mark
