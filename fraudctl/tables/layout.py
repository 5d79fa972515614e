"""The layout of a table of text, as far as a user specifies it."""

import codecs
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_WORDS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
# Codecs that do not decode ordinary text.
_UNFIT = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem", "palmos"}


def check_delimiter(text: str) -> str:
    """Return the character that separates fields; names such as `tab` are understood.

    Raises:
        ValueError: the text is not one character that can separate fields.
    """
    character = _WORDS.get(text, "\t" if text == "\\t" else text)
    if len(character) != 1 or character in '\r\n"\x00' or character.isalnum():
        raise ValueError(f"the delimiter must be one character such as ; or | (or tab), not {text!r}")
    return character


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
    if len(text) > 1 or text in ("\r", "\n", "\x00") or text.isalnum() or text.isspace():
        raise ValueError(f'this must be one character, or "" for none, not {text!r}')
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


@dataclass(frozen=True)
class Told:
    """The parts of a layout given on the command line; they take precedence over the mapping's."""

    delimiter: str | None = None
    encoding: str | None = None

    def over(self, layout: Layout) -> Layout:
        """Return the layout with the given parts in place of its own."""
        given = {"delimiter": self.delimiter, "encoding": self.encoding}
        return layout.model_copy(update={key: value for key, value in given.items() if value is not None})
