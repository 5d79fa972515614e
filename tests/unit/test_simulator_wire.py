"""Lines made column by column are the bytes that the codec writes one by one."""

from dataclasses import replace

import numpy as np
import pytest

from fraudctl.events.codec import encode, rfc3339
from fraudctl.events.schema import AMOUNT_MINOR_MAX
from fraudctl.recount.parse import Transaction, parser
from fraudctl.simulator.batch import Batch, Names
from fraudctl.simulator.wire import ROWS, Wire, transaction_ids
from tests.support.simulations import SETTINGS, drawn, simulation


def batch_of(rows: int, names: Names, *, amounts: list[int]) -> Batch:
    """Rows that go through every name, and through these amounts."""
    place = np.arange(rows)
    return Batch(
        time_ms=1_772_409_600_000 + place * 86_399_999,
        card=place % len(names.cards),
        merchant=place % len(names.merchants),
        category=place % len(names.categories),
        country=place % len(names.countries),
        channel=place % len(names.channels),
        amount_minor=np.array(amounts)[place % len(amounts)],
        id_high=place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15),
        id_low=place.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03),
        scenario=place % 2,
    )


NAMES = Names(
    cards=("card-1", "card-000022", "c"),
    merchants=("m-1", "merchant-00022"),
    categories=("Food", 'with "quotes"', "back\\slash", "Café ☕", "x" * 64),
    countries=("DE", "FR"),
    channels=("chip", "contactless"),
    currency="EUR",
    scenarios=("genuine", "theft"),
)
AMOUNTS = [1, 9, 10, 999, 9_999, 10_000, 10_001, 99_999_999, 100_000_000, 120_000_034, AMOUNT_MINOR_MAX]


def test_every_line_is_what_the_codec_writes() -> None:
    batch = batch_of(400, NAMES, amounts=AMOUNTS)
    wire = Wire(NAMES)
    assert wire.values(batch) == [encode(wire.transaction(batch, place)) for place in range(len(batch))]


def test_rows_are_read_field_by_field() -> None:
    batch = batch_of(3, NAMES, amounts=AMOUNTS)
    event = Wire(NAMES).transaction(batch, 2)
    assert (event.card_id, event.merchant_id, event.category) == ("c", "m-1", "back\\slash")
    assert (event.amount_minor, event.channel) == (10, "chip")
    assert event.event_time == rfc3339(int(batch.time_ms[2]))
    assert event.transaction_id[:13].replace("-", "") == f"{int(batch.time_ms[2]):012x}"


@pytest.mark.parametrize("rows", [0, 1, ROWS, ROWS + 1])
def test_pieces_hold_whole_lines(rows: int) -> None:
    batch = batch_of(rows, NAMES, amounts=AMOUNTS)
    pieces = list(Wire(NAMES).lines(batch))
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces).count(b"\n") == rows
    assert [line.decode()[38:74] for line in b"".join(pieces).splitlines()] == transaction_ids(batch)


@pytest.mark.parametrize("preset", ["everyday", "handbook"])
def test_the_independent_parser_takes_every_event_and_finds_the_same_in_it(preset: str) -> None:
    made = simulation(preset, days=2, **({"customers": 500} if preset == "handbook" else {}))
    parse = parser(SETTINGS.events)
    for batch in made.days():
        for place, value in enumerate(Wire(made.names).values(batch)):
            event = parse(value)
            assert isinstance(event, Transaction)
            assert event.event_us == batch.time_ms[place] * 1000
            assert event.amount_minor == batch.amount_minor[place]


def test_no_label_rides_on_the_event() -> None:
    made, everything = drawn(0.5)
    relabelled = replace(everything, scenario=np.zeros(len(everything), dtype=np.int64))
    wire = Wire(made.names)
    assert b"".join(wire.lines(relabelled)) == b"".join(wire.lines(everything))
    assert not any(name.encode() in line for line in wire.lines(everything) for name in made.names.scenarios)
