"""What the database refuses is told in words that say what to do, and a bug stays a bug."""

import psycopg
import pytest
from psycopg import errors as sqlstate

from fraudctl.database.refusals import refusal
from fraudctl.errors import ExitCode


@pytest.mark.parametrize(
    ("error", "message", "hint", "code"),
    [
        (sqlstate.InsufficientPrivilege("denied"), "may not do", "postgres.user", ExitCode.REFUSED),
        (sqlstate.ReadOnlySqlTransaction("no"), "takes no changes", "primary", ExitCode.REFUSED),
        (psycopg.OperationalError("gone"), "failed while", "status", ExitCode.UNREACHABLE),
        (sqlstate.UndefinedColumn("no x"), "refuses", "migrate --check", ExitCode.DATA),
    ],
)
def test_each_kind_names_its_remedy(error: psycopg.Error, message: str, hint: str, code: ExitCode) -> None:
    told = refusal(error)
    assert told is not None
    assert message in told.message
    assert hint in told.hint
    assert told.detail == str(error)
    assert told.exit_code == code


def test_an_error_that_is_not_the_databases_is_left_alone() -> None:
    assert refusal(ValueError("a bug")) is None
