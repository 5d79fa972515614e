"""Keep the watermark behind what is still to come, when partitions are not read at the same pace.

Spark's watermark follows the newest event of any partition. While a backlog is read in small batches, one
partition can be far ahead of another in time, and the other's events would be dropped as late, though they
were admitted. So after each batch, and before its watermark comes into force, the arrival of the newest
record that was read is compared with the oldest arrival that is still unread in any partition. When the
distance exceeds what the delay has room for, the batch is not landed: it is run again by a query with a
longer delay, whose watermark stays where it is. A longer delay changes no number, it only keeps more state.

That the next record of a partition is the oldest unread one is true of LogAppendTime; of CreateTime as far
as the producers' clocks allow.
"""

from collections.abc import Callable, Mapping

from fraudctl.detector.run_again import RunAgainError

_MINUTE_MS = 60_000

# Partition → arrival in ms of the record at this offset or the first one behind it; None: there is none yet.
NextArrivals = Callable[[Mapping[int, int]], Mapping[int, int | None]]


class Skew:
    """What is known of how far apart the partitions are.

    Args:
        slack_ms: the distance that the ordinary delay has room for.
        next_arrivals: asks the broker; only done where the batches themselves do not tell enough.
        bounds: one past the last offset of each partition that will ever be read, if there is such an end.
    """

    def __init__(
        self, slack_ms: int, next_arrivals: NextArrivals, bounds: Mapping[int, int] | None = None
    ) -> None:
        self._slack_ms = slack_ms
        self._next_arrivals = next_arrivals
        self._bounds = bounds
        self._unread_ms: dict[int, int] = {}  # no unread record of the partition arrived earlier
        self._newest_ms: int | None = None
        self.held_back_ms = 0

    def take(self, newest_ms: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Look at a batch that was read and has not landed.

        Args:
            newest_ms: the newest arrival in it, for each partition that brought records.
            ends: one past its last offset, for every partition.

        Raises:
            RunAgainError: its watermark would be dangerous, or has been held back for longer than it need be.
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
            # Twice as much as is needed now, so that a growing distance asks for few changes.
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
        """Have the broker say what is unread where the last arrival that was read is too old to tell."""
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
            # Whatever comes into an empty partition from now on arrives after all that was read so far.
            self._unread_ms[partition] = newest_ms if arrival is None else arrival


def _minutes(milliseconds: int) -> str:
    return f"{milliseconds / _MINUTE_MS:.0f} min"
