"""The stack's own Kafka: one KRaft broker as a child process, on 127.0.0.1 only."""

import base64
import os
import shutil
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path

from fraudctl import assets, environment
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.model import KafkaSettings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import NotReadyError, RefusedError
from fraudctl.runtime.files import make_folder, tail, write_whole
from fraudctl.runtime.jvm.java import Java
from fraudctl.runtime.ports import LOOPBACK
from fraudctl.runtime.process.run import LOG_LINES, run_to_end
from fraudctl.runtime.process.supervise import ProcessRecord, known, spawn

NAME = "kafka"
_PROGRAM = "kafka.Kafka"
# The broker closes its logs cleanly on TERM.
STOP_SIGNAL = signal.SIGTERM


def record_file(paths: StackPaths) -> Path:
    """Return the file of the broker's process record."""
    return paths.run / "kafka.process.json"


def record(paths: StackPaths) -> ProcessRecord | None:
    """Return the record of the running or last broker; a running one is found without its file."""
    marks = (_PROGRAM, str(_properties_file(paths)))
    return known(record_file(paths), NAME, marks, log_file(paths))


def _properties_file(paths: StackPaths) -> Path:
    return paths.run / "kafka.properties"


def log_file(paths: StackPaths) -> Path:
    """Return the broker's log."""
    return paths.logs / "kafka.log"


def data_folder(paths: StackPaths) -> Path:
    """Return the folder of the broker's data."""
    return paths.data / "kafka"


def prepare(
    paths: StackPaths, java: Java, jars: Sequence[Path], deadline: Deadline, stop: StopFlag | None = None
) -> bool:
    """Format the broker's folder, once, and return True if it was new.

    Its cluster id stays for the life of the data.

    Raises:
        NotReadyError: Kafka's format failed or took too long.
        RefusedError: Kafka cannot work in a folder of that name.
    """
    data = data_folder(paths)
    if data.is_dir():
        return False
    if "," in str(data):
        raise RefusedError(
            f"Kafka cannot keep its data in {data}: it takes the comma for the end of a folder's name",
            hint="choose another place with --home",
        )
    # Formatted in another folder and then renamed: an interrupted format is never taken for a whole one.
    unfinished = make_folder(paths.data) / "kafka.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    make_folder(paths.run)
    properties = paths.run / "kafka.format.properties"
    write_whole(properties, _properties(unfinished, 9092, 9093))
    program = ("kafka.tools.StorageTool", "format", "-t", _new_cluster_id(), "-c", str(properties))
    argv = [*_java(paths, java, jars), *program]
    log = log_file(paths)
    code = run_to_end(
        argv,
        what="formatting Kafka's folder",
        log=log,
        deadline=deadline,
        cwd=paths.run,
        env=_environment(),
        stop=stop,
    )
    properties.unlink()
    if code != 0:
        raise NotReadyError(
            "Kafka's folder cannot be formatted",
            detail="\n".join(tail(log, LOG_LINES)),
            hint=f"the whole log is {log}",
        )
    unfinished.rename(data)
    return True


def start(
    paths: StackPaths,
    java: Java,
    jars: Sequence[Path],
    settings: KafkaSettings,
    *,
    port: int,
    controller_port: int,
) -> ProcessRecord:
    """Start the broker in the background; it is ready when a client gets an answer."""
    properties = _properties_file(paths)
    write_whole(properties, _properties(data_folder(paths), port, controller_port))
    flags = [
        f"-Xmx{settings.heap_mb}m",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Dlog4j2.configurationFile={(assets.configs() / 'log4j2-kafka.xml').as_uri()}",
        f"-Dfraudctl.log={log_file(paths)}",
    ]
    return spawn(
        NAME,
        [*_java(paths, java, jars, flags), _PROGRAM, str(properties)],
        env=_environment(),
        log=log_file(paths),
        record=record_file(paths),
        cwd=paths.run,
    )


def _java(paths: StackPaths, java: Java, jars: Sequence[Path], flags: Sequence[str] = ()) -> list[str]:
    scratch = make_folder(paths.run / "tmp")
    return [
        str(java.executable),
        # Nothing is left in the system's temporary folder, not even when the broker is killed.
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={scratch}",
        "-Djava.awt.headless=true",
        "-Duser.timezone=UTC",
        *flags,
        *("-cp", ":".join(str(jar) for jar in jars)),
    ]


def _environment() -> dict[str, str]:
    """Return an environment without the user's own variables.

    JAVA_TOOL_OPTIONS or KAFKA_OPTS are meant for other programs.
    """
    return environment.for_service(os.environ, LANG="C.UTF-8")


def _new_cluster_id() -> str:
    """Return a random UUID in Kafka's spelling.

    It never has a leading hyphen, which Kafka's tools take for an option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _properties(data: Path, port: int, controller_port: int) -> str:
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        # One broker: its own topics cannot have replicas, and need few partitions.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # The cleaner's default buffer would be a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in lines.items())


def _escaped(value: str) -> str:
    """Escape a value for Java's property files: printable ASCII stays, all else becomes a Unicode escape."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    numbers = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(number) if 32 <= number < 127 else f"\\u{number:04x}" for number in numbers)
