"""Say in plain words why a text is not valid YAML: the line, what stands there, and what to write instead.

The parser's own messages speak of tokens, scalars and simple keys and never reach a user. Each of them is
recognised here by its words; what people do most often (a git conflict, a colon within a text, a wrong
indent, a dash of a word processor) is recognised by the line itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

from fraudctl.config.characters import character_name

_CONFLICT = re.compile(r"(<{7}|>{7}|\|{7})( |$)|={7}$")
_DASH = re.compile(r"\s*([\u2010-\u2015\u2212\u2022\u00b7])\s")
_BLANK = re.compile(r"[ \t]*([\u00a0\u1680\u2000-\u200f\u202f\u205f\u2060\u3000\ufeff])")
_CURLY = re.compile(r"(?:[:-]\s+|[\[{,]\s*)([\u2018-\u201f\u00ab\u00bb])")
_TEMPLATE = re.compile(r"(?:[:-]\s+)(\{\{.*?\}\})")
_LINE_END = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
# A key and what follows it, without a comment.
_ENTRY = re.compile(r"\s*(?:- +)*([^\s:#'\"{\[][^:#]*):\s+(\S.*?)(?:\s+#.*)?\s*$")
_WIDE_COLON = "\uff1a"
_QUOTE_IT = "a text with such characters must stand in quotation marks"


class WrittenError(yaml.YAMLError):
    """An error in a document, described in plain words where it was found."""

    def __init__(self, text: str, line: int | None = None) -> None:
        """Describe the error; `line` counts from 1, and is None for the whole document."""
        super().__init__(text)
        self.text = text
        self.line = line


@dataclass(frozen=True)
class _Place:
    """The parser's complaint, with the text: where the fault is, and where what it is in has begun.

    Rows and columns count from 0.
    """

    lines: list[str]
    row: int
    column: int
    begun: int
    begun_column: int
    said: str

    def line(self, row: int) -> str:
        return self.lines[row] if row < len(self.lines) else ""

    @property
    def text(self) -> str:
        return self.line(self.row)

    @property
    def begins_line(self) -> bool:
        """Tell whether the fault stands at the beginning of its line."""
        return not self.text[: self.column].strip()


_Said = tuple[int, str]


def explained(error: yaml.YAMLError, text: str) -> tuple[int | None, str]:
    """Return the line of an error, counted from 1, and what is wrong there and what to write instead.

    Args:
        error: what the parser raised.
        text: the document that was being read.

    Returns:
        None as the line where the fault is of the whole document.
    """
    if isinstance(error, WrittenError):
        return error.line, error.text
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return None, "it is not valid YAML"
    begun = getattr(error, "context_mark", None) or mark
    said = f"{getattr(error, 'context', '') or ''}: {getattr(error, 'problem', '') or ''}"
    lines = _LINE_END.split(text)
    place = _Place(lines, mark.line, mark.column, begun.line, begun.column, said)
    row, words = _by_line(place) or _by_words(place)
    return min(row, max(len(lines) - 1, 0)) + 1, words


def not_printable(text: str) -> tuple[int, str] | None:
    """Return the line and the name of the first character that no document may hold; None without any."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return None
    row = len(_LINE_END.findall(text[: found.start()]))
    return row + 1, f"the character {character_name(found[0])} is not allowed in YAML; remove it"


def conflict(text: str) -> tuple[int, str] | None:
    """Return the line of a git conflict and what to do about it; None without any."""
    for row, line in enumerate(_LINE_END.split(text)):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")) or line in ("<<<<<<<", ">>>>>>>"):
            return row + 1, _CONFLICT_WORDS
    return None


_CONFLICT_WORDS = (
    "a git conflict is left in the file; keep one of the two versions, "
    "and remove the lines <<<<<<<, ======= and >>>>>>>"
)


def quoted(value: str) -> str:
    """Return a text in quotation marks, as YAML reads it back."""
    if '"' in value or "\\" in value:
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return f'"{value}"'


def _by_line(place: _Place) -> _Said | None:
    """Return what is wrong if the lines themselves show it."""
    for row, line in enumerate(place.lines):
        if _CONFLICT.match(line):
            return row, _CONFLICT_WORDS
    for row, line in enumerate(place.lines[: place.row + 1]):
        dash, blank = _DASH.match(line), _BLANK.match(line)
        if dash:
            return row, f"{character_name(dash[1])} begins no entry of a list; write a hyphen, -"
        if blank:
            return row, f"{character_name(blank[1])} stands where YAML wants plain spaces"
    for row in (place.row, place.begun):
        line = place.line(row)
        if re.match(r" *\t", line) or "'\\t'" in place.said:
            return row, "a tab stands where YAML wants spaces"
        curly, template = _CURLY.search(line), _TEMPLATE.search(line)
        if template:
            return row, f"a template's name must stand in quotation marks{_instead(line, template[1])}"
        if curly:
            name = character_name(curly[1])
            return row, f'{name} is no quotation mark to YAML; write straight ones, "'
    return None


def _by_words(place: _Place) -> _Said:
    for pattern, words in _CASES:
        if re.search(pattern, place.said):
            return words(place)
    return place.row, f"the parts of this line do not fit together; {_QUOTE_IT}"


def _instead(line: str, text: str = "") -> str:
    """Return `; write key: "text"` for a line with one value; the quoted text alone if there are several."""
    entry = _ENTRY.match(line)
    if entry is not None and (not entry[2].startswith(("{", "[")) or entry[2].startswith("{{")):
        return f"; write {entry[1].strip()}: {quoted(entry[2])}"
    return f"; write {quoted(text)}" if text else ""


