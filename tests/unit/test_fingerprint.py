"""What decides a number is told apart by name: a refusal can say which setting has changed."""

import pytest

from fraudctl.config.job import changed, fingerprint
from fraudctl.config.load import load


def mark(flags: dict[str, object] | None = None) -> str:
    settings = load(flags=flags or {}).settings
    return fingerprint(
        topic=settings.kafka.topic,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
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
