"""The stand-in for Grafana's server takes the project's own provisioning, and refuses what is not whole."""

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudctl.clock import Deadline
from fraudctl.runtime.ports import free_port
from tests.support.dashboards import FOLDER

SERVER = Path(__file__).parents[1] / "engine" / "grafana_stand_in" / "server.py"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """As the container has it, except that the absolute paths lie in a folder of the test."""
    provisioning = tmp_path / "provisioning"
    for kind in ("datasources", "dashboards"):
        (provisioning / kind).mkdir(parents=True)
        text = (FOLDER / "provisioning" / kind / "fraud.yaml").read_text(encoding="utf-8")
        text = text.replace("/run/secrets/", f"{tmp_path}/").replace(
            "/etc/grafana/dashboards", str(FOLDER / "dashboards")
        )
        (provisioning / kind / "fraud.yaml").write_text(text)
    (tmp_path / "reader.password").write_text("of the reader\n")
    (tmp_path / "grafana.password").write_text("of the admin\n")
    (tmp_path / "data").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_PATHS_DATA": str(tmp_path / "data"),
        "GF_SECURITY_ADMIN_PASSWORD__FILE": str(tmp_path / "grafana.password"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(free_port()),
        "FRAUD_POSTGRES_ADDRESS": "postgres:5432",
        "FRAUD_POSTGRES_DATABASE": "fraudctl",
        "FRAUD_POSTGRES_SSLMODE": "disable",
    }


@contextmanager
def served(environ: dict[str, str]) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-u", str(SERVER)], env=environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert "HTTP Server Listen" in process.stdout.readline()
        yield f"http://127.0.0.1:{environ['GF_SERVER_HTTP_PORT']}"
    finally:
        process.terminate()
        process.communicate(timeout=Deadline(10).seconds)


def get(address: str, password: str | None = None) -> object:
    request = urllib.request.Request(address)
    if password is not None:
        request.add_header(
            "Authorization", "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
        )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_it_answers_like_a_provisioned_grafana(environ: dict[str, str], tmp_path: Path) -> None:
    with served(environ) as address:
        assert get(f"{address}/api/health") == {"database": "ok", "version": "stand-in"}
        for password in (None, "admin"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(f"{address}/api/search", password)
        source = get(f"{address}/api/datasources/uid/fraud-postgres", "of the admin")
        assert source == {
            "uid": "fraud-postgres",
            "type": "grafana-postgresql-datasource",
            "url": "postgres:5432",
            "user": "fraud_reader",
            "database": "fraudctl",
            "sslmode": "disable",
        }
        boards = get(f"{address}/api/search", "of the admin")
        assert isinstance(boards, list)
        assert [board["uid"] for board in boards] == ["fraud-overview", "fraud-pipeline"]
    (tmp_path / "grafana.password").write_text("another\n")
    with served(environ) as address:
        assert get(f"{address}/api/search", "of the admin")  # as with Grafana: the first one counts


@pytest.mark.parametrize(
    "missing", ["reader.password", "grafana.password", "provisioning/dashboards/fraud.yaml"]
)
def test_it_does_not_start_without(environ: dict[str, str], tmp_path: Path, missing: str) -> None:
    (tmp_path / missing).unlink()
    done = subprocess.run(
        [sys.executable, str(SERVER)], env=environ, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    assert "level=error" in done.stderr


def test_it_does_not_start_without_a_variable(environ: dict[str, str]) -> None:
    del environ["FRAUD_POSTGRES_SSLMODE"]
    done = subprocess.run(
        [sys.executable, str(SERVER)], env=environ, capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, "FRAUD_POSTGRES_SSLMODE is not set" in done.stderr) == (1, True)
