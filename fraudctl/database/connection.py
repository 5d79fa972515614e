"""The door to PostgreSQL: every connection of fraudctl is opened here.

A connection does not depend on the variables of other programs (PGSSLMODE, PGSERVICE, PGTZ), nor on what a
role, a database or a pooler sets: each parameter is given, and the session's settings are made by statements
and read back, as poolers swallow start-up options.
"""

import os
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from fraudctl import environment, protocols
from fraudctl.clock import Deadline
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.errors import CHECK_POSTGRES, START_STACK, ConfigError, RefusedError, UnreachableError

Connection = psycopg.Connection[Any]
Result = TypeVar("Result")
_Waiting = Generator[Any, Any, Result]

# Lost packets are noticed by TCP: by probes while an answer is due, else by what is not acknowledged.
_PROBES = 3
# Set for every session, whatever role, database or pooler say. A time limit of 0 is none.
_SESSION: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_SPELLED = {"timezone": "TimeZone"}
_SET = "SELECT pg_backend_pid(), {}"
# Poolers that were found to keep sessions apart, by address, database and user.
_kept_apart: set[tuple[str, int, str, str]] = set()
_environment_lock = threading.Lock()
# libpq gives no SQLSTATE for a refused login before psycopg 3.3 has a connection object.
_NOT_AS_ASKED = (
    "authentication method requirement",
    "certificate",
    "channel binding",
    "does not support GSSAPI",
    "does not support SSL",
    "private key",
)
_REFUSED = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no such user",
    "no such database",
)


class SilentError(psycopg.OperationalError):
    """The server owes an answer and has said nothing for too long; the connection has been closed."""


class _Impatient(Connection):
    """A connection that does not wait for ever.

    The server's own timeouts are of no use to a client that does not hear of them, and TCP's only see a peer
    that is gone, not a proxy or balancer in between that goes on acknowledging what it throws away.
    """

    patience_seconds: float | None = None

    def wait(self, gen: "_Waiting[Result]", *options: Any, **named: Any) -> Result:
        """psycopg's one place to wait in, for whatever goes over the connection once it is open."""
        if self.patience_seconds is None:
            return super().wait(gen, *options, **named)
        try:
            return super().wait(_impatient(gen, self.patience_seconds), *options, **named)
        except SilentError:
            self.pgconn.finish()  # whatever may come now would be taken for the answer to something else
            raise