def _colon(place: _Place) -> _Said:
    if re.search(r":\s", place.text[: place.column]):
        return (
            place.row,
            f"a text with a colon in it must stand in quotation marks{_instead(place.text)}",
        )
    above = next((row for row in range(place.row - 1, -1, -1) if place.line(row).strip()), place.row)
    if _indentation(place.text) <= _indentation(place.line(above)):
        return _without_colon(place.line(above), above)
    return place.row, (
        "this line is indented further than the one above, which has its value already; "
        "indent it like the lines beside it"
    )


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _no_colon(place: _Place) -> _Said:
    return _without_colon(place.line(place.begun), place.begun)


def _without_colon(line: str, row: int) -> _Said:
    if _WIDE_COLON in line:
        return row, f"{character_name(_WIDE_COLON)} is no colon to YAML; write : and a blank"
    glued = re.match(r"\s*(?:- +)*(\w+):(\S.*)", line)
    if glued:
        return row, f"a blank must follow the colon; write {glued[1]}: {glued[2]}"
    return row, (
        "this line has no colon; write `key: value`, or, if it goes on with the text above, put the whole "
        "text into quotation marks"
    )


def _first_character(place: _Place) -> _Said:
    """Say that a text begins with a character that means something else to YAML."""
    character = place.line(place.begun)[place.begun_column : place.begun_column + 1] or place.text[:1]
    line = place.line(place.begun)
    return (
        place.begun,
        f"a text that begins with {character} must stand in quotation marks{_instead(line)}",
    )


def _at_fault(place: _Place) -> _Said:
    character = place.text[place.column : place.column + 1]
    return place.row, (
        f"a text that begins with {character} must stand in quotation marks{_instead(place.text)}"
    )


def _no_alias(place: _Place) -> _Said:
    name = place.said.rpartition("alias ")[2].strip("'")
    words = f"*{name} stands for nothing, as no &{name} is before it"
    return place.row, f"{words}; a text that begins with * must stand in quotation marks"


def _list_in_line(place: _Place) -> _Said:
    return place.row, (
        'a list begins in a line of its own, and a text that begins with "- " must stand in quotation marks'
        f"{_instead(place.text)}"
    )


def _open_quotation(place: _Place) -> _Said:
    mark = place.line(place.begun)[place.begun_column : place.begun_column + 1]
    return place.begun, f"the quotation mark {mark} that opens here is never closed"


def _escape(place: _Place) -> _Said:
    return place.row, (
        "a backslash between double quotation marks begins an escape, and this is none; "
        "write \\\\ for a backslash, or put the text between single quotation marks"
    )


def _brackets(place: _Place) -> _Said:
    opening = "[" if "sequence" in place.said else "{"
    closing = "]" if opening == "[" else "}"
    if "<stream end>" in place.said or "<document" in place.said:
        return place.begun, f"the {opening} that opens here is never closed"
    return place.row, (
        f"a comma, or the {closing} that closes the {opening} of line {place.begun + 1}, is missing here; "
        "a text with brackets or commas in it must stand in quotation marks"
    )


def _indent(place: _Place) -> _Said:
    if place.begins_line:
        return place.row, (
            f"this line is indented differently from the lines that it belongs to, which begin in line "
            f"{place.begun + 1}; indent it like them"
        )
    apostrophe = re.search(r"'[^']*'\w", place.text)
    why = "an apostrophe ends the text" if apostrophe else "text follows a closing mark"
    return (
        place.row,
        f"{why}; put the whole text into double quotation marks{_instead(_unquoted(place.text))}",
    )


def _unquoted(line: str) -> str:
    """Return a line whose value was meant to stand between single quotation marks without these."""
    return re.sub(r"(:\s+)'(.*'\w.*)'(\s*)$", r"\1\2\3", line)


def _no_value(place: _Place) -> _Said:
    if "<stream end>" in place.said:
        return place.row, "the text ends within a list or a mapping; close each [ and each {"
    found = place.text[place.column : place.column + 1]
    shown = f" before {found}" if found.strip() else ""
    quote = f"; a text that begins with {found} must stand in quotation marks" if shown else ""
    return place.row, f"a value is missing{shown}{quote}"


def _several(place: _Place) -> _Said:
    return place.row, "it holds several documents (a line with --- begins another one); keep one of them"


def _twice(place: _Place) -> _Said:
    name = re.search(r"anchor '([^']*)'", place.said)
    return place.row, f"&{name[1] if name else ''} is given twice, first in line {place.begun + 1}"


def _apart(place: _Place) -> _Said:
    return place.row, (
        "this does not go with the lines above it; indent it like them, or put the whole text into "
        "quotation marks"
    )


# What the parser says, and the words for it; the first that fits counts.
_CASES: tuple[tuple[str, Callable[[_Place], _Said]], ...] = (
    ("sequence entries are not allowed", _list_in_line),
    ("mapping keys are not allowed", _at_fault),
    ("mapping values are not allowed", _colon),
    ("could not find expected ':'", _no_colon),
    ("found undefined alias", _no_alias),
    ("scanning an (alias|anchor)", _first_character),
    ("(scanning|parsing) a (tag|directive|block scalar)", _first_character),
    ("undefined tag handle", _first_character),
    ("cannot start any token", _at_fault),
    ("a double-quoted scalar", _escape),
    ("scanning a quoted scalar", _open_quotation),
    ("a flow (sequence|mapping)", _brackets),
    ("expected <block end>", _indent),
    ("expected the node content", _no_value),
    ("expected a single document", _several),
    ("found duplicate anchor", _twice),
    ("expected '<document start>'", _apart),
    ("directive|tag handle|YAML document", _first_character),
)
