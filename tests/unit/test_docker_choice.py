"""The profile `auto`: Docker where it would work, and the reason in one line either way."""

from typing import Any

import pytest

from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.errors import RefusedError, UnreachableError
from fraudctl.runtime.docker import choice
from fraudctl.runtime.docker.address import EngineAddress


class FakeEngine:
    """Has some images, and can fetch some others."""

    version = "99.1"
    images: frozenset[str] = frozenset()
    fetchable: frozenset[str] = frozenset()

    def __init__(self, address: EngineAddress) -> None:
        self.address = address

    def image_id(self, image: str) -> str | None:
        return "id" if image in self.images else None

    def can_fetch(self, image: str) -> str:
        return "" if image in self.fetchable else "no such host"

    def close(self) -> None:
        pass


KAFKA, POSTGRES = "apache/kafka:4.1.1", "postgres:17"


@pytest.fixture
def settings() -> Settings:
    return load(profile="auto").settings


def ask(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, images: set[str], fetchable: set[str]
) -> tuple[bool, str]:
    engine: Any = type("Engine", (FakeEngine,), {"images": images, "fetchable": fetchable})
    monkeypatch.setattr(choice, "Engine", engine)
    return choice.docker_suits(settings, {"DOCKER_HOST": "unix:///some.sock"})


@pytest.mark.parametrize(
    ("images", "fetchable"),
    [({KAFKA, POSTGRES}, set()), ({KAFKA}, {POSTGRES}), (set(), {KAFKA, POSTGRES})],
)
def test_an_engine_with_images_or_a_registry_is_taken(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, images: set[str], fetchable: set[str]
) -> None:
    assert ask(settings, monkeypatch, images, fetchable) == (
        True,
        "auto: Docker 99.1 answers at unix:///some.sock",
    )


@pytest.mark.parametrize(
    ("images", "missing"), [({KAFKA}, POSTGRES), ({POSTGRES}, KAFKA), (set[str](), KAFKA)]
)
def test_an_engine_that_cannot_have_the_images_is_left_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, images: set[str], missing: str
) -> None:
    suits, reason = ask(settings, monkeypatch, images, set())
    assert not suits
    assert reason == f"auto: Docker answers, but has no {missing} and cannot fetch it (no such host)"
    assert "\n" not in reason


@pytest.mark.parametrize("error", [UnreachableError("nobody answers"), RefusedError("it is elsewhere")])
def test_no_engine_is_no_failure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(_environ: object) -> EngineAddress:
        raise error

    monkeypatch.setattr(choice, "find_engine", refuse)
    assert choice.docker_suits(settings, {}) == (False, f"auto: {error}")
