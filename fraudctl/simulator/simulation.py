"""Simulations of a preset: one batch of transactions for every day, genuine and fraud, in order of time."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from fraudctl.config.model import EventsSettings, ProducerSettings
from fraudctl.simulator.batch import DAY_MS, Batch, Names, joined, with_ids
from fraudctl.simulator.draws import Draws
from fraudctl.simulator.habits import genuine_day
from fraudctl.simulator.handbook import handbook
from fraudctl.simulator.people import People, draw_people
from fraudctl.simulator.preset import HabitsPreset, HandbookPreset, Preset
from fraudctl.simulator.scenarios import SCENARIOS, Scenario, Scene


class Simulation:
    """A simulation that gives the same transactions for one preset, seed and settings, at any time."""

    def __init__(self, preset: Preset, producer: ProducerSettings, events: EventsSettings, seed: int) -> None:
        """Draw the population of the preset; the handbook's data set is made here as a whole."""
        self.preset = preset
        self._seed = seed
        self._source: _Habits | _Handbook
        if isinstance(preset, HandbookPreset):
            self._source = _Handbook(*handbook(preset, producer, events, seed), preset)
        else:
            self._source = _Habits(preset, producer, events, seed)

    @property
    def names(self) -> Names:
        """Return the names that the numbers in the batches stand for."""
        return self._source.names

    def days(self) -> Iterator[Batch]:
        """Return an iterator over one batch a day; every call gives the same ones."""
        return self._source.days()


class _Handbook:
    def __init__(self, names: Names, everything: Batch, preset: HandbookPreset) -> None:
        self.names = names
        self._everything = everything
        self._preset = preset

    def days(self) -> Iterator[Batch]:
        midnights = self._preset.start_ms + np.arange(self._preset.days + 1) * DAY_MS
        bounds = np.searchsorted(self._everything.time_ms, midnights)
        for begin, end in pairwise(bounds.tolist()):
            yield self._everything.take(slice(begin, end))


class _Habits:
    def __init__(
        self, preset: HabitsPreset, producer: ProducerSettings, events: EventsSettings, seed: int
    ) -> None:
        self._preset = preset
        self._seed = seed
        self._people: People = draw_people(
            preset, producer, events, seed, ("genuine", *(scenario.name for scenario in SCENARIOS))
        )
        self.names = self._people.names

    def days(self) -> Iterator[Batch]:
        preset = self._preset
        fraud = _Fraud(self._people, preset, self._seed)
        for day in range(preset.days):
            genuine = genuine_day(self._people, preset.start_ms, day, self._seed)
            yield joined([genuine, *fraud.of_day(day, genuine)]).in_order(preset.start_ms)


class _Fraud:
    """The fraud of a simulation, in campaigns by fraud rate and mix; keeps what happens on later days.

    Each scenario has a balance in transactions: every day adds its share, and every campaign subtracts its
    own.
    """

    def __init__(self, people: People, preset: HabitsPreset, seed: int) -> None:
        self._people = people
        self._preset = preset
        self._seed = seed
        total = sum(preset.mix.values())
        self._shares = [
            preset.mix.get(scenario.name, 0.0) / total if total else 0.0 for scenario in SCENARIOS
        ]
        self._due = [0.0] * len(SCENARIOS)
        self._later: Batch | None = None

    def of_day(self, day: int, genuine: Batch) -> list[Batch]:
        """Return the fraud of this day, in at most one batch."""
        preset = self._preset
        wanted = len(genuine) * preset.fraud_rate / (1.0 - preset.fraud_rate)
        batches = [] if self._later is None else [self._later]
        for place, scenario in enumerate(SCENARIOS):
            self._due[place] += wanted * self._shares[place]
            campaigns = int(self._due[place] / scenario.size(preset.difficulty))
            if campaigns > 0:
                batches.append(self._begun(place, scenario, campaigns, day, genuine))
                self._due[place] -= len(batches[-1])
        if not batches:
            return []
        known = joined(batches)
        today = known.time_ms < preset.start_ms + (day + 1) * DAY_MS
        self._later = known.take(~today)
        return [known.take(today)]

    def _begun(self, place: int, scenario: Scenario, campaigns: int, day: int, genuine: Batch) -> Batch:
        preset, people = self._preset, self._people
        draws = Draws(self._seed, f"fraud-{scenario.name}", day)
        scene = Scene(people, preset.start_ms, day, genuine, preset.difficulty, preset.days - day, draws)
        deeds = scenario.deeds(scene, campaigns)
        batch = with_ids(
            draws,
            time_ms=deeds.time_ms,
            card=deeds.card,
            merchant=deeds.merchant,
            category=people.shop_category[deeds.merchant],
            country=people.shop_country[deeds.merchant],
            channel=deeds.channel,
            amount_minor=deeds.amount_minor,
            scenario=place + 1,
        )
        # Transactions after the last day are left out, so the balance does not count them either.
        return batch.take(batch.time_ms < preset.start_ms + preset.days * DAY_MS)
