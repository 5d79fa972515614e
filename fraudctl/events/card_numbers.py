"""Hide possible card numbers in text that is shown to people."""

import re

# Thirteen digits or more, alone or with single blanks or hyphens between them.
_RUN = re.compile(r"[0-9](?:[ -]?[0-9]){12,}")
_FIRST, _LAST = 6, 4


def mask(text: str) -> str:
    """Return the text with all but the first six and last four digits of possible card numbers as `*`."""
    return _RUN.sub(_hidden, text)


def _hidden(run: "re.Match[str]") -> str:
    digits = sum(character.isdigit() for character in run[0])
    seen, result = 0, []
    for character in run[0]:
        if character.isdigit():
            seen += 1
            result.append(character if seen <= _FIRST or seen > digits - _LAST else "*")
        else:
            result.append(character)
    return "".join(result)
