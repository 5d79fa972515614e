"""Name the characters that a screen does not tell apart from others, or does not show at all."""

import unicodedata
from collections.abc import Iterable

_CONTROL = {0x00: "NUL", 0x07: "BELL", 0x08: "BACKSPACE", 0x1A: "Ctrl-Z", 0x1B: "ESCAPE", 0x7F: "DELETE"}
_MOST = 3


def character_name(character: str) -> str:
    """Return the code point and the name of a character: `U+0441 CYRILLIC SMALL LETTER ES`."""
    code = ord(character)
    name = unicodedata.name(character, "") or _CONTROL.get(code, "a character without a name")
    return f"U+{code:04X} {name}"


def unusual_characters(text: str, known: Iterable[str] = ()) -> str:
    """Return the names of a text's characters that are neither ASCII nor in one of the texts that are known.

    Returns:
        At most three names, separated by commas; empty where there is no such character.
    """
    usual = set().union(*known)
    strange = [one for one in dict.fromkeys(text) if not one.isascii() and one not in usual]
    more = ", …" if len(strange) > _MOST else ""
    return ", ".join(map(character_name, strange[:_MOST])) + more


def holding(text: str, known: Iterable[str] = ()) -> str:
    """Return ` (it holds U+…)` for a text with unusual characters, to be put behind it; else nothing."""
    names = unusual_characters(text, known)
    return f" (it holds {names})" if names else ""
