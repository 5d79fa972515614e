"""Messages around the edge of what an event may be: systematic changes of valid events, and drawn ones.

A message is put together from raw JSON: `Parts` holds each key and each value as it is written. So a change
can make them anything at all, also what no JSON writer would put out.
"""

import json
import random
import unicodedata
from collections.abc import Iterator

from fraudctl.config.model import EventsSettings

Parts = list[tuple[bytes, bytes]]

STRINGS = (
    "transaction_id",
    "event_time",
    "card_id",
    "merchant_id",
    "category",
    "currency",
    "country",
    "channel",
)
INTEGERS = ("schema_version", "amount_minor")

# Bytes that JSON, numbers, escapes, identifiers, times and UTF-8 hang on.
TELLING = b'{}[]":,\\/ \t\r\n\x00\x0b\x0c\x1f\x7f0159.-+eEunbTtZzA_a@[`\x80\xbf\xc0\xc2\xe2\xed\xf0\xf4\xff'

_POWERS = [2**31, 2**32, 2**53, 2**63, 2**64, 10 * 2**64, 2**128, 10**10]
_NUMBERS = """
0 -0 1 -1 2 01 00 -01 +1 1.0 1. 1e0 1E5 1e-1 1e+0 .5 - --1 0x1 1_000 1L 1f 0.0 -0.0 -0e1 1e400 NaN Infinity
-Infinity nan 1,2 1e 0e 0e- -e1 1n 1;
"""
NUMBERS = [
    *_NUMBERS.split(),
    *(f"{sign}{power + step}" for power in _POWERS for step in (-2, -1, 0, 1) for sign in ("", "-")),
    *("- 1", "1 2", "9" * 18, "9" * 19, "9" * 400, "0" * 30, "1" + "0" * 5000, "-" + "1" * 6000),
    *("\uff11", "\u0663", "\ufeff1", "\u00a01", "1\u2028"),
]
_OTHERS = """
null true false nul nulll True None undefined 'x' "1" " "" "x -true (1) <1> "a""b" "a"+"b" [] {} [1] ["a"]
{"a":1} {"a":{"b":[1,{"c":null}]}} [[[[]]]] [ { ] [1,] {,} [{"a":1,"a":1}]
"""
OTHERS = [
    *_OTHERS.split(),
    *("", "[" * 3000, "[" * 3000 + "]" * 3000, '{"a":' * 2000, "/* */ 1", "1 // x", '"a" "b"'),
]
# Well formed: the first and the last of each length, those around the surrogates, non-characters, ligatures.
_WELL_FORMED = """
c280 dfbf e0a080 ed9fbf ee8080 efbfbd efbfbe efbfbf f0908080 f48fbfbf 7f c3a9 65cc81 e697a5 f09f92b3 efbbbf
e280a8 c2a0 f09f91a9e2808df09f92bb
"""
# Overlong, surrogates, beyond U+10FFFF, never used; cut short, without a beginning, interrupted.
_ILL_FORMED = """
c080 c1bf e08080 e09fbf eda080 edafbf edb080 edbfbf eda0bdedb2b3 f0808080 f08fbfbf f4908080 f5808080 f7bfbfbf
f888808080 fc8480808080 fe ff
80 bf c2 df e2 e282 f0 f09f f09f92 e228a1 e28228 f0289f92 f09f2892 c2c280 c28080 e2c2a9 f09f92c2b3 61ff 8061
f09f9222
"""
UTF_8 = [bytes.fromhex(text) for text in (_WELL_FORMED + _ILL_FORMED).split()]
_ESCAPES = r"""
\" \\ \/ \b \f \n \r \t \u0041 \u0061 \u0000 \u001f \u007f \u0080 \u00e9 \u00E9 \u07ff \u0800 \ud7ff \ue000
\uffff \uFEFF \u0022 \ud83d\udcb3 \uD83D\uDCB3 \ud800\udc00 \udbff\udfff \ud800 \udbff \udc00 \udfff
\udc00\ud800 \ud83d\ud83d\udcb3 \ud83d\udcb3\udcb3 \ud83dx \ud83d\n \ud83d\u0041 \ud83d\\udcb3 \ud83d\u
\ud83d\udcb \ud83d\uDCBG \u \u1 \u12 \u123 \u+123 \u-123 \u0x41 \u00_1 \U0041 \x41 \' \a \v \0 \101 \ \\\
\u1F4B3
"""
_OTHER_ESCAPES = [
    r"\u 123",
    "\\\n",
    "\\u\uff10\uff10\uff14\uff11",
    "\\\u00e9",
    "\x00",
    "\x1f",
    "\n",
    "\t",
    "\x7f",
]
ESCAPES = [text.encode() for text in _ESCAPES.split() + _OTHER_ESCAPES]
BLANKS = [b" ", b"\t", b"\n", b"\r", b" \r\n\t ", b" " * 40]
_NO_BLANKS = "0b 0c 00 1c 1f 7f 85 c2a0 e280a8 e38080 e2808b efbbbf"
NO_BLANKS = [*(bytes.fromhex(text) for text in _NO_BLANKS.split()), b"//\n", b"/**/", b"#\n", b"\\n"]
_ZONES = "Z z + +0 +01 +0100 +1:00 +01:0 +01:000 +01-00 \u221201:00 UTC ZZ +01:00Z +99:99 [UTC] E GMT"


