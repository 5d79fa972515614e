"""One run of a preset: its rows, their records and labels, and the counts of what was sent."""

import hashlib
import heapq
from collections.abc import Iterator

import numpy as np

from fraudctl.broker.producer import RecordProducer
from fraudctl.config.model import Settings
from fraudctl.simulator.arrivals import FATES
from fraudctl.simulator.clocks import Rows, shifted
from fraudctl.simulator.disorder import Deliveries, Network, undisturbed
from fraudctl.simulator.labels import Label, Labels, encode_label
from fraudctl.simulator.preset import Preset
from fraudctl.simulator.simulation import Simulation
from fraudctl.simulator.wire import Wire


class PresetRun:
    """The rows of one run, which are turned into records, sent and counted."""

    def __init__(
        self, settings: Settings, preset: Preset, seed: int, *, faults: bool, live: bool, shift_days: int
    ) -> None:
        """Prepare the simulation.

        Args:
            settings: the settings for events, producer and lateness.
            preset: the preset to simulate.
            seed: the seed of the simulation, its faults and its labels.
            faults: whether the preset's faults are applied.
            live: leaves pauses and bursts out of the faults, because messages come at the requested rate.
            shift_days: by how many days all times are moved forward.
        """
        self._lateness = settings.lateness
        self._simulation = Simulation(preset, settings.producer, settings.events, seed)
        self._wire = Wire(self._simulation.names)
        self._keys = [card.encode() for card in self._simulation.names.cards]
        disorder = preset.faults
        if live:
            disorder = disorder.model_copy(update={"pauses_per_day": 0, "bursts_per_day": 0})
        self._network = Network(disorder, settings.lateness, preset.start_ms, seed) if faults else None
        self.rows = Rows(shifted(part, shift_days) for part in self._parts())
        self.labels = LabelQueue(Labels(self._simulation.names, preset.label_delay_hours, seed))
        self.transactions = 0
        self.anchor_ms = 0
        self._scenarios = np.zeros(len(self._simulation.names.scenarios), dtype=np.int64)
        self._fates = np.zeros(len(FATES), dtype=np.int64)
        self._digest = hashlib.sha256()

    def send(self, part: Deliveries, producer: RecordProducer, *, stamped: bool) -> None:
        """Pass these rows to the producer; with `stamped`, records get their arrival as timestamp."""
        self._count(part)
        keys = [self._keys[card] for card in part.batch.card.tolist()]
        arrivals = part.arrival_ms.tolist() if stamped else None
        producer.send_batch(keys, part.values(self._wire), arrivals)

    @property
    def digest(self) -> str:
        """Return the SHA-256 over the events without their times, malformed ones in their original form."""
        return self._digest.hexdigest()

    @property
    def by_scenario(self) -> dict[str, int]:
        """Return the number of transactions of each fraud scenario, without second copies."""
        counted = zip(self._simulation.names.scenarios, self._scenarios.tolist(), strict=True)
        return dict(list(counted)[1:])

    @property
    def faults(self) -> dict[str, int]:
        """Return the number of each fault so far, also in rows not sent yet; empty without faults."""
        return dict(self._network.faults) if self._network else {}

    @property
    def fates(self) -> dict[str, int]:
        """Return the number of sent messages by the outcome that they must have."""
        return dict(zip(FATES, self._fates.tolist(), strict=True))

    def _parts(self) -> Iterator[Deliveries]:
        days = self._simulation.days()
        return self._network.carry(days) if self._network else map(undisturbed, days)

    def _count(self, part: Deliveries) -> None:
        if not self.anchor_ms and len(part):
            self.anchor_ms = int(part.batch.time_ms[0])
        once = part.batch.take(~part.again)
        self.transactions += len(once)
        self._scenarios += np.bincount(once.scenario, minlength=len(self._scenarios))
        self._fates += np.bincount(part.fates(self._lateness), minlength=len(FATES))
        for piece in self._wire.lines(part.batch.at(np.zeros(len(part), dtype=np.int64))):
            self._digest.update(piece)
        self.labels.add(part)


class LabelQueue:
    """A queue of labels, ordered by the times at which they may become known."""

    def __init__(self, labels: Labels) -> None:
        """Start with an empty queue; `labels` generates the labels of added rows."""
        self._labels = labels
        # The number keeps labels of the same time in the order in which they were added.
        self._waiting: list[tuple[int, int, Label]] = []
        self._number = 0

    def add(self, part: Deliveries) -> None:
        """Add the labels of the fraud among these rows; a second copy has no label of its own."""
        for reported_ms, label in self._labels.of(part.batch.take(~part.again)):
            heapq.heappush(self._waiting, (reported_ms, self._number, label))
            self._number += 1

    def send(self, producer: RecordProducer, until_ms: int | None = None) -> int:
        """Send the labels known by `until_ms` (in ms since 1970; None: all), and return their number."""
        sent = 0
        while self._waiting and (until_ms is None or self._waiting[0][0] <= until_ms):
            label = heapq.heappop(self._waiting)[2]
            producer.send(label.card_id.encode(), encode_label(label))
            sent += 1
        return sent
