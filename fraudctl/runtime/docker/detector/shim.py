"""Shim that runs the detector's container like a child process: its supervisor sees one process.

    python -m fraudctl.runtime.docker.detector.shim ORDER.json SCRIPT JOB.json

Output and exit code are those of the container; SIGTERM is passed on; if the shim is killed, the container
ends. SCRIPT and JOB.json are given only to be found in the list of processes.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from fraudctl.errors import FraudctlError
from fraudctl.runtime.docker import look
from fraudctl.runtime.docker.address import EngineAddress
from fraudctl.runtime.docker.detector.spec import Order
from fraudctl.runtime.docker.engine import Engine
from fraudctl.runtime.process import identity

_POLL_SECONDS = 0.2
_FAILED = 1


class Attendant:
    """The shim of one container, from before its start to after its end."""

    def __init__(self, engine: Engine, order: Order) -> None:
        """Prepare the run; nothing is created yet.

        Args:
            engine: the engine that runs the container.
            order: the container spec.
        """
        self._engine = engine
        self._order = order
        self._asked = False
        self._failure: FraudctlError | None = None

    def run(self) -> int:
        """Create, run and remove the container, and return its exit code.

        Raises:
            FraudctlError: the engine refused, or went away.
        """
        order, engine = self._order, self._engine
        engine.remove(order.name)  # what a killed shim may have left
        if not engine.volumes({"name": order.volume}):
            engine.create_volume(order.volume, order.volume_labels, Path(order.volume_place))
        config = {**order.config, "Env": [*order.config["Env"], self._attended_by()]}
        engine.create(config, order.labels, order.name)
        try:
            return self._attend()
        finally:
            engine.remove(order.name)

    def _attend(self) -> int:
        output = self._engine.attach(self._order.name)
        self._engine.start(self._order.name)
        signal.signal(signal.SIGTERM, self._on_signal)
        copying = threading.Thread(target=self._copy, args=(output,), daemon=True)
        copying.start()
        while copying.is_alive():
            copying.join(_POLL_SECONDS)
            if self._asked:
                self._asked = False
                self._engine.signal(self._order.name, signal.SIGTERM)
        if self._failure is not None:
            raise self._failure
        return self._exit_code()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._asked = True  # no lock here: the handler runs in the middle of whatever this thread does

    def _copy(self, output: "object") -> None:
        try:
            for piece in output:  # type: ignore[attr-defined]
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
        except FraudctlError as error:
            self._failure = error

    def _exit_code(self) -> int:
        self._engine.wait(self._order.name)
        found = self._engine.inspect(self._order.name)
        if found is None:
            print(f"the container {self._order.name} was removed", flush=True)  # noqa: T201 - the detector's log
            return _FAILED
        if found["State"].get("OOMKilled"):
            print("the container ran out of memory: raise docker.spark_memory", flush=True)  # noqa: T201
        return look.of_inspection(found).exit_code

    @staticmethod
    def _attended_by() -> str:
        return f"{identity.ATTENDED_BY}={identity.of_process(os.getpid())}"


def main(file: Path) -> int:
    """Run the container that the spec in `file` describes, and return its exit code."""
    order = Order(**json.loads(file.read_text(encoding="utf-8")))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the supervisor
    try:
        return Attendant(
            Engine(EngineAddress(order.engine, "the stack's state", order.engine_tls)), order
        ).run()
    except FraudctlError as error:
        print("\n".join(filter(None, (error.message, error.detail, error.hint))), flush=True)  # noqa: T201
        return _FAILED


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
