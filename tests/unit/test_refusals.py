"""Errors of the database name their remedy, and a bug stays a bug."""

import psycopg
import pytest
from psycopg import errors as sqlstate

from fraudctl.database.refusals import expected_refusal, refusal
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
    told = expected_refusal(error)
    assert told is not None
    assert message in told.message
    assert hint in told.hint
    assert told.detail == str(error)
    assert told.exit_code == code


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), sqlstate.SyntaxError("a bug"), psycopg.ProgrammingError("a bug")]
)
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    assert expected_refusal(error) is None


def test_what_was_being_done_is_named_where_no_cause_is_known() -> None:
    assert refusal(sqlstate.SyntaxError("odd"), "the batch is refused").message == "the batch is refused"
