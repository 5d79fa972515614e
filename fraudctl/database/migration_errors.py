"""Turn PostgreSQL's errors about a migration into errors for the user."""

import psycopg

from fraudctl.errors import DataError, NotReadyError, UnreachableError


def broken_sql(name: str, sql: str, error: psycopg.Error) -> DataError:
    """Return the error for a migration that PostgreSQL refuses.

    Its detail has the server's message, the line with a caret under the column, and all that the server adds.
    """
    diagnosis = error.diag
    lines = [f"{diagnosis.message_primary or str(error).strip()} (SQLSTATE {error.sqlstate or 'unknown'})"]
    where = name
    if diagnosis.statement_position and sql:
        line, column, text = locate(sql, int(diagnosis.statement_position))
        where = f"{name}, line {line}"
        lines += [text, caret(text, column)]
    if diagnosis.message_detail:
        lines.append(f"detail: {diagnosis.message_detail}")
    if diagnosis.message_hint:
        lines.append(f"server's hint: {diagnosis.message_hint}")
    if diagnosis.context:
        lines.append(f"context: {diagnosis.context}")
    return DataError(
        f"{where}: PostgreSQL refuses it",
        detail="\n".join(lines),
        hint="nothing of it was applied; correct it and run `fraudctl migrate` again",
    )


def locate(sql: str, position: int) -> tuple[int, int, str]:
    """Return number, column and text of the line that holds character `position`; all count from 1."""
    before = sql[: position - 1]
    start = before.rfind("\n") + 1
    text = sql[start:].split("\n", 1)[0].rstrip("\r")
    return before.count("\n") + 1, position - start, text


def caret(text: str, column: int) -> str:
    """Return a line with a caret under `column` of `text`; tabs are kept, so that both lines align."""
    return "".join("\t" if character == "\t" else " " for character in text[: column - 1]) + "^"


def busy(name: str | None, seconds: float, error: psycopg.Error) -> NotReadyError:
    """Return the error for a lock that was not granted in time.

    Args:
        name: the migration that waited for a table; None if the lock of all migrations is meant.
        seconds: how long it waited.
        error: the error from PostgreSQL.
    """
    if name is None:
        return NotReadyError(
            f"another run of the migrations has not ended within {seconds:g} s",
            detail=str(error).strip(),
            hint="look for it in pg_stat_activity: application_name = 'fraudctl-migrate'",
        )
    return NotReadyError(
        f"{name} waited {seconds:g} s for a table that others are using",
        detail=str(error).strip(),
        hint="nothing was changed; end long transactions (pg_stat_activity), then try again",
    )


def lost_connection(name: str | None, error: psycopg.Error) -> UnreachableError:
    """Return the error for a lost connection; `name` is the migration that was running, if any."""
    return UnreachableError(
        f"the connection was lost during {name}" if name else "the connection was lost",
        detail=str(error).strip(),
        hint="what was not committed was undone; run `fraudctl migrate` again",
    )
