"""Write Markdown: code spans, prose and tables."""

import re
from collections.abc import Iterable, Iterator

_CODE = re.compile(r"(`[^`]+`)")
_TYPED = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*|\b[a-z][a-z0-9]*(?:\.[a-z0-9]+)*_[a-z0-9_.]*[a-z0-9]\b")


def code(text: str) -> str:
    """Return a code span that may also stand in a table, where a plain one must not hold a bar."""
    if "|" not in text:
        return f"`{text}`"
    # Marks of Markdown and of HTML are written as numbers.
    whole = "".join(f"&#{ord(each)};" if each in "|[]<>&*_\\`" else each for each in text)
    return f"<code>{whole}</code>"


def prose(text: str) -> str:
    """Return plain text as Markdown: options and names with an underscore become code spans."""
    parts = _CODE.split(" ".join(text.split()))
    for index in range(0, len(parts), 2):
        plain = parts[index].replace("<", "&lt;").replace("*", "\\*").replace("|", "&#124;")
        parts[index] = _TYPED.sub(lambda found: f"`{found[0]}`", plain)
    return "".join(parts)


def sentence(text: str) -> str:
    """Return a comment as a sentence; a name at its beginning is left as it is."""
    whole = prose(text)
    first = whole.partition(" ")[0]
    if first.isalpha() and first.islower() and not whole.startswith(f"{first} &#124;"):
        whole = whole[:1].upper() + whole[1:]
    return whole if not whole or whole[-1] in ".:!?" else f"{whole}."


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a table, without the columns in which no row has anything."""
    names, body = list(head), [list(row) for row in rows]
    kept = [index for index in range(len(names)) if any(row[index] for row in body)]
    yield ""
    yield "| " + " | ".join(names[index] for index in kept) + " |"
    yield "|" + "---|" * len(kept)
    for row in body:
        yield "| " + " | ".join(row[index] for index in kept) + " |"
    yield ""
