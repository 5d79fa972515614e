"""Names of databases and users: any that PostgreSQL allows where it runs elsewhere, plain ones of our own."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import ConfigError
from fraudctl.runtime import stack

NAMES = [
    "fraud-prod",
    "postgres.abcd",
    "app-user",
    "me@server",
    "Fraud Prod",
    "UPPER",
    "o'brien",
    'quo"ted',
    "back\\slash",
    "a=b host=evil",
    "50%/x?y#z",
    "\u00fcml\u00e4ut",
    "1st",
]


def external(**postgres: str) -> Settings:
    given = {f"postgres.{key}": value for key, value in {"password_file": "/p", **postgres}.items()}
    flags = {"profile": "external", "kafka.bootstrap_servers": "broker:9092", **given}
    return load(flags=flags).settings


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["database", "user"])
def test_an_external_database_may_have_any_name(key: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("p@ss:w/rd", encoding="utf-8")
    settings = external(**{key: name, "password_file": str(tmp_path / "pw")})
    endpoint = stack.endpoints(settings, StackPaths(tmp_path, "default", tmp_path)).postgres
    found = conninfo_to_dict(endpoint.dsn(masked=False))
    assert found["dbname" if key == "database" else "user"] == name
    assert found["password"] == "p@ss:w/rd"
    assert urlsplit(endpoint.dsn()).hostname == "127.0.0.1"
    assert unquote(urlsplit(endpoint.dsn()).path[1:]) == endpoint.database


@pytest.mark.parametrize(("key", "name"), [("database", ""), ("user", ""), ("database", "\u00fc" * 32)])
def test_a_name_that_postgresql_cannot_have_is_refused(key: str, name: str) -> None:
    with pytest.raises(ConfigError):
        external(**{key: name})


@pytest.mark.parametrize("key", ["database", "user"])
def test_the_names_of_a_stack_of_its_own_stay_plain(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"profile": "local", f"postgres.{key}": "fraud-prod"})
    assert f"postgres.{key}: 'fraud-prod'" in caught.value.detail
    assert "profile external" in caught.value.detail


def test_a_broker_that_is_named_makes_the_profile_external() -> None:
    flags = {"profile": "auto", "kafka.bootstrap_servers": "broker:9092", "postgres.database": "fraud-prod"}
    assert load(flags=flags).settings.postgres.database == "fraud-prod"
