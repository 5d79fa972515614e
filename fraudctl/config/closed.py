"""The base class of settings and presets: frozen, closed, and strict about numbers."""

import math
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

# Strict: what stands in quotation marks is a text, and neither a number nor a flag.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class WayError(ValueError):
    """An error in one of several values that belong together."""

    def __init__(self, text: str, *ways: tuple[str | int, ...]) -> None:
        """Describe the error.

        Args:
            text: what is wrong.
            *ways: keys and indexes that lead to the value at fault, from the model that is checked, and to
                others that could be changed instead.
        """
        super().__init__(text)
        self.ways = ways


class Closed(BaseModel):
    """A frozen model that rejects unknown keys, infinite numbers, and true or false as a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _check_numbers(cls, value: object, info: ValidationInfo) -> object:
        # Python and pydantic accept True as 1; in a file it is a mistake.
        annotation = cls.model_fields[info.field_name or ""].annotation
        if _holds_model(annotation):  # it checks its own values
            return value
        for one in _values(value):
            if isinstance(one, bool) and not _may_be_bool(annotation):
                raise PydanticCustomError("number_from_bool", "true or false is no number")
            if isinstance(one, float) and not math.isfinite(one):
                raise PydanticCustomError("finite_number", "it is not finite")
        return value


def _values(value: object) -> list[object]:
    if isinstance(value, (list, tuple)):
        return list(value)
    return list(value.values()) if isinstance(value, dict) else [value]


def _holds_model(annotation: Any) -> bool:
    own = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return own or any(map(_holds_model, get_args(annotation)))


def _may_be_bool(annotation: Any) -> bool:
    return annotation in (bool, object, Any) or any(map(_may_be_bool, get_args(annotation)))