def valid(chance: random.Random, events: EventsSettings) -> Parts:
    """Return the parts of an event that is well formed and within all bounds."""
    identifier = "".join(chance.choices("AZaz09._:-", k=chance.choice([0, 1, 5, 20, 63])))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    document: dict[str, object] = {
        "schema_version": 1,
        "transaction_id": chance.choice("AZaz09") + identifier,
        "event_time": valid_time(chance),
        "card_id": f"c-{chance.randint(0, 999)}",
        "merchant_id": chance.choice([f"m-{chance.randint(0, 99)}", "M" * 64, "9"]),
        "category": chance.choice(events.categories),
        "amount_minor": chance.choice([1, 1250, chance.randint(1, 60_000), 10_000_000_000]),
        "currency": events.currency,
        "country": chance.choice(["DE", "US", "NG", chance.choice(letters) + chance.choice(letters)]),
        "channel": chance.choice(["pos", "ecom", "a", "z_09" * 8]),
    }
    raw = chance.random() < 0.5
    return [(quoted(name), json.dumps(value, ensure_ascii=raw).encode()) for name, value in document.items()]


def valid_time(chance: random.Random) -> str:
    day = f"20{chance.randint(0, 99):02}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    time = f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}"
    fraction = "".join(chance.choices("0123456789", k=chance.randint(1, 6)))
    zone = f"{chance.choice('+-')}{chance.randint(0, 14):02}:{chance.randint(0, 59):02}"
    return f"{day}T{time}{chance.choice(['', '.' + fraction])}{chance.choice(['Z', zone])}"


def quoted(text: str) -> bytes:
    return f'"{text}"'.encode()


def written(parts: Parts, blank: bytes = b"") -> bytes:
    """The message, with these blanks around every token."""
    inside = b",".join(blank + key + blank + b":" + blank + value + blank for key, value in parts)
    return blank + b"{" + inside + b"}" + blank


def escaped(chance: random.Random, raw: bytes) -> bytes:
    """The same JSON string with some of its characters written as escapes."""
    result = ['"']
    for character in json.loads(raw):
        if chance.random() < 0.3:
            units = character.encode("utf-16-be")
            for high, low in zip(units[::2], units[1::2], strict=True):
                code = f"{high:02x}{low:02x}"
                result.append("\\u" + chance.choice([code, code.upper()]))
        else:
            result.append(json.dumps(character, ensure_ascii=False)[1:-1])
    return ("".join(result) + '"').encode()


