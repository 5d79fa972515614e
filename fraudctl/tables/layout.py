"""The layout of a table of text, as far as a user specifies it."""

import codecs
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

_WORDS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
# As people type a character that no key has: \t, \x01, \u0001 or, for Hive's, ^A.
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\([0-7]{3})")
# Codecs that do not decode ordinary text.
_UNFIT = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem", "palmos"}


def check_delimiter(text: str) -> str:
    """Return the character that separates fields; names such as `tab`, and escapes, are understood.

    Raises:
        ValueError: the text is not one character that can separate fields.
    """
    character = _WORDS.get(text, _unescaped(text))
    if len(character) != 1 or character in '\r\n"\x00' or character.isalnum():
        raise ValueError(
            f"the delimiter must be one character such as ; or | (or tab, or \\x01), not {text!r}"
        )
    return character


def _unescaped(text: str) -> str:
    """Return the character for which an escape stands, or the text itself if it is none."""
    if text == "\\t":
        return "\t"
    if re.fullmatch(r"\^[A-Z]", text):
        return chr(ord(text[1]) - 64)
    found = _ESCAPE.fullmatch(text)
    if found is None:
        return text
    return chr(int(found[3], 8) if found[3] else int(found[1] or found[2], 16))


def check_encoding(name: str) -> str:
    """Return Python's name of a text encoding.

    Raises:
        ValueError: there is no such encoding, or not one for tables.
    """
    try:
        found = codecs.lookup(name)
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError, TypeError) as error:
        raise ValueError(
            f"there is no encoding {name!r}; known are utf-8, utf-16, latin-1, cp1252"
        ) from error
    if found.name in _UNFIT:
        raise ValueError(f"{name!r} is no encoding of a table; known are utf-8, utf-16, latin-1, cp1252")
    return found.name


def check_mark(text: str) -> str:
    """Return the text if it is a quotation mark or an escape character, or empty.

    Raises:
        ValueError: the text has more than one character, or one that cannot be used in this way.
    """
    if len(text) > 1:
        raise ValueError(f'must be one character, or "" for none, not {text!r}')
    if text == "\x00" or text.isalnum() or text.isspace():
        raise ValueError(f"a letter, a digit, a blank or a line end cannot quote or escape; it is {text!r}")
    return text


class Layout(BaseModel):
    """The separators and the encoding of a table of text; what is not given is recognised.

    If `quote` or `escape` is empty, no character quotes or escapes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    delimiter: Annotated[str, AfterValidator(check_delimiter)] | None = None
    quote: Annotated[str, AfterValidator(check_mark)] = '"'
    escape: Annotated[str, AfterValidator(check_mark)] = ""
    encoding: Annotated[str, AfterValidator(check_encoding)] | None = None

    @model_validator(mode="after")
    def _check_apart(self) -> "Layout":
        if self.quote and self.quote == self.escape:
            raise ValueError(f"`quote` and `escape` are both {self.quote!r}")
        for key in ("quote", "escape"):
            if self.delimiter is not None and self.delimiter == getattr(self, key):
                raise ValueError(f"`delimiter` and `{key}` are both {self.delimiter!r}")
        return self


@dataclass(frozen=True)
class Told:
    """The parts of a layout given on the command line; they take precedence over the mapping's."""

    delimiter: str | None = None
    encoding: str | None = None

    def over(self, layout: Layout) -> Layout:
        """Return the layout with the given parts in place of its own."""
        given = {"delimiter": self.delimiter, "encoding": self.encoding}
        return layout.model_copy(update={key: value for key, value in given.items() if value is not None})
