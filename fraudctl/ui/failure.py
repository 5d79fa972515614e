"""Errors as users see them: what happened, why, and what to do about it."""

import errno
import json
import os
import re

from rich.text import Text

from fraudctl.errors import FraudctlError, RefusedError
from fraudctl.ui.console import STANDARD_OUTPUT, talk

_ROOM = "make room there, or choose another folder: --home, FRAUDCTL_CACHE_DIR, or the name that was given"
_FOLDERS = "check permissions and free space there; --home and FRAUDCTL_CACHE_DIR choose other folders"
_OUTPUT = "send the output elsewhere, such as to a file on a disk with room: `> FILE`"
# What was being done with the file, and what to do about it, by error number.
_ACTS: dict[int, tuple[str, str]] = {
    errno.EACCES: ("opened or changed by this user", ""),
    errno.EPERM: ("changed by this user", ""),
    errno.ENOENT: ("found", "check the name, and that the folder above it is there"),
    errno.EISDIR: ("used as a file: it is a folder", "name a file in it"),
    errno.ENOTDIR: ("reached: a part of its name is a file, not a folder", "check the name"),
    errno.ELOOP: (
        "opened: it is a link that leads back to itself, or lies behind one",
        "correct the link, or choose another name",
    ),
    errno.ENXIO: ("opened: it is a socket, or a device that is not there", "name a file"),
    errno.EEXIST: ("created: it is there already", "remove it, or choose another name"),
    errno.ENOSPC: ("written: the disk is full", _ROOM),
    errno.EDQUOT: ("written: this user's quota is used up", _ROOM),
    errno.EFBIG: ("written: it would be too large", _ROOM),
    errno.EROFS: ("written: the file system is read-only", "choose another folder"),
    errno.ENAMETOOLONG: ("created: its name is too long", "choose a shorter name, or a --home nearer to /"),
    errno.EMFILE: ("opened: too many files are open", "raise the limit with `ulimit -n`"),
    errno.ENFILE: ("opened: this machine has too many files open", "end something that holds many files"),
    errno.EIO: ("read or written: the disk fails", "look at the machine's log (`dmesg`)"),
    errno.ESTALE: ("reached: its network file system has lost it", "mount it again"),
}
_SECRETS = (
    re.compile(r"(?i)((?:password|passwd|secret|token)\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)"),
    re.compile(r"(://[^:/@\s]+:)([^@/\s]+)(?=@)"),
)


def masked(text: str) -> str:
    """Return the text with anything that looks like a password replaced by ***."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def show(error: FraudctlError) -> None:
    """Print an error on stderr: `error:`, indented detail, `hint:`."""
    console = talk()
    console.print(Text("error: ", style="bold red") + Text(masked(error.message)), soft_wrap=True)
    for line in masked(error.detail).splitlines():
        console.print(Text(f"  {line}"), soft_wrap=True)
    if error.hint:
        console.print(Text("hint: ", style="bold cyan") + Text(masked(error.hint)), soft_wrap=True)


def of_system(error: OSError) -> FraudctlError:
    """Return an error of the operating system for users: which file, what failed with it, and why."""
    reason = error.strerror or str(error)
    act, hint = _ACTS.get(error.errno or 0, ("used", ""))
    if error.filename == STANDARD_OUTPUT:
        return RefusedError(f"{STANDARD_OUTPUT} cannot be {_written(act)}: {reason}", hint=_OUTPUT)
    if error.filename is None:
        return RefusedError(f"the operating system refuses a step of this command: {reason}", hint=hint)
    hint = hint or _FOLDERS
    place = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    if error.filename2 is not None:
        place += f" -> {error.filename2}"
    return RefusedError(f"{place} cannot be {act}: {reason}", hint=hint)


def _written(act: str) -> str:
    """Return what was to be done with an output; it can only be written to."""
    return act if act.startswith("written") else "written"


def as_json(error: FraudctlError) -> str:
    """Return an error as JSON for `--json`: one object under the key `error`."""
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
