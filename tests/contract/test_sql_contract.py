"""Every statement of sql/queries is accepted by a database with all migrations."""

import re
from pathlib import Path

import psycopg
import pytest

from fraudctl import assets
from tests.support.stacks import Stack

pytestmark = pytest.mark.services

QUERIES = sorted((assets.sql() / "queries").glob("*.sql"))


def numbered(text: str) -> str:
    """psycopg's %(name)s placeholders as PREPARE wants them: $1, $2, …"""
    names: list[str] = []

    def number(found: "re.Match[str]") -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, text).replace("%%", "%")


def uncommented(text: str) -> str:
    return re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE).strip()


@pytest.mark.parametrize("file", QUERIES, ids=lambda file: file.stem)
def test_statement_prepares(stack: Stack, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ";" not in uncommented(text), "one statement a file"
    with psycopg.connect(stack.postgres, options="-c search_path=fraud") as connection:
        if "fraud_shadow." in text:  # made anew for each replay, from the live tables
            connection.execute("CREATE SCHEMA fraud_shadow")
            for table in ("fraud_metrics", "dead_letters", "fraud_alerts", "rule_sets"):
                connection.execute(f"CREATE TABLE fraud_shadow.{table} (LIKE {table})")
        if uncommented(text).startswith("COPY"):
            with connection.cursor() as cursor, cursor.copy(text):
                pass
        else:
            connection.execute(f"PREPARE checked AS {numbered(text)}")
        connection.rollback()


def test_every_statement_is_used() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in assets.PACKAGE.rglob("*.py"))
    unused = [file.stem for file in QUERIES if f'statement("{file.stem}")' not in source]
    assert not unused
