"""Read tables, views and grants out of the text of sql/migrations, for the reference pages.

Nothing is executed. A statement of a kind that is not known here is an error, so that no page misses a
change; tests/integration/test_reference_database.py compares the result with a migrated database.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_NAME = r'(?:"[^"]+"|[a-z_][a-z0-9_]*)(?:\.(?:"[^"]+"|[a-z_][a-z0-9_]*))?'
_OBJECT = re.compile(
    rf"CREATE (?:OR REPLACE )?(?P<kind>TABLE|VIEW) (?P<name>{_NAME})\s*(?P<rest>.*)", re.DOTALL
)
_ADD = re.compile(rf"ALTER TABLE (?P<name>{_NAME})\s+(?P<rest>ADD COLUMN .*)", re.DOTALL)
_GRANT = re.compile(
    rf"GRANT (?P<rights>.*?)\s+ON (?P<names>{_NAME}(?:,\s*{_NAME})*)\s+TO (?P<roles>.*)", re.DOTALL
)
_REMARK = re.compile(
    rf"COMMENT ON (?P<kind>TABLE|VIEW|COLUMN) (?P<name>{_NAME}(?:\.{_NAME})?) IS '(?P<text>(?:[^']|'')*)'",
    re.DOTALL,
)
_DROP = re.compile(rf"DROP (?:TABLE|VIEW) (?:IF EXISTS )?(?P<names>{_NAME}(?:,\s*{_NAME})*)")
_RENAME = re.compile(
    rf"ALTER (?:TABLE|VIEW) (?P<name>{_NAME}) RENAME (?:(?:COLUMN )?(?P<old>{_NAME}) )?TO (?P<new>{_NAME})"
)
# Statements that change neither names nor columns nor rights.
_OTHER = re.compile(
    r"CREATE SCHEMA |CREATE (UNIQUE )?INDEX |INSERT |UPDATE |DO |SET |RESET |DROP INDEX "
    r"|ALTER (TABLE|VIEW|SCHEMA) \S+ (SET |RESET |OWNER TO |ADD CONSTRAINT |DROP CONSTRAINT )"
    r"|GRANT USAGE ON SCHEMA "
)
_TABLE_CONSTRAINT = re.compile(r"(PRIMARY KEY|UNIQUE|CHECK|CONSTRAINT|FOREIGN KEY)\b")
_AFTER_TYPE = re.compile(r"\s+(?=(?:NOT NULL|NULL|DEFAULT|PRIMARY KEY|CHECK|REFERENCES|UNIQUE)\b)")


@dataclass
class Column:
    """A column of a table or a view; a view's has no type here."""

    name: str
    type: str = ""
    constraints: str = ""
    comment: str = ""


@dataclass
class Relation:
    """A table or a view, as the migrations leave it."""

    kind: str
    name: str
    comment: str = ""
    columns: list[Column] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    grants: list[tuple[str, str]] = field(default_factory=list)  # role, rights

    def column(self, name: str) -> Column:
        """Return the column of this name."""
        return next(column for column in self.columns if column.name == name)


def read_migrations(folder: Path) -> dict[str, Relation]:
    """Return the tables and views after all migrations of a folder, by name.

    Raises:
        ValueError: a statement is of no known kind.
    """
    relations: dict[str, Relation] = {}
    for file in sorted(folder.glob("[0-9]*.sql")):
        for comment, statement in _statements(file.read_text(encoding="utf-8")):
            try:
                _apply(relations, comment, statement)
            except (ValueError, KeyError, StopIteration) as error:
                raise ValueError(f"{file.name}: {error!r} in: {statement[:120]}") from error
    return relations


