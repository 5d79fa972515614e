"""Rules as data: what a rule may ask of a transaction.

Whether a transaction is flagged is decided twice, independently: by the detector (compiled to Spark) and
by the recount (plain Python). This module only says what a rule is.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fraudctl.errors import ConfigError

Hour = Annotated[int, Field(ge=0, le=24)]
Amount = Annotated[int, Field(ge=0)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class When(_Closed):
    """The conditions of one rule; all that are given must hold."""

    amount_over: Amount | dict[str, Amount] | None = None
    hours_utc: tuple[Hour, Hour] | None = None
    categories: tuple[str, ...] | None = None
    countries: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "When":
        if all(value is None for value in self.__dict__.values()):
            raise ValueError("a rule needs at least one condition")
        if self.hours_utc and self.hours_utc[0] == self.hours_utc[1]:
            raise ValueError("hours_utc must span at least one hour")
        return self


class Rule(_Closed):
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    when: When


class RuleSet(_Closed):
    """A transaction is flagged when at least one of `rules` matches."""

    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _distinct(self) -> "RuleSet":
        ids = [rule.id for rule in self.rules]
        if len(set(ids)) != len(ids):
            raise ValueError("two rules have the same id")
        return self


def parse_rules(document: Mapping[str, object]) -> RuleSet:
    """Give a rules document its meaning.

    Raises:
        ConfigError: a rule is not as it must be; the detail names each place.
    """
    try:
        return RuleSet.model_validate(document)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False):
            place = ".".join(str(part) for part in problem["loc"])
            lines.append(f"{place}: {problem['msg'].removeprefix('Value error, ')}")
        raise ConfigError(
            "the rules are not valid", detail="\n".join(lines), hint="compare them with configs/rules.yaml"
        ) from error
