"""fraudctl simulate: write events and labels of a preset, without any service."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console

if TYPE_CHECKING:
    from fraudctl.operations.simulate.simulate import SimulateRequest


@command(
    "simulate",
    example="fraudctl simulate --preset everyday --seed 7 --out events.jsonl --labels labels.jsonl",
)
def simulate(
    session: Session,
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME", help="everyday, handbook, rough, or a YAML file.")
    ] = "everyday",
    seed: Annotated[int | None, typer.Option("--seed", help="Repeat an earlier run.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the events here, as JSON lines.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Write the labels of the fraud here.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; count and digest.")] = False,
    days: Annotated[int | None, typer.Option("--days", help="Instead of what the preset says.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Stop after this many messages.")] = None,
    difficulty: Annotated[
        float | None, typer.Option("--difficulty", help="0 to 1, instead of what the preset says.")
    ] = None,
    fraud_rate: Annotated[
        float | None, typer.Option("--fraud-rate", help="Instead of what the preset says.")
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="In the order of arrival, with the preset's faults.")
    ] = False,
    difficulty_plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw what a simple rule finds, over the difficulty."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Make labelled traffic from a seed.

    The bytes are the same every time, on every machine. The events never say which of them are fraud;
    --labels does, with the time at which each became known.
    """
    from fraudctl.config.preset_file import read_preset_document
    from fraudctl.operations.simulate.simulate import SimulateRequest

    if not (out or labels or dry_run or difficulty_plot):
        raise UsageError("say where the events are to go", hint="--out FILE, or --dry-run to only count them")
    if dry_run and (out or labels):
        raise UsageError("--dry-run writes nothing", hint="leave away --dry-run, or --out and --labels")
    request = SimulateRequest(
        settings=session.settings(),
        preset=preset,
        document=read_preset_document(preset),
        changes={"days": days, "difficulty": difficulty, "fraud_rate": fraud_rate},
        seed=secrets.randbits(32) if seed is None else seed,
        count=count,
        faults=faults,
        out=out,
        labels=labels,
    )
    return _plot(request, difficulty_plot, as_json) if difficulty_plot else _run(request, as_json)


def _run(request: "SimulateRequest", as_json: bool) -> int:
    from fraudctl.operations.simulate import simulate as operation
    from fraudctl.ui.text import simulate as text

    with text.SimulateView() as view:
        result = operation.simulate(request, observe=view.show)
    console.write(to_json.dumps(result) if as_json else text.summary(result))
    return ExitCode.DONE


def _plot(request: "SimulateRequest", file: Path, as_json: bool) -> int:
    from fraudctl.operations.simulate import difficulty as operation
    from fraudctl.ui import plot
    from fraudctl.ui.text import simulate as text

    plot.need_matplotlib()
    asked = operation.DifficultyRequest(
        request.settings, request.preset, request.document, request.changes, request.seed
    )
    with text.SimulateView() as view:
        curve = operation.difficulty_curve(asked, observe=view.show_point)
    plot.difficulty(curve, file)
    console.write(to_json.dumps(curve) if as_json else text.curve(curve))
    return ExitCode.DONE
