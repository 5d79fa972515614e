"""The mapping for a table: the one that was named, or the shipped one that fits the table's header."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl.config.preset_file import mapping_names, read_mapping_document
from fraudctl.errors import UsageError
from fraudctl.simulator.mapping import Mapping, parse_mapping
from fraudctl.tables.delimited import column_list
from fraudctl.tables.layout import Layout, Told
from fraudctl.tables.table import Table, open_table


@dataclass(frozen=True)
class MappedTable:
    """A table that has been opened, with the mapping that fits it; `note` goes into the report."""

    table: Table
    name: str
    mapping: Mapping
    note: str = ""


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
    raise UsageError(
        f"no mapping that comes along fits the columns of {file.name!r}",
        detail=f"its columns: {columns}\nknown: {', '.join(shipped)}",
        hint="write a YAML file that says which column is what, as configs/mappings/sparkov.yaml does, "
        "and give it with --mapping; --delimiter, if the columns are not told apart",
    )


def _shipped() -> dict[str, Mapping]:
    return {name: parse_mapping(read_mapping_document(name)) for name in mapping_names()}