def with_value(parts: Parts, name: str, value: bytes) -> Parts:
    return [(key, value if key == quoted(name) else own) for key, own in parts]


def with_key(parts: Parts, name: str, key: bytes) -> Parts:
    return [(key if own == quoted(name) else own, value) for own, value in parts]


# --- Every one of a kind -----------------------------------------------------------------------------------


def every_byte_changed(message: bytes) -> Iterator[bytes]:
    """Each byte replaced by each telling one, removed, doubled; and what is before it or after it alone."""
    for place in range(len(message)):
        before, own, after = message[:place], message[place : place + 1], message[place + 1 :]
        for byte in TELLING:
            yield before + bytes([byte]) + after
        yield before + after
        yield before + own + own + after
        yield before
        yield own + after


def every_value(parts: Parts) -> Iterator[bytes]:
    """Each field with each number, each literal, nested value and string of the tables above."""
    every = [text.encode() for text in NUMBERS + OTHERS]
    for name in INTEGERS + STRINGS:
        for value in every:
            yield written(with_value(parts, name, value))
    for name in STRINGS:
        own = dict(parts)[quoted(name)][1:-1]
        for piece in UTF_8 + ESCAPES:
            for inside in (piece, piece + own, own + piece, own[:1] + piece + own[1:]):
                yield written(with_value(parts, name, b'"' + inside + b'"'))
    for name in ("transaction_id", "card_id", "merchant_id", "country", "channel", "currency", "category"):
        for size in (0, 1, 2, 3, 4, 31, 32, 33, 63, 64, 65, 1000):
            for letter in ("a", "A", "0", "_", ".", ":", "-", "\u00e9", "\uff21"):
                yield written(with_value(parts, name, quoted(letter * size)))
                yield written(with_value(parts, name, quoted("a" + letter * size)))
    for code in range(0x20, 0x180):
        character = json.dumps(chr(code), ensure_ascii=False)[1:-1]
        for name in ("transaction_id", "channel", "country"):
            yield written(with_value(parts, name, quoted(character + "a")))
            yield written(with_value(parts, name, quoted("A" + character)))


def every_key(parts: Parts) -> Iterator[bytes]:
    """Keys that are missing, twice there, spelled otherwise, in another order, more of them."""
    for number, (key, value) in enumerate(parts):
        name = key[1:-1]
        yield written(parts[:number] + parts[number + 1 :])
        for other in range(len(parts)):
            yield written([*parts[:other], (key, value), *parts[other:]])
            yield written([*parts[:other], (parts[other][0], value), *parts[other + 1 :]])
        for spelled in (
            *(b'"\\u%04x' % name[0] + name[1:] + b'"', b'"\\u%04X' % name[0] + name[1:] + b'"', name),
            *(
                b'"' + name.upper() + b'"',
                b'"' + name + b' "',
                b'"' + name + b'\\u0000"',
                b'"' + name[:-1] + b'"',
            ),
            *(
                b"'" + name + b"'",
                b'""',
                b"1",
                b"null",
                b'"' + name + b's"',
                b'"\\' + name + b'"',
                b'"' + name,
            ),
        ):
            yield written([*parts[:number], (spelled, value), *parts[number + 1 :]])
            yield written([*parts, (spelled, value)])
        for piece in UTF_8 + ESCAPES:
            yield written([*parts[:number], (b'"' + piece + name + b'"', value), *parts[number + 1 :]])
            yield written([*parts[:number], (b'"' + name + piece + b'"', value), *parts[number + 1 :]])
        for extra in (b"1", b"null", b'"x"', b"{}"):
            yield written([*parts[:number], (b'"extra"', extra), *parts[number:]])
        yield written(parts[number:] + parts[:number])
        yield written(parts[::-1])
    yield written([(key, value) for _, value in parts for key in [parts[0][0]]])


