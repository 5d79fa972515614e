"""The mapping for a table: the one that was named, or the shipped one that fits the table's header."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl.config.preset_file import mapping_file, mapping_names, read_mapping_document
from fraudctl.errors import UsageError
from fraudctl.simulator.mapping import Mapping, parse_mapping
from fraudctl.tables.delimited import DelimitedTable, column_list, plain_name, spelled_otherwise, title_hint
from fraudctl.tables.layout import Layout, Told
from fraudctl.tables.table import Table, open_table


@dataclass(frozen=True)
class MappedTable:
    """A table that has been opened, with the mapping that fits it; `note` goes into the report."""

    table: Table
    name: str
    mapping: Mapping
    note: str = ""

    def complete_hint(self, hint: str) -> str:
        """Return a hint that names the file to copy, if it speaks of a mapping that comes along."""
        if "mapping" not in hint or self.name not in mapping_names():
            return hint
        return (
            f"{hint}; the mapping in use is {self.name}, which comes along: copy {mapping_file(self.name)}, "
            "change the copy, and give it with --mapping"
        )


def map_table(file: Path, name: str | None, told: Told) -> MappedTable:
    """Open a table and find its mapping; without a name, the shipped one that fits the table's columns.

    Raises:
        ConfigError: the mapping that was named cannot be read or is not valid.
        UsageError: the table lacks a column, or no shipped mapping fits, or several do.
        DataError: the file is not a table.
    """
    if name is None:
        return _recognise(file, open_table(file, told.over(Layout())))
    mapping = parse_mapping(read_mapping_document(name))
    table = open_table(file, told.over(mapping.table))
    if name in mapping_names() and not table.fits(mapping.needed) and table.fits(_unlabelled(mapping).needed):
        return _without_labels(table, name, mapping)
    try:
        table.check(mapping.needed)
    except UsageError as error:
        error.hint = _other_hint(table, name, mapping) or error.hint
        raise
    return MappedTable(table, name, mapping)


def _other_hint(table: Table, name: str, mapping: Mapping) -> str:
    """Return the hint for a table that lacks columns of a mapping; empty if there is none."""
    if table.fits(_unlabelled(mapping).needed):
        return "leave `label` out of the mapping if the table has no labels"
    others = [other for other, known in _shipped().items() if other != name and table.fits(known.needed)]
    return f"its columns are those of --mapping {others[0]}" if others else ""


def _unlabelled(mapping: Mapping) -> Mapping:
    return mapping.model_copy(update={"label": None})


def _without_labels(table: Table, name: str, mapping: Mapping) -> MappedTable:
    unlabelled = _unlabelled(mapping)
    table.check(unlabelled.needed)
    column = mapping.label.column if mapping.label else ""
    return MappedTable(table, name, unlabelled, f"the table has no column {column!r}, so no row has a label")


def _recognise(file: Path, table: Table) -> MappedTable:
    """Return the table with the shipped mapping that fits its columns; the label's column may be missing."""
    shipped = _shipped()
    fitting = {name: mapping for name, mapping in shipped.items() if table.fits(mapping.needed)}
    if not fitting:
        fitting = {name: own for name, own in shipped.items() if table.fits(_unlabelled(own).needed)}
    # A mapping fits better than another one if it needs the other's columns and more.
    best = [
        name
        for name, mapping in fitting.items()
        if not any(mapping.needed < other.needed for other in fitting.values())
    ]
    if len(best) == 1:
        (name,) = best
        if not table.fits(fitting[name].needed):
            return _without_labels(table, name, fitting[name])
        table.check(fitting[name].needed)
        return MappedTable(table, name, fitting[name])
    columns = column_list(table.columns())
    if best:
        raise UsageError(
            f"{file.name!r} fits several mappings: {', '.join(best)}",
            detail=f"its columns: {columns}",
            hint="say which with --mapping",
        )
    told_apart = "; --delimiter, if the columns are not told apart"
    delimiter = told_apart if isinstance(table, DelimitedTable) else ""
    raise UsageError(
        f"no mapping that comes along fits the columns of {file.name!r}",
        detail=f"its columns: {columns}\nknown: {', '.join(shipped)}",
        hint=_hint_at_header(table, shipped)
        or f"write a YAML file that says which column is what, as {mapping_file('sparkov')} does, "
        f"and give it with --mapping{delimiter}",
    )


def _hint_at_header(table: Table, shipped: dict[str, Mapping]) -> str:
    """Return the hint for a header that is a known one in another line or spelling; empty without one."""
    for name, mapping in shipped.items():
        needed = _unlabelled(mapping).needed
        below = title_hint(table.header_line(needed))
        if below:
            return below
        similar = spelled_otherwise(needed, table.columns())
        if {plain_name(column) for column in needed} == {plain_name(column) for column in similar}:
            other = column_list([column for column in similar if column not in needed])
            return (
                f"its columns are those of {name}, with another spelling of {other}: rename them (names are "
                f"compared with case), or copy {mapping_file(name)}, name them there, and give the copy with "
                "--mapping"
            )
    return ""


def _shipped() -> dict[str, Mapping]:
    return {name: parse_mapping(read_mapping_document(name)) for name in mapping_names()}
