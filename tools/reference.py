"""Write the reference pages of docs/ from the code, or check that they are what the code says.

python -m tools.reference            write docs/reference/*.md
python -m tools.reference --check    change nothing; exit 1 if a page differs
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import typer
import typer.main
import yaml

from fraudctl import assets, errors
from fraudctl.broker.resend import MARK
from fraudctl.broker.topics import topic_settings
from fraudctl.cli.main import app
from fraudctl.cli.panels import PANELS
from fraudctl.config.model import KafkaSettings
from fraudctl.events import schema
from fraudctl.events.alert import AlertMessage, Reason
from fraudctl.operations.produce.preset import labels_settings
from fraudctl.simulator.labels import Label
from tools.markup import code, prose, sentence, table
from tools.settings_page import settings_page
from tools.sql_objects import Column, Relation, read_migrations

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by `make reference` from the code: change the code, not this page. -->"
SHARED_PANEL = "Stack and settings"
EXAMPLE_EVENT = {
    "schema_version": schema.SCHEMA_VERSION,
    "transaction_id": "t-000001",
    "event_time": "2026-03-10T12:00:00.250Z",
    "card_id": "c-00042",
    "merchant_id": "m-0007",
    "category": "Retail",
    "amount_minor": 1999,
    "currency": "EUR",
    "country": "DE",
    "channel": "pos",
}


# Commands


def commands_page() -> Iterator[str]:
    """Yield the lines of the page of commands, as `--help` describes them."""
    root: Any = typer.main.get_command(app)
    yield "# Commands"
    yield ""
    yield "Results go to stdout, everything else to stderr. `--json` prints the result as one JSON document."
    yield "The [exit codes](exit-codes.md) are the same for all commands."
    yield from table(("command", "what it does"), _overview(root))
    yield "## Options of every command"
    yield from _options([each for each in _parameters(_leaf(root)) if _panel(each) == SHARED_PANEL], root)
    yield "`-h` or `--help` prints the help of a command. `fraudctl` itself has:"
    yield from _options([each for each in _parameters(root) if each.name != "help"], root)
    for panel, names in PANELS.items():
        yield f"## {panel}"
        yield ""
        for name in names:
            yield from _command_section(root.commands[name], f"fraudctl {name}")


def _overview(root: Any) -> Iterator[tuple[str, str]]:
    for names in PANELS.values():
        for name in names:
            for full, each in _leaves(root.commands[name], f"fraudctl {name}"):
                yield f"[{code(full)}](#{full.replace(' ', '-')})", prose(each.help.partition("\n")[0])


def _leaves(found: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(found, "commands", None)
    if inner is None:
        yield name, found
    for key, each in (inner or {}).items():
        yield from _leaves(each, f"{name} {key}")


def _leaf(root: Any) -> Any:
    return next(each for _name, each in _leaves(root, "fraudctl"))


def _command_section(found: Any, name: str) -> Iterator[str]:
    for full, each in _leaves(found, name):
        context = typer.Context(each, info_name=full)
        text, _, example = each.help.partition("\n\n\b\nExample:\n")
        yield f"### {full}"
        yield ""
        for paragraph in text.split("\n\n"):
            yield prose(paragraph)
            yield ""
        yield "```text"
        yield each.get_usage(context).removeprefix("Usage: ")
        yield "```"
        yield ""
        yield "Example:"
        yield ""
        yield "```sh"
        yield example.strip()
        yield "```"
        own = [one for one in _parameters(each) if _panel(one) != SHARED_PANEL and one.name != "help"]
        yield from _options(own, each)


def _parameters(found: Any) -> list[Any]:
    return [one for one in found.get_params(typer.Context(found)) if not getattr(one, "hidden", False)]


def _panel(parameter: Any) -> str | None:
    panel = getattr(parameter, "rich_help_panel", None)
    return panel if isinstance(panel, str) else None


def _options(parameters: Iterable[Any], found: Any) -> Iterator[str]:
    context = typer.Context(found)
    rows = []
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is not None:
            left, right = record
            text, _, details = right.partition("  [")
            if right.startswith("["):
                text, details = "", right[1:]
            rows.append((code(left), prose(text), prose(details.removesuffix("]"))))
    if rows:
        yield from table(("argument or option", "meaning", "details"), rows)
    else:
        yield ""


# Exit codes


def exit_codes_page() -> Iterator[str]:
    """Yield the lines of the page of exit codes: the comments of ExitCode, and the errors of each code."""
    text = Path(errors.__file__).read_text(encoding="utf-8")
    meanings = dict(re.findall(r"^    ([A-Z_]+) = [0-9]+  # (.*)$", text, re.MULTILINE))
    kinds: dict[errors.ExitCode, list[type]] = {}
    for kind in errors.FraudctlError.__subclasses__():
        if kind.__module__ == errors.__name__:
            kinds.setdefault(kind.exit_code, []).append(kind)
    yield "# Exit codes"
    yield ""
    yield "Every error has one form on stderr: `error:` what happened, then the details, then `hint:` what to"
    yield 'type. With `--json` it is also printed to stdout, as `{"error": …}` with message, detail, hint and'
    yield "exit code."
    yield from table(
        ("code", "name", "meaning"),
        ((f"`{each.value}`", f"`{each.name}`", sentence(meanings[each.name])) for each in errors.ExitCode),
    )
    yield "The first Ctrl-C or SIGTERM lets `produce` and `detect` finish cleanly, with exit code 0;"
    yield "the second one stops them at once."
    yield ""
    yield "## Errors in the code"
    yield ""
    yield "Each class of `fraudctl/errors.py` belongs to one code."
    rows = [
        (code(str(number.value)), code(kind.__name__), prose(_first_line(kind)))
        for number, all_of in kinds.items()
        for kind in all_of
    ]
    yield from table(("code", "class", "meaning"), rows)


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").partition("\n")[0]


# Events


def event_schema_page() -> Iterator[str]:
    """Yield the lines of the page of the event: fields, bounds and the reasons of rejected records."""
    paragraphs = (schema.__doc__ or "").strip().split("\n\n")
    yield "# Event schema"
    yield ""
    yield "A transaction is one JSON object in UTF-8, the value of a record of the topic"
    yield "[`kafka.topic`](settings.md#kafkatopic). `fraudctl/events/schema.py` is the specification."
    yield ""
    yield "```json"
    yield msgspec.json.format(msgspec.json.encode(EXAMPLE_EVENT), indent=2).decode()
    yield "```"
    yield ""
    yield "## Specification"
    yield ""
    for paragraph in paragraphs[1:]:
        yield prose(paragraph)
        yield ""
    yield "## Fields"
    rows = ((f"`{name}`", kind, _value_of(name)) for name, kind in schema.FIELDS.items())
    yield from table(("field", "JSON type", "value"), rows)
    yield "## Reasons of rejected records"
    yield ""
    yield "A rejected record becomes a row of [`fraud.dead_letters`](database.md#frauddead_letters) with one"
    yield "reason. The first check that fails gives the reason, in this order."
    yield from table(("reason", "cause"), ((f"`{reason}`", _cause_of(reason)) for reason in schema.REASONS))


def _value_of(field: str) -> str:
    fixed = {
        "schema_version": f"`{schema.SCHEMA_VERSION}`",
        "amount_minor": f"{schema.AMOUNT_MINOR_MIN} to {schema.AMOUNT_MINOR_MAX}, in minor units (cents)",
        "category": f"one of {_setting('events.categories')}",
        "currency": _setting("events.currency"),
    }
    return fixed.get(field) or f"matches {code(schema.PATTERNS[field])}"


def _cause_of(reason: str) -> str:
    fixed = {
        schema.MALFORMED: "no strict JSON object with exactly these fields and types, see above",
        schema.LATE: f"arrival minus `event_time` is above {_setting('lateness.late_seconds')}",
        schema.FUTURE: f"`event_time` minus arrival is above {_setting('lateness.future_seconds')}",
        schema.invalid("event_time"): "`event_time` has another form, or is no date and time of the calendar",
    }
    return fixed.get(reason) or f"`{reason.removeprefix(schema.invalid(''))}` has another value than above"


# Database


def database_page() -> Iterator[str]:
    """Yield the lines of the page of the database, as the migrations leave it."""
    folder = assets.sql() / "migrations"
    relations = read_migrations(folder)
    yield "# Database"
    yield ""
    yield "`fraudctl migrate` (and `up`) applies the files of `sql/migrations` in order, each once, and"
    yield "records them in `fraudctl_meta.schema_migrations`. An applied file must not change: its SHA-256 is"
    yield "recorded, too. The [roles](../concepts/roles-and-secrets.md) have the rights that are listed"
    yield "below; the owner of all tables and views is `fraud_owner`."
    yield ""
    for kind, title in (("table", "Tables"), ("view", "Views")):
        yield f"## {title}"
        yield ""
        for relation in relations.values():
            if relation.kind == kind:
                yield from _relation_section(relation)
    yield "## Migrations"
    yield ""
    yield from (f"* `{file.name}`" for file in sorted(folder.glob("[0-9]*.sql")))


def _relation_section(relation: Relation) -> Iterator[str]:
    yield f"### {relation.name}"
    yield ""
    if relation.comment:
        yield sentence(relation.comment)
        yield ""
    if relation.kind == "table":
        yield from table(("column", "type", "constraints", "meaning"), map(_column_row, relation.columns))
        for constraint in relation.constraints:
            yield f"* {code(constraint)}"
    else:
        yield "* Columns: " + ", ".join(code(column.name) for column in relation.columns)
    for role, rights in relation.grants:
        yield f"* Rights of `{role}`: {code(rights)}"
    yield ""


def _column_row(column: Column) -> tuple[str, ...]:
    constraints = code(column.constraints) if column.constraints else ""
    text = code(column.comment) if column.comment.startswith("{") else prose(column.comment)
    return code(column.name), code(column.type), constraints, text


# Topics


def topics_page() -> Iterator[str]:
    """Yield the lines of the page of topics: names, settings and messages."""
    defaults = yaml.safe_load((assets.configs() / "default.yaml").read_text(encoding="utf-8"))
    kafka = KafkaSettings.model_validate(defaults["kafka"])
    labels = labels_settings(kafka)
    yield "# Topics"
    yield ""
    yield "The pipeline has three topics. Values are JSON in UTF-8."
    yield from table(
        ("topic", "setting", "key", "partitions", "timestamps"),
        (
            (
                f"`{kafka.topic}`",
                _setting("kafka.topic"),
                "`card_id`",
                _setting("kafka.partitions"),
                _setting("kafka.timestamp_type"),
            ),
            (
                f"`{kafka.labels_topic}`",
                _setting("kafka.labels_topic"),
                "`card_id`",
                f"{labels.partitions}",
                f"`{labels.timestamp_type}`",
            ),
            (
                f"`{kafka.alerts_topic}`",
                _setting("kafka.alerts_topic"),
                "`alert_id`",
                _setting("kafka.partitions"),
                "`LogAppendTime`",
            ),
        ),
    )
    yield "A topic that fraudctl creates has these settings (shown for the defaults):"
    yield ""
    for name, value in topic_settings(kafka).items():
        yield f"* `{name}` = `{value}`"
    yield ""
    yield "## Transactions"
    yield ""
    yield "The value is an event of the [event schema](event-schema.md). `fraudctl produce` or your own"
    yield "producers write events; `fraudctl detect` and `fraudctl verify-idempotency` read them. A record"
    yield f"that `fraudctl deadletters requeue` sent again has the header `{MARK}`."
    yield ""
    yield "## Labels"
    yield ""
    yield (
        prose(_first_line(Label))
        + " `fraudctl produce --preset` and `--from-file` write labels; `fraudctl evaluate`"
    )
    yield "and `fraudctl replay` read them. The detector does not."
    yield from _struct(Label)
    yield "## Alerts"
    yield ""
    yield "`fraudctl detect` sends each alert after the batch that holds it has been committed."
    yield from _struct(AlertMessage)
    yield "Each entry of `reasons`:"
    yield from _struct(Reason)


def _setting(key: str) -> str:
    return f"[`{key}`](settings.md#{key.replace('.', '')})"


def _struct(struct: type[msgspec.Struct]) -> Iterator[str]:
    kinds = {"int": "integer", "str": "string", "datetime": "string, RFC 3339 in UTC"}
    rows = []
    for field in msgspec.structs.fields(struct):
        inner = get_args(field.type)
        name = (inner[0] if inner else field.type).__name__
        fixed = "" if field.default is msgspec.NODEFAULT else f", `{field.default}`"
        rows.append((f"`{field.encode_name}`", ("list of objects" if inner else kinds[name]) + fixed))
    yield from table(("field", "JSON type"), rows)


WRITERS: dict[str, Callable[[], Iterator[str]]] = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "exit-codes.md": exit_codes_page,
    "event-schema.md": event_schema_page,
    "database.md": database_page,
    "topics.md": topics_page,
}


def pages() -> dict[str, str]:
    """Return the text of every reference page, by file name."""
    return {name: _page(lines()) for name, lines in WRITERS.items()}


def _page(lines: Iterable[str]) -> str:
    text = f"{NOTICE}\n\n" + "\n".join(lines)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def differences(folder: Path = PAGES) -> list[str]:
    """Return the names of the pages that are missing, differ from the code, or are not written from it."""
    wanted = pages()
    names = sorted(wanted.keys() | {file.name for file in folder.glob("*")})
    return [name for name in names if name not in wanted or not _holds(folder / name, wanted[name])]


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


def main(arguments: list[str]) -> int:
    """Write or check the pages; returns the exit code."""
    if arguments == ["--check"]:
        stale = differences()
        for name in stale:
            sys.stderr.write(f"error: docs/reference/{name} is not what the code says\n")
        if stale:
            sys.stderr.write("hint: make reference\n")
        return 1 if stale else 0
    if arguments:
        sys.stderr.write(f"{__doc__}")
        return 2
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
