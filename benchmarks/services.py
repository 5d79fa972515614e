"""One broker and one database for the whole run, and an empty lane in them for each run of fraudctl.

The broker with the loaded logs stays up. A lane is a database, a home folder and a checkpoint of its own,
used under the profile `external`; code of an earlier commit gets its own migrations that way.
"""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import processes, traffic
from benchmarks.errors import BenchError
from benchmarks.processes import Finished

ROOT = Path(__file__).resolve().parent.parent
THIS = "this commit"
_UP_SECONDS = 1200.0
_BASE_LINES = 100_000


@dataclass(frozen=True)
class Code:
    """The fraudctl under test: this checkout, or an earlier commit's files in `folder`."""

    name: str = THIS
    folder: Path = ROOT

    def environment(self) -> dict[str, str]:
        return clean_environment() | {"PYTHONPATH": str(self.folder)}


def clean_environment() -> dict[str, str]:
    """Return this shell's variables without settings of fraudctl, PostgreSQL or Spark."""
    dropped = ("FRAUDCTL_", "PG", "SPARK_", "PYSPARK_", "KAFKA_", "FLINK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    if "FRAUDCTL_CACHE_DIR" in os.environ:
        kept["FRAUDCTL_CACHE_DIR"] = os.environ["FRAUDCTL_CACHE_DIR"]
    return kept


def call(code: Code, home: Path, env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run one command of fraudctl unmeasured and return its JSON.

    Raises:
        BenchError: it ended with another code than 0.
    """
    done = subprocess.run(
        [sys.executable, "-m", "fraudctl", *arguments, "--json"],
        env={**code.environment(), "FRAUDCTL_HOME": str(home), **env},
        cwd=home,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_UP_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(
            f"fraudctl {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@dataclass(frozen=True)
class Lane:
    """An empty place for one run of fraudctl: command line, environment, home and database."""

    code: Code
    home: Path
    env: dict[str, str]
    dsn: str
    services: dict[str, int]

    @property
    def progress_file(self) -> Path:
        return self.home / "stacks" / "default" / "run" / "detector.progress.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.home / "stacks" / "default" / "data" / "checkpoint"

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "fraudctl", *arguments]

    def run(self, *arguments: str, seconds: float = 3600.0, check: bool = True) -> Finished:
        """Run one command of fraudctl under measurement."""
        return processes.run(
            self.argv(*arguments), self.env, self.home, self.services, seconds=seconds, check=check
        )


@dataclass
class Services:
    """The broker and the database that every side talks to, on loopback."""

    folder: Path
    bootstrap_servers: str
    host: str
    port: int
    user: str
    password_file: Path
    pids: dict[str, int]
    lines: list[bytes] = field(default_factory=list)

    def dsn(self, database: str) -> str:
        password = self.password_file.read_text(encoding="utf-8").strip()
        return f"postgresql://{self.user}:{password}@{self.host}:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """An empty database, dropped afterwards; yields its name."""
        name = f"bench_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield name
        finally:
            with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(drop.format(sql.Identifier(name)))

    @contextmanager
    def lane(self, code: Code, topic: str, settings: Mapping[str, str] | None = None) -> Iterator[Lane]:
        """An empty lane for one topic; `settings` are variables without their prefix FRAUDCTL_."""
        with self.database() as database, self._home() as home:
            lane = self._lane(code, topic, settings or {}, home, database)
            settled = {name: value for name, value in lane.env.items() if name.startswith("FRAUDCTL_")}
            call(code, home, settled, "migrate")
            yield lane

    @contextmanager
    def sender(self, code: Code, topic: str, settings: Mapping[str, str] | None = None) -> Iterator[Lane]:
        """A lane that can only produce: its database does not exist."""
        with self._home() as home:
            yield self._lane(code, topic, settings or {}, home, "none")

    @contextmanager
    def _home(self) -> Iterator[Path]:
        home = self.folder / f"lane-{uuid.uuid4().hex[:12]}"
        home.mkdir(mode=0o755)
        try:
            yield home
        finally:
            shutil.rmtree(home, ignore_errors=True)

    def _lane(self, code: Code, topic: str, settings: Mapping[str, str], home: Path, database: str) -> Lane:
        values = {
            "HOME": str(home),
            "PROFILE": "external",
            "KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA__TOPIC": topic,
            "KAFKA__ALERTS_TOPIC": f"{topic}.alerts.{home.name[5:]}",
            "KAFKA__TIMESTAMP_TYPE": "CreateTime",
            "POSTGRES__HOST": self.host,
            "POSTGRES__PORT": str(self.port),
            "POSTGRES__DATABASE": database,
            "POSTGRES__USER": self.user,
            "POSTGRES__PASSWORD_FILE": str(self.password_file),
            **settings,
        }
        env = {f"FRAUDCTL_{name}": value for name, value in values.items()}
        return Lane(code, home, code.environment() | env, self.dsn(database), self.pids)

    def load(self, topic: str, partitions: int, *parts: traffic.Traffic) -> traffic.Loaded:
        """Make a topic and send it logs."""
        traffic.create_topic(self.bootstrap_servers, topic, partitions)
        return traffic.send(self.bootstrap_servers, topic, partitions, self.lines, *parts)


@contextmanager
def services(folder: Path, cache: Path) -> Iterator[Services]:
    """Bring up broker and database by `fraudctl up`; both are gone afterwards, with all they held.

    Args:
        folder: a temporary folder that every user may enter.
        cache: keeps the simulated lines for the next run.
    """
    code, home = Code(), folder / "services"
    home.mkdir(mode=0o755)
    env = {"FRAUDCTL_PROFILE": "local", "FRAUDCTL_KAFKA__HEAP_MB": "1024"}
    try:
        call(code, home, env, "up", "--any-port")
        found = call(code, home, env, "status")["services"]
        postgres = found["postgres"]
        yield Services(
            folder=folder,
            bootstrap_servers=found["kafka"]["bootstrap_servers"],
            host=postgres["host"],
            port=postgres["port"],
            user=postgres["user"],
            password_file=Path(postgres["password_file"]),
            pids={"broker": found["kafka"]["pid"], "database": postgres["pid"]},
            lines=_lines(code, home, cache),
        )
    finally:
        call(code, home, env, "down", "--volumes", "--yes")


def _lines(code: Code, home: Path, cache: Path) -> list[bytes]:
    file = cache / f"everyday-1-{_BASE_LINES}.jsonl"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".new")
        count = ("--count", str(_BASE_LINES))
        call(
            code,
            home,
            {},
            "simulate",
            "--preset",
            "everyday",
            "--seed",
            "1",
            *count,
            "--out",
            str(unfinished),
        )
        unfinished.rename(file)
    return traffic.base_lines(file)
