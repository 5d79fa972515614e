"""Errors that a user can meet, each with its exit code, its detail and its remedy.

Anything raised on purpose is a `FraudctlError`; whatever else reaches the top is a bug (exit 70).
"""

from enum import IntEnum

# The way on when a checkpoint is lost for good but the log still holds everything; part of many hints.
REBUILD = "recompute every window from the log with `fraudctl replay --rebuild --apply`"
# What to do when a service does not answer: one of the stack's own, or one that runs elsewhere.
START_STACK = "start it with `fraudctl up`, or look at `fraudctl status`"
CHECK_POSTGRES = "it is not fraudctl that runs it: check postgres.host and postgres.port, and that server"
CHECK_KAFKA = "it is not fraudctl that runs it: check kafka.bootstrap_servers, and those servers"


class ExitCode(IntEnum):
    """What the shell sees. 130 and 143 (interrupted, terminated) follow the shell's own custom."""

    DONE = 0
    ANSWER_IS_NO = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    NOT_READY = 5
    DATA = 6
    FENCED = 7
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class FraudctlError(Exception):
    """A foreseeable failure: `message` says what, `detail` why, `hint` what to do about it."""

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint


class UsageError(FraudctlError):
    """The command line asks for something that has no meaning (rate -1)."""

    exit_code = ExitCode.USAGE


class ConfigError(FraudctlError):
    """A setting is wrong, unknown or unreadable."""

    exit_code = ExitCode.REFUSED


class RefusedError(FraudctlError):
    """The request is understood but would do harm, or its question cannot be answered."""

    exit_code = ExitCode.REFUSED


class UnreachableError(FraudctlError):
    """Something that is needed does not answer."""

    exit_code = ExitCode.UNREACHABLE


class NotReadyError(FraudctlError):
    """Something was started but was not ready before the deadline."""

    exit_code = ExitCode.NOT_READY


class DataError(FraudctlError):
    """Data or schema is not as it must be (migration drift, delivery failed)."""

    exit_code = ExitCode.DATA


class FencedError(FraudctlError):
    """Another detector has taken over; this one must not write any more."""

    exit_code = ExitCode.FENCED
