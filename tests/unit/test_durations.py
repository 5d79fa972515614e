"""Spans of time on the command line."""

import pytest
import typer

from fraudctl.cli.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60.0),
        ("60s", 60.0),
        ("1.5m", 90.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("250ms", 0.25),
        ("30d", 2_592_000.0),
        (" 2s ", 2.0),
    ],
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-5s", "5 s", "1w", "s", "1h30m", "1e3", "nan", "inf", "٣s", "5S"]
)
def test_no_spans(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="time span"):
        parse_duration(text)
