"""The folder of migrations and the words of an error: nothing here needs a database."""

import hashlib
from pathlib import Path

import pytest

from fraudctl import assets
from fraudctl.database.migration_errors import caret, locate
from fraudctl.database.migrations import read_folder
from fraudctl.errors import DataError


def folder(tmp_path: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / f"{name.removeprefix('n')}.sql").write_bytes(data)
    return tmp_path


def test_the_migrations_of_the_project_are_sound() -> None:
    scripts = read_folder(assets.sql() / "migrations")
    assert [script.migration.version for script in scripts] == list(range(1, len(scripts) + 1))
    assert scripts[0].migration.name == "0001_schema.sql"


def test_files_are_ordered_and_hashed_as_they_lie_on_disk(tmp_path: Path) -> None:
    content = b"SELECT 1;\r\n"
    scripts = read_folder(folder(tmp_path, n0002_b="SELECT 2;", n0001_a=content))
    assert [script.migration.name for script in scripts] == ["0001_a.sql", "0002_b.sql"]
    assert scripts[0].migration.sha256 == hashlib.sha256(content).hexdigest()
    assert scripts[0].sql == "SELECT 1;\r\n"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0001_a.sql", "0003_c.sql"], "not numbered one after the other: 0003_c.sql follows number 1"),
        (["0002_b.sql"], "not numbered one after the other: 0002_b.sql follows number 0"),
        (["0000_a.sql"], "not numbered one after the other"),
        (["0001_a.sql", "0001_b.sql"], "not numbered one after the other: 0001_b.sql follows number 1"),
        (["0001_a.sql", "2_b.sql"], "2_b.sql is not named like a migration"),
        (["0001_A.sql"], "not named like a migration"),
        (["0001-a.sql"], "not named like a migration"),
        (["0001_a.sql~"], "not named like a migration"),
        (["0001_a.sql", "notes.txt"], "notes.txt is not named like a migration"),
        ([], "there is no migration"),
    ],
)
def test_a_folder_that_is_not_in_order_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbfSELECT 1;", "byte-order mark"),
        (b"SELECT 1;\xef\xbb\xbf", "byte-order mark"),
        (b"SELECT '\xff';", "not UTF-8"),
        (b"BEGIN; SELECT 1; COMMIT;", r"controls transactions itself \(BEGIN\)"),
        (b"SELECT 1;\n  commit", r"controls transactions itself \(COMMIT\)"),
        (b"/* x */ Rollback;", r"controls transactions itself \(ROLLBACK\)"),
    ],
)
def test_a_file_that_would_not_do_what_it_seems_to_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_folder(folder(tmp_path, n0001_a=content))


@pytest.mark.parametrize(
    "content",
    [
        "-- BEGIN;\nSELECT 1;",
        "SELECT ';COMMIT;';",
        "DO $$ BEGIN NULL; END $$;",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x$ SELECT 1; $x$; /* ; commit; */",
        'SELECT 1 AS ";commit;";',
        "",
    ],
)
def test_words_inside_bodies_and_comments_control_nothing(tmp_path: Path, content: str) -> None:
    assert len(read_folder(folder(tmp_path, n0001_a=content))) == 1


def test_a_position_becomes_a_line_and_a_column() -> None:
    sql = "SELECT 1;\r\nSELECT 'ä',\tnope;\nSELECT 2;"
    assert locate(sql, sql.index("nope") + 1) == (2, 13, "SELECT 'ä',\tnope;")
    assert locate(sql, 1) == (1, 1, "SELECT 1;")
    assert locate(sql, len(sql) + 1) == (3, 10, "SELECT 2;")
    assert caret("SELECT 'ä',\tnope;", 13) == "           \t^"
