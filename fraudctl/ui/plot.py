"""Plots; matplotlib is an optional extra, which is checked before the work and loaded only here."""

from importlib.util import find_spec
from pathlib import Path

from fraudctl.errors import RefusedError
from fraudctl.operations.simulate.difficulty import DifficultyCurve
from fraudctl.runtime.files import naming


def need_matplotlib() -> None:
    """Check that plots can be drawn, before any work is done.

    Raises:
        RefusedError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise RefusedError(
            "a plot needs matplotlib, which is not installed",
            hint="install the extra: python -m pip install 'fraudctl[plot]'",
        )


def difficulty(curve: DifficultyCurve, file: Path) -> None:
    """Draw the difficulty curve as a PNG.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    dial = [point.difficulty for point in curve.points]
    for name in curve.points[0].recall_by_scenario:
        recalls = [point.recall_by_scenario.get(name, 0.0) for point in curve.points]
        axes.plot(dial, recalls, linewidth=1, alpha=0.55, label=name.replace("_", " "))
    axes.plot(dial, [point.yardstick.recall for point in curve.points], "k", linewidth=2.5, label="all fraud")
    axes.plot(
        dial,
        [point.yardstick.random_recall for point in curve.points],
        "k--",
        linewidth=1,
        label="picked at random",
    )
    axes.set_xlabel("difficulty")
    axes.set_ylabel("share of the fraud found")
    axes.set_title('What "amount > x" finds with as many alerts as there is fraud')
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    # No dates and versions, so that the same curve gives the same file.
    FigureCanvasAgg(figure)
    with naming(file):
        figure.savefig(file, format="png", metadata={"Software": "fraudctl"})
