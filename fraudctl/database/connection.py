"""Open connections to PostgreSQL; every connection of fraudctl is opened here.

A connection does not depend on the variables of other programs (PGSSLMODE, PGSERVICE, PGTZ), nor on settings
of a role, a database or a pooler: each parameter is given explicitly. The session's settings are made by
statements and read back, because poolers drop start-up options.
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

# TCP detects a lost peer: by keepalive probes while it waits for an answer, else by unacknowledged data.
_PROBES = 3
# Set for every session, to override role, database and pooler. A time limit of 0 means no limit.
_SESSION: Mapping[str, str] = {
    "role": "none",  # first: what follows is set as the user that has logged in
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "default_transaction_read_only": "off",
    "row_security": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# The same, of servers from these versions on.
_SINCE: Mapping[int, Mapping[str, str]] = {
    140_000: {"idle_session_timeout": "0"},
    170_000: {"transaction_timeout": "0"},
}
# Only looked at, as only a superuser may set it: foreign keys and triggers hold.
_AS_LOGGED_IN: Mapping[str, str] = {"session_replication_role": "origin"}
_SPELLED = {"timezone": "TimeZone"}
_SET = "SELECT pg_backend_pid(), {}"
# Poolers known to use session pooling: host, port, database and user.
_kept_apart: set[tuple[str, int, str, str]] = set()
_environment_lock = threading.Lock()
# A refused login has no SQLSTATE: psycopg 3.3 has no connection object yet. So its text is matched.
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
    """A server that has not answered within the time limit; the connection has been closed."""


class _Impatient(Connection):
    """A connection with a time limit on the server's silence.

    The server's own timeouts do not help a client that no longer hears from it. TCP's timeouts only detect a
    peer that is gone, not a proxy or load balancer that keeps acknowledging data and throws it away.
    """

    patience_seconds: float | None = None

    def wait(self, gen: "_Waiting[Result]", *options: Any, **named: Any) -> Result:
        """Wait for the server, but no longer than `patience_seconds`; psycopg calls this for every exchange.

        Raises:
            SilentError: the server has not answered in time; the connection is closed.
        """
        if self.patience_seconds is None:
            return super().wait(gen, *options, **named)
        try:
            return super().wait(_impatient(gen, self.patience_seconds), *options, **named)
        except SilentError:
            self.pgconn.finish()  # a late answer would be taken for the answer to the next statement
            raise


def _impatient(gen: "_Waiting[Result]", seconds: float) -> "_Waiting[Result]":
    """Wrap a psycopg generator so that it raises `SilentError` after `seconds` without data from the server.

    This relies on psycopg resuming its generators ten times a second, even when nothing has arrived.
    """
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
        endpoint: the database and the user to connect as.
        application: the name that pg_stat_activity shows.
        timeout_seconds: time limit for opening the connection and for each answer meanwhile, in seconds.
        autocommit: commit each statement by itself.
        options: additional session settings, by name.
        statement_seconds: time limit of the server for each statement, in seconds. The client closes the
            connection if it has heard nothing by then and for `timeout_seconds` more. None means no limit.

    Raises:
        UnreachableError: nothing answers at the address in time, or the server is starting or stopping.
        ConfigError: the server answers and refuses the user, the password or the database, or a variable of
            the environment is not valid.
        RefusedError: a pooler in between does not keep a session's settings.
    """
    connection = _opened(endpoint, application, timeout_seconds)
    try:
        # The first statements are short, so the server must answer each within the time limit.
        connection.patience_seconds = timeout_seconds
        settings = {**_session(connection), "application_name": application, "search_path": endpoint.schema}
        settings |= {_SPELLED.get(name, name): value for name, value in (options or {}).items()}
        if statement_seconds is not None:
            settings["statement_timeout"] = f"{statement_seconds * 1000:.0f}"
        server_process = _set_up(connection, settings, _where(endpoint))
        if server_process != connection.pgconn.backend_pid:
            # The two process ids differ, so a pooler has answered and not the server.
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
    """Return the TLS parameters: from the user's variables for an external database, else without TLS."""
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


def _session(connection: Connection) -> dict[str, str]:
    """Return the settings of every session that this server knows."""
    version = connection.info.server_version
    later = (own for since, own in _SINCE.items() if version >= since)
    return dict(_SESSION) | {name: value for own in later for name, value in own.items()}


def _check_as_logged_in(held: Mapping[str, str], where: str) -> None:
    for name, value in held.items():
        if value != _AS_LOGGED_IN[name]:
            raise RefusedError(
                f"PostgreSQL at {where} gives this user sessions with {name} = {value}",
                detail="foreign keys and triggers do not hold in them",
                hint=f"take it back: ALTER DATABASE … RESET {name}, or ALTER ROLE … RESET {name}",
            )


def _set_up(connection: Connection, settings: Mapping[str, str], where: str) -> int:
    """Make the settings, read them back in another transaction, and return the server's process id.

    Raises:
        ConfigError: the server does not accept a setting.
        RefusedError: a setting is lost in the second transaction, another server process answers, or triggers
            and foreign keys do not hold in this session.
    """
    names = list(settings)
    made = ", ".join("set_config(%s, %s, false)" for _ in names)
    pairs = [part for item in settings.items() for part in item]
    try:
        row = connection.execute(_SET.format(made), pairs).fetchone()
        looked_at = [*names, *_AS_LOGGED_IN]
        asked = connection.execute(
            _SET.format(", ".join("current_setting(%s)" for _ in looked_at)), looked_at
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
    held = dict(zip(looked_at, asked[1:], strict=True))
    lost = [name for name, made_as in zip(names, row[1:], strict=True) if made_as != held[name]]
    if lost or row[0] != asked[0]:
        raise _not_kept(where, f"lost again: {', '.join(lost)}" if lost else "the server process changed")
    _check_as_logged_in({name: held[name] for name in _AS_LOGGED_IN}, where)
    return int(row[0])


def _check_pooler(
    connection: Connection,
    endpoint: PostgresEndpoint,
    server_process: int,
    application: str,
    timeout_seconds: float,
) -> None:
    """Check that a pooler gives each client a server session of its own (session pooling).

    With transaction pooling an idle client's server session serves the next client, so that settings,
    advisory locks and prepared statements would belong to another client.

    Raises:
        RefusedError: two clients were given the same server session.
    """
    address = (endpoint.host, endpoint.port, endpoint.database, endpoint.user)
    if address in _kept_apart:
        return
    try:
        other = _opened(endpoint, application, timeout_seconds)
    except UnreachableError:
        return  # no server session is left for a second client: that is session pooling
    with other:
        other.patience_seconds = timeout_seconds
        try:
            row = other.execute("SELECT pg_backend_pid()").fetchone()
        except SilentError:
            return  # as above: the second client waits for a session
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
    """Append the environment variables that took part, if the database is external."""
    asked = environment.libpq_tls(os.environ) if endpoint.external else {}
    if not asked:
        return text
    named = ", ".join(f"{environment.LIBPQ_TLS[key]}={value}" for key, value in asked.items())
    return f"{text}\nfrom the environment: {named}"


def _where(endpoint: PostgresEndpoint) -> str:
    return f"{endpoint.host}:{endpoint.port}"


@contextmanager
def asking(endpoint: PostgresEndpoint, *, application: str, timeout_seconds: float) -> Iterator[Connection]:
    """Open a connection for a few short queries, each with the time limit `timeout_seconds`.

    Raises:
        UnreachableError: PostgreSQL does not answer, or the connection was lost in between.
        ConfigError: PostgreSQL refuses the connection.
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
