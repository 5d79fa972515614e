"""`fraudctl rules` as a user calls it, without any service."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

RULES = """\
rules:
  - {id: dear, reason: a dear one, action: alert, weight: 80, when: {amount_over: 20000}}
  - {id: web, reason: on the web, weight: 10, when: {channels: [ecommerce, web, online]}}
  - {id: never, reason: switched off, enabled: false, when: {amount_over: 0}}
"""


def fraudctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fraudctl", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    done = fraudctl(
        *("simulate", "--preset", "everyday", "--seed", "7", "--count", "3000"),
        *("--out", str(folder / "events.jsonl"), "--home", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_rules_are_tried_on_simulated_events(folder: Path) -> None:
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    dear = [event for event in events if event["amount_minor"] > 20000]
    done = fraudctl(
        *("rules", "test", str(folder / "rules.yaml"), "--events", str(folder / "events.jsonl")),
        *("--examples", "1", "--json", "--home", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["read"], found["judged"], found["refused"]) == (len(events), len(events), 0)
    assert found["alerts"] == len(dear) > 0
    tallies = {tally["id"]: tally for tally in found["rules"]}
    assert tallies["dear"]["matched"] == len(dear)
    assert tallies["dear"]["examples"][0]["transaction_id"] == dear[0]["transaction_id"]
    assert (tallies["never"]["matched"], tallies["never"]["examples"]) == (0, [])
    assert found["flagged"] >= tallies["web"]["matched"]


def test_a_rule_on_the_card_is_tried_on_what_the_events_tell_of_it(folder: Path) -> None:
    """Against a count by hand: how many of a card's transactions lie in the hour up to each of them."""
    file = folder / "cards.yaml"
    file.write_text(
        "rules:\n"
        "  - {id: often, reason: often, when: {card: {within_minutes: 60, count_over: 2}}}\n"
        "  - {id: abroad, reason: a, when: {not_countries: [DE], "
        "card: {within_minutes: 60, count_over: 1}}}\n"
        "  - {id: dear, reason: dear, when: {amount_over: 20000}}\n",
        encoding="utf-8",
    )
    cards: dict[str, list[tuple[datetime, dict[str, Any]]]] = {}
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        cards.setdefault(event["card_id"], []).append((datetime.fromisoformat(event["event_time"]), event))
    often, abroad, flagged = set(), set(), set()
    for own in cards.values():
        assert len({time for time, _ in own}) == len(own), "no two at one instant: their order is by digest"
        for time, event in own:
            past = sum(time - timedelta(hours=1) < other <= time for other, _ in own)
            name = event["transaction_id"]
            often |= {name} if past > 2 else set()
            abroad |= {name} if past > 1 and event["country"] != "DE" else set()
            flagged |= {name} if event["amount_minor"] > 20000 else set()
    assert often and abroad
    done = fraudctl(
        *("rules", "test", str(file), "--events", str(folder / "events.jsonl"), "--json"),
        *("--home", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {tally["id"]: tally["matched"] for tally in found["rules"]} == {
        "often": len(often),
        "abroad": len(abroad),
        "dear": len(flagged),
    }
    assert found["flagged"] == len(often | abroad | flagged)


def test_a_mistake_ends_with_its_line_and_exit_3(folder: Path) -> None:
    wrong = folder / "wrong.yaml"
    wrong.write_text(RULES.replace("weight: 10", "weight: 1000"), encoding="utf-8")
    done = fraudctl("rules", "check", str(wrong), "--home", str(folder))
    assert done.returncode == 3
    assert f"{wrong}:3: rules #2.weight" in done.stderr


def test_a_category_that_does_not_exist_is_a_mistake(folder: Path) -> None:
    wrong = folder / "strange.yaml"
    wrong.write_text(
        RULES.replace("channels: [ecommerce, web, online]", "categories: [Fodo]"), encoding="utf-8"
    )
    done = fraudctl("rules", "check", str(wrong), "--home", str(folder))
    assert done.returncode == 3
    assert "rule web: Fodo" in done.stderr
    assert fraudctl("rules", "check", str(folder / "rules.yaml"), "--home", str(folder)).returncode == 0


def test_the_rules_of_the_settings_are_listed(folder: Path) -> None:
    done = fraudctl("rules", "list", "--home", str(folder))
    assert done.returncode == 0
    assert "high-amount  version 1, alert, 60 points" in done.stdout
    assert "hours_utc: 1, 5" in done.stdout
