"""Traffic that flows all through a drill, on a thread of its own."""

import threading

from fraudctl.clock import StopFlag
from fraudctl.errors import DataError, FraudctlError
from fraudctl.operations.produce.steady import Produced, ProduceRequest, Progress, produce


class Load:
    """Simulated transactions at a steady rate, each delivery accounted for, from `start` to `finish`."""

    def __init__(self, request: ProduceRequest) -> None:
        self._request = request
        self._stop = StopFlag()
        self._produced: Produced | None = None
        self._failure: FraudctlError | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.progress: Progress | None = None

    def start(self) -> None:
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def check(self) -> None:
        """
        Raises:
            FraudctlError: it has ended although nobody asked it to.
        """
        if not self.ended or self._stop.is_set:
            return
        if self._failure is not None:
            raise self._failure
        reason = self.progress.trouble if self.progress else ""
        raise DataError("the load has broken down", detail=reason, hint="look at `fraudctl logs kafka`")

    def finish(self) -> Produced:
        """Ask it to end, wait until every delivery is settled, and return the account.

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
        """Ask it to end; nobody waits for what is still to be delivered."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._produced = produce(self._request, stop=self._stop, observe=self._take)
        except FraudctlError as error:
            self._failure = error

    def _take(self, progress: Progress) -> None:
        self.progress = progress
