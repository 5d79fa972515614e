"""Rules as data: what a rule may ask of a transaction, and what follows when it matches.

How a transaction is judged is decided twice, independently: by the detector (detector/jvm/Rules.scala)
and by the recount (plain Python). This module only says what a rule is, and is the specification of both:

* A rule that is not `enabled` is as if it were not there. A rule matches when all of `when` holds.
* A transaction is flagged when at least one rule matches.
* Its score is the sum of the `weight` of the rules that match, and never more than 100.
* It raises an alert when a rule with `action: alert` matches, or when its score reaches `alert_score`.
* `when.model` holds when the score of its forest (fraudctl/rules/forest.py) is over `score_over` hundredths.

A rule with `when.card`, or with a forest that asks for features of it, *looks back* at what the same card
did shortly before (below it is called a rule with `card` either way). Its *past* of a transaction X are
the admitted transactions (copies are one, see the digest in fraudctl/events/schema.py) of the same partition
and card whose (event_time, digest) is not after X's own and whose event_time > X's - `within_minutes`; X is
one of them. Of the same partition, because producers key by card: so every partition can be recounted by
itself. All conditions are monotone: one more transaction in the past can make them hold, and never end it.
Forests that are not are refused.

The *horizon* H of a rule set is the greatest `within_minutes` of its enabled rules with `card`. Windows of
length 2H begin every H since 1970. A batch touches a window of a card and partition when it brings an
admitted record of them, be it a copy, with its event_time in it. At the end of the batch every transaction in
the second half of a touched window is judged anew, with all records read until then, by the batch's rules:

* At least one rule with `card` matches: its row of fraud_flags (partition, digest) is written or replaced,
  with the ids and the score of all rules that match. `alone` says that all of them are rules with `card`, so
  that fraud_metrics does not count the transaction as flagged. `arrival` is the earliest of its copies in the
  partition so far. A later batch never removes a row.
* These rules together raise an alert: so does the transaction, unless it did before, or does in the same
  batch by rules without `card` alone. Of copies in several partitions the one with the earliest arrival
  counts, then the lowest partition.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fraudctl import assets
from fraudctl.config.closed import Flag, WayError, Whole
from fraudctl.config.wording import problem_lines
from fraudctl.errors import ConfigError
from fraudctl.rules.forest import CARD_MINUTES_MAX, CATEGORY_IS, Forest

SCORE_MAX = 100
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_WEIGHT = 50
_BIGINT_MAX = 2**63 - 1

# Every rule is asked of every transaction; more than these are no set that anyone could oversee.
RULES_MAX = 200

Hour = Annotated[Whole, Field(ge=0, le=24)]
Amount = Annotated[Whole, Field(ge=0, le=_BIGINT_MAX)]
# No control characters: a table cannot hold NUL, and a line of text no line break.
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]
Amounts = Amount | Annotated[dict[Text, Amount], Field(min_length=1)]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]
AtLeastOne = Annotated[Whole, Field(ge=1, le=_BIGINT_MAX)]
Points = Annotated[Whole, Field(ge=0, le=SCORE_MAX)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Card(_Closed):
    """Conditions on a transaction's past with its card, see above; all that are given must hold.

    `count_over`, `sum_over`, `countries_over`, `merchants_over`: more transactions, more money together (in
    minor units), more distinct countries, more distinct merchants, the transaction itself included.
    `since_previous_under_seconds`: the last one before it in this past was less than so long ago.
    """

    within_minutes: Annotated[Whole, Field(ge=1, le=CARD_MINUTES_MAX)]
    count_over: AtLeastOne | None = None
    sum_over: AtLeastOne | None = None
    countries_over: AtLeastOne | None = None
    merchants_over: AtLeastOne | None = None
    since_previous_under_seconds: AtLeastOne | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "Card":
        if all(value is None for name, value in self.__dict__.items() if name != "within_minutes"):
            raise ValueError("card needs at least one condition besides within_minutes")
        if (self.since_previous_under_seconds or 0) > self.within_seconds:
            raise WayError(
                "since_previous_under_seconds reaches further back than within_minutes",
                ("since_previous_under_seconds",),
            )
        return self

    @property
    def within_seconds(self) -> int:
        return self.within_minutes * 60


class Scored(_Closed):
    """A trained model's score of the transaction, a probability, is more than `score_over` hundredths.

    A rules file names the model's `file`; what is stored and compared has the forest itself in its place.
    """

    forest: Forest
    score_over: Annotated[Whole, Field(ge=0, lt=100)]


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
    card: Card | None = None
    model: Scored | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "When":
        if all(value is None for value in self.__dict__.values()):
            raise ValueError("a rule needs at least one condition")
        if self.card is not None and self.model is not None and self.model.forest.within_minutes:
            raise WayError(
                "a rule asks of the card's past either by `card` or by its model, not by both", ("model",)
            )
        over, under = self.amount_over, self.amount_under
        if isinstance(over, int) and isinstance(under, int) and under <= over + 1:
            raise WayError(f"no amount is over {over} and under {under}", ("amount_under",))
        return self

    @field_validator("hours_utc")
    @classmethod
    def _spans(cls, hours: tuple[int, int] | None) -> tuple[int, int] | None:
        if hours and hours[0] == hours[1]:
            raise ValueError("hours_utc must span at least one hour")
        return hours

    @property
    def looks_back_seconds(self) -> int:
        """How far the conditions look back at the card; 0 where they ask of the transaction alone."""
        if self.card is not None:
            return self.card.within_seconds
        return self.model.forest.looks_back_seconds if self.model is not None else 0

    @property
    def named_categories(self) -> frozenset[str]:
        """Every category that a condition speaks of."""
        limits = (limit for limit in (self.amount_over, self.amount_under) if isinstance(limit, dict))
        asked = self.model.forest.features if self.model is not None else ()
        scored = (name.removeprefix(CATEGORY_IS) for name in asked if name.startswith(CATEGORY_IS))
        return frozenset().union(self.categories or (), self.not_categories or (), scored, *limits)


class Rule(_Closed):
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    version: Annotated[Whole, Field(ge=1, le=_BIGINT_MAX)] = 1
    reason: Annotated[Text, Field(min_length=1, max_length=200)]
    weight: Points = DEFAULT_WEIGHT
    action: Literal["flag", "alert"] = "flag"
    enabled: Flag = True
    when: When


class RuleSet(_Closed):
    """All rules that judge a transaction together."""

    rules: Annotated[tuple[Rule, ...], Field(max_length=RULES_MAX)]
    alert_score: Annotated[Whole, Field(ge=1, le=SCORE_MAX)] | None = None

    @field_validator("rules")
    @classmethod
    def _distinct(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        first: dict[str, int] = {}
        for number, rule in enumerate(rules):
            if rule.id in first:
                raise WayError(f"rule #{first[rule.id] + 1} has the same id, {rule.id}", (number, "id"))
            first[rule.id] = number
        return rules

    @property
    def enabled(self) -> tuple[Rule, ...]:
        """The rules that count, in their order."""
        return tuple(rule for rule in self.rules if rule.enabled)

    @property
    def card_horizon_seconds(self) -> int:
        """How far back the rules that count look at a card; 0 where none does."""
        return max((rule.when.looks_back_seconds for rule in self.enabled), default=0)

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
        raise ConfigError(
            "the rules are not valid",
            detail=problem_lines(error, RuleSet, document, renamed={"forest": "file"}),
            hint=f"compare them with {assets.configs() / 'rules.yaml'}",
        ) from error
