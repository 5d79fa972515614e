"""How an error looks: what, why, and what to do about it."""

import json
import re

from rich.text import Text

from fraudctl.errors import FraudctlError, RefusedError
from fraudctl.ui.console import talk

_SECRETS = (
    re.compile(r"(?i)((?:password|passwd|secret|token)\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)"),
    re.compile(r"(://[^:/@\s]+:)([^@/\s]+)(?=@)"),
)


def masked(text: str) -> str:
    """The text with anything that looks like a password replaced by ***."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def show(error: FraudctlError) -> None:
    """Three kinds of lines on stderr: `error:`, indented detail, `hint:`."""
    console = talk()
    console.print(Text("error: ", style="bold red") + Text(masked(error.message)), soft_wrap=True)
    for line in masked(error.detail).splitlines():
        console.print(Text(f"  {line}"), soft_wrap=True)
    if error.hint:
        console.print(Text("hint: ", style="bold cyan") + Text(masked(error.hint)), soft_wrap=True)


def of_system(error: OSError) -> FraudctlError:
    """What the operating system refused: a file that may not be touched, a full disk, a closed output."""
    place = str(error.filename) if error.filename is not None else "the output of this command"
    return RefusedError(
        f"{error.strerror or error} ({place})",
        hint="check permissions and free space there; --home and FRAUDCTL_CACHE_DIR choose other folders",
    )


def as_json(error: FraudctlError) -> str:
    """The same for `--json`: one object under the key `error`."""
    return json.dumps(
        {
            "error": {
                "message": masked(error.message),
                "detail": masked(error.detail),
                "hint": masked(error.hint),
                "exit_code": int(error.exit_code),
            }
        },
        indent=2,
    )
