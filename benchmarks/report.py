"""Render raw samples: a table of goals, a table for each group, plots, and the page.

    python -m benchmarks.report FILE.json...     write docs/benchmarks.md from these files

Of several files each group is taken from the last one that has it, so that a group can be run again by
itself: name docs/benchmarks/samples.json first, then the new file.
"""

import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.figures import by_round, ratio
from benchmarks.goals import GOALS, TIMES, Goal
from benchmarks.services import ROOT
from benchmarks.tables import TABLES, Table

PAGE = ROOT / "docs" / "benchmarks.md"
RAW = ROOT / "docs" / "benchmarks" / "samples.json"
Document = dict[str, Any]
Samples = Sequence[dict[str, Any]]
_NONE = "-"


def text(document: Document) -> str:
    """Return goals and tables as Markdown, for a terminal or a page."""
    return "\n".join([*_goals(document), *_groups(document)])


def publish(document: Document, page: Path = PAGE, raw: Path = RAW) -> Path:
    """Write the page, its plots, and the raw samples behind it; return the page's path."""
    raw.parent.mkdir(parents=True, exist_ok=True)
    raw.write_text(compact(document), encoding="utf-8")
    pictures = plots.draw(document, raw.parent)
    lines = [*_head(document, raw.relative_to(page.parent)), *_goals(document), *_groups(document, pictures)]
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return page


def merge(documents: Iterable[Document]) -> Document:
    """Put documents together: each group comes whole from the last run that measured something of it."""
    runs: dict[str, Any] = {}
    samples: list[dict[str, Any]] = []
    for document in documents:
        runs |= {run["date"]: run for run in document["runs"]}
        samples += document["samples"]
    chosen = {sample["group"]: sample["run"] for sample in samples if sample["values"]}
    return {
        "runs": [run for date, run in runs.items() if date in chosen.values()],
        "samples": [sample for sample in samples if sample["run"] == chosen.get(sample["group"])],
    }


def compact(document: Document) -> str:
    """Return the document as JSON with one line a sample."""
    samples = ",\n".join(json.dumps(sample, separators=(",", ":")) for sample in document["samples"])
    runs = json.dumps(document["runs"], indent=1)
    return f'{{"runs": {runs},\n"samples": [\n{samples}\n]}}\n'


def _head(document: Document, raw: Path) -> Iterator[str]:
    yield from (
        "# Benchmarks",
        "",
        f"Written by `python -m benchmarks` from the raw samples in [{raw}]({raw}); do not edit it by hand.",
        "",
    )
    for run in document["runs"]:
        machine = run["machine"]
        samples = [sample for sample in document["samples"] if sample["run"] == run["date"]]
        loads = [sample["load"] for sample in samples if sample.get("load")]
        packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        groups = ", ".join(dict.fromkeys(sample["group"] for sample in samples))
        yield from (
            f"* {run['date']}, commit `{run['commit']}` beside `{run['against']}`, size `{run['size']}`, "
            f"{run['rounds']} rounds: {groups}",
            f"    * {machine['cores']} cores of {machine['processor']}, {machine['memory_gb']:g} GB, "
            f"{machine['system']}, Java {machine['java']}, Python {machine['python']}, {packages}, "
            f"Flink {machine['flink']}",
            f"    * medians over all samples: load of the machine before each "
            f"{_middle(loads, 'load_before'):.1f}, share of time that the hypervisor took away "
            f"{_middle(loads, 'steal'):.1%}",
        )
    yield from (
        "",
        "All sides of a table ran in turn in one run, one at a time. A ratio is the median of "
        "the rounds' ratios. CPU time is that of every process: Python, JVM, broker and database.",
        "",
    )


def _middle(loads: Sequence[dict[str, float]], value: str) -> float:
    return statistics.median(load[value] for load in loads) if loads else 0.0


def _goals(document: Document) -> list[str]:
    lines = ["## Goals", "", "| what | goal (stretch) | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        measured = goal.measure(document["samples"])
        if measured is None:
            lines.append(f"| {goal.text} | {_target(goal)} | {_NONE} | not measured |")
        else:
            verdict = "met" if goal.met(measured) else "**missed**"
            lines.append(f"| {goal.text} | {_target(goal)} | {measured:.2f} {goal.unit} | {verdict} |")
    return [*lines, ""]


def _target(goal: Goal) -> str:
    stretch = f" ({goal.stretch:g} {goal.unit})" if goal.stretch is not None else ""
    return f"{'≥' if goal.at_least else '≤'} {goal.target:g} {goal.unit}{stretch}"


def _groups(document: Document, pictures: dict[str, str] | None = None) -> Iterator[str]:
    samples: Samples = document["samples"]
    notes = {run["date"]: run["notes"] for run in document["runs"]}
    for name, table in TABLES.items():
        of_group = [sample for sample in samples if sample["group"] == name]
        if not of_group:
            continue
        yield f"## {table.title}"
        yield ""
        for note in notes[of_group[0]["run"]].get(table.notes_of or name, []):
            yield f"* {note}"
        yield ""
        yield from _table(table, of_group)
        for failure in sorted({_failure(sample) for sample in of_group if "error" in sample}):
            yield f"* {failure}"
        yield ""
        if pictures and name in pictures:
            yield f"![{table.title}]({pictures[name]})"
            yield ""


def _failure(sample: dict[str, Any]) -> str:
    first = sample["error"].strip().splitlines()[0]
    return f"{sample['side']} failed in round {sample['round']}: {first[:200]}"


def _table(table: Table, samples: Samples) -> Iterator[str]:
    sides = list(dict.fromkeys(sample["side"] for sample in samples))
    base = sides[0]
    extras = [one for one in table.extras if any(one.value in sample["values"] for sample in samples)]
    better = "more is better" if table.more_is_better else "less is better"
    heads = [
        "side",
        f"{base} ÷ side" if table.base_first else f"side ÷ {base}",
        f"median {table.unit} ({better})",
        "best",
        *(extra.title for extra in extras),
        "rounds",
    ]
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for side in sides:
        values = list(by_round(samples, side, table.value).values())
        if not values:
            continue
        pair = (base, side) if table.base_first else (side, base)
        quotient = ratio(samples, *pair, table.value)
        cells = [
            side,
            f"{quotient:.2f} {TIMES}" if quotient is not None else _NONE,
            _number(statistics.median(values) * table.scale),
            _number(_best(table, samples, side) * table.scale),
        ]
        for extra in extras:
            found = list(by_round(samples, side, extra.value).values())
            cells.append(_number(statistics.median(found) * extra.scale) if found else _NONE)
        yield "| " + " | ".join([*cells, str(len(values))]) + " |"


def _best(table: Table, samples: Samples, side: str) -> float:
    values = by_round(samples, side, table.best or table.value) or by_round(samples, side, table.value)
    return max(values.values()) if table.more_is_better else min(values.values())


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(
            "error: no file of raw samples is named\nhint: python -m benchmarks.report build/bench/….json"
        )
    documents = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    print(publish(merge(documents)))


if __name__ == "__main__":
    main()
