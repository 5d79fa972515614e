"""Set who may connect to a stack's own database, and the passwords of its roles.

A password is set only if it differs, and never sent in clear: the server gets the SCRAM verifier that it
would store itself. So neither its log nor its statistics can show a password.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

import psycopg
from psycopg import sql

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import Connection, connect
from fraudctl.database.statements import statement
from fraudctl.errors import PASSWORD_ANEW, ConfigError, DataError

_METHOD = "SCRAM-SHA-256"
_ITERATIONS = 4096
_SALT_BYTES = 16


def close_to_others(endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
    """Revoke the rights of PUBLIC on the database; the migrations grant the rights that roles need.

    Raises:
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    with connect(endpoint, application="fraudctl-up", timeout_seconds=connect_seconds) as connection:
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(endpoint.database))
        )


def set_passwords(
    endpoint: PostgresEndpoint, passwords: Mapping[str, str], *, connect_seconds: float
) -> tuple[str, ...]:
    """Set the password of each role, as the server's superuser; return the roles whose password was changed.

    Args:
        endpoint: the database, and a superuser of the server.
        passwords: password of each role, by the role's name.
        connect_seconds: time limit for opening the connection, in seconds.

    Raises:
        ConfigError: a password is empty or not ASCII, or the server refuses the login.
        DataError: the server refuses the change.
        UnreachableError: PostgreSQL does not answer.
    """
    for role, password in passwords.items():
        if not password or not password.isascii():
            raise ConfigError(
                f"the password file of {role} is empty, or holds more than ASCII",
                hint=PASSWORD_ANEW,
            )
    changed: list[str] = []
    try:
        with connect(endpoint, application="fraudctl-up", timeout_seconds=connect_seconds) as connection:
            for role, password in passwords.items():
                if not _is_password(connection, role, password):
                    statement_text = sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(verifier(password))
                    )
                    connection.execute(statement_text)
                    changed.append(role)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
        raise DataError(
            "the passwords of the database's roles cannot be set",
            detail=str(error).strip(),
            hint=f"user {endpoint.user!r} must be a superuser, and the roles be there: `fraudctl migrate`",
        ) from error
    return tuple(changed)


def verifier(password: str, *, salt: bytes | None = None, iterations: int = _ITERATIONS) -> str:
    """Return PostgreSQL's verifier of an ASCII password (RFC 5803), with a new salt unless one is given."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"{_METHOD}${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def _is_password(connection: Connection, role: str, password: str) -> bool:
    """Compare with the stored verifier, without logging in.

    A failed login would look like an attack in the server's log.
    """
    row = connection.execute(statement("role_verifier"), {"role": role}).fetchone()
    if row is None or row[0] is None or not row[0].startswith(f"{_METHOD}$"):
        return False
    iterations, salt = row[0].split("$")[1].split(":")
    expected = verifier(password, salt=base64.b64decode(salt), iterations=int(iterations))
    return hmac.compare_digest(expected, row[0])
