"""A demonstration of the whole pipeline: up, produce, detect, verify, down."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fraudctl.broker.producer import Deliveries
from fraudctl.clock import StopFlag, utc_now
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database.windows import WindowCounts, WindowReader
from fraudctl.errors import DataError, FraudctlError
from fraudctl.operations.detect.supervise import Batch, Detected, DetectRequest, detect
from fraudctl.operations.lifecycle.down import DownRequest, down
from fraudctl.operations.lifecycle.up import UpRequest, up
from fraudctl.operations.produce import steady as producing
from fraudctl.operations.verify.verify import Verification, VerifyRequest, verify
from fraudctl.progress import Observe, Progress
from fraudctl.runtime import stack
from fraudctl.runtime.files import make_folder
from fraudctl.simulator.arrivals import Arrivals, Message, arrivals

# The simulated day ends now, because brokers refuse record timestamps ahead of their own clock.
HOURS = 24.0
EVENTS_PER_MINUTE = 32.0
# How long the simulated day takes to stream in, in seconds.
STREAM_SECONDS = 12.0
NEWEST = 5
_PACE_SECONDS = 0.02


@dataclass(frozen=True)
class DemoRequest:
    """A request for a demo; without `seed` one is drawn, `keep` leaves the stack running with its data."""

    settings: Settings
    paths: StackPaths
    rules_document: dict[str, object]
    environ: Mapping[str, str]
    seed: int | None = None
    keep: bool = False


@dataclass(frozen=True)
class Fate:
    """The messages with one outcome: how many the simulator planned, and how many the recount found."""

    name: str
    planned: int
    found: int


@dataclass(frozen=True)
class DemoResult:
    """The result of a demo; `slices` do not overlap, so their sum counts every transaction once."""

    seed: int
    produced: Deliveries
    detected: Detected
    verification: Verification
    fates: tuple[Fate, ...]
    slices: tuple[WindowCounts, ...]
    endpoints: Endpoints
    kept: bool
    seconds: float

    @property
    def passed(self) -> bool:
        """Return whether all was sent, and the recount agrees with every row and the planned outcomes."""
        agree = all(fate.planned == fate.found for fate in self.fates)
        return self.verification.verdict == "ok" and agree and self.produced.failed == 0


@dataclass
class Views:
    """Callbacks for the demo's progress: its steps, the detector's batches and the newest windows."""

    step: Observe
    batch: Callable[[Batch], None] = lambda _batch: None
    windows: Callable[[list[WindowCounts]], None] = lambda _windows: None


def demo(request: DemoRequest, *, stop: StopFlag, views: Views) -> DemoResult:
    """Run the demo; afterwards take the stack down, also after an error, unless it is to be kept.

    Raises:
        FraudctlError: a step failed; the error is that step's own.
    """
    began = time.monotonic()
    up(
        UpRequest(request.settings, request.paths, request.environ, any_port=True),
        stop=stop,
        observe=views.step,
    )
    try:
        result = _show(request, stack.endpoints(request.settings, request.paths), stop, views, began)
    finally:
        if not request.keep:
            views.step(Progress("demo", "begun", "taking the stack down"))
            down(DownRequest(request.settings, request.paths, volumes=True), observe=views.step)
    return result


def _show(
    request: DemoRequest, endpoints: Endpoints, stop: StopFlag, views: Views, began: float
) -> DemoResult:
    settings = request.settings
    seed = secrets.randbits(32) if request.seed is None else request.seed
    traffic = _traffic(settings, seed)
    views.step(
        Progress(
            "produce",
            "note",
            f"a simulated day in about {STREAM_SECONDS:g} s, "
            f"{sum(traffic.expected.values()):,} messages with seed {seed}",
        )
    )
    stream = _Stream(endpoints.bootstrap_servers, settings, traffic, seed, stop)
    with WindowReader(endpoints.postgres, connect_seconds=settings.timeouts.connect_seconds) as reader:

        def on_batch(batch: Batch) -> None:
            views.batch(batch)
            views.windows(reader.newest(NEWEST))

        stream.start()
        try:
            detected = detect(
                DetectRequest(
                    settings, request.paths, request.rules_document, request.environ, until_caught_up=True
                ),
                stop=stop,
                observe=views.step,
                on_batch=on_batch,
                complete=stream.ended,
            )
        finally:
            stream.cancel()
        if stop.is_set:
            raise KeyboardInterrupt  # an incomplete day has no result to show
        produced = stream.result()
        views.step(Progress("verify", "begun", "recounting the log independently"))
        verification = verify(VerifyRequest(endpoints, settings, make_folder(request.paths.run / "recount")))
        slices = tuple(reader.slices(settings.windows.length_minutes))
    return DemoResult(
        seed=seed,
        produced=produced,
        detected=detected,
        verification=verification,
        fates=_fates(traffic, verification),
        slices=slices,
        endpoints=endpoints,
        kept=request.keep,
        seconds=round(time.monotonic() - began, 1),
    )


def _traffic(settings: Settings, seed: int) -> Arrivals:
    minute = 60_000
    end_ms = int(utc_now().timestamp() * 1000) // minute * minute
    return arrivals(
        settings.producer,
        settings.events,
        settings.lateness,
        seed=seed,
        start_ms=end_ms - int(HOURS * 60) * minute,
        hours=HOURS,
        events_per_minute=EVENTS_PER_MINUTE,
    )


def _fates(traffic: Arrivals, verification: Verification) -> tuple[Fate, ...]:
    """Return planned and found messages by outcome; all reasons for rejecting a field count as malformed."""
    found = dict.fromkeys(traffic.expected, 0)
    for name, count in verification.fates.items():
        fate = name if name in found else "malformed"
        found[fate] += count
    return tuple(Fate(name, planned, found[name]) for name, planned in traffic.expected.items())


class _Stream:
    """A thread that sends the simulated day, spread over `STREAM_SECONDS`."""

    def __init__(
        self, bootstrap_servers: str, settings: Settings, traffic: Arrivals, seed: int, stop: StopFlag
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._settings = settings
        self._traffic = traffic
        self._seed = seed
        self._user_stop = stop
        self._stop = StopFlag()
        self._deliveries: Deliveries | None = None
        self._failure: FraudctlError | None = None
        self._thread = threading.Thread(target=self._run, name="produce", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Ask the thread to end, and wait for it; do nothing if it has ended already."""
        self._stop.set()
        self._thread.join()

    def result(self) -> Deliveries:
        """Return the delivery report.

        Raises:
            FraudctlError: producing failed.
        """
        if self._failure is not None:
            raise self._failure
        if self._deliveries is None:
            raise DataError("producing ended without an account", hint="run the demo again")
        return self._deliveries

    def _run(self) -> None:
        try:
            self._deliveries = producing.produce_messages(
                self._bootstrap_servers,
                self._settings,
                self._paced(),
                stop=self._stop,
                observe=lambda _progress: None,
                seed=self._seed,
            )
        except FraudctlError as error:
            self._failure = error

    def _paced(self) -> Iterator[Message]:
        """Yield each message when its moment of the simulated day has come, in accelerated time."""
        first_ms = self._traffic.start_ms
        speed = HOURS * 3_600_000 / STREAM_SECONDS
        began = time.monotonic()
        for message in self._traffic:
            ahead = (message.arrival_ms - first_ms) / speed - (time.monotonic() - began)
            # Small steps are not worth a pause: messages of the same moment leave together.
            if ahead > _PACE_SECONDS and self._stop.wait(ahead):
                return
            if self._user_stop.is_set:
                return
            yield message
