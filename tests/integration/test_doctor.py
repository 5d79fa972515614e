"""`fraudctl doctor` on a stack: all is well, then several things are wrong at once and each is named."""

import json
from pathlib import Path

import pytest

from tests.support.stacks import Stack

pytestmark = pytest.mark.services


def findings(stack: Stack, code: int, **env: str) -> dict[str, dict[str, object]]:
    done = stack.run("doctor", "--json", check=False, env=env)
    assert done.returncode == code, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["findings"]}


def test_a_fresh_stack_is_well(stack: Stack) -> None:
    found = findings(stack, 0)
    assert all(each["well"] for each in found.values())
    assert {"topic", "schema", "checkpoint", "lease", "durability", "position"} <= set(found)
    assert "may start" in stack.run("doctor").stdout


def test_every_trouble_is_named_not_only_the_first(stack: Stack) -> None:
    checkpoint = stack.root / "data" / "checkpoint"
    (checkpoint / "offsets").mkdir(parents=True)
    (checkpoint / "offsets" / "0").write_text("", encoding="utf-8")
    try:
        found = findings(stack, 1, FRAUDCTL_KAFKA__TOPIC="there-is-no-such-topic")
    finally:
        (checkpoint / "offsets" / "0").unlink()
        (checkpoint / "offsets").rmdir()
        checkpoint.rmdir()
    wrong = {name for name, each in found.items() if not each["well"]}
    assert wrong == {"topic", "checkpoint"}
    assert all(found[name]["hint"] for name in wrong)


def test_the_failpoints_are_listed_and_a_wrong_one_stops_nothing_else(stack: Stack) -> None:
    listed = stack.run("doctor", "--failpoints").stdout
    assert "before_merge" in listed
    assert "FRAUDCTL_FAILPOINT" in listed
    done = stack.run("detect", "--dry-run", check=False, env={"FRAUDCTL_FAILPOINT": "before_merg"})
    assert done.returncode == 3
    assert "doctor --failpoints" in done.stderr


def test_a_rule_that_can_never_match_is_told(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    rule = "{id: never, reason: no place, when: {categories: [Nowhere]}}"
    file.write_text(f"rules:\n- {rule}\n", encoding="utf-8")
    rules = findings(stack, 0, FRAUDCTL_RULES__FILE=str(file))["rules"]
    assert rules["answer"] == "1 rule"
    assert "warning: " in str(rules["detail"])
    assert "Nowhere" in str(rules["detail"])
