"""Wrong input and broken surroundings: one clear error, a hint, the documented exit code, no traceback."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.stacks import Stack


def refused(stack: Stack, code: int, *arguments: str, says: str, **options: object) -> str:
    """Run a command that must fail in the documented way; its stderr."""
    done = stack.run(*arguments, check=False, **options)  # type: ignore[arg-type]
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert says in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        (3, ["up", "--profile", "locl"], "did you mean local?"),
        (2, ["produce", "--rate", "-1"], "hint: "),
        (2, ["produce", "--rate", "many"], "--rate"),
        (2, ["produce", "--rate", "5", "--duration", "soon"], "soon"),
        (2, ["detect", "--detach", "--until-caught-up"], "hint: "),
        (2, ["up", "--stack", "No Such Name"], "hint: use up to 32"),
        (2, ["detekt"], "detekt"),
        (3, ["config", "show", "--config", "/nowhere/at/all.yaml"], "/nowhere/at/all.yaml"),
        (4, ["produce", "--rate", "5", "--count", "5"], "hint: start it with `fraudctl up`"),
        (4, ["verify-idempotency"], "hint: start it with `fraudctl up`"),
        (4, ["migrate"], "hint: start it with `fraudctl up`"),
        (4, ["env"], "hint: start it with `fraudctl up`"),
        (2, ["demo", "--picture", "/nowhere/at/all.svg"], "hint: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_nothing_runs_and_the_request_is_wrong(
    new_stack: NewStack, code: int, arguments: list[str], says: str
) -> None:
    stack = new_stack()
    message = refused(stack, code, *arguments, says=says)
    assert "rror" in message


def test_detect_with_nothing_running_says_what_to_start(new_stack: NewStack) -> None:
    stack = new_stack(
        {"FRAUDCTL_TIMEOUTS__STACK_GRACE_SECONDS": "0", "FRAUDCTL_TIMEOUTS__CONNECT_SECONDS": "1"}
    )
    assert "fraudctl up" in refused(stack, 4, "detect", says="hint: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kafka: {prt: 1}", "did you mean kafka.port?"),
        ("kafka: {heap_mb: much}", "kafka.heap_mb"),
        ("kafka: [", "not valid YAML"),
        ("windows: {length_minutes: 10, slide_minutes: 3}", "multiple"),
        ("producer: {category_weights: {Travel: 1}}", "events.categories"),
    ],
)
def test_a_settings_file_with_a_mistake_is_refused(new_stack: NewStack, text: str, says: str) -> None:
    stack = new_stack()
    mine = stack.home / "mine.yaml"
    mine.write_text(text, encoding="utf-8")
    refused(stack, 3, "config", "show", "--config", str(mine), says=says)


@pytest.mark.services
def test_a_rules_file_with_a_mistake_is_refused_before_anything_starts(new_stack: NewStack) -> None:
    stack = new_stack()
    rules = stack.home / "rules.yaml"
    rules.write_text("rules: [{id: a, reason: b, when: {hours: [1, 2]}}]", encoding="utf-8")
    stack.up()
    message = refused(stack, 3, "detect", says="rules", env={"FRAUDCTL_RULES__FILE": str(rules)})
    assert "rules #1.when.hours" in message
    assert scenario.detector_pid(stack) is None


@pytest.mark.services
@pytest.mark.slow
def test_the_database_goes_down_during_detect(new_stack: NewStack) -> None:
    """The detector waits for it as long as set, then gives up; once it is back nothing is missing."""
    stack = new_stack({"FRAUDCTL_LANDING__RETRY_SECONDS": "4"})
    stack.up()
    stack.run("produce", "--rate", "500", "--count", "1000", "--seed", "1")
    detect = scenario.start(stack, "detect")
    scenario.wait_for("a batch", lambda: scenario.progress(stack))
    scenario.kill_recorded(stack.root / "run" / "postgres.process.json")
    stack.run("produce", "--rate", "500", "--count", "1000", "--seed", "2")
    detect.finish(codes=(4,))
    assert "Traceback" not in detect.stderr
    assert "hint: " in detect.stderr
    stack.up()
    stack.run("detect", "--until-caught-up")
    assert stack.json("verify-idempotency")["fates"]["counted"] == 2000


@pytest.mark.services
def test_a_checkpoint_that_does_not_belong_is_refused(new_stack: NewStack) -> None:
    """Gone, from another database, or under other settings: never a lowered row, always a remedy."""
    stack = new_stack()
    stack.up()
    stack.run("produce", "--rate", "500", "--count", "500", "--seed", "1")
    stack.run("detect", "--until-caught-up")
    refused(stack, 3, "detect", says="a setting that decides", env={"FRAUDCTL_LATENESS__LATE_SECONDS": "60"})
    refused(stack, 3, "verify-idempotency", says="fingerprint", env={"FRAUDCTL_WINDOWS__LENGTH_MINUTES": "5"})
    checkpoint = stack.root / "data" / "checkpoint"
    away = stack.root / "data" / "away"
    checkpoint.rename(away)
    message = refused(stack, 3, "detect", says="checkpoint is gone")
    assert "hint: restore the checkpoint" in message
    if checkpoint.exists():
        checkpoint.rmdir()
    away.rename(checkpoint)
    (checkpoint / "metadata").write_text("{", encoding="utf-8")
    refused(stack, 3, "detect", says="damaged")


@pytest.mark.services
def test_no_client_talks_to_a_service_of_somebody_else(new_stack: NewStack, stack: Stack) -> None:
    """Another stack's broker answers at the port that the settings name: it must get nothing."""
    port = stack.kafka.rpartition(":")[2]
    mine = new_stack({"FRAUDCTL_KAFKA__PORT": port})
    refused(mine, 4, "produce", "--rate", "5", "--count", "5", says="is not up")
    refused(mine, 3, "up", says="held by")
    refused(mine, 4, "produce", "--rate", "5", "--count", "5", says="is not up")


@pytest.mark.services
def test_a_stack_keeps_its_ports(new_stack: NewStack, stack: Stack) -> None:
    """--any-port goes round a port in use once; from then on the stack is found at the same place."""
    mine = new_stack({"FRAUDCTL_KAFKA__PORT": stack.kafka.rpartition(":")[2]})
    mine.up("--any-port")
    where = mine.kafka
    assert where != stack.kafka
    scenario.kill_recorded(mine.root / "run" / "kafka.process.json")
    mine.up()
    assert mine.kafka == where
    mine.run("down")
    mine.up("--any-port")
    assert mine.kafka == where


@pytest.mark.parametrize("command", ["up", "down", "status", "demo"])
def test_a_home_that_is_no_folder_is_refused_without_a_traceback(new_stack: NewStack, command: str) -> None:
    done = new_stack().run(command, "--home", "/dev/null/home", check=False)
    assert done.returncode in (0, 3) if command == "down" else done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_behind_the_output_is_named(new_stack: NewStack) -> None:
    stack = new_stack()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*stack.command, "config", "show"], env=stack.env, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
