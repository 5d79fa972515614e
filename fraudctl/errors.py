"""Errors that a user can meet, each with its exit code, its detail and its hint.

Everything raised on purpose is a `FraudctlError`; any other error that reaches the top is a bug (exit 70).
"""

from enum import IntEnum

# Hint for a checkpoint that is lost for good while the log still holds everything.
REBUILD = "recompute every window from the log with `fraudctl replay --rebuild --apply`"
# Hints about a service that the stack runs, and (in ELSEWHERE) about one that runs elsewhere. Code that finds
# an error often knows only an address; the command line swaps the hints under the profile external.
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
    """Exit codes for the shell; 130 and 143 (interrupted, terminated) follow the shell's own convention."""

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
    """A foreseeable failure: `message` says what happened, `detail` why, `hint` what to do about it."""

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        """Keep the texts that the command line prints.

        Args:
            message: what happened, in the user's words.
            detail: the cause or the evidence, in one or more lines.
            hint: what to type or to change.
        """
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint


class UsageError(FraudctlError):
    """A command line that asks for something meaningless (rate -1)."""

    exit_code = ExitCode.USAGE


class ConfigError(FraudctlError):
    """A setting that is wrong, unknown or unreadable."""

    exit_code = ExitCode.REFUSED


class RefusedError(FraudctlError):
    """A request that is understood but would do harm, or a question that cannot be answered."""

    exit_code = ExitCode.REFUSED


class UnreachableError(FraudctlError):
    """A failure to reach something that is needed: it does not answer."""

    exit_code = ExitCode.UNREACHABLE


class NotReadyError(FraudctlError):
    """A failure to become ready: something was started but was not ready before the deadline."""

    exit_code = ExitCode.NOT_READY


class DataError(FraudctlError):
    """Data or a schema that is not as it must be (migration drift, delivery failed)."""

    exit_code = ExitCode.DATA


class FencedError(FraudctlError):
    """A takeover by another detector: this one must not write any more."""

    exit_code = ExitCode.FENCED
