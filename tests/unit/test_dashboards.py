"""Dashboards and provisioning as files: Grafana's own schema, one data source, views only, UTC."""

import enum
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from fraudctl import assets
from tests.support.dashboards import FILES, FOLDER, document, panels, variables

MIGRATIONS = "\n".join(
    file.read_text(encoding="utf-8") for file in sorted((assets.sql() / "migrations").glob("*.sql"))
)
VIEWS = set(re.findall(r"CREATE VIEW (fraud\.\w+)", MIGRATIONS))
TABLES = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?fraud\.(\w+)", MIGRATIONS))
QUERIES = {panel.name: panel.sql for panel in panels()} | {
    f"variable {name}": query for name, query in variables().items()
}


def datasource() -> dict[str, Any]:
    text = (FOLDER / "provisioning" / "datasources" / "fraud.yaml").read_text(encoding="utf-8")
    (found,) = yaml.safe_load(text)["datasources"]
    return dict(found)


def leaves(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value with its path; empty lists and objects count as values."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}")
    elif isinstance(node, list) and node:
        for number, value in enumerate(node):
            yield from leaves(value, f"{path}[{number}]")
    else:
        yield path, node


def wrong_types(value: Any, expected: Any, path: str) -> Iterator[str]:
    """Where a value is not of the type that the schema's classes declare."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        if all(any(True for _ in wrong_types(value, option, path)) for option in arguments):
            yield f"{path}: {value!r} is no {expected}"
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for number, each in enumerate(value):
            yield from wrong_types(each, arguments[0], f"{path}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
    elif inspect.isclass(expected) and issubclass(expected, enum.Enum):
        if value not in [member.value for member in expected]:
            yield f"{path}: {value!r} is no {expected.__name__}"
    elif expected is float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            yield f"{path}: {value!r} is no number"
    elif inspect.isclass(expected) and expected is not object:
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {expected.__name__}"
        elif expected.__module__.startswith("grafana_foundation_sdk.models"):
            module = inspect.getmodule(expected)
            for name, kind in typing.get_type_hints(expected, vars(module)).items():
                yield from wrong_types(getattr(value, name), kind, f"{path}.{name}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_one_by_grafanas_schema(file: Path) -> None:
    """No key that the schema does not know (it would be dropped), no value of another type."""
    plugins.register_default_plugins()
    wanted = document(file)
    read = Dashboard.from_json(wanted)
    kept = dict(leaves(json.loads(JSONEncoder().encode(read))))
    lost = {path: value for path, value in leaves(wanted) if kept.get(path, "nothing") != value}
    assert not lost
    assert not list(wrong_types(read, Dashboard, file.stem))


def test_the_schema_check_can_fail() -> None:
    plugins.register_default_plugins()
    wanted = document(FILES[0])
    wanted["timezonee"] = "utc"
    wanted["graphTooltip"] = 7
    wanted["panels"][0]["gridPos"]["w"] = "wide"
    read = Dashboard.from_json(wanted)
    kept = dict(leaves(json.loads(JSONEncoder().encode(read))))
    assert ".timezonee" not in kept
    assert len(list(wrong_types(read, Dashboard, ""))) >= 2


def test_there_are_two_dashboards_that_do_not_share_names() -> None:
    assert [file.stem for file in FILES] == ["fraud", "pipeline"]
    documents = [document(file) for file in FILES]
    assert len({each["uid"] for each in documents}) == len({each["title"] for each in documents}) == 2
    names = [panel.name for panel in panels()]
    assert len(set(names)) == len(names) >= 25
    links = {link["url"] for each in documents for link in each["links"]}
    assert links == {f"/d/{each['uid']}" for each in documents}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_everything_is_in_utc_and_from_the_one_data_source(file: Path) -> None:
    found = document(file)
    assert found["timezone"] == "utc"
    assert "id" not in found  # a number of one server's database
    uses = re.findall(r'"datasource": (\{[^}]*\})', file.read_text(encoding="utf-8"))
    assert len(uses) > len(found["panels"])
    expected = {"type": datasource()["type"], "uid": datasource()["uid"]}
    assert all(json.loads(use) == expected for use in uses)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_do_not_overlap_and_say_what_they_show(file: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in document(file)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
        assert len(panel["description"]) > 20
        assert len(panel["targets"]) == 1


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_reads_views_only(name: str) -> None:
    sql = QUERIES[name]
    named = set(re.findall(r"\bfraud\.\w+", sql))
    assert named
    assert named <= VIEWS
    assert not [table for table in TABLES if re.search(rf"\b{table}\b", sql)]
    sources = re.findall(r"\b(?:FROM|JOIN)\s+([\w.]+)(?!\w*\()", re.sub(r"extract\(epoch FROM", "", sql))
    assert set(sources) == named


@pytest.mark.parametrize("name", QUERIES)
def test_values_get_into_a_query_quoted_or_not_at_all(name: str) -> None:
    known = r"\$\{(\w+):sqlstring\}|\$__timeFilter\(\"time\"\)|\$__timeGroupAlias\(\"time\", \$__interval\)"
    assert "$" not in re.sub(known, "", QUERIES[name])
    used = {found for found in re.findall(known, QUERIES[name]) if found}
    assert used <= variables().keys()


def test_windows_that_overlap_are_never_added_up() -> None:
    overlapping = [sql for sql in QUERIES.values() if "panel_windows" in sql]
    assert overlapping
    assert not [sql for sql in overlapping if re.search(r"\b(sum|count)\(|GROUP BY", sql)]


def test_the_reader_is_given_by_file_and_has_fewer_connections_than_its_role_allows() -> None:
    source = datasource()
    assert source["user"] == "fraud_reader"
    assert source["secureJsonData"] == {"password": "$__file{/run/secrets/reader.password}"}
    allowed = re.search(r"fraud_reader LOGIN CONNECTION LIMIT (\d+)", MIGRATIONS)
    assert allowed
    assert source["jsonData"]["maxOpenConns"] < int(allowed[1])
    assert source["editable"] is False
    variable = {source["url"], source["jsonData"]["database"], source["jsonData"]["sslmode"]}
    assert all(re.fullmatch(r"\$FRAUD_POSTGRES_[A-Z]+", each) for each in variable)


def test_dashboards_are_provided_read_only() -> None:
    text = (FOLDER / "provisioning" / "dashboards" / "fraud.yaml").read_text(encoding="utf-8")
    (provider,) = yaml.safe_load(text)["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


def test_the_container_gives_what_the_provisioning_asks_for() -> None:
    compose = yaml.safe_load(assets.compose_file().read_text(encoding="utf-8"))
    grafana = compose["services"]["grafana"]
    source = datasource()
    asked = {source["url"], source["jsonData"]["database"], source["jsonData"]["sslmode"]}
    assert {name.removeprefix("$") for name in asked} <= grafana["environment"].keys()
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in grafana["volumes"]
    assert "./grafana/dashboards:/etc/grafana/dashboards:ro" in grafana["volumes"]
    assert "secrets:/run/secrets:ro" in grafana["volumes"]
    assert "reader.password" in compose["x-secrets"]["files"]


def test_no_view_shows_what_a_refused_record_held() -> None:
    views = re.findall(r"CREATE VIEW (fraud\.\w+) AS(.*?);\n", MIGRATIONS, re.DOTALL)
    assert {name for name, _ in views} == VIEWS
    assert not [name for name, text in views if re.search(r"\bpayload\b", text)]
