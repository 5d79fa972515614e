"""Produce steady traffic during a drill, on a thread of its own."""

import threading

from fraudctl.clock import StopFlag
from fraudctl.errors import DataError, FraudctlError
from fraudctl.operations.produce.steady import Produced, ProduceRequest, Progress, produce


class Load:
    """Simulated transactions at a steady rate, from `start` to `finish`, with a report on every delivery."""

    def __init__(self, request: ProduceRequest) -> None:
        """Prepare the load; `request` has the rate and the topic."""
        self._request = request
        self._stop = StopFlag()
        self._produced: Produced | None = None
        self._failure: FraudctlError | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.progress: Progress | None = None

    def start(self) -> None:
        """Start producing."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Return whether the thread is not running."""
        return not self._thread.is_alive()

    def check(self) -> None:
        """Raise an error if the load has ended although nobody stopped it.

        Raises:
            FraudctlError: it has ended although nobody stopped it.
        """
        if not self.ended or self._stop.is_set:
            return
        if self._failure is not None:
            raise self._failure
        reason = self.progress.trouble if self.progress else ""
        raise DataError("the load has broken down", detail=reason, hint="look at `fraudctl logs kafka`")

    def finish(self) -> Produced:
        """Stop the load, wait until every delivery is confirmed or failed, and return the delivery report.

        Raises:
            FraudctlError: producing failed.
        """
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        if self._produced is None:
            raise DataError("producing ended without an account", hint="run the drill again")
        return self._produced

    def abandon(self) -> None:
        """Stop the load without waiting for outstanding deliveries."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._produced = produce(self._request, stop=self._stop, observe=self._take)
        except FraudctlError as error:
            self._failure = error

    def _take(self, progress: Progress) -> None:
        self.progress = progress
