"""Measure processor time and memory of process trees, and the load of the machine, while something runs."""

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_INTERVAL_SECONDS = 0.5
SIDE = "side"


@dataclass(frozen=True)
class Ticks:
    """Clock ticks of all cores since boot, of /proc/stat."""

    total: int
    idle: int
    steal: int


@dataclass(frozen=True)
class MachineLoad:
    """The load of the machine, as shares from 0 to 1; `load_before` is the one-minute load at the start."""

    load_before: float
    busy: float
    steal: float


def read_ticks(stat: Path = Path("/proc/stat")) -> Ticks:
    """Read the machine's clock ticks; all zero on a system without /proc/stat."""
    try:
        fields = stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return Ticks(0, 0, 0)
    values = [int(field) for field in fields] + [0] * (8 - len(fields))
    return Ticks(sum(values), values[3] + values[4], values[7])


def load_between(before: Ticks, after: Ticks, load_before: float) -> MachineLoad:
    """Return the shares of busy and stolen time between two readings."""
    total = max(1, after.total - before.total)
    stolen = after.steal - before.steal
    busy = total - (after.idle - before.idle) - stolen
    return MachineLoad(round(load_before, 2), round(busy / total, 3), round(stolen / total, 4))


class Watch:
    """Sums of processor seconds by kind of process, sampled in a thread until `stop`.

    Processes that end are kept with what they had used when last seen; `add_unseen` adds what that misses. Of
    services that ran before, only what they use from now on counts.

    Args:
        root: pid of the process under measurement; its descendants count as `jvm`, `python` or `other`.
        services: name of a kind to the pid of a service beside it, such as the broker.
    """

    def __init__(self, root: int, services: Mapping[str, int]) -> None:
        self._roots = {SIDE: root, **services}
        self._used: dict[tuple[int, float], tuple[str, float]] = {}
        self._baseline: dict[str, float] = {}
        self._series: list[tuple[float, float]] = []
        self._done = threading.Event()
        self._load_before = os.getloadavg()[0]
        self._ticks = read_ticks()
        self._unseen = 0.0
        self.peak_rss_bytes = 0
        self._sample()
        self._baseline = {kind: used for kind, used in self._sums().items() if kind in services}
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> MachineLoad:
        """Take a last sample and return the machine's load since the start."""
        self._done.set()
        self._thread.join()
        return load_between(self._ticks, read_ticks(), self._load_before)

    def add_unseen(self, total: float) -> None:
        """Take what the sampling missed from the exact sum of the processes under the root, in seconds."""
        seen = sum(used for kind, used in self._sums().items() if kind not in self._roots)
        self._unseen = max(0.0, total - seen)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor seconds used since the start, by kind of process."""
        sums = self._sums() | ({"unseen": self._unseen} if self._unseen else {})
        return {kind: round(used - self._baseline.get(kind, 0.0), 2) for kind, used in sums.items()}

    def cpu_between(self, start: float, end: float) -> float:
        """Return the processor seconds of all kinds between two moments, seconds since the epoch."""
        return max(0.0, interpolate(self._series, end) - interpolate(self._series, start))

    def pids(self) -> list[int]:
        """Return every pid seen below the root that still runs the same process."""
        found = []
        for (pid, created), (kind, _used) in list(self._used.items()):
            if kind in self._roots:
                continue
            try:
                if psutil.Process(pid).create_time() == created:
                    found.append(pid)
            except psutil.Error:
                continue
        return found

    def _run(self) -> None:
        while not self._done.wait(_INTERVAL_SECONDS):
            self._sample()
        self._sample()

    def _sample(self) -> None:
        rss = 0
        for role, pid in self._roots.items():
            try:
                root = psutil.Process(pid)
                tree = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue
            for process in tree:
                try:
                    with process.oneshot():
                        times = process.cpu_times()
                        kind = _kind(process.name()) if role == SIDE else role
                        key = (process.pid, process.create_time())
                        rss += process.memory_info().rss if role == SIDE else 0
                except psutil.Error:
                    continue
                self._used[key] = (kind, times.user + times.system)
        self.peak_rss_bytes = max(self.peak_rss_bytes, rss)
        self._series.append((time.time(), sum(self._sums().values())))

    def _sums(self) -> dict[str, float]:
        sums: dict[str, float] = {}
        for kind, used in list(self._used.values()):
            sums[kind] = sums.get(kind, 0.0) + used
        return sums


def interpolate(series: list[tuple[float, float]], moment: float) -> float:
    """Return the value of a rising series at a moment, on a straight line between its neighbours."""
    index = bisect_left(series, (moment,))
    if index == 0:
        return series[0][1]
    if index == len(series):
        return series[-1][1]
    (early, low), (late, high) = series[index - 1], series[index]
    return low + (high - low) * (moment - early) / (late - early)


def _kind(name: str) -> str:
    if name == "java":
        return "jvm"
    return "python" if name.startswith(("python", "fraudctl")) else "other"
