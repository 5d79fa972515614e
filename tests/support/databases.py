"""Databases that live for one test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier

from fraudctl.config.endpoints import PostgresEndpoint


def open_session(endpoint: PostgresEndpoint) -> psycopg.Connection[Any]:
    """A session of the test's own, that commits each statement."""
    return psycopg.connect(endpoint.dsn(masked=False), autocommit=True, options="-c timezone=UTC")


@contextmanager
def temporary_database(server: PostgresEndpoint) -> Iterator[PostgresEndpoint]:
    """A new, empty database on the same server; gone afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    with open_session(server) as session:
        session.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            yield replace(server, database=name)
        finally:
            session.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
