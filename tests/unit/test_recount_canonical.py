"""The pattern for canonical messages against the strict parser: what it takes is what that says."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.config.load import load
from fraudctl.config.model import EventsSettings
from fraudctl.events.schema import FIELDS
from fraudctl.recount.canonical import fields_of, reader, transaction_of
from fraudctl.recount.parse import Rejected, Transaction, parser
from tests.golden import MESSAGES, value_bytes

EVENTS = load().settings.events
PLAIN: dict[str, Any] = {
    "schema_version": 1,
    "transaction_id": "019cabd8-99ed-7cf9-983d-a0e049f0dc37",
    "event_time": "2026-03-10T12:34:56.789Z",
    "card_id": "card-000562",
    "merchant_id": "merchant-00914",
    "category": "Retail",
    "amount_minor": 5480,
    "currency": "EUR",
    "country": "DE",
    "channel": "contactless",
}
CANONICAL = json.dumps(PLAIN, separators=(",", ":")).encode()
GOLDEN = [value for case in MESSAGES if (value := value_bytes(case)) and len(value) < 2_000]


def agree(values: list[bytes | None], events: EventsSettings = EVENTS) -> int:
    """How many of the values are transactions; of each both say the same."""
    strict = parser(events)
    lines = reader(events)(values)
    found: dict[int, Transaction | Rejected] = {
        row: Rejected(reason) for row, reason in lines.rejected.items()
    }
    for row, fields, event_us in zip(lines.rows.tolist(), lines.fields, lines.event_us.tolist(), strict=True):
        assert row not in found
        found[row] = transaction_of(fields, event_us, events.currency)
        # The same transaction has the same fields, in whatever form it was written.
        assert tuple(fields) == fields_of(found[row])  # type: ignore[arg-type]
    assert found == {row: strict(value) for row, value in enumerate(values)}
    return len(lines.rows)


def taken_by_the_pattern(value: bytes, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Is the strict parser not asked?"""
    asked: list[bytes | None] = []

    def never(_events: EventsSettings) -> Any:
        return lambda value: asked.append(value) or Rejected("asked")

    monkeypatch.setattr("fraudctl.recount.canonical.parser", never)
    reader(EVENTS)([value])
    return not asked


def test_canonical_messages_do_not_need_the_strict_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken_by_the_pattern(CANONICAL, monkeypatch)
    assert not taken_by_the_pattern(CANONICAL + b" ", monkeypatch)


def test_nothing_at_all() -> None:
    assert agree([]) == 0
    assert agree([None, b"", b"\n"]) == 0


def test_golden_messages() -> None:
    assert agree([value_bytes(case) for case in MESSAGES]) > 10


def test_every_byte_of_a_canonical_message_changed() -> None:
    changed = [
        CANONICAL[:place] + bytes([byte]) + CANONICAL[place + 1 :]
        for place in range(len(CANONICAL))
        for byte in range(256)
    ]
    assert 0 < agree(changed) < len(changed)
    cut = [CANONICAL[:place] + CANONICAL[place + 1 :] for place in range(len(CANONICAL))]
    doubled = [CANONICAL[:place] + CANONICAL[place - 1 :] for place in range(1, len(CANONICAL))]
    ended = [CANONICAL[:place] for place in range(len(CANONICAL))]
    assert agree([*cut, *doubled, *ended]) > 0


