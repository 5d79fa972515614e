"""Trigger execution at a steady rate, with the checkpoint's file-system fix on and off. Interleaved rounds.

Each round brings up a stack of its own, produces at the rate given, and runs the detector for a while.

    .venv/bin/python benchmarks/checkpoint.py [--rounds 3] [--rate 500] [--seconds 30]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIDES = {"fast checkpoint": "true", "Hadoop's own": "false"}


def fraudctl(*args: str, env: dict[str, str]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "fraudctl", *args, "--json"], env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"fraudctl {' '.join(args)} ended with {done.returncode}:\n{done.stderr}")
    result: dict[str, object] = json.loads(done.stdout)
    return result


def one_round(fast: str, rate: int, seconds: int) -> dict[str, float]:
    """p50 and others of one detector run of `seconds`, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="fraudctl-bench-", dir="/tmp") as home:
        Path(home).chmod(0o755)
        env = os.environ | {
            "FRAUDCTL_HOME": home,
            "FRAUDCTL_SPARK__FAST_CHECKPOINT": fast,
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
        }
        fraudctl("up", "--any-port", env=env)
        try:
            load = subprocess.Popen(
                [sys.executable, "-m", "fraudctl", "produce", "--rate", str(rate), "--seed", "1"],
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                detected = fraudctl("detect", "--duration", f"{seconds}s", env=env)
            finally:
                load.terminate()
                load.wait()
            fraudctl("verify-idempotency", env=env)
        finally:
            fraudctl("down", "--volumes", "--yes", env=env)
    figures = detected["trigger_ms"]
    assert isinstance(figures, dict)
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--rate", type=int, default=500)
    arguments.add_argument("--seconds", type=int, default=30)
    given = arguments.parse_args()
    medians: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(given.rounds):
        for side, fast in SIDES.items():
            figures = one_round(fast, given.rate, given.seconds)
            medians[side].append(figures["p50"])
            batches = f"{figures['batches']:.0f} batches"
            print(f"round {number + 1}  {side:<16} p50 {figures['p50']:.0f} ms over {batches}")
    for side, values in medians.items():
        print(
            f"{side:<16} p50: median of rounds {statistics.median(values):.0f} ms, best {min(values):.0f} ms"
        )
    fast_side, slow_side = medians.values()
    ratio = statistics.median(slow / fast for fast, slow in zip(fast_side, slow_side, strict=True))
    print(f"without the fix a batch takes {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
