"""The dashboards as files, and what Grafana makes of a panel's SQL before it sends it to the database."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "compose" / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_MACRO = re.compile(r"\$__(timeFilter|timeGroupAlias)\(([^()]*)\)")


@dataclass(frozen=True)
class Panel:
    dashboard: str
    title: str
    kind: str
    sql: str

    @property
    def name(self) -> str:
        return f"{self.dashboard}: {self.title}"


def document(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def panels() -> list[Panel]:
    """Every panel with a query, of every dashboard; each has exactly one."""
    return [
        Panel(file.stem, panel["title"], panel["type"], target["rawSql"])
        for file in FILES
        for panel in document(file)["panels"]
        for target in panel["targets"]
    ]


def variables() -> dict[str, str]:
    """Name to query."""
    return {each["name"]: each["query"] for file in FILES for each in document(file)["templating"]["list"]}


def expanded(
    sql: str, begin: datetime, finish: datetime, step_seconds: int, chosen: Mapping[str, Sequence[str]]
) -> str:
    """Variables and macros filled in, by the rules in the manual of Grafana's PostgreSQL data source."""

    def quoted(found: "re.Match[str]") -> str:
        return ",".join("'" + value.replace("'", "''") + "'" for value in chosen[found[1]])

    def macro(found: "re.Match[str]") -> str:
        column, *more = (part.strip() for part in found[2].split(","))
        if found[1] == "timeFilter":
            return f"{column} BETWEEN '{_rfc3339(begin)}' AND '{_rfc3339(finish)}'"
        assert more == ["$__interval"]
        return f'floor(extract(epoch from {column})/{step_seconds})*{step_seconds} AS "time"'

    result = _VARIABLE.sub(quoted, _MACRO.sub(macro, sql))
    assert "$" not in result, f"nobody would fill this in: {result}"
    return result


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
