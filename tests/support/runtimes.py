"""The ways in which one and the same job can be run, and what must be gone after each of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import forests, scenario
from tests.support.stacks import Stack


@dataclass(frozen=True)
class Runtime:
    """`environ` are the settings that choose it."""

    name: str
    environ: dict[str, str]


LOCAL = Runtime("local", {"FRAUDCTL_PROFILE": "local"})
DOCKER = Runtime("docker", {"FRAUDCTL_PROFILE": "docker"})
CONTAINER = Runtime("docker, Spark in a container", {**DOCKER.environ, "FRAUDCTL_SPARK__SUBMIT": "container"})
CLUSTER = Runtime(
    "docker, a standalone cluster",
    {
        **CONTAINER.environ,
        "FRAUDCTL_DOCKER__PROFILES": '["spark"]',
        "FRAUDCTL_SPARK__MASTER": "spark://spark-master:7077",
    },
)
RUNTIMES = (LOCAL, DOCKER, CONTAINER, CLUSTER)


LEARNED = "SELECT count(*) FROM fraud.fraud_alerts WHERE 'learned' = ANY (rules)"


def learned_rule(folder: Path) -> str:
    """A file of rules that let executors score: Python has to find its packages wherever they run."""
    forest = forests.forest(["amount_minor"], [("amount_minor", 2_000, 0, 800_000)])
    when = {"model": {"forest": forest, "score_over": 50}}
    rule = {"id": "learned", "reason": "a forest says so", "action": "alert", "when": when}
    file = folder / "learned.json"
    file.write_text(json.dumps({"rules": [rule]}), encoding="utf-8")
    return str(file)


def the_whole_way(stack: Stack, leftovers: Callable[[], list[str]]) -> None:
    """up, produce, detect, more of both on the same checkpoint under a learned rule, verify, down --volumes.

    Observables: every acknowledged record is counted or has a dead letter; the second `up` changes nothing;
    nothing of the stack is left: no process, no folder, nothing on the engine.
    """
    stack.up()
    assert stack.json("up")["changed"] == []
    sent = 0
    for seed in (1, 2):
        produced = stack.json("produce", "--rate", "1000", "--count", "1500", "--seed", str(seed))
        assert produced["acknowledged"] == 1500
        sent += 1500
        detected = stack.json("detect", "--until-caught-up")
        assert detected["records"] == 1500
        stack.run("rules", "apply", learned_rule(stack.home))
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert sum(verified["fates"].values()) == sent
    assert scenario.execute(stack, LEARNED)[0][0] > 100
    letters = scenario.execute(stack, "SELECT count(*) FROM fraud.dead_letters")[0][0]
    assert scenario.counted(stack) == sent - letters
    stack.down()
    assert leftovers() == []
    assert not stack.root.exists()
    assert not scenario.leftovers(stack.home)
