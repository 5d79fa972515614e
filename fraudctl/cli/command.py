"""The parts that all commands share: options for stack and settings, error handling, exit codes."""

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from fraudctl.cli.panels import PanelGroup, panel_of
from fraudctl.cli.shares import parse_share
from fraudctl.config.paths import StackPaths, stack_paths
from fraudctl.errors import ELSEWHERE, ExitCode, FraudctlError, UsageError
from fraudctl.ui import console, failure

if TYPE_CHECKING:  # loaded by the commands that need it, so that `--help` is quick
    from fraudctl.config.load import Loaded
    from fraudctl.config.model import Settings

app = typer.Typer(
    name="fraudctl",
    cls=PanelGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawn help loads a Markdown parser: a third of the time of `--help`
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run a real-time card-fraud pipeline (Kafka, Spark, PostgreSQL) and prove its numbers.",
)

_PANEL = "Stack and settings"
Home = Annotated[
    Path | None,
    typer.Option(
        "--home", envvar="FRAUDCTL_HOME", help="Folder that holds all stacks' state.", rich_help_panel=_PANEL
    ),
]
Stack = Annotated[
    str, typer.Option("--stack", envvar="FRAUDCTL_STACK", help="Name of the stack.", rich_help_panel=_PANEL)
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="How services run: local, docker, external. Also FRAUDCTL_PROFILE.",
        rich_help_panel=_PANEL,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", envvar="FRAUDCTL_CONFIG", help="A YAML file of settings.", rich_help_panel=_PANEL
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
AllowRejected = Annotated[
    float | None,
    typer.Option(
        "--allow-rejected",
        parser=parse_share,
        metavar="SHARE",
        help="Share of a file's lines that may be left out; 1% if not told.",
    ),
]


class _Command(TyperCommand):
    """A command that accepts no option twice, as it would be unclear which of the two values was meant."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse as typer does, after checking that no option is repeated or contradicts another."""
        _values, _rest, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in given if not ctx.resilient_parsing else ():
            repeated = given.count(parameter) > 1 and getattr(parameter, "multiple", False) is False
            if repeated and not getattr(parameter, "is_flag", True) and parameter.nargs == 1:
                ctx.fail(f"{parameter.opts[0]} is given twice")
            opposite = [name for name in getattr(parameter, "secondary_opts", ()) if name in args]
            if repeated and opposite and (said := [name for name in parameter.opts if name in args]):
                ctx.fail(f"{said[0]} and {opposite[0]} contradict each other")
        return super().parse_args(ctx, args)


@dataclass(frozen=True)
class Session:
    """One invocation: its stack, and how its settings are loaded."""

    paths: StackPaths
    profile: str | None
    config_file: Path | None
    given: tuple[tuple[str, str], ...] = ()  # shared options of the command line, by name

    def fit(self, error: FraudctlError) -> FraudctlError:
        """Return the error with a hint that can be typed as it is."""
        error.hint = self.hint(error.hint)
        return error

    def hint(self, text: str) -> str:
        """Return a hint that can be typed as it is, for this profile and with the options that were given."""
        if not text:
            return text
        from fraudctl.cli.hints import fit

        return fit(text, external=self._is_external(text), options=self.given)

    def _is_external(self, hint: str) -> bool:
        """Tell whether services run elsewhere; the profile is only looked up if the hint depends on it."""
        if not any(own in hint for own in ELSEWHERE):
            return False
        from fraudctl.runtime.stack import choose_profile

        try:
            return choose_profile(self.settings(), self.paths)[0] == "external"
        except FraudctlError:
            return False  # the settings cannot be read, and that is what the error says

    def load(self, flags: dict[str, object] | None = None, *, profile: str | None = None) -> "Loaded":
        """Load the settings, with their origins.

        Args:
            flags: values given on the command line, by dotted key.
            profile: profile to use instead of the session's.

        Raises:
            ConfigError: the settings are not valid.
        """
        from fraudctl.config.load import load

        return load(profile=profile or self.profile, config_file=self.config_file, flags=flags)

    def settings(self, flags: dict[str, object] | None = None) -> "Settings":
        """Return the settings; `flags` maps dotted keys to values given on the command line."""
        return self.load(flags).settings


def _no_home() -> UsageError:
    return UsageError(
        "a file is named with ~, and this user has no home folder",
        hint="write the whole path, beginning with /",
    )


def _given(**options: object) -> tuple[tuple[str, str], ...]:
    """Return the shared options that do not come from the environment; hints have to repeat them."""
    defaults: dict[str, object] = {"stack": "default"}
    found = []
    for name, value in options.items():
        variable = os.environ.get(f"FRAUDCTL_{name.upper()}") if name != "profile" else None
        if value is not None and str(value) not in (variable, defaults.get(name)):
            found.append((f"--{name}", str(value)))
    return tuple(found)


def command(
    name: str, *, example: str, group: typer.Typer = app
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Register a function of (session, its own options) as a command; it may return an exit code."""

    def register(function: Callable[..., object]) -> Callable[..., object]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, default, kind in (
                ("home", None, Home),
                ("stack", "default", Stack),
                ("profile", None, Profile),
                ("config", None, Config),
            )
        ]

        @wraps(function)
        def run_command(**options: Any) -> None:
            wants_json = bool(options.get("as_json", False))
            session: Session | None = None
            try:
                home, stack = options.pop("home"), options.pop("stack")
                profile, config_file = options.pop("profile"), options.pop("config")
                session = Session(
                    paths=stack_paths(home, stack),
                    profile=profile,
                    config_file=config_file,
                    given=_given(home=home, stack=stack, profile=profile, config=config_file),
                )
                code = function(session, **options)
            except BrokenPipeError:
                raise  # the reader of our output has left, as `| head` does: typer ends quietly
            except RuntimeError as caught:
                if "home directory" not in str(caught):
                    raise
                failure.show(_no_home())
                raise typer.Exit(int(ExitCode.USAGE)) from caught
            except KeyboardInterrupt as caught:
                console.say(f"interrupted: {caught}" if str(caught) else "interrupted")
                raise typer.Exit(int(ExitCode.INTERRUPTED)) from caught
            except Exception as caught:
                error = _told(caught)
                if error is None:
                    raise  # a bug
                if session is not None:
                    error = session.fit(error)
                failure.show(error)
                if wants_json and getattr(caught, "filename", None) != console.STANDARD_OUTPUT:
                    console.write(failure.as_json(error))
                raise typer.Exit(int(error.exit_code)) from caught
            if isinstance(code, int) and code:
                raise typer.Exit(int(code))

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
        run_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        text = f"{inspect.getdoc(function) or ''}\n\n\b\nExample:\n  {example}"
        panel = panel_of(name) if group is app else None
        group.command(name, cls=_Command, help=text, rich_help_panel=panel)(run_command)
        return function

    return register


def _told(caught: Exception) -> FraudctlError | None:
    """Return the error as it is told; None for one that nobody expects."""
    if isinstance(caught, FraudctlError):
        return caught
    if isinstance(caught, OSError):
        return failure.of_system(caught)
    if type(caught).__module__.startswith("psycopg"):
        from fraudctl.database.refusals import expected_refusal

        return expected_refusal(caught)
    return None


def guarded(entry: typer.Typer) -> None:
    """Run the whole program: a bug ends with its traceback and exit 70, Ctrl-C with 130.

    Errors that typer finds in the command line are shown in the same form as all others.
    """
    try:
        with console.writing_output():
            code = entry(standalone_mode=False)
    except typer.TyperException as caught:
        sys.exit(_refused_by_typer(caught))
    except typer.Abort:
        console.say("nothing was done")
        sys.exit(int(ExitCode.ANSWER_IS_NO))
    except KeyboardInterrupt:
        console.say("interrupted")
        sys.exit(int(ExitCode.INTERRUPTED))
    except OSError as caught:  # help or version; a command has its own handling
        sys.exit(_output_refused(caught))
    except Exception:  # noqa: BLE001 - the last line of defence: report it as the bug it is
        traceback.print_exc()
        console.say("error: this is a bug in fraudctl, please report it with the lines above")
        sys.exit(int(ExitCode.BUG))
    sys.exit(code if isinstance(code, int) else int(ExitCode.DONE))


def _output_refused(caught: OSError) -> int:
    """Say why standard output cannot be written; returns the exit code."""
    error = failure.of_system(caught)
    failure.show(error)
    return int(error.exit_code)


def _refused_by_typer(caught: typer.TyperException) -> int:
    """Print what is wrong with the command line, and return the exit code."""
    # A usage error carries the command that was meant, and a wrong option carries similar ones.
    context: typer.Context | None = getattr(caught, "ctx", None)
    if context is not None and caught.message == context.get_help():
        console.say(caught.message)  # a group without its command
        return int(ExitCode.USAGE)
    known = getattr(caught, "possibilities", None)
    text = _of_validator(caught) or (caught.message if known else caught.format_message())
    text = text.rstrip(".").replace("Value error, ", "")
    # Only the first letter: what follows may be the user's own words.
    text = text[:1].lower() + text[1:]
    error = UsageError(text, hint=_way_on(context, known, text))
    failure.show(error)
    if "--json" in sys.argv[1:]:
        console.write(failure.as_json(error))
    return int(error.exit_code)


def _of_validator(caught: typer.TyperException) -> str:
    """Return in plain words what the validator behind typer found wrong with a value; else empty."""
    from pydantic import ValidationError

    cause, parameter = caught.__cause__, getattr(caught, "param", None)
    if not isinstance(cause, ValidationError) or parameter is None:
        return ""
    from fraudctl.config.wording import option_text

    text = option_text(cause)
    return f"{_shown(parameter)} {text}" if text else ""


def _shown(parameter: Any) -> str:
    """Return an option as it is typed, or the name of an argument."""
    longest = max(parameter.opts, key=len)
    return str(longest)


def _way_on(context: typer.Context | None, known: Sequence[str] | None, text: str) -> str:
    if context is not None and context.info_name == "exec" and text.startswith("no such option"):
        return "what belongs to the command inside comes after `--`: `fraudctl exec kafka -- ls -la`"
    if known:
        return f"did you mean {' or '.join(sorted(known))}?"
    command = context.command_path if context is not None else "fraudctl"
    return f"`{command} --help` lists what may be given"
