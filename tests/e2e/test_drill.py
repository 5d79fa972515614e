"""`fraudctl drill`: exact after every kind of fault, loud when a number is wrong, and nothing left behind."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.stacks import Stack

SEED = 20_261_124
# Each merged row counts too many, as with a merge that adds instead of replacing.
TAMPER = """
    CREATE FUNCTION fraud.one_more() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN NEW.count := NEW.count + 1; RETURN NEW; END $$;
    CREATE TRIGGER one_more BEFORE INSERT OR UPDATE ON fraud.fraud_metrics
      FOR EACH ROW EXECUTE FUNCTION fraud.one_more()
"""


def folder(stack: Stack) -> Path:
    return stack.home / "stacks" / "drill"


def database(stack: Stack) -> str | None:
    """The address of the drill's database, once its schema is there."""
    found = json.loads(stack.run("status", "--stack", "drill", "--json", check=False).stdout)
    if not found["healthy"]:
        return None
    postgres = found["services"]["postgres"]
    password = Path(postgres["password_file"]).read_text(encoding="utf-8").strip()
    return f"postgresql://{postgres['user']}:{password}@127.0.0.1:{postgres['port']}/{postgres['database']}"


def agrees(result: dict[str, Any]) -> None:
    """Exact, to the last event."""
    assert (result["verdict"], result["differences"]) == ("exact", 0)
    assert result["sent"] == result["acknowledged"] == result["events_read"] > 0
    assert result["events_read"] == result["counted"] + result["duplicate"] + result["rejected"]
    assert all(cycle["as_promised"] and cycle["back_seconds"] > 0 for cycle in result["cycles"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cycles", "0"], "hint: for example `fraudctl drill --cycles 5`"),
        (["--faults", "kil"], "hint: did you mean kill?"),
        (["--at", "before_merg"], "hint: did you mean before_merge?"),
        (["--faults", "kafka", "--at", "before_merge"], "hint: add kill or pause"),
        (["--rate", "0"], "hint: for example `fraudctl drill --rate 300`"),
        (["--seed", "-1"], "hint: leave --seed away"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(
    new_stack: NewStack, arguments: list[str], says: str
) -> None:
    stack = new_stack()
    done = stack.run("drill", *arguments, check=False)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert not folder(stack).exists()


@pytest.mark.parametrize("profile", ["external", "docker"])
def test_services_that_it_did_not_start_are_not_killed(new_stack: NewStack, profile: str) -> None:
    stack = new_stack()
    for given in (
        stack.run("drill", "--profile", profile, check=False),
        stack.run("drill", env={"FRAUDCTL_PROFILE": profile}, check=False),
    ):
        assert given.returncode == 3
        assert "hint: use `--profile local`" in given.stderr
    assert not folder(stack).exists()


def test_a_stack_that_is_there_is_not_touched(new_stack: NewStack) -> None:
    stack = new_stack()
    mine = stack.home / "stacks" / "mine"
    mine.mkdir(parents=True)
    (mine / "precious").touch()
    done = stack.run("drill", "--stack", "mine", check=False)
    assert done.returncode == 3
    assert "fraudctl down --stack mine --volumes" in done.stderr
    assert [file.name for file in mine.iterdir()] == ["precious"]


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_kind_of_fault_and_every_number_is_exact(new_stack: NewStack) -> None:
    stack = new_stack()
    faults = "kill,pause,postgres,kafka"
    done = stack.run(
        "drill", "--cycles", "4", "--faults", faults, "--seed", str(SEED), "--json", timeout=1100
    )
    result = json.loads(done.stdout)
    agrees(result)
    assert result["seed"] == SEED
    assert sorted(cycle["fault"] for cycle in result["cycles"]) == sorted(faults.split(","))
    assert f"seed {SEED}, 4 cycles:" in done.stderr
    assert "cycle 4 of 4: " in done.stderr
    assert not scenario.leftovers(stack.home)
    assert not folder(stack).exists()


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_wrong_count_fails_the_drill_and_is_named(new_stack: NewStack) -> None:
    """The proof that a drill can fail: from some batch of its first cycle on, merged rows count too many."""
    stack = new_stack()
    drill = scenario.start(stack, "drill", "--cycles", "1", "--seed", "5", "--at", "after_commit")
    address = scenario.wait_for("the drill's database", lambda: database(stack))
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(TAMPER)
    out = drill.finish(seconds=600, codes=(1,))
    assert "FAIL (differences)" in out
    assert "count expected" in out
    assert str(folder(stack)) in drill.stderr
    assert "--seed 5" in drill.stderr
    assert not scenario.leftovers(stack.home)
    assert folder(stack).is_dir()
    again = stack.run("drill", check=False)
    assert again.returncode == 3
    assert "is there already" in again.stderr
    # What was kept can be looked at: the same differences, found once more.
    stack.run("up", "--stack", "drill")
    try:
        verified = stack.run("verify-idempotency", "--stack", "drill", check=False)
        assert verified.returncode == 1
        assert "count expected" in verified.stdout
    finally:
        stack.run("down", "--stack", "drill", "--volumes", "--yes")


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("signals", [1, 2])
def test_an_interrupted_drill_leaves_nothing(new_stack: NewStack, signals: int) -> None:
    """Once: the present cycle is finished and verified. Twice: now."""
    stack = new_stack()
    drill = scenario.start(stack, "drill", "--cycles", "50", "--seed", "5", "--at", "after_commit", "--json")
    scenario.wait_for("the drill's detector", (folder(stack) / "run" / "detector.process.json").exists)
    drill.interrupt()
    if signals == 1:
        result = json.loads(drill.finish(seconds=600))
        agrees(result)
        assert (len(result["cycles"]), result["cycles_planned"]) == (1, 50)
    else:
        assert drill.process.stderr
        # The first one has to be seen before a second one counts as another.
        assert any("Ctrl-C again ends it now" in line for line in drill.process.stderr)
        drill.interrupt()
        drill.finish(codes=(130,))
    assert not scenario.leftovers(stack.home)
    assert not folder(stack).exists()
