"""Presets: the parameters of a simulation as data, held in configs/scenarios/*.yaml."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from fraudctl import assets
from fraudctl.config.closed import Closed, Number, WayError, Whole
from fraudctl.config.wording import not_among, problem_lines
from fraudctl.config.yaml_file import YamlDocument
from fraudctl.errors import ConfigError, UsageError
from fraudctl.simulator.disorder import Disorder

Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Whole, Field(ge=1)]
ScenarioName = Literal[
    "amount_outlier",
    "card_testing",
    "velocity_burst",
    "account_takeover",
    "impossible_travel",
    "compromised_merchant",
    "bust_out",
]


class _Preset(Closed):
    """The parameters that every preset has."""

    description: Annotated[str, Field(min_length=1, max_length=300)]
    # The first day, in UTC; its weekday decides which days are weekends.
    start: Annotated[date, Field(ge=date(2000, 1, 1), le=date(2090, 1, 1))]
    days: Annotated[Whole, Field(ge=1, le=3660)]
    # Shortest and longest time from the transaction until the cardholder's complaint is known.
    label_delay_hours: tuple[Annotated[Number, Field(ge=0)], Annotated[Number, Field(le=8760)]]
    faults: Disorder = Disorder()

    @model_validator(mode="after")
    def _from_to(self) -> "_Preset":
        if self.label_delay_hours[0] > self.label_delay_hours[1]:
            raise WayError("must go from the shorter to the longer", ("label_delay_hours",))
        return self

    @property
    def start_ms(self) -> int:
        """Return midnight of the first day, in ms since 1970."""
        return int(datetime.combine(self.start, time(), UTC).timestamp()) * 1000

    @property
    def has_faults(self) -> bool:
        """Tell whether the preset has any faults."""
        return self.faults != Disorder()


class HabitsPreset(_Preset):
    """A preset of cards with habits, and of seven kinds of fraud that depart from them."""

    model: Literal["habits"]
    cards: Annotated[Whole, Field(ge=1, le=10_000_000)]
    merchants: Annotated[Whole, Field(ge=1, le=1_000_000)]
    transactions_per_card_day: Annotated[Number, Field(gt=0, le=100)]
    # The share of transactions that are fraud.
    fraud_rate: Annotated[Number, Field(ge=0, le=0.5)]
    # 0: any threshold on the amount finds the fraud; 1: its amounts look like the card's own.
    difficulty: Share
    # Weight of each scenario among the fraudulent transactions.
    mix: dict[ScenarioName, Annotated[Number, Field(ge=0)]]

    @model_validator(mode="after")
    def _some_scenario(self) -> "HabitsPreset":
        if self.fraud_rate > 0 and sum(self.mix.values()) <= 0:
            raise WayError("at least one scenario must have a weight above zero", ("mix",))
        return self


class HandbookPreset(_Preset):
    """A preset of the simulator published with the Fraud Detection Handbook."""

    model: Literal["handbook"]
    customers: Annotated[Whole, Field(ge=1, le=1_000_000)]
    terminals: Annotated[Whole, Field(ge=1, le=1_000_000)]
    # A customer uses the terminals nearer than this, on a map of 100 by 100.
    radius: Annotated[Number, Field(gt=0, le=150)]


Preset = HabitsPreset | HandbookPreset
_MODELS: dict[str, type[HabitsPreset] | type[HandbookPreset]] = {
    "habits": HabitsPreset,
    "handbook": HandbookPreset,
}


def parse_preset(document: Mapping[str, object], changes: Mapping[str, object]) -> Preset:
    """Parse the document of a preset; `changes` that are not None replace what it says.

    Raises:
        ConfigError: something is not as it must be; the detail names each location.
        UsageError: the document is valid, but the changes do not fit.
    """
    preset = _parsed(document)
    wanted = {key: value for key, value in changes.items() if value is not None}
    if not wanted:
        return preset
    try:
        return _parsed({**document, **wanted})
    except ConfigError as error:
        raise UsageError(
            f"the preset cannot be changed to {', '.join(f'{key} = {wanted[key]}' for key in wanted)}",
            detail=error.detail,
            hint="correct the option of that name",
        ) from error


def _parsed(given: Mapping[str, object]) -> Preset:
    named = given.get("model")
    model = _MODELS.get(named) if isinstance(named, str) else None
    if model is None:
        said = not_among(named, list(_MODELS)) if "model" in given else "is missing"
        place = f"{given.place(('model',))}: " if isinstance(given, YamlDocument) else ""
        raise ConfigError(
            "the preset is not valid",
            detail=f"{place}model: {said}",
            hint=f"compare it with those in {assets.configs() / 'scenarios'}",
        )
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigError(
            "the preset is not valid",
            detail=problem_lines(error, model, given),
            hint=f"compare it with those in {assets.configs() / 'scenarios'}",
        ) from error
