"""What decides a number is told apart by name: a refusal can say which setting has changed."""

import pytest

from fraudctl.config.job import changed, fingerprint, horizon_of
from fraudctl.config.load import load


def mark(flags: dict[str, object] | None = None, card_horizon_seconds: int = 0) -> str:
    settings = load(flags=flags or {}).settings
    return fingerprint(
        topic=settings.kafka.topic,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        card_horizon_seconds=card_horizon_seconds,
    )


def test_the_same_settings_have_the_same_fingerprint() -> None:
    assert mark() == mark()
    assert changed(mark(), mark()) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kafka.topic", "other"),
        ("windows.length_minutes", 5),
        ("lateness.late_seconds", 100),
        ("events.currency", "CHF"),
    ],
)
def test_a_changed_setting_is_named(name: str, value: object) -> None:
    assert changed(mark(), mark({name: value})) == (name,)


def test_what_is_no_fingerprint_differs_in_everything() -> None:
    assert "windows.length_minutes" in changed("0123abcd", mark())


def test_the_horizon_of_card_rules_is_part_of_it_and_can_be_read() -> None:
    """One of 0 leaves the mark as it was before there were such rules."""
    assert "card" not in mark()
    assert [horizon_of(mark(card_horizon_seconds=seconds)) for seconds in (0, 60, 86_400)] == [0, 60, 86_400]
    for other in (mark(), mark(card_horizon_seconds=120)):
        assert changed(mark(card_horizon_seconds=60), other) == ("rules.card_horizon_seconds",)


@pytest.mark.parametrize("said", ["", "x", "-5", "6.5", "²", "9" * 5000])
def test_a_horizon_that_is_no_number_is_none(said: str) -> None:
    """Compared with a mark of that horizon it then differs in it."""
    broken = f"{mark()} rules.card_horizon_seconds={said}"
    assert horizon_of(broken) == 0
    assert "rules.card_horizon_seconds" in changed(broken, mark())
