"""The analyst's walkthrough in the documentation: its commands as printed, and the answers that it shows."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1_800)]

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "analyst-walkthrough.md"
LEFT_OUT = "…"


class Step(NamedTuple):
    """A block of commands, and the lines that the page shows of their output, some only up to an `…`."""

    commands: str
    shown: list[str]


def steps() -> list[Step]:
    page = PAGE.read_text(encoding="utf-8")
    found: list[Step] = []
    for block in page.split("\n```")[1::2]:
        kind, _, text = block.partition("\n")
        if kind == "sh":
            found.append(Step(text, []))
        else:
            assert kind == "text"
            found[-1].shown.extend(line for line in text.splitlines() if line != LEFT_OUT)
    return found


def run(stack: Stack, commands: str, code: int) -> list[str]:
    """Run a block in a shell that ends with the first command that fails; the lines that went to stdout."""
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        env=stack.env | {"PATH": f"{stack.home / 'bin'}:{stack.env['PATH']}"},
        cwd=stack.home,
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == code, f"{commands} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()


def test_the_commands_of_the_walkthrough_do_what_it_says(new_stack: NewStack) -> None:
    """Observables: each exit code; every line that is shown is printed; the rules that alerts name."""
    stack = new_stack()
    command = stack.home / "bin" / "fraudctl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fraudctl "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    walk = steps()
    assert len(walk) == 5
    backtest = 2  # there are differences: that is its answer
    for number, (commands, shown) in enumerate(walk):
        printed = run(stack, commands, code=1 if number == backtest else 0)
        assert shown
        for line in shown:
            begin = line.removesuffix(LEFT_OUT).rstrip()
            agreeing = [one for one in printed if one == line or (begin != line and one.startswith(begin))]
            assert agreeing, f"not printed: {line}\n" + "\n".join(printed)

    own = scenario.execute(
        stack, "SELECT rule_set, count(*) FROM fraud.fraud_alerts WHERE 'dear-online' = ANY(rules) GROUP BY 1"
    )
    assert [row[0] for row in own] == [stack.json("rules", "list")["digest"]], "alerts name who raised them"
    judged = scenario.execute(stack, "SELECT count(DISTINCT rule_set) FROM fraud.batch_ledger")
    assert judged == [(2,)]