def every_frame(parts: Parts, events: EventsSettings) -> Iterator[bytes]:
    """What lies around the tokens and around the object, and how long the message is."""
    message = written(parts)
    for blank in BLANKS + NO_BLANKS:
        yield written(parts, blank)
        for text in (message, b"{}", b"[]", b""):
            yield blank + text
            yield text + blank
        for place, byte in enumerate(message):
            if byte in b'{}:,"':
                yield message[:place] + blank + message[place:]
                yield message[: place + 1] + blank + message[place + 1 :]
    for end in (
        b",",
        b"}",
        b"{",
        b"]",
        b"{}",
        b"null",
        b"1",
        b"\x00",
        b'"',
        message,
        b"\n" + message,
        b"//",
        b";",
    ):
        yield message + end
        yield end + message
        yield message[:-1] + end + b"}"
        yield b"{" + end + message[1:]
    yield from (
        b"[" + message + b"]",
        b'"' + message + b'"',
        b"null",
        b"1",
        b'"x"',
        b"{",
        b"}",
        b'{"',
        b"{,}",
    )
    yield from (message.decode().encode(coding) for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"))
    for size in range(events.max_bytes - 2, events.max_bytes + 3):
        yield message + b" " * (size - len(message))
        yield b"\n" * (size - len(message)) + message
        yield written(with_value(parts, "card_id", quoted("c" * (size - len(message)))))
        yield b"[" * size


def every_time(parts: Parts) -> Iterator[bytes]:
    """Edges of the calendar, of the clock, of offsets from Greenwich and of the text's form."""
    texts: list[str] = []
    for year in ("1999", "2000", "2001", "2004", "2026", "2096", "2099", "2100", "0000", "20", "20260"):
        for month in ("00", "01", "02", "03", "04", "06", "09", "11", "12", "13", "1"):
            texts += [
                f"{year}-{month}-{day}T12:00:00Z" for day in ("00", "01", "28", "29", "30", "31", "32", "1")
            ]
    for hour in ("00", "09", "23", "24", "99", "1"):
        for minute in ("00", "59", "60", "5"):
            texts += [f"2026-03-10T{hour}:{minute}:{second}Z" for second in ("00", "59", "60", "61", "1")]
    zones = [
        f"{sign}{hour:02}:{minute:02}" for sign in "+-" for hour in range(17) for minute in (0, 1, 30, 59, 60)
    ]
    zones += _ZONES.split()
    zones += ["", "Z ", "+ 1:00", "+-1:00", "+01:00:00"]
    for digits in (
        "",
        "0",
        "1",
        "12",
        "123",
        "1234",
        "12345",
        "123456",
        "999999",
        "000001",
        "1234567",
        "0000000",
    ):
        fraction = "." + digits if digits else ""
        texts += [f"2000-01-01T00:00:00{fraction}{zone}" for zone in (*zones[:: 3 if digits else 1], "Z")]
        texts += [f"2099-12-31T23:59:59{fraction}{zone}" for zone in ("Z", "-14:59", "+14:59", "")]
    texts += [
        f"2026-03-10T12:00:00{part}Z" for part in (".", ",5", ".a", ".1a", ".+1", "..1", ". 1", ".\u0661")
    ]
    whole = "2026-03-10T12:00:00.123456+01:30"
    for place in range(len(whole) + 1):
        pieces = ("", " ", "0", "9", "a", "-", ":", "\u0663")
        texts += [whole[:place] + piece + whole[place + 1 :] for piece in pieces]
        texts += [whole[:place] + piece + whole[place:] for piece in pieces]
        texts.append(whole[:place])
    texts += [
        "2026-03-10t12:00:00Z",
        "2026-03-10 12:00:00Z",
        "20260310T120000Z",
        "2026-069T12:00:00Z",
        "now",
        "0",
    ]
    texts += [
        "2026-W11-2T12:00:00Z",
        "+2026-03-10T12:00:00Z",
        "12026-03-10T12:00:00Z",
        " 2026-03-10T12:00:00Z",
    ]
    for text in texts:
        yield written(with_value(parts, "event_time", quoted(text)))


def every_category(parts: Parts, events: EventsSettings) -> Iterator[bytes]:
    """Each category as it is, escaped, decomposed, in other letters, longer and shorter."""
    chance = random.Random("categories")
    for name in (*events.categories, "Toys", "Caf\u00e9", "Cafe\u0301", "\u00c5", "\u212b", "\U0001f4b3", ""):
        forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD", "NFKC", "NFKD")]
        for text in dict.fromkeys(
            [*forms, name.upper(), name.lower(), name + " ", " " + name, name[:-1], name + "x"]
        ):
            for ascii_only in (True, False):
                raw = json.dumps(text, ensure_ascii=ascii_only).encode()
                yield written(with_value(parts, "category", raw))
            yield written(with_value(parts, "category", escaped(chance, raw)))
        yield written(with_value(parts, "category", name.encode("utf-8") + b'"'))
        yield written(with_value(parts, "category", b'"' + name.encode("latin-1", "replace") + b'"'))
    for currency in ("EUR", "USD", "JPY", "eur", "EU", "EURO", "\u20acUR", "EU\u212a", ""):
        yield written(with_value(parts, "currency", quoted(currency)))


def systematic(events: EventsSettings) -> Iterator[bytes]:
    """Every change above of one event."""
    parts = valid(random.Random("systematic"), events)
    yield written(parts)
    yield b""
    yield from every_value(parts)
    yield from every_key(parts)
    yield from every_frame(parts, events)
    yield from every_time(parts)
    yield from every_category(parts, events)
    yield from every_byte_changed(written(parts))


# --- Drawn -------------------------------------------------------------------------------------------------


def drawn(chance: random.Random, events: EventsSettings) -> bytes:
    """A drawn event with up to four changes, in its parts and then in its bytes."""
    parts = valid(chance, events)
    if chance.random() < 0.3:
        chance.shuffle(parts)
    for place in chance.sample(range(len(parts)), chance.choice([0, 0, 1, 1, 2])):
        parts[place] = _changed(chance, *parts[place])
    if chance.random() < 0.04:
        parts.insert(chance.randrange(len(parts)), chance.choice(parts))
    if chance.random() < 0.04:
        parts.pop(chance.randrange(len(parts)))
    message = written(parts, chance.choice([b"", b"", b"", chance.choice(BLANKS)]))
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2])):
        message = _damaged(chance, message)
    return message


