"""Settings that are strict about numbers, whatever they are nested in."""

import pytest
from pydantic import Field, ValidationError

from fraudctl.config.closed import Closed


class Inner(Closed):
    number: int = 1
    switch: bool = True


class Outer(Closed):
    inner: Inner = Inner()
    perhaps: Inner | None = None
    shares: dict[str, float] = Field(default_factory=dict)


def test_a_nested_model_may_hold_true() -> None:
    outer = Outer(perhaps=Inner(switch=False))
    assert Outer.model_validate_json(outer.model_dump_json()) == outer


@pytest.mark.parametrize(
    "document",
    [
        {"inner": {"number": True}},
        {"perhaps": {"number": False}},
        {"shares": {"a": True}},
        {"shares": {"a": 1e999}},
    ],
)
def test_true_and_infinity_are_no_numbers(document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Outer.model_validate(document)
