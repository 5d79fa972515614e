"""fraudctl produce: send simulated transactions, or those of a file."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudctl.cli.command import AllowRejected, Json, Session, command
from fraudctl.cli.durations import parse_duration
from fraudctl.cli.produce_options import check_options
from fraudctl.cli.signals import graceful
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console, failure

if TYPE_CHECKING:
    from fraudctl.operations.produce.file import FileRequest
    from fraudctl.operations.produce.preset import PresetRequest
    from fraudctl.operations.produce.steady import ProduceRequest

DEFAULT_RATE = 100.0


def parse_rate(text: str) -> float:
    """Return events per second; infinity for `max`.

    Raises:
        typer.BadParameter: the text is neither a number nor `max`.
    """
    if text.strip() == "max":
        return math.inf
    rate = _plain_number(text)
    # "inf" and "nan" are numbers to Python, but nobody means them.
    if not math.isfinite(rate):
        raise typer.BadParameter(f"{text!r} should be a valid number, such as 500, or max")
    return rate


def parse_speed(text: str) -> float:
    """Return the factor of a speed such as 60x, or 60: how many times as fast as the clock.

    Raises:
        typer.BadParameter: the text is not a number.
    """
    speed = _plain_number(text.strip().removesuffix("x"))
    if not math.isfinite(speed):
        raise typer.BadParameter(f"{text!r} is not a speed such as 60x")
    return speed


def _plain_number(text: str) -> float:
    """Return a number written with the digits 0 to 9, and NaN for any other text."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


