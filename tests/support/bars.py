"""Reliability bars: a test says which bar it is, and its figure lands in one table.

    @pytest.mark.bar(1, "exact recount from outside", target="diff 0; verify <= 60 s")
    def test_...(bar: Bar) -> None:
        ...
        bar("diff 0, verify 4.2 s")     # the figure, as it is to stand in the table; passed = the test passed

A test may be several bars; `bar("0 half", number=9)` is then the figure of that one only.

With PROVE_BARS=FOLDER in the environment, every marked test adds its line to FOLDER/bars.jsonl;
`python -m tests.support.bars FOLDER RESULT.json` prints the table and writes it as JSON, and beside it as
Markdown (`make prove` does both).
Without the mark (a smaller variant of the same test) the figure goes nowhere.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol, TypedDict

import pytest

# Not named FRAUDCTL_…: commands refuse such variables when they are no settings.
_NAMED = os.environ.get("PROVE_BARS", "")
FOLDER = Path(_NAMED).resolve() if _NAMED else None
LINES = "bars.jsonl"
_FIGURES = pytest.StashKey[list[tuple[int | None, str]]]()


class Bar(Protocol):
    """Takes a figure that the test reached: of one of its bars, or of all that get none of their own."""

    def __call__(self, figure: str, *, number: int | None = None) -> None: ...


class Row(TypedDict):
    """One bar's line; a test that was to run and did not end says so itself."""

    bar: int
    name: str
    target: str
    figure: str
    passed: bool
    seconds: float
    test: str


@pytest.fixture
def bar(request: pytest.FixtureRequest) -> Bar:
    """Takes the figure that the test reached; several are joined."""
    figures = request.node.stash.setdefault(_FIGURES, [])

    def take(figure: str, *, number: int | None = None) -> None:
        figures.append((number, figure))

    return take


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        _add(item, passed=False, seconds=0.0, otherwise="did not run to its end")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # What fails before or after the test itself makes the bar fail too.
    if report.when == "call" or not report.passed:
        _add(
            item,
            passed=report.passed,
            seconds=report.duration,
            otherwise=f"{report.outcome} in {report.when}",
        )
    return report


def _add(item: pytest.Item, *, passed: bool, seconds: float, otherwise: str) -> None:
    if FOLDER is None:
        return
    figures = item.stash.get(_FIGURES, [])
    for mark in item.iter_markers("bar"):
        number, name = mark.args
        own = [figure for of, figure in figures if of == number] or [fig for of, fig in figures if of is None]
        row = Row(
            bar=number,
            name=name,
            target=mark.kwargs["target"],
            figure="; ".join(own) or otherwise,
            passed=passed,
            seconds=round(seconds, 1),
            test=item.nodeid,
        )
        FOLDER.mkdir(parents=True, exist_ok=True)
        with (FOLDER / LINES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def rows(folder: Path) -> list[Row]:
    """The last word on every bar, in the order of the bars; tests that share a bar's name are one line."""
    last: dict[tuple[str, int], Row] = {}
    if not (folder / LINES).is_file():
        return []
    for line in (folder / LINES).read_text(encoding="utf-8").splitlines():
        row: Row = json.loads(line)
        last[row["test"], row["bar"]] = row
    named: dict[tuple[int, str], list[Row]] = {}
    for row in last.values():
        named.setdefault((row["bar"], row["name"]), []).append(row)
    return [_joined(named[key]) for key in sorted(named)]


def _joined(found: list[Row]) -> Row:
    if len(found) == 1:
        return found[0]
    figures = Counter(row["figure"] for row in found)
    each = [f"{number} of {len(found)} {figure}" for figure, number in figures.most_common()]
    return Row(
        bar=found[0]["bar"],
        name=found[0]["name"],
        target=found[0]["target"],
        figure="; ".join(figures if len(figures) == len(found) else each),
        passed=all(row["passed"] for row in found),
        seconds=round(sum(row["seconds"] for row in found), 1),
        test=found[0]["test"].partition("[")[0],
    )


def table(found: list[Row]) -> str:
    """A line a bar; wide figures are not cut."""
    cells = [("bar", "what", "figure", "target", "", "time")]
    cells += [
        (
            str(row["bar"]),
            row["name"],
            row["figure"],
            row["target"],
            "pass" if row["passed"] else "FAIL",
            f"{row['seconds']:.0f} s",
        )
        for row in found
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def markdown(found: list[Row]) -> str:
    """Return the bars and their figures as a Markdown table for docs/proof.md."""
    lines = ["| bar | what | target | figure |", "|---|---|---|---|"]
    for row in found:
        figure = row["figure"] if row["passed"] else f"**missed**: {row['figure']}"
        lines.append(f"| {row['bar']} | {row['name']} | {row['target']} | {figure} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Print the table, write it as JSON; 1 when a bar was missed or none was tried."""
    folder, result = map(Path, arguments)
    found = rows(folder)
    missed = [row for row in found if not row["passed"]]
    document: dict[str, Any] = {"bars": found, "passed": len(found) - len(missed), "failed": len(missed)}
    result.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    result.with_suffix(".md").write_text(markdown(found), encoding="utf-8")
    print(table(found))
    print(f"\n{len(found) - len(missed)} of {len(found)} reached; also in {result}")
    return 1 if missed or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
