"""Plots of a run, as small SVG files: medians as bars, rounds as dots."""

import statistics
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.figures import by_round
from benchmarks.tables import TABLES, Table

# Text stays text, and equal samples give equal bytes.
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "fraudctl", "font.size": 9.0}
_DRAWN = ("drain", "live-500", "live-2000", "verify", "producers")
_OURS, _OTHERS = "#1f6f8b", "#b8c4c9"


def draw(document: dict[str, Any], folder: Path) -> dict[str, str]:
    """Draw what there are samples of; return for each group the picture's path beside the page."""
    found = {}
    for name in _DRAWN:
        samples = [sample for sample in document["samples"] if sample["group"] == name]
        if samples:
            _bars(TABLES[name], samples, folder / f"{name}.svg")
            found[name] = f"{folder.name}/{name}.svg"
    keys = [sample for sample in document["samples"] if sample["group"] == "keys" and sample.get("series")]
    if keys:
        _lines(keys, folder / "keys.svg")
        found["keys"] = f"{folder.name}/keys.svg"
    return found


def _bars(table: Table, samples: list[dict[str, Any]], file: Path) -> None:
    sides = [
        side
        for side in dict.fromkeys(sample["side"] for sample in samples)
        if by_round(samples, side, table.value)
    ]
    with pyplot.rc_context(_STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 0.6 + 0.38 * len(sides)), layout="constrained")
        for index, side in enumerate(sides):
            values = [value * table.scale for value in by_round(samples, side, table.value).values()]
            axes.barh(index, statistics.median(values), color=_OTHERS if index else _OURS)
            axes.plot(values, [index] * len(values), "k.", markersize=4)
        axes.set_yticks(range(len(sides)), sides)
        axes.invert_yaxis()
        axes.set_xlabel(f"{table.unit} ({'more' if table.more_is_better else 'less'} is better)")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file, metadata={"Date": None})
        pyplot.close(figure)


def _lines(samples: list[dict[str, Any]], file: Path) -> None:
    with pyplot.rc_context(_STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 3), layout="constrained")
        for side in dict.fromkeys(sample["side"] for sample in samples):
            last = [sample for sample in samples if sample["side"] == side][-1]["series"]
            axes.plot(last["live_keys"], last["batch_seconds"], label=side, linewidth=1)
        axes.set_xlabel("live keys")
        axes.set_ylabel("s a batch")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file, metadata={"Date": None})
        pyplot.close(figure)
