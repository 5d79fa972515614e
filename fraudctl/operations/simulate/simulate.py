"""`fraudctl simulate`: write a simulation's events and labels to files, or only count and digest them.

It needs no service.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from fraudctl.config.model import Settings
from fraudctl.config.paths import follow_links
from fraudctl.errors import UsageError
from fraudctl.events.codec import rfc3339
from fraudctl.runtime.files import naming, open_special
from fraudctl.simulator.arrivals import FATES
from fraudctl.simulator.batch import GENUINE, Batch
from fraudctl.simulator.disorder import Network
from fraudctl.simulator.draws import Ints
from fraudctl.simulator.labels import Labels, encode_label
from fraudctl.simulator.preset import HabitsPreset, Preset, parse_preset
from fraudctl.simulator.simulation import Simulation
from fraudctl.simulator.wire import Wire
from fraudctl.simulator.yardstick import Yardstick, yardstick

HIGHEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class SimulateRequest:
    """A request for a simulation.

    `preset` is the preset's name, `document` its content, and `changes` the values that replace parts of it.
    Without `out` and `labels` nothing is written; the digests are the same.
    """

    settings: Settings
    preset: str
    document: Mapping[str, object]
    changes: Mapping[str, object]
    seed: int
    count: int | None = None
    faults: bool = False
    out: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True)
class Progress:
    """The progress of a simulation: the last finished day of `days`, and the number of messages so far."""

    day: int
    days: int
    messages: int


Observe = Callable[[Progress], None]


@dataclass(frozen=True)
class Simulated:
    """The result of a simulation.

    `digest` is the SHA-256 of the event lines, `labels_digest` that of the label lines. `messages` counts
    lines, also second copies and malformed ones. `faults` and `fates` are empty without faults.
    """

    preset: str
    seed: int
    difficulty: float | None
    transactions: int
    messages: int
    fraud: int
    fraud_rate: float
    by_scenario: dict[str, int]
    cards: int
    first: str
    last: str
    bytes: int
    digest: str
    labels: int
    labels_digest: str
    faults: dict[str, int]
    fates: dict[str, int]
    yardstick: Yardstick
    seconds: float
    out: Path | None
    labels_file: Path | None


def read_request(request: SimulateRequest) -> Preset:
    """Check the request, and return its preset with the changes.

    Raises:
        UsageError: seed, count or faults are not valid, or events and labels go to the same file.
        ConfigError: the preset is not valid.
    """
    if not 0 <= request.seed <= HIGHEST_SEED:
        raise UsageError(f"the seed must be from 0 to {HIGHEST_SEED}, not {request.seed}")
    if request.count is not None and request.count < 1:
        raise UsageError(f"the count must be at least 1, not {request.count}")
    if request.out and request.labels and request.out.absolute() == request.labels.absolute():
        raise UsageError("events and labels go to the same file", hint="name two files")
    preset = parse_preset(request.document, request.changes)
    if request.faults and not preset.has_faults:
        raise UsageError(f"the preset {request.preset!r} has no faults", hint="take --preset rough")
    return preset


def simulate(request: SimulateRequest, *, observe: Observe) -> Simulated:
    """Run the preset to its end, or to `count` messages.

    Raises:
        UsageError: the request is not valid, see `read_request`.
        ConfigError: the preset is not valid.
        RefusedError: an output is a pipe that nobody reads.
        OSError: a file cannot be written; an older file of that name is then unchanged.
    """
    preset = read_request(request)
    began = time.monotonic()
    simulation = Simulation(preset, request.settings.producer, request.settings.events, request.seed)
    wire = Wire(simulation.names)
    labels = Labels(simulation.names, preset.label_delay_hours, request.seed)
    account = _Account()
    network: Network | None = None
    if request.faults:
        network = Network(preset.faults, request.settings.lateness, preset.start_ms, request.seed)
    with ExitStack() as files:
        events_out = files.enter_context(_Output(request.out))
        labels_out = files.enter_context(_Output(request.labels))
        for day, (batch, lines) in enumerate(_parts(request, simulation, network, wire, account)):
            for piece in lines:
                events_out.write(piece)
            for _, label in labels.of(batch):
                labels_out.write(encode_label(label) + b"\n")
                account.labels += 1
            observe(Progress(min(day + 1, preset.days), preset.days, account.messages))
    amounts, scenarios = account.amounts(), account.scenarios()
    frauds = int((scenarios != GENUINE).sum())
    names = simulation.names.scenarios
    by_scenario = np.bincount(scenarios, minlength=len(names)).tolist()
    return Simulated(
        preset=request.preset,
        seed=request.seed,
        difficulty=preset.difficulty if isinstance(preset, HabitsPreset) else None,
        transactions=len(amounts),
        messages=account.messages,
        fraud=frauds,
        fraud_rate=round(frauds / max(1, len(scenarios)), 6),
        by_scenario=dict(zip(names[1:], by_scenario[1:], strict=True)),
        cards=account.cards,
        first=rfc3339(account.first_ms) if scenarios.size else "",
        last=rfc3339(account.last_ms) if scenarios.size else "",
        bytes=events_out.bytes,
        digest=events_out.digest,
        labels=account.labels,
        labels_digest=labels_out.digest,
        faults=network.faults if network else {},
        fates=dict(zip(FATES, account.fates.tolist(), strict=True)) if network else {},
        yardstick=yardstick(amounts, scenarios != GENUINE),
        seconds=round(time.monotonic() - began, 3),
        out=request.out,
        labels_file=request.labels,
    )


def _parts(
    request: SimulateRequest, simulation: Simulation, network: Network | None, wire: Wire, account: "_Account"
) -> Iterator[tuple[Batch, Iterator[bytes]]]:
    """Yield for each day its transactions (each once) and the lines of all its messages, up to the count."""
    left = request.count
    if network is None:
        for batch in simulation.days():
            part = batch if left is None else batch.take(slice(0, left))
            account.add(part, len(part))
            yield part, wire.lines(part)
            left = None if left is None else left - len(part)
            if left == 0:
                return
        return
    for deliveries in network.carry(simulation.days()):
        sent = deliveries if left is None else deliveries.take(slice(0, left))
        once = sent.batch.take(~sent.again)
        account.add(once, len(sent))
        account.judge(sent.fates(request.settings.lateness))
        yield once, (value + b"\n" for value in sent.values(wire))
        left = None if left is None else left - len(sent)
        if left == 0:
            return


class _Account:
    """The figures of the result, added up part by part."""

    def __init__(self) -> None:
        self.messages = 0
        self.labels = 0
        self.first_ms = 2**62
        self.last_ms = 0
        self.fates = np.zeros(len(FATES), dtype=np.int64)
        self._cards = np.zeros(0, dtype=np.int64)
        self._amounts: list[Ints] = []
        self._scenarios: list[Ints] = []

    def add(self, transactions: Batch, messages: int) -> None:
        self.messages += messages
        if len(transactions):
            self.first_ms = min(self.first_ms, int(transactions.time_ms.min()))
            self.last_ms = max(self.last_ms, int(transactions.time_ms.max()))
        self._cards = np.union1d(self._cards, transactions.card)
        self._amounts.append(transactions.amount_minor)
        self._scenarios.append(transactions.scenario)

    def judge(self, fates: Ints) -> None:
        self.fates += np.bincount(fates, minlength=len(FATES))

    @property
    def cards(self) -> int:
        return len(self._cards)

    def amounts(self) -> Ints:
        return np.concatenate(self._amounts)

    def scenarios(self) -> Ints:
        return np.concatenate(self._scenarios)


class _Output:
    """A file that appears only when it is complete; without a file, bytes are only counted and digested.

    A device or a pipe is written to directly. A symbolic link stays one: its target is replaced.
    """

    def __init__(self, file: Path | None) -> None:
        special = file is not None and file.exists() and not file.is_file()
        self._told = self._file = self._partial = file
        if file is not None and not special:
            self._file = follow_links(file)
            self._partial = self._file.with_name(f".{self._file.name}.partial")
        self._stream: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self.bytes = 0

    def __enter__(self) -> "_Output":
        if self._partial and self._told:
            with naming(self._told):
                special = self._partial == self._file
                self._stream = open_special(self._partial) if special else self._partial.open("wb")
        return self

    def write(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.bytes += len(piece)
        if self._stream and self._told:
            with naming(self._told):
                self._stream.write(piece)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not (self._stream and self._partial and self._file and self._told):
            return
        try:
            with naming(self._told):
                self._stream.close()
                if kind is None and self._partial != self._file:
                    self._partial.replace(self._file)
        finally:
            if self._partial != self._file:
                self._partial.unlink(missing_ok=True)
