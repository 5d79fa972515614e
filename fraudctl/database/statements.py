"""SQL statements live in sql/queries, one a file; they are read by name."""

from functools import cache

from fraudctl import assets


@cache
def statement(name: str) -> str:
    """The text of sql/queries/<name>.sql, with psycopg's %(name)s placeholders."""
    return (assets.sql() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
