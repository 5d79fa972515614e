"""The whole pipeline by `docker compose` alone: nothing of fraudctl runs on this machine."""

from pathlib import Path

import docker
import psycopg
import pytest

from tests.engine.conftest import NewContained
from tests.engine.test_lifecycle import PLUGIN, compose
from tests.support import app_stand_in, scenario

pytestmark = [pytest.mark.engine, pytest.mark.skipif(not PLUGIN, reason="docker compose is not installed")]


def test_the_app_profile(new_contained: NewContained, engine: docker.DockerClient, tmp_path: Path) -> None:
    """Observables: windows land, both ends stop cleanly, verify agrees; fraudctl sees the same stack."""
    one = new_contained({"FRAUD_APP_IMAGE": app_stand_in.build(engine, tmp_path)})
    compose(one, "--profile", "app", "up", "--detach")
    made = one.containers()
    postgres = made["postgres"]
    password = postgres.exec_run(["cat", "/run/secrets/postgres.password"], user="0").output.decode().strip()
    port = one.stack.env["FRAUDCTL_POSTGRES__PORT"]

    def counted() -> int:
        with psycopg.connect(f"postgresql://fraudctl:{password}@127.0.0.1:{port}/fraudctl") as connection:
            row = connection.execute(
                "SELECT coalesce(sum(transactions), 0) FROM fraud.panel_slices"
            ).fetchone()
        assert row
        return int(row[0])

    scenario.wait_for("windows", lambda: counted() > 0, 180)
    with psycopg.connect(f"postgresql://fraudctl:{password}@127.0.0.1:{port}/fraudctl") as connection:
        writers = connection.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'fraudctl detector'"
        ).fetchall()
    assert writers == [("fraud_writer",)]
    for name in ("app-producer", "app-detector"):
        compose(one, "--profile", "app", "stop", name)
        container = one.containers()[name]
        assert container.wait()["StatusCode"] in (0, 143), container.logs().decode()[-2000:]
    said = compose(one, "--profile", "app", "run", "--rm", "app-detector", "detect", "--until-caught-up")
    assert "records read" in said
    verified = compose(one, "--profile", "app", "run", "--rm", "app-detector", "verify-idempotency")
    assert "PASS" in verified
    before = one.ids()
    status = one.stack.json("status", check=False)
    assert status["services"]["kafka"]["state"] == "running"
    assert status["topic"]["exists"] is True
    one.stack.run("up")
    assert one.ids() == before
    assert not any(password in container.logs().decode(errors="replace") for container in made.values())
    compose(one, "--profile", "app", "down", "--volumes")
    assert one.leftovers() == []
