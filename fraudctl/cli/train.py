"""fraudctl train: learn from what was known, and measure on what came afterwards."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fraudctl.cli.command import AllowRejected, Json, Session, command
from fraudctl.errors import UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("train", example="fraudctl train --preset handbook --seed 1 --out models")
def train(
    session: Session,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="A preset to simulate, by name or file; handbook if not told."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the simulation and of the model.")] = 1,
    events: Annotated[Path | None, typer.Option("--events", metavar="FILE", help="Events instead.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="Their labels.")] = None,
    model: Annotated[Literal["lr", "rf", "both"], typer.Option("--model", help="Which to train.")] = "both",
    first_day: Annotated[
        int | None, typer.Option("--first-day", min=0, help="To learn from, counted from the first day.")
    ] = None,
    train_days: Annotated[int, typer.Option("--train-days", min=1, help="How many to learn from.")] = 7,
    delay_days: Annotated[int, typer.Option("--delay-days", min=0, help="For labels to become known.")] = 7,
    test_days: Annotated[int, typer.Option("--test-days", min=1, help="How many to measure on.")] = 7,
    features: Annotated[
        Literal["handbook", "stream"],
        typer.Option("--features", help="The handbook's, or those of a rule's `model` in the stream."),
    ] = "handbook",
    within_minutes: Annotated[
        int | None,
        typer.Option("--within-minutes", min=0, help="How far `stream` looks back; 60 if not told."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where models are put.")] = None,
    allow_rejected: AllowRejected = None,
    as_json: Json = False,
) -> None:
    """Train models on labelled traffic, and print how good they are.

    The models are logistic regression and random forest on the handbook's features. The days to be measured
    on lie after those to learn from, with a delay in between; nothing of them, and no label that was reported
    later, is used in learning. With `--features stream` the model is a forest that a rule can name. Needs the
    extra `learn`.
    """
    from fraudctl.config.preset_file import read_preset_document
    from fraudctl.operations.inputs.event_files import ALLOWED_REJECTED
    from fraudctl.operations.train import train as operation
    from fraudctl.operations.train.train_forest import train_forest
    from fraudctl.ui.text import train as text

    if (events is None) != (labels is None):
        raise UsageError("files of events and labels go together", hint="--events FILE --labels FILE")
    files = (events, labels) if events and labels else None
    if files and preset is not None:
        raise UsageError(
            "a preset is simulated, and files are read", hint="give --preset or --events, not both"
        )
    if allow_rejected is not None and not files:
        raise UsageError("--allow-rejected is for files", hint="add --events and --labels, or leave it out")
    preset = preset or "handbook"
    document = {} if files else read_preset_document(preset)
    kinds = ("lr", "rf") if model == "both" else (model,)
    days = (first_day, train_days, delay_days, test_days)
    request = operation.TrainRequest(
        session.settings(),
        preset,
        document,
        files,
        seed,
        kinds,
        *days,
        out,
        ALLOWED_REJECTED if allow_rejected is None else allow_rejected,
    )
    if features == "stream":
        if model == "lr":
            raise UsageError("only forests judge in the stream", hint="leave --model out")
        minutes = 60 if within_minutes is None else within_minutes
        forest = train_forest(request, minutes, observe=console.say)
        console.write(to_json.dumps(forest) if as_json else text.forest(forest))
        return
    if within_minutes is not None:
        raise UsageError("--within-minutes is for --features stream", hint="add that, or leave it out")
    result = operation.train(request, observe=console.say)
    console.write(to_json.dumps(result) if as_json else text.training(result))
