"""The recount: events per second beside an earlier commit, and memory at two lengths of the log."""

from contextlib import ExitStack
from functools import partial

from benchmarks import traffic
from benchmarks.runner import Context, RunSide
from benchmarks.services import Code, Lane
from benchmarks.sides import detect
from benchmarks.traffic import Loaded, Traffic

PARTITIONS = 4


def run(context: Context) -> None:
    """Let each code store the short log, and this one the long log too; then verify in turn."""
    short, long = context.sizes.verify_events
    with ExitStack() as stack:
        sides: dict[str, RunSide] = {}
        loaded = context.services.load("verify-short", PARTITIONS, Traffic(short))
        for code in context.codes:
            lane = _stored(context, stack, code, loaded)
            sides[code.name] = partial(detect.verify, lane, loaded)
        context.note("verify", f"logs of {short:,} and {long:,} events; all time counts, start included")
        context.interleave("verify", sides, warm_up=context.sizes.warm_up_rounds)
        large = context.services.load("verify-long", PARTITIONS, Traffic(long))
        lane = _stored(context, stack, context.now, large)
        # Time is a matter of the short log; memory needs no five rounds.
        longest = {context.now.name: partial(detect.verify, lane, large)}
        context.interleave("verify-long", longest, rounds=min(2, context.rounds))
        traffic.delete_topic(context.services.bootstrap_servers, large.topic)


def _stored(context: Context, stack: ExitStack, code: Code, loaded: Loaded) -> Lane:
    lane = stack.enter_context(
        context.services.lane(code, loaded.topic, detect.settings(context.sizes.drain_batch))
    )
    lane.run("detect", "--until-caught-up", "--json")  # `verify` checks that all of it has been read
    return lane
