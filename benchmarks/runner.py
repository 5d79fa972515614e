"""Run the sides of a group in turn, round by round, and keep every raw sample."""

import json
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import KafkaException

from benchmarks.commits import earlier
from benchmarks.errors import BenchError, UnavailableError
from benchmarks.measure import MachineLoad, Watch
from benchmarks.options import Sizes
from benchmarks.services import Code, Services, services

# What may go wrong with one side or group, and is no reason to give up the others.
FAILURES = (BenchError, OSError, ValueError, LookupError, RuntimeError, KafkaException, psycopg.Error)


@dataclass(frozen=True)
class Outcome:
    """The result of one run of a side: figures by name, and the load of the machine meanwhile."""

    values: dict[str, float]
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    load: MachineLoad | None = None
    series: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: dict[str, float], watch: Watch, load: MachineLoad, **more: Any) -> "Outcome":
        """Combine figures with what a watch saw."""
        values = values | {"peak_rss_mb": round(watch.peak_rss_bytes / 1e6, 1)}
        return cls(values, watch.cpu_seconds(), load, **more)


RunSide = Callable[[], Outcome]


@dataclass
class Context:
    """The services, sizes and results that the groups of one run share."""

    sizes: Sizes
    rounds: int
    cache: Path
    against: Code | None
    with_flink: bool
    keep: Callable[[dict[str, Any]], None]
    _folder: Path
    _stack: ExitStack
    _services: Services | None = None
    notes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        """Broker and database, brought up when first needed."""
        if self._services is None:
            say("bringing up broker and database")
            self._services = self._stack.enter_context(services(self._folder, self.cache))
        return self._services

    @property
    def now(self) -> Code:
        return Code()

    @property
    def codes(self) -> tuple[Code, ...]:
        """The commits under test, this one first."""
        return (self.now, self.against) if self.against else (self.now,)

    def scratch(self) -> Path:
        """Return a new temporary folder, removed at the end of the run."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        folder.chmod(0o755)
        return folder

    def note(self, group: str, text: str) -> None:
        """Say something that has to be known beside the figures of a group."""
        say(f"{group}: {text}")
        self.notes.setdefault(group, []).append(text)

    def interleave(
        self, group: str, sides: Mapping[str, RunSide], *, rounds: int | None = None, warm_up: int = 0
    ) -> None:
        """Run every side once per round; each round begins with another side. Failures are kept as such.

        Args:
            rounds: instead of the run's own number.
            warm_up: so many rounds come first and are dropped from all figures.
        """
        count = self.rounds if rounds is None else rounds
        names = list(sides)
        unavailable: set[str] = set()
        for number in range(1 - warm_up, count + 1):
            shift = (number - 1) % len(names)
            for name in names[shift:] + names[:shift]:
                if name in unavailable:
                    continue
                try:
                    self._sample(group, name, number, sides[name]())
                except UnavailableError as error:
                    unavailable.add(name)
                    self.note(group, f"{name} is left out: {error}")
                except FAILURES as error:
                    self._failed(group, name, number, error)

    def _sample(self, group: str, side: str, number: int, outcome: Outcome) -> None:
        sample = {"group": group, "side": side, "round": number, "warm_up": number < 1, **asdict(outcome)}
        self.keep(sample)
        figures = "  ".join(f"{name} {value:,.5g}" for name, value in list(outcome.values.items())[:5])
        say(f"{group}  round {number}  {side:<22} {figures}")

    def _failed(self, group: str, side: str, number: int, error: Exception) -> None:
        text = str(error) if isinstance(error, BenchError) else traceback.format_exc()
        self.keep(
            {
                "group": group,
                "side": side,
                "round": number,
                "warm_up": number < 1,
                "values": {},
                "error": text[-1000:],
            }
        )
        say(f"{group}  round {number}  {side:<22} FAILED: {text[-1500:]}")


@contextmanager
def context(
    sizes: Sizes,
    rounds: int,
    cache: Path,
    against: str,
    with_flink: bool,
    keep: Callable[[dict[str, Any]], None],
) -> Iterator[Context]:
    """The context of one run; services are stopped and temporary folders removed at its end."""
    cache.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fraudctl-bench-", dir="/tmp")))
        folder.chmod(0o755)
        made = Context(sizes, rounds, cache, None, with_flink, keep, folder, stack)
        if against:
            try:
                made.against = earlier(against, cache)
            except UnavailableError as error:
                made.note("run", f"no earlier commit beside this one: {error}")
        yield made


class Results:
    """The raw samples of one run, written to a JSON file after each.

    The document holds runs, each with its date, commit, machine and notes, and samples that name their run,
    so that documents of several runs can be put together.
    """

    def __init__(self, file: Path, run: dict[str, Any]) -> None:
        self._file = file
        self._run = run | {"notes": {}}
        self.document: dict[str, Any] = {"runs": [self._run], "samples": []}
        self._began = time.time()

    def add(self, sample: dict[str, Any]) -> None:
        self.document["samples"].append({"run": self._run["date"], **sample})
        self.write()

    def write(self, notes: Mapping[str, Sequence[str]] | None = None) -> None:
        if notes is not None:
            self._run["notes"] = {group: list(texts) for group, texts in notes.items()}
        self._run["seconds"] = round(time.time() - self._began)
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(json.dumps(self.document, indent=1), encoding="utf-8")
        unfinished.replace(self._file)


def say(line: str) -> None:
    """Print one line of progress."""
    print(time.strftime("%H:%M:%S"), line, flush=True)