@command("produce", example="fraudctl produce --rate 500 --duration 60s")
def produce(
    session: Session,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            parser=parse_rate,
            metavar="NUMBER",
            help="Events per second; max: as fast as the broker takes them.  [default: 100]",
            show_default=False,
        ),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", help="Stop after this many events.")] = None,
    duration: Annotated[
        float | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="Stop after this long (60, 60s, 5m, 1h)."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeat the events of an earlier run.")] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME", help="Labelled fraud, as of `fraudctl simulate`."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(parser=parse_speed, metavar="60x", help="A preset's own times, so many times as fast."),
    ] = None,
    days: Annotated[int | None, typer.Option("--days", help="Days of the preset.")] = None,
    difficulty: Annotated[float | None, typer.Option("--difficulty", help="0 to 1, of the preset.")] = None,
    faults: Annotated[bool, typer.Option("--faults", help="With the preset's faults.")] = False,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels",
            help="Tell later which of a preset's or file's were fraud.  [default: --labels]",
            show_default=False,
        ),
    ] = None,
    label_delay: Annotated[
        float | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="How much later, instead of the preset's."),
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from-file", metavar="FILE", help="The transactions of a CSV or Parquet file."),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            "--mapping",
            metavar="NAME",
            help="Its columns: sparkov, ieee, … or a YAML file.  [default: the one that fits the header]",
            show_default=False,
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option("--delimiter", metavar="CHARACTER", help="Of a file of text: ; or | or tab, …"),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="NAME", help="Of a file of text: latin-1, cp1252, utf-16, …"),
    ] = None,
    allow_rejected: AllowRejected = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check a file's rows, and send nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last run of this file came to.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Send realistic transactions, and report the delivery of each.

    Runs until Ctrl-C, --count or --duration, and ends with exit code 6 if an event was not acknowledged. With
    --preset the traffic has cards with habits and labelled fraud; the labels go to a topic of their own.
    --speed sends a preset's days as a backfill that ends now, to a topic with kafka.timestamp_type
    CreateTime. --from-file sends a file's transactions, stamped as they leave, at --rate or with the gaps
    that the file has (--speed 60x: 60 times as fast).
    """
    from fraudctl.operations.produce import steady as operation

    if speed is not None and (rate is not None or not (preset or from_file)):
        raise UsageError(
            "--speed is for a preset or a file, and sets the pace instead of --rate",
            hint="--preset everyday --speed 60x",
        )
    if from_file and preset:
        raise UsageError("--preset and --from-file exclude each other", hint="leave one of them out")
    check_options(
        {
            "--days": days is not None,
            "--difficulty": difficulty is not None,
            "--faults": faults,
            "--labels": labels is True,
            "--no-labels": labels is False,
            "--label-delay": label_delay is not None,
            "--seed": seed is not None,
            "--mapping": mapping is not None,
            "--delimiter": delimiter is not None,
            "--encoding": encoding is not None,
            "--allow-rejected": allow_rejected is not None,
            "--dry-run": dry_run,
            "--resume": resume,
        },
        "file" if from_file else "preset" if preset else "steady",
    )
    if dry_run and resume:
        raise UsageError(
            "--dry-run sends nothing, so there is nothing to resume", hint="leave one of them out"
        )
    settings = session.settings()
    asked_rate = DEFAULT_RATE if rate is None else None if rate == math.inf else rate
    request = operation.ProduceRequest(settings, "", asked_rate, count, duration, seed)
    operation.refuse_nonsense(request)
    if from_file:
        changes: dict[str, Any] = {
            "speed": speed if speed is not None or rate is not None else 1.0,
            "resume": resume,
            "labels": labels is not False,
        }
        if label_delay is not None:
            changes["label_delay_seconds"] = label_delay
        if allow_rejected is not None:
            changes["allow_rejected"] = 100 * allow_rejected
        asked = _file_request(session, request, from_file, mapping, (delimiter, encoding), changes)
        return _check_file(asked, as_json) if dry_run else _file(session, asked, as_json)
    if not preset:
        return _plain(session, request, as_json)
    from fraudctl.config.preset_file import read_preset_document
    from fraudctl.operations.produce.preset import PresetRequest
    from fraudctl.simulator.preset import parse_preset

    hours = None if label_delay is None else (label_delay / 3600, label_delay / 3600)
    changes = {"days": days, "difficulty": difficulty, "label_delay_hours": hours}
    parsed = parse_preset(read_preset_document(preset), changes)
    preset_request = PresetRequest(
        request, preset, parsed, speed, whole=bool(days), faults=faults, labels=labels is not False
    )
    return _preset(session, preset_request, as_json)


def _plain(session: Session, request: "ProduceRequest", as_json: bool) -> int:
    from fraudctl.operations.produce.steady import produce
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import produce as text

    where = endpoints(request.settings, session.paths, need=("kafka",))
    request = replace(request, bootstrap_servers=where.bootstrap_servers)
    with graceful() as stop, text.ProduceView() as view:
        result = produce(request, stop=stop, observe=view.show)
    console.write(to_json.dumps(result) if as_json else text.summary(result))
    if result.acknowledged == result.sent:
        return ExitCode.DONE
    failure.show(session.fit(text.not_delivered(result)))
    return ExitCode.DATA


def _preset(session: Session, request: "PresetRequest", as_json: bool) -> int:
    from fraudctl.operations.produce import preset as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import produce as text

    operation.refuse_nonsense(request)
    where = endpoints(request.plain.settings, session.paths, need=("kafka",))
    request = replace(request, plain=replace(request.plain, bootstrap_servers=where.bootstrap_servers))
    with graceful() as stop, text.ProduceView() as view:
        result = operation.produce_preset(request, stop=stop, observe=view.show)
    console.write(to_json.dumps(result) if as_json else text.preset_summary(result))
    if result.acknowledged == result.sent and not result.labels_failed:
        return ExitCode.DONE
    failure.show(session.fit(text.preset_not_delivered(result)))
    return ExitCode.DATA


def _file_request(
    session: Session,
    plain: "ProduceRequest",
    file: Path,
    mapping: str | None,
    layout: tuple[str | None, str | None],
    changes: dict[str, Any],
) -> "FileRequest":
    from fraudctl.operations.produce.file import FileRequest, validate_request
    from fraudctl.operations.produce.file_mapping import map_table
    from fraudctl.tables.layout import Told, check_delimiter, check_encoding

    delimiter, encoding = layout
    try:
        told = Told(
            None if delimiter is None else check_delimiter(delimiter),
            None if encoding is None else check_encoding(encoding),
        )
    except ValueError as error:
        raise UsageError(str(error), hint="see `fraudctl produce --help`") from error
    request = FileRequest(plain, map_table(file, mapping, told), session.paths, **changes)
    validate_request(request)
    return request


def _check_file(request: "FileRequest", as_json: bool) -> int:
    from fraudctl.operations.produce.file import check_file
    from fraudctl.operations.produce.rows_report import rows_error
    from fraudctl.ui.text import produce_file as text

    with graceful() as stop:
        result = check_file(request, stop=stop)
    console.write(to_json.dumps(result) if as_json else text.check_summary(result))
    error = rows_error(result)
    if error is None:
        return ExitCode.DONE
    failure.show(error)
    return error.exit_code


def _file(session: Session, request: "FileRequest", as_json: bool) -> int:
    from fraudctl.operations.produce.file import produce_file
    from fraudctl.operations.produce.rows_report import rows_error
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import produce_file as text
    from fraudctl.ui.text.produce import ProduceView, preset_not_delivered

    where = endpoints(request.plain.settings, session.paths, need=("kafka",))
    request = replace(request, plain=replace(request.plain, bootstrap_servers=where.bootstrap_servers))
    with graceful() as stop, ProduceView() as view:
        result = produce_file(request, stop=stop, observe=view.show)
    console.write(to_json.dumps(result) if as_json else text.file_summary(result))
    errors = [error] if (error := rows_error(result)) else []
    if result.acknowledged < result.sent or result.labels_failed:
        errors.append(preset_not_delivered(result))
    for each in errors:
        failure.show(session.fit(each))
    return errors[0].exit_code if errors else ExitCode.DONE
