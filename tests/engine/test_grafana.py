"""Grafana beside the stack: brought up with it, provisioned, its password where `up` says."""

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.engine.conftest import NewContained

pytestmark = pytest.mark.engine

IMAGE = "fraudctl-test-grafana:1"


@pytest.fixture(scope="module")
def stand_in(engine: docker.DockerClient) -> str:
    """Its base has to be on the engine: an image with a python3."""
    engine.images.build(path=str(Path(__file__).parent / "grafana_stand_in"), tag=IMAGE, rm=True)
    return IMAGE


def ask(url: str, login: str = "") -> Any:
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_grafana_comes_up_provisioned(new_contained: NewContained, stand_in: str) -> None:
    """Intent: one setting adds it to a running stack, one setting takes it away; nothing else is touched."""
    one = new_contained({"FRAUDCTL_DOCKER__GRAFANA_IMAGE": stand_in})
    one.stack.up()
    before = one.ids()
    chosen = {"FRAUDCTL_DOCKER__PROFILES": '["grafana"]'}
    report = json.loads(one.stack.run("up", "--json", env=chosen).stdout)
    assert {name: one.ids()[name] for name in before} == before
    grafana = report["grafana"]
    assert grafana["url"] == f"http://127.0.0.1:{one.stack.env['FRAUDCTL_DOCKER__GRAFANA_PORT']}"
    assert ask(f"{grafana['url']}/api/health")["database"] == "ok"
    password = Path(grafana["password_file"]).read_text(encoding="utf-8").strip()
    login = f"{grafana['user']}:{password}"
    source = ask(f"{grafana['url']}/api/datasources/uid/fraud-postgres", login)
    assert (source["url"], source["user"]) == ("postgres:5432", "fraud_reader")
    assert len(ask(f"{grafana['url']}/api/search", login)) == 2

    status = json.loads(one.stack.run("status", "--json", env=chosen).stdout)
    assert status["healthy"] is True
    assert status["grafana"]["state"] == "running"
    assert json.loads(one.stack.run("up", "--json", env=chosen).stdout)["changed"] == []

    assert one.stack.json("up")["changed"] == ["grafana removed (its profile is not chosen)"]
    assert one.ids() == before
