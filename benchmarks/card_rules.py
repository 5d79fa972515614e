"""What rules on a card's past and forests cost: batches of one log without them, and with each. Interleaved.

Each round brings up a stack of its own, sends one log, and lets the detector catch up in batches of one size.
The log is a backfill of days, so that event time moves on and windows come to their end.

    .venv/bin/python benchmarks/card_rules.py [--rounds 3] [--events 60000] [--batch 5000]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# By name: how many minutes rules look back, and whether a forest is among them.
SIDES = {
    "without": (0, False),
    "10 min": (10, False),
    "2 h": (120, False),
    "forest": (0, True),
    "forest, 10 min": (10, True),
}


def fraudctl(*args: str, env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "fraudctl", *args, "--json"], env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"fraudctl {' '.join(args)} ended with {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def grown(minutes: int, folder: str) -> str:
    """The file of a forest that looks back so far."""
    made = fraudctl(
        *("train", "--features", "stream", "--preset", "everyday", "--seed", "1"),
        *("--within-minutes", str(minutes), "--out", folder),
        env=os.environ | {"FRAUDCTL_HOME": folder},
    )
    return str(made["file"])


def rules(minutes: int, forest: str | None) -> dict[str, Any]:
    """The same two rules on the transaction itself, three on the card, and the forest."""
    found: list[dict[str, Any]] = [
        {"id": "dear", "reason": "dear", "when": {"amount_over": 60_000}},
        {"id": "night", "reason": "at night", "when": {"hours_utc": [1, 5], "amount_over": 20_000}},
    ]
    if minutes:
        for name, asked in (
            ("often", {"count_over": 5}),
            ("spent", {"sum_over": 200_000}),
            ("hopping", {"countries_over": 1, "since_previous_under_seconds": 300}),
        ):
            card = {"within_minutes": minutes, **asked}
            found.append({"id": name, "reason": name, "action": "alert", "when": {"card": card}})
    if forest is not None:
        model = {"file": forest, "score_over": 10}
        found.append({"id": "learned", "reason": "learned", "action": "alert", "when": {"model": model}})
    return {"rules": found}


def one_round(minutes: int, forest: str | None, events: int, batch: int) -> dict[str, float]:
    """p50 of a batch in milliseconds, and how many flags and differences there were."""
    with tempfile.TemporaryDirectory(prefix="fraudctl-bench-", dir="/tmp") as home:
        Path(home).chmod(0o755)
        file = Path(home) / "rules.json"
        file.write_text(json.dumps(rules(minutes, forest)), encoding="utf-8")
        env = os.environ | {
            "FRAUDCTL_HOME": home,
            "FRAUDCTL_RULES__FILE": str(file),
            "FRAUDCTL_KAFKA__TIMESTAMP_TYPE": "CreateTime",
            "FRAUDCTL_KAFKA__RETENTION_HOURS": "1000000",
            "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": str(batch),
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
        }
        fraudctl("up", "--any-port", env=env)
        try:
            sent = ("--preset", "everyday", "--seed", "1", "--count", str(events), "--speed", "86400x")
            fraudctl("produce", *sent, "--no-labels", env=env)
            detected = fraudctl("detect", "--until-caught-up", env=env)
            verified = fraudctl("verify-idempotency", env=env)
        finally:
            fraudctl("down", "--volumes", "--yes", env=env)
    return {"p50": detected["trigger_ms"]["p50"], "flags": verified["flags_compared"]}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--events", type=int, default=60_000)
    arguments.add_argument("--batch", type=int, default=5_000)
    given = arguments.parse_args()
    medians: dict[str, list[float]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory(prefix="fraudctl-bench-", dir="/tmp") as folder:
        forests = {side: grown(minutes, folder) for side, (minutes, learned) in SIDES.items() if learned}
        for number in range(given.rounds):
            for side, (minutes, _learned) in SIDES.items():
                figures = one_round(minutes, forests.get(side), given.events, given.batch)
                medians[side].append(figures["p50"])
                flags = f"{figures['flags']:,.0f} flags, verified"
                print(f"round {number + 1}  {side:<14} p50 {figures['p50']:.0f} ms, {flags}", flush=True)
    bare = statistics.median(medians["without"])
    for side, values in medians.items():
        middle = statistics.median(values)
        rate = given.batch / middle * 1000
        print(f"{side:<14} p50 {middle:.0f} ms: {rate:,.0f} records/s, {middle / bare:.2f} times as long")


if __name__ == "__main__":
    main()
