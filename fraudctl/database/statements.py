"""SQL statements live in sql/queries, one a file; they are read by name."""

from functools import cache
from typing import LiteralString, cast

from fraudctl import assets


@cache
def statement(name: str) -> LiteralString:
    """The text of sql/queries/<name>.sql, with psycopg's %(name)s placeholders."""
    text = (assets.sql() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    # The file ships with the program and holds nothing from outside: to the type checker, a literal.
    return cast(LiteralString, text)
