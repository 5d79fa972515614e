"""Errors that a user can meet, each with its exit code, its detail and its remedy.

Anything raised on purpose is a `FraudctlError`; whatever else reaches the top is a bug (exit 70).
"""

from enum import IntEnum

# The way on when a checkpoint is lost for good but the log still holds everything; part of many hints.
REBUILD = "recompute every window from the log with `fraudctl replay --rebuild --apply`"
# What to do about a service of the stack's own, and about one that runs elsewhere. Who finds the trouble
# often knows only an address; the command line replaces the first by the second under the profile external.
START_STACK = "start it with `fraudctl up`, or look at `fraudctl status`"
CREATE_TOPIC = "create it with `fraudctl up`"
BROKER_LOG = "look at the broker's log with `fraudctl logs kafka`"
NOT_DELIVERED = "look at `fraudctl status` and `fraudctl logs kafka`"
TOPIC_ANEW = "what was not read of the old one is lost; begin anew: `fraudctl down --volumes`"
RECORDS_GONE = "records that were not read yet are gone from the topic"
RECORDS_GONE_HINT = "retention removed them or the topic was recreated; nothing was skipped silently"
PASSWORD_ANEW = "remove the file, and `fraudctl up` makes a new password"
CHECK_POSTGRES = "it is not fraudctl that runs it: check postgres.host and postgres.port, and that server"
CHECK_KAFKA = "it is not fraudctl that runs it: check kafka.bootstrap_servers, and those servers"
ELSEWHERE = {
    START_STACK: CHECK_KAFKA,
    CREATE_TOPIC: "create it with `fraudctl migrate`",
    BROKER_LOG: "look at the broker's own log",
    NOT_DELIVERED: "look at `fraudctl status`, and at the brokers' own logs",
    TOPIC_ANEW: "what was not read of the old one is lost; go on with the new one: "
    "`fraudctl detect --new-generation`",
    PASSWORD_ANEW: "remove the file, and `fraudctl migrate --passwords` makes a new password",
}


class ExitCode(IntEnum):
    """What the shell sees. 130 and 143 (interrupted, terminated) follow the shell's own custom."""

    DONE = 0  # the command did what was asked
    ANSWER_IS_NO = 1  # the command ran, and its answer is no (differences, an unhealthy stack)
    USAGE = 2  # the command line has no meaning
    REFUSED = 3  # a setting is wrong, the request would do harm, or the question cannot be answered
    UNREACHABLE = 4  # something that is needed does not answer
    NOT_READY = 5  # something was started, but was not ready in time
    DATA = 6  # migration drift, failed deliveries, or too much of a file left out
    FENCED = 7  # another detector has taken over
    BUG = 70  # a bug in fraudctl; the traceback stands above the message
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


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
