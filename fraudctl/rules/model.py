"""The model of rules: what a rule may ask of a transaction, and the consequences when it matches.

Two independent implementations evaluate the rules: the detector (detector/jvm/Rules.scala) and the recount
(plain Python). This module holds data only, and is the specification of both:

* A rule that is not `enabled` has no effect. A rule matches when all conditions of `when` hold.
* A transaction is flagged when at least one rule matches.
* Its score is the sum of the `weight` of the rules that match, and never more than 100.
* It raises an alert when a rule with `action: alert` matches, or when its score reaches `alert_score`.
* `when.model` holds when the score of its forest (fraudctl/rules/forest.py) is over `score_over` hundredths.

A rule with `when.card`, or with a forest that has features of a card's past, *looks back* at what the same
card did shortly before; below, either one is called a rule with `card`. The *past* of a transaction X are the
admitted transactions of the same partition and card whose (event_time, digest) is not after X's own and whose
event_time > X's - `within_minutes`. It includes X, and counts copies (equal digest, see
fraudctl/events/schema.py) as one. Other partitions do not matter, because producers key by card: so every
partition can be recounted by itself. All conditions are monotone: one more transaction in the past can make
them hold, but never end it. Forests that are not monotone are rejected.

The *look-back* H of a rule set is the greatest `within_minutes` of its enabled rules with `card`. Windows of
length 2H begin every H since 1970. A batch touches a window of a card and partition when it brings an
admitted record of them (copies included) with its event_time in the window. At the end of the batch every
transaction in the second half of a touched window is evaluated again, with all records read until then, by
the batch's rules:

* If at least one rule with `card` matches, the transaction's row of fraud_flags (partition, digest) is
  written or replaced, with the ids and the score of all rules that match. `alone` says that all of them are
  rules with `card`, so that fraud_metrics does not count the transaction as flagged. `arrival` is the
  earliest of its copies in the partition so far. A later batch never removes a row.
* If in addition all matching rules together raise an alert, so does the transaction, unless it raised one
  before or raises one in the same batch by rules without `card` alone. Of copies in several partitions the
  one with the earliest arrival counts, then the lowest partition.
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

# Every rule is evaluated for every transaction, and nobody can keep track of more rules than this.
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
    """Conditions on the card's past (see above); all that are given must hold.

    `count_over`, `sum_over`, `countries_over` and `merchants_over` hold for more transactions, a greater sum
    of amounts (in minor units), more distinct countries and more distinct merchants, the transaction itself
    included. `since_previous_under_seconds` holds if the previous transaction of this past was less than this
    number of seconds ago.
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
        """Return the look-back in seconds."""
        return self.within_minutes * 60


class Scored(_Closed):
    """A condition that holds if a trained model's score, a probability, is over `score_over` hundredths.

    A rules file names the model's `file`; stored and compared rules contain the forest itself instead.
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
        """Return how far the conditions look back at the card, in seconds; 0 if they do not."""
        if self.card is not None:
            return self.card.within_seconds
        return self.model.forest.looks_back_seconds if self.model is not None else 0

    @property
    def named_categories(self) -> frozenset[str]:
        """Return every category that a condition names."""
        limits = (limit for limit in (self.amount_over, self.amount_under) if isinstance(limit, dict))
        asked = self.model.forest.features if self.model is not None else ()
        scored = (name.removeprefix(CATEGORY_IS) for name in asked if name.startswith(CATEGORY_IS))
        return frozenset().union(self.categories or (), self.not_categories or (), scored, *limits)


class Rule(_Closed):
    """One rule: its id, version and reason, what it asks, and its consequences."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    version: Annotated[Whole, Field(ge=1, le=_BIGINT_MAX)] = 1
    reason: Annotated[Text, Field(min_length=1, max_length=200)]
    weight: Points = DEFAULT_WEIGHT
    action: Literal["flag", "alert"] = "flag"
    enabled: Flag = True
    when: When


class RuleSet(_Closed):
    """All rules that evaluate a transaction together."""

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
        """Return the enabled rules in their order."""
        return tuple(rule for rule in self.rules if rule.enabled)

    @property
    def card_horizon_seconds(self) -> int:
        """Return the greatest look-back of the enabled rules, in seconds; 0 if none looks back."""
        return max((rule.when.looks_back_seconds for rule in self.enabled), default=0)

    @property
    def document(self) -> dict[str, Any]:
        """Return the rules as plain data with every default filled in; `parse_rules` reverses this."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """Return the digest that identifies this version of the rules."""
        return document_digest(self.document)


def document_digest(document: Mapping[str, object]) -> str:
    """Return the SHA-256, as hex, of a rules document.

    It covers the document as JSON with sorted keys and without blanks between its parts. Any change gives
    another digest, also a change of a reason's text.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_rules(document: Mapping[str, object]) -> RuleSet:
    """Return the rules that a document describes.

    Raises:
        ConfigError: a rule is not valid; the detail names each error, with file and line if the document was
            read from a file.
    """
    try:
        return RuleSet.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            "the rules are not valid",
            detail=problem_lines(error, RuleSet, document, renamed={"forest": "file"}),
            hint=f"compare them with {assets.configs() / 'rules.yaml'}",
        ) from error
