"""The doctor's findings as lines of text."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--failpoints` needs no database
    from fraudctl.operations.detect.doctor import DoctorReport


def report(result: "DoctorReport") -> str:
    """Return a line for each check, followed by the reason and what to do if it failed."""
    return "\n".join(_lines(result))


def _lines(result: "DoctorReport") -> Iterator[str]:
    for finding in result.findings:
        yield f"{'ok' if finding.well else 'WRONG':<6} {finding.name:<11} {finding.answer}"
        for line in finding.detail.splitlines():
            yield f"       {line}"
        if finding.hint:
            yield f"       hint: {finding.hint}"
    wrong = sum(not finding.well for finding in result.findings)
    if wrong:
        yield f"{wrong} of {len(result.findings)} checks failed"
    elif result.occupied:
        yield "all is well: a detector runs; a second one would be refused (`detect --takeover` fences it)"
    else:
        yield "a detector may start"


def failpoints(known: Mapping[str, str], variable: str) -> str:
    """Return the failpoints in the order in which a micro-batch passes them, and how to arm one."""
    width = max(map(len, known))
    lines = [f"{name:<{width}}  {place}" for name, place in known.items()]
    usage = (
        f"arm them with {variable}=NAME[:NTH][=kill|pause][,…]: the NTH time, kill -9 or SIGSTOP the detector"
    )
    return "\n".join([*lines, "", usage])
