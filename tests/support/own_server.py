"""A PostgreSQL server of the test's own: for what the whole server shares, roles above all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from fraudctl.clock import Deadline
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.config.paths import stack_paths
from fraudctl.database import creation
from fraudctl.runtime.files import make_folder
from fraudctl.runtime.local import postgres
from fraudctl.runtime.ports import free_port
from fraudctl.runtime.process.supervise import stop
from fraudctl.runtime.readiness import wait_ready
from tests.support.stacks import make_home


@contextmanager
def own_server() -> Iterator[PostgresEndpoint]:
    """Its superuser, in the database `postgres`; the server and all its files are gone afterwards."""
    home = make_home()
    paths = stack_paths(home, "default")
    deadline = Deadline(120)
    try:
        settings = load(flags={"postgres.port": free_port()}).settings.postgres
        make_folder(paths.root)
        postgres.prepare(paths, settings, deadline)
        endpoint = PostgresEndpoint(
            "127.0.0.1", settings.port, "postgres", settings.user, postgres.password_file(paths, settings)
        )
        record = postgres.start(paths, deadline, port=settings.port)
        try:
            wait_ready(
                record,
                lambda seconds: creation.probe_server(endpoint, timeout_seconds=seconds),
                deadline,
                postgres.log_file(paths),
            )
            yield endpoint
        finally:
            stop(record, 10, postgres.STOP_SIGNAL)
    finally:
        shutil.rmtree(home)
