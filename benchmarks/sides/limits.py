"""Sides that show a limit: plain consumers in Python."""

import json
import sys
from pathlib import Path

from benchmarks import processes
from benchmarks.errors import BenchError
from benchmarks.runner import Context, Outcome
from benchmarks.services import clean_environment
from benchmarks.traffic import Loaded

_SCRIPT = Path(__file__).resolve().parent / "consume.py"


def consume(context: Context, loaded: Loaded, *, decode: bool) -> Outcome:
    """Consume a log by confluent-kafka, and decode its records by msgspec if asked to."""
    argv = [
        *(sys.executable, str(_SCRIPT)),
        *("--bootstrap-servers", context.services.bootstrap_servers, "--topic", loaded.topic),
        *(["--decode"] if decode else []),
    ]
    done = processes.run(argv, clean_environment(), context.scratch(), context.services.pids)
    told = json.loads(done.stdout)
    if told["records"] != loaded.records:
        raise BenchError(f"consumed {told['records']:,} of {loaded.records:,} records")
    cpu = sum(done.watch.cpu_seconds().values())
    return Outcome.of(
        {
            "events_per_second": round(told["records"] / told["seconds"], 1),
            "cpu_us_per_event": round(cpu / told["records"] * 1e6, 2),
            "wall_seconds": round(done.seconds, 2),
        },
        done.watch,
        done.load,
    )