def _apply(relations: dict[str, Relation], comment: str, statement: str) -> None:
    bare = _without_comments(statement).strip()
    if found := _OBJECT.match(statement):
        _create(relations, found["kind"], found["name"], found["rest"], comment)
    elif found := _ADD.match(statement):
        relations[found["name"]].columns += _columns(found["rest"])
    elif found := _REMARK.match(bare):
        text = found["text"].replace("''", "'")
        if found["kind"] == "COLUMN":
            name, _, column_name = found["name"].rpartition(".")
            relations[name].column(column_name.strip('"')).comment = text
        else:
            relations[found["name"]].comment = text
    elif found := _RENAME.match(bare):
        if found["old"]:
            relations[found["name"]].column(found["old"].strip('"')).name = found["new"].strip('"')
        else:
            schema = found["name"].rpartition(".")[0]
            relation = relations.pop(found["name"])
            relation.name = f"{schema}.{found['new']}" if schema else found["new"]
            relations[relation.name] = relation
    elif found := _DROP.match(bare):
        for name in re.split(r",\s*", found["names"]):
            del relations[name]
    elif not _OTHER.match(bare) and (found := _GRANT.match(bare)):
        rights = _joined(found["rights"])
        for name in re.split(r",\s*", found["names"]):
            relations[name].grants += [(role, rights) for role in re.split(r",\s*", found["roles"])]
    elif not _OTHER.match(bare):
        raise ValueError("a kind of statement that tools/sql_objects.py does not know")


def _create(relations: dict[str, Relation], kind: str, name: str, rest: str, comment: str) -> None:
    before = relations.get(name)
    relation = Relation(kind.lower(), name, comment, grants=before.grants if before else [])
    if before and not comment:  # CREATE OR REPLACE
        relation.comment = before.comment
    if kind == "TABLE":
        body = rest[rest.index("(") + 1 : rest.rindex(")")]
        for column in _columns(body):
            if _TABLE_CONSTRAINT.match(column.name):
                relation.constraints.append(column.name)
            else:
                relation.columns.append(column)
    else:
        relation.columns = [Column(each) for each in _view_columns(_without_comments(rest))]
    relations[name] = relation


def _columns(body: str) -> Iterator[Column]:
    """Yield the columns of a definition; a constraint of the table comes as a column without a type."""
    for code, comment in _definitions(body):
        code = code.removeprefix("ADD COLUMN ")
        if _TABLE_CONSTRAINT.match(code):
            yield Column(code, comment=comment)
            continue
        name, _, rest = code.partition(" ")
        kind, *constraints = _AFTER_TYPE.split(rest.strip(), maxsplit=1)
        yield Column(name.strip('"'), kind, " ".join(constraints), comment)


def _definitions(body: str) -> Iterator[tuple[str, str]]:
    """Yield each part between commas on the outer level, with the comments on its lines."""
    code, comments, depth = "", [], 0
    for line in body.splitlines():
        text, _, comment = line.partition("--")
        if comment:
            comments.append(comment.strip())
        for character in text:
            depth += (character == "(") - (character == ")")
            if character == "," and depth == 0:
                # The comment of the line belongs to what stands before the comma.
                yield _joined(code), " ".join(comments)
                code, comments = "", []
            else:
                code += character
        code += " "
    if code.strip():
        yield _joined(code), " ".join(comments)


def _view_columns(query: str) -> list[str]:
    """Return the names of a view's columns: those of its outermost SELECT."""
    marks = [(m.start(), m.end(), m.group()) for m in re.finditer(r"\b(?:SELECT|FROM)\b|[(),]", query)]
    depth, start, names = 0, -1, []
    for begin, end, mark in marks:
        depth += (mark == "(") - (mark == ")")
        if depth or mark in "()":
            continue
        if mark == "SELECT":
            start = end
        elif start >= 0:
            names.append(_output_name(query[start:begin]))
            start = end
            if mark == "FROM":
                return names
    raise ValueError("a view without SELECT … FROM")


def _output_name(expression: str) -> str:
    return expression.split()[-1].rpartition(".")[2].strip('"')


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Yield the statements, each with the comment right above it; comments inside it are kept."""
    comment: list[str] = []
    statement, quoted = "", ""
    for line in text.splitlines():
        bare = line.strip()
        if not statement:
            if not bare:
                comment = []
                continue
            if bare.startswith("--"):
                comment.append(bare[2:].strip())
                continue
        code, dashes, remark = line.partition("--")
        for dollars in re.findall(r"\$[a-z_]*\$", code):
            quoted = "" if quoted == dollars else dollars
        if not quoted and code.rstrip().endswith(";"):
            last = f"{code.rstrip().removesuffix(';')}{dashes}{remark}"
            yield " ".join(comment), f"{statement}{last}".strip()
            statement, comment = "", []
        else:
            statement += f"{line}\n"
    if statement.strip():
        raise ValueError(f"a statement does not end: {statement[:80]}")


def _without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


def _joined(text: str) -> str:
    return " ".join(text.split())