def _changed(chance: random.Random, key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """One key or value written otherwise: half of these changes keep its meaning."""
    kind = chance.random()
    if kind < 0.15:
        return escaped(chance, key), value
    if not value.startswith(b'"'):
        return key, chance.choice(NUMBERS).encode()
    if kind < 0.55:
        return key, escaped(chance, value)
    if kind < 0.65:
        return key, chance.choice(OTHERS).encode()
    if b"T" in value and b":" in value and kind < 0.9:
        return key, _damaged(chance, value)
    place = chance.randint(1, len(value) - 1)
    piece = chance.choice([chance.choice(UTF_8), chance.choice(ESCAPES)])
    return key, value[:place] + piece + value[place:]


def _damaged(chance: random.Random, message: bytes) -> bytes:
    place = chance.randint(0, len(message))
    until = place + chance.choice([0, 0, 1, 1, 1, 2, 8])
    kind = chance.random()
    if kind < 0.5:
        piece = bytes([chance.choice(TELLING)])
    elif kind < 0.6:
        piece = bytes([chance.randrange(256)])
    elif kind < 0.8:
        piece = chance.choice([chance.choice(UTF_8), chance.choice(ESCAPES), chance.choice(NO_BLANKS)])
    elif kind < 0.9:
        begin = chance.randint(0, len(message))
        piece = message[begin : begin + chance.randint(1, 40)]
    else:
        piece = b""
    return message[:place] + piece + message[until:]
