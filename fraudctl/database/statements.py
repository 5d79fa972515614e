"""Load SQL statements by name; each file of sql/queries holds one."""

from functools import cache

from fraudctl import assets


@cache
def statement(name: str) -> str:
    """Return the text of sql/queries/<name>.sql, with psycopg's %(name)s placeholders."""
    return (assets.sql() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
