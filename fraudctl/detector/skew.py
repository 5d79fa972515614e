"""Hold the watermark back while partitions are read at different paces.

Spark's watermark follows the newest event of any partition. While a backlog is read in small batches, one
partition can be far ahead of another in time. The other's events would then be dropped as late, though they
were admitted. So after each batch, and before its watermark takes effect, the arrival of the newest record
read is compared with the oldest arrival that is still unread in any partition. If the distance exceeds what
the delay allows for, the batch is not written. It is run again by a query with a longer delay, whose
watermark stays where it is. A longer delay changes no number; it only keeps more state.

This assumes that the next record of a partition is its oldest unread one. That is true of LogAppendTime; with
CreateTime it depends on the producers' clocks.
"""

from collections.abc import Callable, Mapping

from fraudctl.detector.run_again import RunAgainError

_MINUTE_MS = 60_000

# Maps offsets to arrivals (ms), by partition: of the record there or the next one; None if there is none yet.
NextArrivals = Callable[[Mapping[int, int]], Mapping[int, int | None]]


class Skew:
    """The distance in time between partitions, and the additional delay of the watermark.

    `held_back_ms` is the additional delay that the query needs, in milliseconds.
    """

    def __init__(
        self, slack_ms: int, next_arrivals: NextArrivals, bounds: Mapping[int, int] | None = None
    ) -> None:
        """Begin with no known arrivals and no additional delay.

        Args:
            slack_ms: the distance that the ordinary delay allows for, in milliseconds.
            next_arrivals: asks the broker; called only if the batches themselves do not tell enough.
            bounds: one past the last offset of each partition that will ever be read, if there is such an
                end.
        """
        self._slack_ms = slack_ms
        self._next_arrivals = next_arrivals
        self._bounds = bounds
        self._unread_ms: dict[int, int] = {}  # lower bound of unread arrivals, by partition
        self._newest_ms: int | None = None
        self.held_back_ms = 0

    def take(self, newest_ms: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Check a batch that was read and is not written yet.

        Args:
            newest_ms: the newest arrival of each partition that brought records, in milliseconds since the
                epoch.
            ends: one past the batch's last offset, for every partition.

        Raises:
            RunAgainError: its watermark would drop records, or is held back longer than necessary.
        """
        for partition, arrival in newest_ms.items():
            self._unread_ms[partition] = max(arrival, self._unread_ms.get(partition, arrival))
        if self._unread_ms:
            self._newest_ms = max(self._newest_ms or 0, *self._unread_ms.values())
        if self._newest_ms is None:
            return
        self._ask(self._newest_ms, newest_ms, ends)
        distance = self._newest_ms - min(self._unread_ms[partition] for partition in ends)
        if distance >= self._slack_ms + self.held_back_ms:
            # Twice the present distance, so that a growing distance needs few changes.
            self.held_back_ms = -(-2 * distance // _MINUTE_MS) * _MINUTE_MS
            raise RunAgainError(
                f"watermark: the partitions are {_minutes(distance)} apart: the watermark is held back by "
                f"{_minutes(self.held_back_ms)} until they are level"
            )
        if self.held_back_ms and distance < self._slack_ms // 2:
            self.held_back_ms = 0
            raise RunAgainError(
                "watermark: the partitions are level: the watermark is not held back any longer"
            )

    def _ask(self, newest_ms: int, brought: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Ask the broker for unread arrivals, for partitions whose last read arrival is too old to tell."""
        doubtful = {}
        for partition, end in ends.items():
            if self._bounds is not None and end >= self._bounds.get(partition, 0):
                self._unread_ms[partition] = newest_ms
            idle = self.held_back_ms and partition not in brought
            room = self._slack_ms // 2 if idle else self._slack_ms + self.held_back_ms
            known = self._unread_ms.get(partition)
            if known is None or newest_ms - known >= room:
                doubtful[partition] = end
        if not doubtful:
            return
        for partition, arrival in self._next_arrivals(doubtful).items():
            # Any record that is still to come into an empty partition arrives after those read so far.
            self._unread_ms[partition] = newest_ms if arrival is None else arrival


def _minutes(milliseconds: int) -> str:
    return f"{milliseconds / _MINUTE_MS:.0f} min"