FORMS: dict[str, list[str]] = {
    "schema_version": ["0", "2", "1.0", "01", "-1", "1e0", '"1"', "true"],
    "transaction_id": [
        '"a"',
        '"' + "x" * 64 + '"',
        '"' + "x" * 65 + '"',
        '""',
        '"-a"',
        '"\\u0061"',
        '"ä"',
        '"a\\n"',
    ],
    "event_time": [
        '"2024-02-29T00:00:00.000Z"',
        '"2026-02-29T00:00:00.000Z"',
        '"2026-04-31T00:00:00.000Z"',
        '"2026-00-10T00:00:00.000Z"',
        '"2026-13-10T00:00:00.000Z"',
        '"2026-03-00T00:00:00.000Z"',
        '"2026-03-10T24:00:00.000Z"',
        '"2026-03-10T23:60:00.000Z"',
        '"2026-03-10T23:59:60.000Z"',
        '"1999-12-31T23:59:59.999Z"',
        '"2000-01-01T00:00:00.000Z"',
        '"2099-12-31T23:59:59.999Z"',
        '"2100-01-01T00:00:00.000Z"',
        '"2000-01-01T00:00:00.000+14:00"',
        '"2099-12-31T23:59:59.999-14:59"',
        '"2026-03-10T12:34:56Z"',
        '"2026-03-10T12:34:56.78Z"',
        '"2026-03-10T12:34:56.789000Z"',
        '"2026-03-10T12:34:56.789001Z"',
        '"2026-03-10T14:34:56.789+02:00"',
        '"2026-03-10t12:34:56.789z"',
        '"2026-03-1\N{ARABIC-INDIC DIGIT ZERO}T12:34:56.789Z"',
    ],
    "category": [
        '"Food"',
        '"food"',
        '"Food "',
        '"F\\u006fod"',
        '""',
        '"\N{FULLWIDTH LATIN CAPITAL LETTER F}ood"',
        '"Toys"',
    ],
    "amount_minor": [
        *("1", "0", "-0", "-1", "0005480", "10000000000", "10000000001", "9" * 11, "9" * 40),
        *("5480.0", "5.48e3", '"5480"', "\N{ARABIC-INDIC DIGIT FIVE}", "1_000", "+1", "null"),
    ],
    "currency": ['"USD"', '"eur"', '"\\u0045UR"'],
    "country": ['"FR"', '"fr"', '"FRA"', '"F"', '"F\\u0052"'],
    "channel": ['"pos"', '"Pos"', '"' + "c" * 32 + '"', '"' + "c" * 33 + '"', '"a_1"', '"1a"'],
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_one_field(name: str) -> None:
    values: list[bytes | None] = []
    for form in FORMS[name]:
        plain = [f'"{key}":{form if key == name else json.dumps(PLAIN[key])}' for key in FIELDS]
        values += [("{" + ",".join(plain) + "}").encode(), ("{" + ", ".join(reversed(plain)) + "}").encode()]
    agree(values)


def test_a_limit_on_the_length_holds() -> None:
    long = {**PLAIN, **dict.fromkeys(("transaction_id", "card_id", "merchant_id"), "x" * 64)}
    value = json.dumps({**long, "channel": "c" * 32}, separators=(",", ":")).encode()
    for limit in (len(value) - 1, len(value)):
        assert agree([value], EVENTS.model_copy(update={"max_bytes": limit})) == (limit == len(value))


def test_other_settings() -> None:
    names = ("Café", 'A "quoted" one', "back\\slash", "Retail", "日用品", "a.b*c")
    events = EVENTS.model_copy(update={"categories": names, "currency": "JPY"})
    values: list[bytes | None] = [
        json.dumps(
            {**PLAIN, "category": name, "currency": "JPY"}, separators=(",", ":"), ensure_ascii=ascii_
        ).encode()
        for name in (*names, "aXbbc", "Food")
        for ascii_ in (False, True)
    ]
    assert agree(values, events) == 2 * len(names)


PIECES = [
    *(bytes([byte]) for byte in b'{}[]":,\\/ \t\r\n0123456789.-+eEuntbfrTZ\x00\x1f\x7f'),
    *(
        "\N{ARABIC-INDIC DIGIT THREE}".encode(),
        "\N{FULLWIDTH LATIN CAPITAL LETTER A}".encode(),
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(b"\\u0041", b"\\ud800", b"NaN", b"null", b"true", b'"a":1,', b"}{", CANONICAL, CANONICAL[1:80]),
]


AMOUNTS = [1, 10_000_000_000, 10_000_000_001, 0]


def written(chance: random.Random) -> bytes:
    """A transaction in one of many forms; most often the canonical one."""
    moment = datetime(2026, 3, 10, tzinfo=UTC) + timedelta(microseconds=chance.randrange(10**15))
    digits = chance.choice(["milliseconds"] * 5 + ["microseconds", "seconds"])
    document = {
        **PLAIN,
        "transaction_id": f"t-{chance.randrange(10**6)}",
        "event_time": moment.isoformat(timespec=digits).replace("+00:00", "Z"),
        "category": chance.choice(["Retail", "Food", "Electronics"] * 4 + ["Toys"]),
        "amount_minor": chance.choice([*AMOUNTS, *chance.choices(range(1, 10**9), k=20)]),
        "country": chance.choice(["DE", "FR"] * 10 + ["de"]),
    }
    names = list(document)
    if chance.random() < 0.2:
        chance.shuffle(names)
    separators = chance.choice([(",", ":"), (",", ":"), (",", ":"), (", ", ": "), (",", " :")])
    return json.dumps({name: document[name] for name in names}, separators=separators).encode()


def damaged(chance: random.Random, value: bytes) -> bytes:
    result = bytearray(value)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        place = chance.randint(0, len(result))
        result[place : place + chance.choice([0, 0, 1, 1, 2, 8])] = chance.choice([b"", *PIECES])
    return bytes(result)


@pytest.mark.parametrize("seed", range(6))
def test_drawn_and_damaged_messages(seed: int) -> None:
    """Ten thousand for each seed: as they were written, and with a few bytes of them replaced."""
    chance = random.Random(seed)
    values: list[bytes | None] = [written(chance) for _ in range(5_000)]
    values += [
        damaged(chance, chance.choice([written(chance), CANONICAL, *GOLDEN[:20]])) for _ in range(5_000)
    ]
    chance.shuffle(values)
    assert 2_000 < agree(values) < 9_000


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=300), st.text(max_size=100).map(str.encode)), max_size=8)
)
def test_no_bytes_make_it_raise(values: list[bytes | None]) -> None:
    assert agree(values) == 0
