"""The driver of the profile `local`: broker and database as child processes of this machine."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from signal import SIGTERM, Signals

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.driver import LogSource, Look, Probes, ServiceName
from fraudctl.runtime.jvm.compile_scala import COMPILE_SECONDS, ensure_jvm_code
from fraudctl.runtime.jvm.jars import SET_NAMES, SetName, ensure_jars
from fraudctl.runtime.jvm.java import Java, find_java
from fraudctl.runtime.local import kafka, postgres
from fraudctl.runtime.log_files import LogFile
from fraudctl.runtime.ports import free_port, is_free, require_free
from fraudctl.runtime.process.supervise import ProcessRecord, age_seconds, is_alive, remember
from fraudctl.runtime.process.supervise import stop as stop_process
from fraudctl.runtime.readiness import wait_ready
from fraudctl.runtime.state import Ports, Profile, StackState, asked_ports, planned_state

# The first download of about 110 MB has its own time limit, whatever timeouts.up_seconds says.
DOWNLOAD_SECONDS = 900.0
_UNDO_GRACE_SECONDS = 10.0
_MODULES = {"kafka": kafka, "postgres": postgres}


class LocalDriver:
    """The `Driver` of the profile `local`."""

    profile: Profile = "local"

    def __init__(self, settings: Settings, paths: StackPaths, environ: Mapping[str, str]) -> None:
        """Prepare the driver; nothing is started yet.

        Args:
            settings: the settings of this command.
            paths: the files and folders of the stack.
            environ: variables that tell where Java is, and how downloads leave this machine.
        """
        self.changed: list[str] = []
        self._settings = settings
        self._paths = paths
        self._environ = environ
        self._state: StackState | None = None
        self._java: Java | None = None
        self._jars: tuple[Path, ...] = ()
        # Both services are started at the same time; appending to a list is atomic.
        self._started: list[ProcessRecord] = []

    def services(self) -> tuple[ServiceName, ...]:
        """Return the names of broker and database."""
        return ("kafka", "postgres")

    def look(self) -> Mapping[ServiceName, Look]:
        """Return the state of each service's process."""
        found: dict[ServiceName, Look] = {}
        for name in self.services():
            record, log = self._record(name), _log_file(name, self._paths)
            if record is not None and is_alive(record):
                found[name] = Look(True, age_seconds(record), pid=record.pid, log=log)
            else:
                found[name] = Look(False, log=log)
        return found

    def plan(self, old: StackState | None, reason: str, *, any_port: bool) -> StackState:
        """Choose the ports of the services that do not run.

        Raises:
            RefusedError: a port is taken, or services run whose ports nobody knows.
        """
        # Before any download: a user who has to change a port should not have to wait for it.
        ports = self._ports(old, any_port)
        self._state = planned_state(self._settings, self._paths, "local", reason, ports)
        return self._state

    def steps(self) -> tuple[str, ...]:
        """Return the planned steps in words; a service without data first gets it prepared."""
        found = []
        for name in self.services():
            if name not in self._running():
                fresh = not _MODULES[name].data_folder(self._paths).is_dir()
                found += [f"prepare the data of {name}  (there is none)"] if fresh else []
                found.append(f"start {name}  (it does not run)")
        return tuple(found)

    def fetch(self, observe: Observe, stop: StopFlag) -> None:
        """Find Java and download the jars, unless the broker runs.

        Raises:
            UnreachableError: a jar cannot be downloaded.
        """
        if "kafka" in self._running():
            return
        java = find_java(self._paths, self._environ, observe)
        observe(Progress("java", "done", f"{java.version} from {java.source}"))
        deadline = Deadline(DOWNLOAD_SECONDS)
        # The detector's sets too: once `up` has succeeded, nothing needs the network any more.
        jars: dict[SetName, tuple[Path, ...]] = {
            name: ensure_jars(name, java, self._paths, deadline, observe, stop=stop) for name in SET_NAMES
        }
        self._java, self._jars = java, jars["broker"]

    def start(self, probes: Probes, deadline: Deadline, observe: Observe, stop: StopFlag) -> None:
        """Start both services at the same time; stop waiting as soon as one fails or the user interrupts.

        The detector's JVM code is compiled meanwhile, so that the first `detect` does not wait for it.

        Raises:
            NotReadyError: one ended, or did not answer in time.
        """
        running = self._running()
        for name, record in running.items():
            remember(record, _MODULES[name].record_file(self._paths))  # it may have been lost
        end = StopFlag()
        with ThreadPoolExecutor(3, thread_name_prefix="up") as pool:
            try:
                left: set[Future[None]] = {
                    pool.submit(
                        self._start_postgres, running.get("postgres"), probes, deadline, observe, end
                    ),
                    pool.submit(self._start_kafka, running.get("kafka"), probes, deadline, observe, end),
                    pool.submit(self._compile, observe, end),
                }
                while left:
                    done, left = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    if stop.is_set:
                        raise KeyboardInterrupt
            finally:
                end.set()

    def undo(self, observe: Observe) -> None:
        """Stop what `start` started; data and logs are kept."""
        for record in self._started:
            first = postgres.STOP_SIGNAL if record.name == postgres.NAME else kafka.STOP_SIGNAL
            stop_process(record, _UNDO_GRACE_SECONDS, first)
            observe(Progress(record.name, "done", "stopped again"))
        if self._started:
            observe(Progress("stack", "note", f"data and logs are kept in {self._paths.root}"))

    def halt(self, service: ServiceName, deadline: Deadline, observe: Observe) -> str:
        """Stop one service, and return how it ended: stopped, killed, or was not running.

        Raises:
            RefusedError: the profile has no such service.
        """
        if service not in self.services():
            raise RefusedError(f"there is no {service} under the profile local")
        module = _MODULES[service]
        record, file = module.record(self._paths), module.record_file(self._paths)
        return stop_recorded(record, file, deadline, module.STOP_SIGNAL, service, observe)

    def stop(self, deadline: Deadline, observe: Observe, *, volumes: bool) -> dict[str, str]:
        """Stop both services, and return how each ended.

        All data lies in the stack's folder, so `volumes` changes nothing here.
        """
        return {name: self.halt(name, deadline, observe) for name in self.services()}

    def log(self, service: ServiceName) -> LogSource:
        """Return the log file of one service."""
        return LogFile(_log_file(service, self._paths))

    def execute(
        self, service: ServiceName, argv: Sequence[str], on_output: Callable[[bytes, bool], None]
    ) -> int:
        """Refuse to run a command: there is no container to run it in.

        Raises:
            RefusedError: always.
        """
        raise RefusedError(
            f"{service} does not run in a container: there is nothing to go into",
            hint='run the command here; `eval "$(fraudctl env)"` lets it find the services',
        )

    def _record(self, name: ServiceName) -> ProcessRecord | None:
        record: ProcessRecord | None = _MODULES[name].record(self._paths)
        return record

    def _running(self) -> dict[str, ProcessRecord]:
        records = {name: self._record(name) for name in self.services()}
        return {name: record for name, record in records.items() if record is not None and is_alive(record)}

    def _ports(self, old: StackState | None, any_port: bool) -> Ports:
        """Return the ports of the stack: the ones it had, or those of the settings if they changed.

        A stack keeps its ports, so that clients find it again. With `any_port`, another port is taken instead
        of one that is in use.
        """
        asked, running = asked_ports(self._settings), self._running()
        if running and old is None:
            raise RefusedError(
                f"{' and '.join(sorted(running))} of this stack run, but the stack's state is gone",
                detail=f"{self._paths.state_file} is missing: nobody knows at which ports",
                hint="stop them with `fraudctl down`, then run `fraudctl up`",
            )
        base = old.ports if old is not None and old.configured == asked else asked
        wanted = {
            "kafka.port": base.kafka,
            "kafka.controller_port": base.controller,
            "postgres.port": base.postgres,
        }
        if old is not None:
            if "kafka" in running:
                wanted |= {"kafka.port": old.ports.kafka, "kafka.controller_port": old.ports.controller}
            if "postgres" in running:
                wanted["postgres.port"] = old.ports.postgres
        chosen: dict[str, int] = {}
        for setting, port in wanted.items():
            service = setting.partition(".")[0]
            if service not in running:
                if any_port and (not is_free(port) or port in chosen.values()):
                    port = free_port(frozenset(wanted.values()) | frozenset(chosen.values()))
                require_free(port, service=service, setting=setting)
            if port in chosen.values():
                raise RefusedError(f"{setting} is {port}, which another service of the stack has already")
            chosen[setting] = port
        return Ports(
            chosen["kafka.port"], chosen["kafka.controller_port"], chosen["postgres.port"], asked.grafana
        )

    def _compile(self, observe: Observe, stop: StopFlag) -> None:
        if self._java is not None:
            ensure_jvm_code(self._java, self._paths, Deadline(COMPILE_SECONDS), observe, stop)

    def _start_postgres(
        self,
        record: ProcessRecord | None,
        probes: Probes,
        deadline: Deadline,
        observe: Observe,
        stop: StopFlag,
    ) -> None:
        assert self._state is not None
        endpoint = self._state.endpoints.postgres
        if record is None:
            observe(Progress("postgres", "begun", "starting"))
            if postgres.prepare(self._paths, self._settings.postgres, deadline, stop):
                self.changed.append("postgres initialised")
            record = postgres.start(self._paths, deadline, port=endpoint.port)
            self._started.append(record)
            self.changed.append("postgres started")
        wait_ready(record, probes["postgres"], deadline, postgres.log_file(self._paths), stop)
        observe(Progress("postgres", "done", f"ready at {endpoint.host}:{endpoint.port}"))

    def _start_kafka(
        self,
        record: ProcessRecord | None,
        probes: Probes,
        deadline: Deadline,
        observe: Observe,
        stop: StopFlag,
    ) -> None:
        assert self._state is not None
        if record is None:
            assert self._java is not None
            observe(Progress("kafka", "begun", "starting"))
            if kafka.prepare(self._paths, self._java, self._jars, deadline, stop):
                self.changed.append("kafka formatted")
            ports = self._state.ports
            record = kafka.start(
                self._paths,
                self._java,
                self._jars,
                self._settings.kafka,
                port=ports.kafka,
                controller_port=ports.controller,
            )
            self._started.append(record)
            self.changed.append("kafka started")
        wait_ready(record, probes["kafka"], deadline, kafka.log_file(self._paths), stop)
        observe(Progress("kafka", "done", f"ready at {self._state.endpoints.bootstrap_servers}"))


def stop_recorded(
    record: ProcessRecord | None,
    file: Path,
    deadline: Deadline,
    first: Signals | None,
    name: str,
    observe: Observe,
) -> str:
    """Stop the process that a record names, remove the record's `file`, and return how the process ended."""
    if record is None:
        return "was not running"
    if is_alive(record):
        observe(Progress(name, "begun", "stopping"))
    # The process always gets some time to end by itself, whatever the others have used up.
    how = stop_process(record, max(5.0, deadline.remaining()), first or SIGTERM)
    file.unlink(missing_ok=True)
    if how != "was not running":
        observe(Progress(name, "done", how))
    return how


def _log_file(name: ServiceName, paths: StackPaths) -> Path:
    return paths.logs / f"{name}.log"
