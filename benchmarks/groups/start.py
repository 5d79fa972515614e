"""Starts with warm caches: `detect` typed until its first batch is committed, and the whole demo."""

import json
import shutil
import sys
from functools import partial

from benchmarks import processes
from benchmarks.errors import BenchError
from benchmarks.processes import Finished
from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.services import Code
from benchmarks.sides import detect
from benchmarks.traffic import Loaded, Traffic

_START_SECONDS = 600.0


def run(context: Context) -> None:
    """Time each code with warm caches, which a first round fills if no group ran before."""
    sizes = context.sizes
    loaded = context.services.load("start", 3, Traffic(sizes.start_events))
    context.note("start", f"{loaded.records:,} records are waiting; rounds dropped: {sizes.warm_up_rounds}")
    firsts: dict[str, RunSide] = {
        code.name: partial(_first_batch, context, code, loaded) for code in context.codes
    }
    context.interleave("start", firsts, warm_up=sizes.warm_up_rounds)
    if sizes.with_demo:
        demos: dict[str, RunSide] = {code.name: partial(_demo, context, code) for code in context.codes}
        context.interleave("demo", demos)


def _first_batch(context: Context, code: Code, loaded: Loaded) -> Outcome:
    """Time from the command to the end of the first batch, with the settings' defaults."""
    with context.services.lane(code, loaded.topic) as lane:
        argv = lane.argv("detect", "--json")
        with processes.running(argv, lane.env, lane.home, lane.services) as process:
            first = detect.wait_for_batches(lane, 1, _START_SECONDS)[0]
            process.interrupt()
            done = process.wait(120)
    seconds = {"seconds": round(first.ended - done.began, 2), "batch_seconds": round(first.seconds, 2)}
    return _outcome(seconds, done)


def _demo(context: Context, code: Code) -> Outcome:
    """Time `fraudctl demo` from beginning to end, its own broker and database included."""
    home = context.scratch()
    env = code.environment() | {"FRAUDCTL_HOME": str(home), "FRAUDCTL_PROFILE": "local"}
    names = ("KAFKA__PORT", "KAFKA__CONTROLLER_PORT", "POSTGRES__PORT")
    ports = zip(names, processes.free_ports(len(names)), strict=True)
    env |= {f"FRAUDCTL_{name}": str(port) for name, port in ports}
    argv = [sys.executable, "-m", "fraudctl", "demo", "--seed", "1", "--json"]
    try:
        done = processes.run(argv, env, home, {}, seconds=600)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if not json.loads(done.stdout):
        raise BenchError("the demo printed no result")
    return _outcome({"seconds": round(done.seconds, 2)}, done)


def _outcome(values: dict[str, float], done: Finished) -> Outcome:
    cpu = {"cpu_seconds": round(sum(done.watch.cpu_seconds().values()), 2)}
    return Outcome.of(values | cpu, done.watch, done.load)
