"""The side `flink`: Flink SQL in an environment of its own, made when it is first needed.

The packages are those of benchmarks/flink/requirements.lock, with hashes; the connector is that of
benchmarks/jars.lock. Where either cannot be had the side is left out, and the reason is said.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import processes
from benchmarks.errors import UnavailableError
from benchmarks.jars import locked_jar
from benchmarks.runner import Context, Outcome, say
from benchmarks.services import ROOT, clean_environment
from benchmarks.sides.detect import HEAP, WINDOWS_PER_EVENT, check_plausible
from benchmarks.traffic import Loaded
from fraudctl.config.paths import stack_paths
from fraudctl.runtime.jvm.java import find_java

_FLINK = ROOT / "benchmarks" / "flink"
_SCRIPT = Path(__file__).resolve().parent / "flink_sql.py"
_INSTALL_SECONDS = 900.0


def drain(context: Context, loaded: Loaded, *, deduplicate: bool, warm_up: int) -> Outcome:
    """Drain a log by Flink SQL.

    Args:
        warm_up: so many records are read first, by a job of its own in the same JVM, and not counted.

    Raises:
        UnavailableError: Flink cannot be installed on this machine.
        BenchError: what it counted cannot be right.
    """
    if not context.with_flink:
        raise UnavailableError("it was not asked for")
    python, jar = _environment(context.cache), locked_jar("flink-sql-connector-kafka", context.cache)
    java = find_java(stack_paths(None, "default"), os.environ)
    scratch = context.scratch()
    env = clean_environment() | {
        "JAVA_HOME": str(java.home),
        "JVM_ARGS": f"-Xmx{HEAP} -XX:-UsePerfData -Djava.io.tmpdir={scratch} -Duser.timezone=UTC",
        "FLINK_LOG_DIR": str(scratch),
        "TMPDIR": str(scratch),
        "TZ": "UTC",
    }
    argv = [
        *(str(python), str(_SCRIPT)),
        *("--bootstrap-servers", context.services.bootstrap_servers, "--topic", loaded.topic),
        *("--jar", str(jar), "--warm-up", json.dumps(_first(loaded, warm_up))),
        *(["--deduplicate"] if deduplicate else []),
    ]
    done = processes.run(argv, env, scratch, context.services.pids)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    expected = loaded.events if deduplicate else loaded.events + loaded.copies
    check_plausible("Flink", told["counted"] / WINDOWS_PER_EVENT, expected)
    cpu = done.watch.cpu_between(told["began"], told["began"] + told["seconds"])
    return Outcome.of(
        {
            "events_per_second": round(loaded.records / told["net_seconds"], 1),
            "cpu_us_per_event": round(cpu / loaded.records * 1e6, 2),
            "wall_seconds": round(done.seconds, 2),
        },
        done.watch,
        done.load,
    )


def _first(loaded: Loaded, records: int) -> dict[str, int]:
    """Return the offsets, by partition, before which about so many records lie."""
    share = min(1.0, records / loaded.records)
    return {str(partition): int(end * share) for partition, end in loaded.ends.items()}


def _environment(cache: Path) -> Path:
    """Return the Python of the environment; it is made anew when the lock has changed."""
    lock = _FLINK / "requirements.lock"
    folder = cache / f"flink-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if (folder / ".ready").is_file():
        return python
    say("installing Flink (once; some 850 MB)")
    shutil.rmtree(folder, ignore_errors=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for argv in (
        [sys.executable, "-m", "venv", str(folder)],
        [*install, "--require-hashes", "-r", str(lock)],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise UnavailableError(f"its packages cannot be installed: {done.stderr.strip()[-300:]}")
    (folder / ".ready").touch()
    return python
