"""One run of a preset on its way to Kafka: its rows, their bytes, their labels, and the account of them."""

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
    """Gives rows, turns them into records, and counts what they were.

    Live, messages come at the rate asked, so the pauses and bursts of a preset's faults are left out.
    """

    def __init__(
        self, settings: Settings, preset: Preset, seed: int, *, faults: bool, live: bool, shift_days: int
    ) -> None:
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
        """Hand over these rows; `stamped` records carry their arrival, others get the broker's time."""
        self._count(part)
        keys = [self._keys[card] for card in part.batch.card.tolist()]
        arrivals = part.arrival_ms.tolist() if stamped else None
        producer.send_batch(keys, part.values(self._wire), arrivals)

    @property
    def digest(self) -> str:
        """SHA-256 over the events without their clock, spoiled ones as they were before."""
        return self._digest.hexdigest()

    @property
    def by_scenario(self) -> dict[str, int]:
        counted = zip(self._simulation.names.scenarios, self._scenarios.tolist(), strict=True)
        return dict(list(counted)[1:])

    @property
    def faults(self) -> dict[str, int]:
        """What the network has done so far, also to what has not been sent yet; empty without faults."""
        return dict(self._network.faults) if self._network else {}

    @property
    def fates(self) -> dict[str, int]:
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
    """Labels wait here until they may be known."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        # The number keeps labels of one moment apart, in the order in which they came.
        self._waiting: list[tuple[int, int, Label]] = []
        self._number = 0

    def add(self, part: Deliveries) -> None:
        """The labels of the fraud among these; a second copy has none of its own."""
        for reported_ms, label in self._labels.of(part.batch.take(~part.again)):
            heapq.heappush(self._waiting, (reported_ms, self._number, label))
            self._number += 1

    def send(self, producer: RecordProducer, until_ms: int | None = None) -> int:
        """Send what is known by then (all of them without a moment); how many that were."""
        sent = 0
        while self._waiting and (until_ms is None or self._waiting[0][0] <= until_ms):
            label = heapq.heappop(self._waiting)[2]
            producer.send(label.card_id.encode(), encode_label(label))
            sent += 1
        return sent
