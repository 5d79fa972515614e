"""Passwords of the roles: made once, closed to others, and sent as what the server would store."""

import base64
from pathlib import Path

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.config.paths import StackPaths
from fraudctl.database.roles import verifier
from fraudctl.runtime.role_passwords import role_passwords


def paths(tmp_path: Path) -> StackPaths:
    return StackPaths(home=tmp_path, stack="default", cache=tmp_path)


def test_passwords_are_made_once_and_differ(tmp_path: Path) -> None:
    settings = load(flags={"postgres.writer_password_file": ""}).settings.postgres
    first = role_passwords(paths(tmp_path), settings)
    assert role_passwords(paths(tmp_path), settings) == first
    assert sorted(first) == ["fraud_migrator", "fraud_reader", "fraud_writer"]
    assert len(set(first.values())) == 3
    assert all(len(password) >= 32 for password in first.values())
    modes = {file.name: file.stat().st_mode & 0o777 for file in paths(tmp_path).secrets.iterdir()}
    assert modes == dict.fromkeys(("migrator.password", "reader.password", "writer.password"), 0o600)
    assert paths(tmp_path).secrets.stat().st_mode & 0o777 == 0o700


def test_a_named_file_is_used_for_the_writer(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("from elsewhere\n")
    settings = load(flags={"postgres.writer_password_file": str(given)}).settings.postgres
    assert role_passwords(paths(tmp_path), settings)["fraud_writer"] == "from elsewhere"


def test_the_verifier_is_the_one_of_rfc_7677() -> None:
    """The exchange of the RFC's example, `user` and `pencil`: its server signature needs these keys."""
    found = verifier("pencil", salt=base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert found == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert verifier("pencil") != verifier("pencil")


def test_the_detector_is_the_writer_only_if_it_has_a_password(tmp_path: Path) -> None:
    admin = PostgresEndpoint("127.0.0.1", 5432, "fraudctl", "admin", tmp_path / "admin", "fraud_shadow")
    assert Endpoints("k:1", admin).writer == admin
    writer = Endpoints("k:1", admin, tmp_path / "writer").writer
    assert (writer.user, writer.password_file, writer.schema) == (
        "fraud_writer",
        tmp_path / "writer",
        "fraud_shadow",
    )
