"""Tables as other people write them, and `produce --from-file --dry-run` on them within this process."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import yaml
from typer.testing import CliRunner

from fraudctl.cli.main import app

HEADER = ("id", "ts", "card", "shop", "amount", "fraud")
GENERIC: dict[str, Any] = {
    "description": "generic",
    "columns": {
        "transaction_id": "id",
        "event_time": "ts",
        "card_id": {"column": "card", "hash": True},
        "merchant_id": "shop",
        "amount_minor": {"column": "amount", "times": 100},
        "category": {"value": "Retail"},
        "country": {"value": "US"},
        "channel": {"value": "ecom"},
    },
    "label": {"column": "fraud", "fraud": ["1"]},
}


def generic(label: Mapping[str, Any] | None = None, /, **columns: Any) -> dict[str, Any]:
    """Return the mapping of `HEADER` with other columns, and another label if one is given."""
    document = GENERIC | {"columns": GENERIC["columns"] | columns}
    return document | {"label": dict(label)} if label else document


def rows(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Return rows for `HEADER`; a change is one value for all, or a function of the row's number."""
    plain = [
        {
            "id": f"t{number}",
            "ts": f"2024-05-01T10:{number // 60 % 60:02d}:{number % 60:02d}",
            "card": f"c{number % 7}",
            "shop": f"shop-{number % 5}",
            "amount": f"{number % 90 + 1}.50",
            "fraud": "1" if number % 10 == 0 else "0",
        }
        for number in range(count)
    ]
    return [
        row | {name: change(number) if callable(change) else change for name, change in changes.items()}
        for number, row in enumerate(plain)
    ]


def text_of(
    table: Sequence[Mapping[str, Any]],
    delimiter: str = ",",
    quoting: Any = csv.QUOTE_MINIMAL,
    end: str = "\n",
) -> str:
    """Return a table as delimited text with a header."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(table[0])
    writer.writerows(row.values() for row in table)
    return stream.getvalue()


def write_csv(file: Path, table: Sequence[Mapping[str, Any]], encoding: str = "utf-8", **how: Any) -> Path:
    """Write a table of text."""
    file.write_bytes(text_of(table, **how).encode(encoding))
    return file


def write_parquet(
    file: Path, table: Sequence[Mapping[str, Any]], types: Mapping[str, Any] | None = None, **options: Any
) -> Path:
    """Write a table as Parquet; `types` are those of some of its columns."""
    arrays = {
        name: pyarrow.array([row[name] for row in table], type=(types or {}).get(name)) for name in table[0]
    }
    pyarrow.parquet.write_table(pyarrow.table(arrays), file, **options)
    return file


def write_mapping(file: Path, document: Mapping[str, Any]) -> str:
    """Write a mapping, and return what to give as --mapping."""
    file.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding="utf-8")
    return str(file)


@dataclass(frozen=True)
class Checked:
    """The outcome of one dry run."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """Return the report of the rows."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    @property
    def reasons(self) -> dict[str, int]:
        """Return how many rows were left out for each reason."""
        return {reason["reason"]: reason["count"] for reason in self.report["left_out"]}


def check(
    file: Path, mapping: str | None = None, arguments: Iterable[str] = (), *, text: bool = False
) -> Checked:
    """Run `fraudctl produce --from-file FILE --dry-run`, with `--json` unless the text is asked for."""
    line = ["produce", "--from-file", str(file), "--dry-run", "--home", str(file.parent / "home"), *arguments]
    line += ["--mapping", mapping] if mapping else []
    result = CliRunner().invoke(app, line + ([] if text else ["--json"]))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Checked(result.exit_code, result.stdout, result.stderr)


def mapped(
    folder: Path, table: Sequence[Mapping[str, Any]], document: dict[str, Any], *arguments: str
) -> Checked:
    """Check a table with a mapping of its own."""
    return check(
        write_csv(folder / "table.csv", table), write_mapping(folder / "own.yaml", document), arguments
    )
