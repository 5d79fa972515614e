"""`fraudctl verify-idempotency` as a user meets it: words and exit codes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from fraudctl.config.endpoints import Endpoints
from tests.support.commands import fraudctl
from tests.support.databases import temporary_database
from tests.support.landed import Landed, land, make_topic, remove_topic, settings_for

pytestmark = pytest.mark.services


@pytest.fixture
def landed(endpoints: Endpoints) -> Iterator[Landed]:
    settings = settings_for(f"test-{uuid4().hex[:12]}")
    make_topic(endpoints, settings)
    try:
        with temporary_database(endpoints.postgres) as database:
            yield land(replace(endpoints, postgres=database), settings)
    finally:
        remove_topic(endpoints, settings.kafka.topic)


def test_the_machine_s_time_zone_does_not_matter(
    landed: Landed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints, topic = landed.request.endpoints, landed.request.settings.kafka.topic
    landed.change("DELETE FROM fraud.fraud_metrics WHERE window_start = '2026-03-10 11:55Z'")
    reports = set()
    for zone in ("UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("PGTZ", zone)
        failed = fraudctl(endpoints, tmp_path, "verify-idempotency", kafka__topic=topic)
        assert failed.returncode == 1
        reports.add(failed.stdout)
    (report,) = reports
    assert "missing  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food" in report


def test_pass_fail_and_refusal(landed: Landed, tmp_path: Path) -> None:
    endpoints, topic = landed.request.endpoints, landed.request.settings.kafka.topic
    sound = fraudctl(endpoints, tmp_path, "verify-idempotency", kafka__topic=topic)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "counted                       6" in sound.stdout.splitlines()
    passed = "PASS: all 32 rows, 3 dead letters, 2 alerts and 3 flags agree with the log"
    assert sound.stdout.splitlines()[-1].startswith(passed)

    landed.change("UPDATE fraud.fraud_metrics SET count = count + 1 WHERE window_start = '2026-03-10 11:55Z'")
    failed = fraudctl(endpoints, tmp_path, "verify-idempotency", kafka__topic=topic)
    assert failed.returncode == 1
    assert (
        "differs  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food: count expected 1, stored 2"
        in failed.stdout.splitlines()
    )
    assert failed.stdout.splitlines()[-1].startswith("FAIL: 1 row, 0 dead letters and 0 alerts disagree")

    plain = fraudctl(endpoints, tmp_path, "verify-idempotency", "--json", kafka__topic=topic)
    assert plain.returncode == 1
    answer = json.loads(plain.stdout)
    assert answer["verdict"] == "differences"
    (row,) = answer["window_differences"]
    assert (row["kind"], row["columns"], row["category"]) == ("differs", ["count"], "Food")
    assert (row["expected"]["count"], row["stored"]["count"]) == (1, 2)

    landed.change("UPDATE fraud.fraud_metrics SET count = count - 1 WHERE window_start = '2026-03-10 11:55Z'")
    landed.change("UPDATE fraud.fraud_flags SET score = 7 WHERE transaction_id = 'c'")
    flawed = fraudctl(endpoints, tmp_path, "verify-idempotency", "--json", kafka__topic=topic)
    assert flawed.returncode == 1
    (flag,) = json.loads(flawed.stdout)["flag_differences"]
    assert (flag["kind"], flag["partition"], flag["columns"]) == ("differs", 0, ["score"])
    assert (flag["expected"]["score"], flag["stored"]["score"], flag["stored"]["alone"]) == (5, 7, True)

    other = fraudctl(
        endpoints, tmp_path, "verify-idempotency", "--json", kafka__topic=topic, windows__length_minutes="5"
    )
    assert other.returncode == 3
    assert "fingerprint" in json.loads(other.stdout)["error"]["message"]
    assert other.stderr.startswith("error: the landed rows cannot be verified")

    missing = fraudctl(endpoints, tmp_path, "verify-idempotency", kafka__topic=f"{topic}-gone")
    assert missing.returncode == 3
    assert "set kafka.topic to the topic that was read" in missing.stderr
