"""The reference page of the database agrees with a database to which all migrations were applied."""

from pathlib import Path

import pytest

from fraudctl import assets
from fraudctl.config.endpoints import Endpoints
from fraudctl.database.migrations import migrate
from tests.support.databases import open_session, temporary_database
from tools.sql_objects import read_migrations

pytestmark = pytest.mark.services

COLUMNS = """
SELECT table_schema || '.' || table_name, array_agg(column_name::text ORDER BY ordinal_position)
  FROM information_schema.columns WHERE table_schema = 'fraud' GROUP BY 1"""
VIEWS = "SELECT schemaname || '.' || viewname FROM pg_views WHERE schemaname = 'fraud'"
RIGHTS = """
SELECT DISTINCT table_schema || '.' || table_name, grantee::text FROM information_schema.column_privileges
 WHERE table_schema = 'fraud' AND grantee IN ('fraud_writer', 'fraud_reader')"""
TYPES = """
SELECT format('fraud.%s.%s', relname, attname),
       replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz')
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
 WHERE relnamespace = 'fraud'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped"""


def test_the_page_shows_the_tables_views_and_rights_of_a_migrated_database(endpoints: Endpoints) -> None:
    relations = read_migrations(assets.sql() / "migrations")
    with temporary_database(endpoints.postgres) as database:
        migrate(database, connect_seconds=5.0, lock_wait_seconds=30.0)
        with open_session(database) as session:
            columns = dict(session.execute(COLUMNS).fetchall())
            views = {name for (name,) in session.execute(VIEWS)}
            rights = set(session.execute(RIGHTS).fetchall())
            types = dict(session.execute(TYPES).fetchall())
    assert {name: [column.name for column in each.columns] for name, each in relations.items()} == columns
    assert {name for name, each in relations.items() if each.kind == "view"} == views
    assert {(name, role) for name, each in relations.items() for role, _rights in each.grants} == rights
    tables = [each for each in relations.values() if each.kind == "table"]
    assert {f"{each.name}.{column.name}": column.type for each in tables for column in each.columns} == types


def test_comments_renamings_and_drops_are_followed(tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text(
        "-- Two tables.\n"
        "CREATE TABLE fraud.one (\n    a integer PRIMARY KEY,  -- first; key\n    b text\n);\n"
        "CREATE TABLE fraud.two (a integer);\n",
        encoding="utf-8",
    )
    (tmp_path / "0002_two.sql").write_text(
        "COMMENT ON TABLE fraud.one IS 'It''s one.';\nCOMMENT ON COLUMN fraud.one.b IS 'second';\n"
        "ALTER TABLE fraud.one RENAME COLUMN b TO c;\nALTER TABLE fraud.one RENAME TO three;\n"
        "DROP TABLE fraud.two;\n",
        encoding="utf-8",
    )
    (relation,) = read_migrations(tmp_path).values()
    assert (relation.name, relation.comment) == ("fraud.three", "It's one.")
    assert [(column.name, column.comment) for column in relation.columns] == [
        ("a", "first; key"),
        ("c", "second"),
    ]


def test_a_statement_that_is_not_known_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("ALTER TABLE fraud.one DROP COLUMN a;\n", encoding="utf-8")
    with pytest.raises(ValueError, match="DROP COLUMN"):
        read_migrations(tmp_path)
