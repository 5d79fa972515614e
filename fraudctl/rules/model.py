"""Rules as data: what a rule may ask of a transaction, and what follows when it matches.

How a transaction is judged is decided twice, independently: by the detector (compiled to Spark) and by the
recount (plain Python). This module only says what a rule is, and is the specification of both:

* A rule that is not `enabled` is as if it were not there. A rule matches when all of `when` holds.
* A transaction is flagged when at least one rule matches.
* Its score is the sum of the `weight` of the rules that match, and never more than 100.
* It raises an alert when a rule with `action: alert` matches, or when its score reaches `alert_score`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fraudctl.config.rules_file import RulesDocument
from fraudctl.errors import ConfigError

SCORE_MAX = 100
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_WEIGHT = 50

Hour = Annotated[int, Field(ge=0, le=24)]
Amount = Annotated[int, Field(ge=0)]
Amounts = Amount | Annotated[dict[str, Amount], Field(min_length=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Points = Annotated[int, Field(ge=0, le=SCORE_MAX)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class When(_Closed):
    """The conditions of one rule; all that are given must hold. Amounts are in minor units.

    A limit by category never holds for a category that it does not name.
    """

    amount_over: Amounts | None = None
    amount_under: Amounts | None = None
    hours_utc: tuple[Hour, Hour] | None = None
    weekdays: (
        Annotated[tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], Field(min_length=1)]
        | None
    ) = None
    categories: Names | None = None
    countries: Names | None = None
    channels: Names | None = None
    not_categories: Names | None = None
    not_countries: Names | None = None
    not_channels: Names | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "When":
        if all(value is None for value in self.__dict__.values()):
            raise ValueError("a rule needs at least one condition")
        return self

    @field_validator("hours_utc")
    @classmethod
    def _spans(cls, hours: tuple[int, int] | None) -> tuple[int, int] | None:
        if hours and hours[0] == hours[1]:
            raise ValueError("hours_utc must span at least one hour")
        return hours

    @property
    def named_categories(self) -> frozenset[str]:
        """Every category that a condition speaks of."""
        limits = (limit for limit in (self.amount_over, self.amount_under) if isinstance(limit, dict))
        return frozenset().union(self.categories or (), self.not_categories or (), *limits)


class Rule(_Closed):
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    version: Annotated[int, Field(ge=1)] = 1
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    weight: Points = DEFAULT_WEIGHT
    action: Literal["flag", "alert"] = "flag"
    enabled: bool = True
    when: When


class RuleSet(_Closed):
    """All rules that judge a transaction together."""

    rules: tuple[Rule, ...]
    alert_score: Annotated[int, Field(ge=1, le=SCORE_MAX)] | None = None

    @field_validator("rules")
    @classmethod
    def _distinct(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        first: dict[str, int] = {}
        for number, rule in enumerate(rules, start=1):
            if rule.id in first:
                raise ValueError(f"rules {first[rule.id]} and {number} have the same id, {rule.id}")
            first[rule.id] = number
        return rules

    @property
    def enabled(self) -> tuple[Rule, ...]:
        """The rules that count, in their order."""
        return tuple(rule for rule in self.rules if rule.enabled)

    @property
    def document(self) -> dict[str, Any]:
        """The rules as plain data with every default filled in; `parse_rules` gives the same set again."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """What names this version of the rules wherever one is stored."""
        return document_digest(self.document)


def document_digest(document: Mapping[str, object]) -> str:
    """SHA-256, as hex, over a rules document as JSON with sorted keys and nothing between its parts.

    Any change gives another digest, that of a reason's text as well.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_rules(document: Mapping[str, object]) -> RuleSet:
    """Give a rules document its meaning.

    Raises:
        ConfigError: a rule is not as it must be; the detail names each place, with file and line where the
            document was read from a file.
    """
    try:
        return RuleSet.model_validate(document)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False):
            place = ".".join(str(part) for part in problem["loc"])
            where = f"{document.place(problem['loc'])}: " if isinstance(document, RulesDocument) else ""
            lines.append(f"{where}{place}: {problem['msg'].removeprefix('Value error, ')}")
        raise ConfigError(
            "the rules are not valid", detail="\n".join(lines), hint="compare them with configs/rules.yaml"
        ) from error
