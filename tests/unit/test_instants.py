"""Instants on the command line say their zone."""

from datetime import UTC, datetime

import pytest
import typer

from fraudctl.cli.instants import parse_instant


@pytest.mark.parametrize(
    "text",
    ["2026-03-10T12:00:00Z", "2026-03-10T14:00:00+02:00", " 2026-03-10T12:00Z ", "2026-03-10t12:00:00z"],
)
def test_one_instant_in_many_zones(text: str) -> None:
    assert parse_instant(text) == datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-03-10T12:00:00", "does not say its zone"),
        ("2026-03-10", "not a date and time"),
        ("12:00Z", "not a date and time"),
        ("2026-02-30T12:00:00Z", "not a date and time"),
        ("yesterday", "not a date and time"),
    ],
)
def test_anything_else_is_refused(text: str, says: str) -> None:
    with pytest.raises(typer.BadParameter, match=says):
        parse_instant(text)
