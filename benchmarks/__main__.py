"""Run the benchmarks: `make bench`, `make bench ARGS=--quick`, `make bench ARGS="drain producers"`."""

import argparse
import importlib
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks import report
from benchmarks.commits import current_commit
from benchmarks.machine import describe
from benchmarks.options import FULL, QUICK, SIZES
from benchmarks.runner import FAILURES, Results, context, say
from benchmarks.services import ROOT

GROUPS = ("drain", "defaults", "live", "start", "verify", "producers", "cores", "card-rules", "keys")
# Too long for a run of everything: by name only.
BY_NAME = ("growth", "soak")
# What fits into a few minutes.
QUICK_GROUPS = ("drain", "live", "start", "verify", "producers")
AGAINST = "a5d5276"
CACHE = ROOT / "build" / "bench"


def main(argv: Sequence[str] | None = None) -> int:
    given = _parse(argv)
    signal.signal(signal.SIGTERM, _interrupted)
    sizes = SIZES[given.size]
    groups = given.groups or (QUICK_GROUPS if sizes == QUICK else GROUPS)
    rounds = given.rounds or sizes.rounds
    file = given.out or CACHE / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    run = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": current_commit(),
        "against": given.against,
        "size": sizes.name,
        "rounds": rounds,
        "machine": describe(),
    }
    results = Results(file, run)
    began = time.time()
    failed_groups: list[str] = []
    try:
        with context(sizes, rounds, CACHE, given.against, given.flink, results.add) as bench:
            for name in groups:
                say(f"group {name}")
                try:
                    importlib.import_module(f"benchmarks.groups.{name.replace('-', '_')}").run(bench)
                except FAILURES:
                    failed_groups.append(name)
                    traceback.print_exc()
                finally:
                    results.write(bench.notes)
    except KeyboardInterrupt:
        print("interrupted; every process has been stopped", file=sys.stderr)
        return 130
    finally:
        print(f"raw samples: {file}", file=sys.stderr)
    print()
    print(report.text(results.document))
    say(f"done in {(time.time() - began) / 60:.1f} min")
    if given.publish:
        say(f"written: {report.publish(results.document)}")
    failed = [sample for sample in results.document["samples"] if "error" in sample]
    if failed:
        print(f"{len(failed)} samples failed; their errors are in the raw samples", file=sys.stderr)
    if failed_groups:
        print(f"these groups did not come to their end: {', '.join(failed_groups)}", file=sys.stderr)
    return 1 if failed or failed_groups else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    choices = (*GROUPS, *BY_NAME)
    arguments.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"{', '.join(choices)}; all but {' and '.join(BY_NAME)}"
    )
    arguments.add_argument("--size", choices=sorted(SIZES), default=FULL.name, help="how much to run")
    arguments.add_argument(
        "--quick", action="store_const", dest="size", const=QUICK.name, help="a first look in minutes"
    )
    arguments.add_argument("--rounds", type=int, help="instead of the size's own")
    arguments.add_argument("--against", default=AGAINST, help="an earlier commit beside this; '' for none")
    arguments.add_argument("--no-flink", action="store_false", dest="flink", help="leave Flink out")
    arguments.add_argument("--out", type=Path, metavar="FILE.json", help="for the raw samples")
    arguments.add_argument(
        "--publish", action="store_true", help="write docs/benchmarks.md and the raw samples behind it"
    )
    given = arguments.parse_args(argv)
    unknown = sorted(set(given.groups) - set(choices))
    if unknown:
        arguments.error(f"there is no group {unknown[0]}; choose from {', '.join(choices)}")
    if given.rounds is not None and given.rounds < 1:
        arguments.error("--rounds must be at least 1")
    return given


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