def _impatient(gen: "_Waiting[Result]", seconds: float) -> "_Waiting[Result]":
    """psycopg asks its generators ten times a second also when nothing has come: count these times."""
    deadline = Deadline(seconds)
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                deadline = Deadline(seconds)
            elif deadline.expired:
                raise SilentError(f"no answer for {seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        result: Result = end.value
        return result


def connect(
    endpoint: PostgresEndpoint,
    *,
    application: str,
    timeout_seconds: float,
    autocommit: bool = False,
    options: dict[str, str] | None = None,
    statement_seconds: float | None = None,
) -> Connection:
    """Open one connection, in UTC and the endpoint's schema, with `options` as session settings.

    Args:
        statement_seconds: the server gives a statement up after so long, and the client the connection if it
            has heard nothing by then and for `timeout_seconds` more; else there is no such bound.

    Raises:
        UnreachableError: nothing answers at the address in time, or the server is starting or stopping.
        ConfigError: the server answers and refuses the user, the password or the database, or a variable of
            the environment is not valid.
        RefusedError: a pooler in between does not keep a session's settings.
    """
    connection = _opened(endpoint, application, timeout_seconds)
    try:
        # The first questions are short, and a server that has let a client in owes each an answer.
        connection.patience_seconds = timeout_seconds
        settings = {**_SESSION, "application_name": application, "search_path": endpoint.schema}
        settings |= {_SPELLED.get(name, name): value for name, value in (options or {}).items()}
        if statement_seconds is not None:
            settings["statement_timeout"] = f"{statement_seconds * 1000:.0f}"
        server_process = _set_up(connection, settings, _where(endpoint))
        if server_process != connection.pgconn.backend_pid:
            # Whoever answers made the number up: a pooler, not the server.
            _check_pooler(connection, endpoint, server_process, application, timeout_seconds)
        connection.autocommit = autocommit
        connection.patience_seconds = None
        if statement_seconds is not None:
            connection.patience_seconds = statement_seconds + timeout_seconds
    except psycopg.OperationalError as error:
        connection.close()
        raise _unreachable(endpoint, str(error).strip()) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(endpoint: PostgresEndpoint, application: str, timeout_seconds: float) -> _Impatient:
    password = endpoint.password()
    try:
        return _Impatient.connect(
            make_conninfo(
                **_parameters(endpoint, timeout_seconds), password=password, application_name=application
            ),
            autocommit=True,
        )
    except psycopg.ProgrammingError as error:
        raise ConfigError(
            f"the parameters of the connection to PostgreSQL at {_where(endpoint)} are not valid",
            detail=_with_variables(endpoint, str(error).strip()),
            hint="check postgres.host and the variables named above",
        ) from error
    except psycopg.OperationalError as error:
        text = str(error).strip()
        if any(sign in text for sign in _NOT_AS_ASKED):
            raise ConfigError(
                f"PostgreSQL at {_where(endpoint)} does not offer what the connection asks for",
                detail=_with_variables(endpoint, text),
                hint="correct or unset the variables named above" if _tls(endpoint) else CHECK_POSTGRES,
            ) from error
        if any(sign in text for sign in _REFUSED):
            raise ConfigError(
                f"PostgreSQL at {_where(endpoint)} refuses user {endpoint.user!r} on database "
                f"{endpoint.database!r}",
                detail=_with_variables(endpoint, text),
                hint=_login_hint(endpoint, text),
            ) from error
        raise _unreachable(endpoint, text) from error


def _parameters(endpoint: PostgresEndpoint, timeout_seconds: float) -> dict[str, str]:
    """Return every parameter that libpq would otherwise take from the environment, a file or a default."""
    seconds = max(1, round(timeout_seconds))
    given: dict[str, str] = {
        "host": endpoint.host,
        "hostaddr": "",
        "port": str(endpoint.port),
        "dbname": endpoint.database,
        "user": endpoint.user,
        "passfile": "",
        "options": "",
        "client_encoding": "UTF8",
        "connect_timeout": str(seconds),
        "tcp_user_timeout": str(round(timeout_seconds * 1000)),
        "keepalives": "1",
        "keepalives_idle": str(seconds),
        "keepalives_interval": str(max(1, seconds // _PROBES)),
        "keepalives_count": str(_PROBES),
        "requirepeer": "",
        "min_protocol_version": "3.0",
        "max_protocol_version": "3.0",
        "krbsrvname": "postgres",
        "gsslib": "",
        "gssdelegation": "0",
        "sslcompression": "0",
        "target_session_attrs": "any",
        "load_balance_hosts": "disable",
        **_tls(endpoint),
    }
    with _environment_lock:  # threads of the detector connect at the same time
        for name in environment.LIBPQ_UNANSWERABLE:
            os.environ.pop(name, None)
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    return {name: value for name, value in given.items() if name in known}


def _tls(endpoint: PostgresEndpoint) -> dict[str, str]:
    """Return what the user's variables ask for, of an external database; the stack's own has no TLS."""
    if endpoint.external:
        return environment.libpq_tls(os.environ)
    return dict.fromkeys(environment.LIBPQ_TLS, "") | {
        "sslmode": "disable",
        "sslnegotiation": "postgres",
        "sslcertmode": "disable",
        "sslsni": "0",
        "ssl_min_protocol_version": "TLSv1.2",
        "channel_binding": "disable",
        "require_auth": "!gss,!sspi",
        "gssencmode": "disable",
    }


def _set_up(connection: Connection, settings: Mapping[str, str], where: str) -> int:
    """Make the settings, read them back in another transaction, and return the server's process id.

    Raises:
        ConfigError: the server does not accept one.
        RefusedError: one that was made is not there afterwards.
    """
    names = list(settings)
    made = ", ".join("set_config(%s, %s, false)" for _ in names)
    pairs = [part for item in settings.items() for part in item]
    try:
        row = connection.execute(_SET.format(made), pairs).fetchone()
        asked = connection.execute(
            _SET.format(", ".join("current_setting(%s)" for _ in names)), names
        ).fetchone()
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise ConfigError(
            f"PostgreSQL at {where} does not accept the settings of a session",
            detail=str(error).strip(),
            hint="fraudctl needs PostgreSQL 13 or newer",
        ) from error
    assert row is not None and asked is not None
    lost = [name for name, was, now in zip(names, row[1:], asked[1:], strict=True) if was != now]
    if lost or row[0] != asked[0]:
        raise _not_kept(where, f"lost again: {', '.join(lost)}" if lost else "the server process changed")
    return int(row[0])


def _check_pooler(
    connection: Connection,
    endpoint: PostgresEndpoint,
    server_process: int,
    application: str,
    timeout_seconds: float,
) -> None:
    """Let a pooler pass that gives each client a server session of its own (session pooling).

    With transaction pooling an idle client's server session serves the next client: settings, advisory locks
    and prepared statements would be somebody else's.

    Raises:
        RefusedError: two clients were given the same server session.
    """
    address = (endpoint.host, endpoint.port, endpoint.database, endpoint.user)
    if address in _kept_apart:
        return
    try:
        other = _opened(endpoint, application, timeout_seconds)
    except UnreachableError:
        return  # every session of the pool is taken by one client each: that is session pooling
    with other:
        other.patience_seconds = timeout_seconds
        try:
            row = other.execute("SELECT pg_backend_pid()").fetchone()
        except SilentError:
            return  # as above: it waits for a session
    again = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is None or again is None or row[0] == server_process or again[0] != server_process:
        raise _not_kept(_where(endpoint), f"two clients were given server process {server_process}")
    _kept_apart.add(address)


def _not_kept(where: str, detail: str) -> RefusedError:
    return RefusedError(
        f"the pooler at {where} does not keep a session's settings (transaction pooling)",
        detail=detail,
        hint="use session pooling (PgBouncer: pool_mode = session), or let postgres.host and postgres.port "
        "name the server itself",
    )


def _login_hint(endpoint: PostgresEndpoint, text: str) -> str:
    if "does not exist" in text and "database" in text:
        name = '"' + endpoint.database.replace('"', '""') + '"'
        if endpoint.external:
            return f"create it there (CREATE DATABASE {name} ENCODING 'UTF8'), or correct postgres.database"
        return "create it with `fraudctl up`, or correct postgres.database"
    return "check postgres.user, postgres.database and postgres.password_file"


def _unreachable(endpoint: PostgresEndpoint, text: str) -> UnreachableError:
    another = protocols.told_otherwise(_where(endpoint), protocols.POSTGRESQL)
    return UnreachableError(
        f"PostgreSQL does not answer at {_where(endpoint)}",
        detail=another or _with_variables(endpoint, text),
        hint=CHECK_POSTGRES if endpoint.external else START_STACK,
    )


def _with_variables(endpoint: PostgresEndpoint, text: str) -> str:
    """Add the variables that took part, for an external database."""
    asked = environment.libpq_tls(os.environ) if endpoint.external else {}
    if not asked:
        return text
    named = ", ".join(f"{environment.LIBPQ_TLS[key]}={value}" for key, value in asked.items())
    return f"{text}\nfrom the environment: {named}"


def _where(endpoint: PostgresEndpoint) -> str:
    return f"{endpoint.host}:{endpoint.port}"


@contextmanager
def asking(endpoint: PostgresEndpoint, *, application: str, timeout_seconds: float) -> Iterator[Connection]:
    """Open a connection for a few short questions, each answered in time or not at all.

    Raises:
        UnreachableError, ConfigError: there is no connection to be had, or it was lost in between.
    """
    try:
        with connect(
            endpoint,
            application=application,
            timeout_seconds=timeout_seconds,
            statement_seconds=timeout_seconds,
        ) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise UnreachableError(
            f"PostgreSQL at {endpoint.host}:{endpoint.port} failed while it was asked",
            detail=str(error).strip(),
            hint="try again once `fraudctl status` says that it runs",
        ) from error
