"""Creation of the detector's class archive during its first run, so that later runs start faster."""

import threading
from pathlib import Path

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import FraudctlError
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.jvm.class_archive import ClassArchive, class_path_of

# Far more than a machine needs that is not overloaded. After a failure nothing is tried again for a day.
_SECONDS = 120.0


class Archiver:
    """A thread that creates one class archive; if it fails, later starts only take longer."""

    def __init__(self, archive: ClassArchive | None, log: Path, observe: Observe) -> None:
        """Prepare the thread.

        Args:
            archive: the archive to create; None if there is nothing to do.
            log: the log file of the JVM that creates the archive.
            observe: is told of the progress.
        """
        self._archive = archive if archive is not None and archive.wanted else None
        self._log = log
        self._observe = observe
        self._stop = StopFlag()
        self._thread: threading.Thread | None = None
        self._class_path: str | None = None

    def look_at(self, pid: int) -> None:
        """Read the class path of the running JVM `pid`, whose loaded classes are listed."""
        if self._archive is not None and self._class_path is None:
            self._class_path = class_path_of(pid)

    def begin(self, nice: int = 0) -> None:
        """Start the thread unless it was started before; `nice` lowers its priority, as nice(1) counts."""
        archive, class_path = self._archive, self._class_path
        if self._thread is None and archive and class_path and archive.class_list.is_file():
            self._thread = threading.Thread(target=self._run, args=(archive, class_path, nice), daemon=True)
            self._thread.start()

    def wait(self, stop: StopFlag) -> None:
        """Wait until the archive is finished or `stop` is set."""
        if self._thread is not None and self._thread.is_alive() and not stop.is_set:
            text = "archiving the classes that Spark loads (once: it starts faster from now on)"
            self._observe(Progress("classes", "begun", text))
            while self._thread.is_alive() and not stop.is_set:
                self._thread.join(0.2)

    def end(self) -> None:
        """Cancel the thread, and wait until it has cleaned up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, archive: ClassArchive, class_path: str, nice: int) -> None:
        try:
            made = archive.create(class_path, self._log, Deadline(_SECONDS), self._stop, nice)
        except (FraudctlError, OSError) as error:
            self._observe(Progress("classes", "note", f"not archived ({error}); starts take longer"))
        except KeyboardInterrupt:  # `end` was called
            return
        else:
            if made:
                self._observe(Progress("classes", "done", "archived: Spark starts faster from now on"))
