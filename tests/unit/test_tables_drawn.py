"""Random tables in random layouts with random defects: each row is taken, or left out for its reason."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.config.load import load
from fraudctl.errors import DataError
from fraudctl.operations.produce.table_rows import TableSource
from fraudctl.simulator.mapper import Mapper
from fraudctl.simulator.mapping import parse_mapping
from fraudctl.tables.layout import Layout
from fraudctl.tables.table import open_table
from tests.support.foreign_tables import HEADER, generic, rows, text_of

EVENTS = load(profile="local").settings.events
MAPPING = parse_mapping(generic({"column": "fraud", "fraud": ["1"], "genuine": ["0"]}))
# What a defect does to a row, and why such a row is left out.
DEFECTS: dict[str, tuple[dict[str, str], str]] = {
    "none": ({}, ""),
    "words": ({"amount": "ten"}, "amount_minor is not a number"),
    "refund": ({"amount": "-3"}, "amount_minor is negative"),
    "nothing": ({"amount": "0.00"}, "amount_minor is zero"),
    "nameless": ({"id": ""}, "transaction_id is empty"),
    "rounded": ({"card": "4.00E+15"}, "card_id is a number that was rounded"),
    "missing": ({"shop": "NULL"}, "merchant_id says that it has no value"),
    "timeless": ({"ts": ""}, "event_time is empty"),
    "short": ({}, "the row has another number of fields than the header"),
    "long": ({}, "the row has another number of fields than the header"),
}
LAYOUTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        "end": st.sampled_from(["\n", "\r\n", "\r"]),
    }
)
# The encoding, whether it must be told, and characters that it has.
ENCODINGS = st.sampled_from(
    [
        ("utf-8", False, "aé€漢🎉\u2028\x85"),
        ("utf-8-sig", False, "aé€漢🎉"),
        ("utf-16", False, "aé€漢🎉"),
        ("utf-32", False, "aé🎉"),
        ("latin-1", True, "aéÿ\xa0"),
        ("cp1252", True, "aé€"),
        ("shift_jis", True, "a漢字"),
        ("gb18030", True, "a漢€🎉"),
    ]
)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(sorted(DEFECTS)),
        st.lists(st.integers(0, 40), max_size=8),
        st.sampled_from(["0", "1", "?"]),
    ),
    min_size=1,
    max_size=30,
)


def shop_of(characters: str, draws: list[int]) -> str:
    """Return a name with characters that a table's layout gives a meaning to."""
    special = characters + ',;\t|" x'
    return "s" + "".join(special[draw % len(special)] for draw in draws)


def drawn_table(drawn: list[tuple[str, list[int], str]], characters: str) -> list[dict[str, Any]]:
    """Return rows with their defects."""
    table = rows(len(drawn))
    for row, (defect, draws, label) in zip(table, drawn, strict=True):
        row |= {"shop": shop_of(characters, draws), "fraud": label} | DEFECTS[defect][0]
        if defect == "short":
            del row["fraud"]
        if defect == "long":
            row["more"] = "x"
    return table


def source_of(file: Path, encoding: str | None) -> TableSource:
    table = open_table(file, Layout(encoding=encoding))
    return TableSource(table, MAPPING.needed, Mapper(MAPPING, EVENTS, "r", b"k" * 32), label_column="fraud")


@settings(max_examples=150, deadline=None)
@given(drawn=ROWS, layout=LAYOUTS, coded=ENCODINGS)
def test_every_row_is_taken_or_left_out_for_its_own_reason(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[str, list[int], str]],
    layout: dict[str, Any],
    coded: tuple[str, bool, str],
) -> None:
    encoding, told, characters = coded
    if layout["quoting"] != csv.QUOTE_MINIMAL:
        characters += "\n\r"  # a writer that quotes little leaves line ends of another kind unquoted
    header = dict.fromkeys(HEADER, "")
    text = text_of([header, *drawn_table(drawn, characters)], **layout)
    file = tmp_path_factory.mktemp("drawn") / "t.csv"
    # The row that only gave the header is taken out again.
    lines = text.split(layout["end"])
    file.write_bytes(layout["end"].join([lines[0], *lines[2:]]).encode(encoding))

    source = source_of(file, encoding if told else None)
    taken = []
    for row, mapped in source:
        taken.append((row.number, mapped.fraud))
        source.done(row, mapped)

    counts = source.counts
    fit = [number for number, (defect, _, _) in enumerate(drawn) if defect == "none"]
    assert [number for number, _ in taken] == fit
    assert counts.read == len(drawn) == counts.taken + counts.left_out
    assert {reason.reason: reason.count for reason in counts.reasons} == Counter(
        DEFECTS[defect][1] for defect, _, _ in drawn if defect != "none"
    )
    for reason in counts.reasons:
        assert all(DEFECTS[drawn[number - 1][0]][1] == reason.reason for number in reason.first_rows)
    means = {"1": True, "0": False, "?": None}
    assert [fraud for _, fraud in taken] == [means[drawn[number][2]] for number in fit]
    assert source.unclear_labels.left_out == sum(drawn[number][2] == "?" for number in fit)


@settings(max_examples=60, deadline=None)
@given(drawn=ROWS, layout=LAYOUTS, index=st.integers(0, 29), damage=st.sampled_from(["byte", "quote"]))
def test_damage_ends_the_table_behind_the_rows_before_it(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[str, list[int], str]],
    layout: dict[str, Any],
    index: int,
    damage: str,
) -> None:
    index %= len(drawn)
    sound = [("none", [], label) for _, _, label in drawn]
    lines = text_of(drawn_table(sound, "a"), **layout).encode().split(layout["end"].encode())
    lines[index + 1] = b"\xff" + lines[index + 1] if damage == "byte" else b'"x"y' + lines[index + 1]
    file = tmp_path_factory.mktemp("damaged") / "t.csv"
    file.write_bytes(layout["end"].encode().join(lines))

    source = source_of(file, None)
    with pytest.raises(DataError, match=rf"line {index + 2}\b"):
        for row, mapped in source:
            source.done(row, mapped)
    assert source.next_row == source.counts.taken == index
