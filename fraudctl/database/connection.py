"""The door to PostgreSQL: every connection of fraudctl is opened here."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

from fraudctl.clock import Deadline
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.errors import ConfigError, UnreachableError

Connection = psycopg.Connection[Any]
Result = TypeVar("Result")
_Waiting = Generator[Any, Any, Result]

# Lost packets are noticed by TCP: by probes while an answer is due, else by what is not acknowledged.
_PROBES = 3


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
        ConfigError: the server answers and refuses the user, the password or the database.
    """
    settings = {"timezone": "UTC", "search_path": endpoint.schema, **(options or {})}
    if statement_seconds is not None:
        settings["statement_timeout"] = f"{statement_seconds * 1000:.0f}"
    seconds = max(1, round(timeout_seconds))
    try:
        connection = _Impatient.connect(
            host=endpoint.host,
            port=endpoint.port,
            dbname=endpoint.database,
            user=endpoint.user,
            password=endpoint.password(),
            application_name=application,
            connect_timeout=seconds,
            autocommit=autocommit,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            tcp_user_timeout=round(timeout_seconds * 1000),
            keepalives_idle=seconds,
            keepalives_interval=max(1, seconds // _PROBES),
            keepalives_count=_PROBES,
        )
    except psycopg.OperationalError as error:
        where = f"{endpoint.host}:{endpoint.port}"
        text = str(error).strip()
        # libpq gives no SQLSTATE for a refused login before psycopg 3.3 has a connection object.
        if any(sign in text for sign in ("authentication failed", "does not exist", "no pg_hba.conf entry")):
            raise ConfigError(
                f"PostgreSQL at {where} refuses user {endpoint.user!r} on database {endpoint.database!r}",
                detail=text,
                hint="check postgres.user, postgres.database and postgres.password_file",
            ) from error
        raise UnreachableError(
            f"PostgreSQL does not answer at {where}",
            detail=text,
            hint="start it with `fraudctl up`, or look at `fraudctl status`",
        ) from error
    if statement_seconds is not None:
        connection.patience_seconds = statement_seconds + timeout_seconds
    return connection


@contextmanager
def asking(endpoint: PostgresEndpoint, *, application: str, timeout_seconds: float) -> Iterator[Connection]:
    """A connection for a few short questions, each answered in time or not at all.

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
