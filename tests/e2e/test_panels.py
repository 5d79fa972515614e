"""Every panel of every dashboard, as its own role, on what a real run has landed: equal to a recount.

The log is full of faults and lies around the night in which the clocks of New York go back; the whole run is
done under UTC and under that zone, and every query in a session of either.
"""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fraudctl.config.load import load
from fraudctl.simulator.arrivals import Arrivals, Faults
from tests.support import scenario, stacks
from tests.support.dashboards import Panel, expanded, panels, variables
from tests.support.panel_values import EMPTIED, EXPECTED, SENT_AGAIN, Near, Run, View
from tests.support.raw_log import CREATE_TIME, Raw, send

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

FAULTS = Faults(duplicates=0.10, out_of_order=0.10, late=0.03, future=0.02, malformed=0.03)
# 06:00 UTC that day is two o'clock in New York, for the second time.
BEGIN = datetime(2024, 11, 3, 5, 20, tzinfo=UTC)
MINUTES = 80
PER_MINUTE = 40
PARTITIONS = 3


@pytest.fixture(
    scope="module",
    params=[pytest.param(zone, marks=pytest.mark.slow) for zone in ("UTC", "America/New_York")],
    ids=str,
)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    stack = stacks.new_stack(
        stacks.make_home(),
        {
            **CREATE_TIME,
            "TZ": request.param,
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
            "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "400",
        },
    )
    try:
        stack.up()
        settings = load().settings
        messages = list(
            Arrivals(
                settings.producer,
                settings.events,
                settings.lateness,
                FAULTS,
                7,
                round(BEGIN.timestamp() * 1000),
                (PER_MINUTE,) * MINUTES,
            )
        )
        raw = [
            Raw(number % PARTITIONS, message.value, message.arrival_ms, message.key)
            for number, message in enumerate(messages)
        ]
        offsets = send(stack, raw)
        stack.run("detect", "--until-caught-up")
        assert stack.json("verify-idempotency")["verdict"] == "ok"
        stack.run("deadletters", "requeue", "--reason", SENT_AGAIN, "--force")
        at_once = {"FRAUDCTL_DEAD_LETTERS__EXPIRE_DAYS": "0.000001"}
        stack.run("deadletters", "purge", "--reason", EMPTIED, "--yes", env=at_once)
        yield Run(
            stack,
            [
                (record.partition, offset, record.arrival_ms, record.value)
                for record, offset in zip(raw, offsets, strict=True)
            ],
        )
    finally:
        stacks.discard(stack)


PANELS = panels()


def views(run: Run, panel: Panel) -> list[View]:
    """Everything there is; and some of it, drawn finer, with fewer names chosen."""
    names = tuple(sorted({key.category for key in run.everything.windows}))
    reasons = tuple(sorted(set(run.everything.rejects.values())))
    first, last = BEGIN.timestamp() - 3600, datetime.now(UTC).timestamp() + 3600
    part = BEGIN.timestamp() + 1200, BEGIN.timestamp() + 3599
    if "panel_batches" in panel.sql or "panel_intake" in panel.sql:
        quarter = len(run.batches) // 4
        part = run.batches[quarter].landed_s - 0.01, run.batches[-quarter].landed_s - 0.01
    return [
        View(run, first, last, 900, names, reasons),
        View(run, *part, 1, names[:2], reasons[:2]),
    ]


def asked(session: psycopg.Connection[Any], panel: Panel, view: View) -> list[tuple[Any, ...]]:
    chosen = {"category": view.categories, "reason": view.reasons}
    begin, finish = (datetime.fromtimestamp(each, UTC) for each in (view.begin_s, view.finish_s))
    return session.execute(expanded(panel.sql, begin, finish, view.step_s, chosen).encode()).fetchall()


def plain(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return cell.timestamp()
    return float(cell) if isinstance(cell, Decimal) else cell


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Near):
        return expected.value - 1 <= found <= expected.value + expected.slack
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return math.isclose(found, expected, rel_tol=1e-12, abs_tol=2e-6)
    return bool(found == expected)


def test_no_panel_is_left_out() -> None:
    assert {panel.name for panel in PANELS} == EXPECTED.keys()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panel_shows_what_the_recount_says(run: Run, panel: Panel, zone: str) -> None:
    with run.session(zone) as session:
        for view in views(run, panel):
            expected = EXPECTED[panel.name](view)
            found = [tuple(plain(cell) for cell in row) for row in asked(session, panel, view)]
            assert expected, "a view of nothing proves nothing"
            assert len(found) == len(expected)
            wrong = [
                (row, wanted)
                for row, wanted in zip(found, expected, strict=True)
                if len(row) != len(wanted) or not all(map(same, row, wanted))
            ]
            assert not wrong, wrong[:3]


def test_variables_offer_what_there_is(run: Run) -> None:
    with run.session("UTC") as session:
        offered = {
            name: [row[0] for row in session.execute(query.encode()).fetchall()]
            for name, query in variables().items()
        }
    assert offered == {
        "category": sorted({key.category for key in run.everything.windows}),
        "reason": sorted(set(run.everything.rejects.values())),
    }


def test_slices_add_up_to_every_counted_record_and_plain_sums_do_not(run: Run) -> None:
    with run.session("UTC") as session:
        row = session.execute("SELECT sum(transactions) FROM fraud.panel_slices").fetchone()
        plain_sum = session.execute("SELECT sum(transactions) FROM fraud.panel_windows").fetchone()
    assert row and plain_sum
    assert row[0] == run.everything.fate("counted")
    assert plain_sum[0] == 10 * row[0]


def test_a_hostile_choice_is_only_a_name_that_nothing_has(run: Run) -> None:
    """The values of variables come from a browser's address line."""
    everything = views(run, PANELS[0])[0]
    hostile = "x'); DELETE FROM fraud.fraud_metrics; --"
    chosen = View(run, everything.begin_s, everything.finish_s, 60, (hostile,), (hostile,))
    with run.session("UTC") as session:
        for panel in PANELS:
            if "sqlstring" in panel.sql:
                assert all(cell in (None, 0) for row in asked(session, panel, chosen) for cell in row), (
                    panel.name
                )
    assert scenario.counted(run.stack) == run.everything.fate("counted")


def test_the_detector_wrote_as_its_own_role(run: Run) -> None:
    job = json.loads((Path(run.stack.root) / "run" / "detector.job.json").read_text(encoding="utf-8"))
    assert job["postgres_user"] == "fraud_writer"
    assert Path(job["postgres_password_file"]).name == "writer.password"
