"""A drill on a terminal: a growing table of cycles, or a line for each cycle elsewhere; and the verdict."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fraudctl.config.paths import StackPaths
from fraudctl.operations.drill.drill import DrillResult, remains
from fraudctl.operations.drill.harness import CycleReport
from fraudctl.operations.drill.plan import Cycle
from fraudctl.operations.produce.steady import Progress as Traffic
from fraudctl.ui.console import say
from fraudctl.ui.drawing import Drawing
from fraudctl.ui.text import verify as verify_text

_SHOWN_DIFFERENCES = 20
_COLUMNS = ("cycle", "fault", "place", "outcome", "back after")


class DrillView(Drawing):
    """A view of the cycles of a drill."""

    def __init__(self) -> None:
        """Start without a plan and without finished cycles."""
        super().__init__()
        self._plan: tuple[Cycle, ...] = ()
        self._reports: list[CycleReport] = []

    def planned(self, seed: int, plan: tuple[Cycle, ...]) -> None:
        """Print the planned faults, and the seed that repeats them."""
        self._plan = plan
        say(f"seed {seed}, {len(plan)} cycles:")
        for number, cycle in enumerate(plan, start=1):
            say(f"  {number}. {cycle.fault} at {cycle.where}")

    def now(self, what: str, traffic: Traffic | None) -> None:
        """Show what is being waited for and the state of the load, on a terminal."""
        if self.drawn:
            self.draw(Group(self._table(), Text(state(what, traffic), style="dim")))

    def cycle(self, report: CycleReport) -> None:
        """Show one more finished cycle."""
        self._reports.append(report)
        if self.drawn:
            self.draw(self._table())
        else:
            say(line(len(self._reports), len(self._plan), report))

    def _table(self) -> Table:
        table = _table(self._reports)
        table.caption = "Ctrl-C: end after this cycle, and verify"
        if len(self._reports) < len(self._plan):
            cycle = self._plan[len(self._reports)]
            table.add_row(str(len(self._reports) + 1), cycle.fault, cycle.where, "…", "", style="dim")
        return table


def state(what: str, traffic: Traffic | None) -> str:
    """Return what is being waited for, and the state of the load."""
    if traffic is None:
        return what
    account = traffic.deliveries
    return (
        f"{what}; load {traffic.rate:,.0f}/s, sent {account.sent:,}, acknowledged {account.acknowledged:,}"
        + (f", waiting for Kafka: {traffic.trouble}" if traffic.trouble else "")
    )


def line(number: int, cycles: int, report: CycleReport) -> str:
    """Return one finished cycle as one line."""
    return (
        f"cycle {number} of {cycles}: {report.fault} at {report.place}: {report.outcome}, "
        f"back after {report.back_seconds:.1f} s" + ("" if report.as_promised else ", NOT AS PROMISED")
    )


def summary(result: DrillResult) -> RenderableType:
    """Return the cycles, the counts of events, the differences by name and the verdict."""
    lines = []
    if len(result.cycles) < result.cycles_planned:
        lines.append(f"stopped early: {len(result.cycles)} of {result.cycles_planned} cycles")
    if result.back_p95_seconds is not None:
        lines.append(f"back to processing: p95 {result.back_p95_seconds:.1f} s")
    lines.append(
        f"sent {result.sent:,}, acknowledged {result.acknowledged:,}, read {result.events_read:,} "
        f"= {result.counted:,} counted + {result.duplicate:,} duplicate + {result.rejected:,} rejected"
    )
    lines += verify_text.differences(result.verification, _SHOWN_DIFFERENCES)
    verdict = Text(_verdict(result), style="bold green" if result.passed else "bold red")
    return Group(_table(result.cycles), Text("\n".join(lines)), verdict)


def _table(reports: Iterable[CycleReport]) -> Table:
    table = Table(title="drill", title_justify="left")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in ("cycle", "back after") else "left")
    for number, report in enumerate(reports, start=1):
        back = f"{report.back_seconds:.1f} s"
        outcome = report.outcome + ("" if report.as_promised else ": NOT AS PROMISED")
        style = "" if report.as_promised else "bold red"
        table.add_row(str(number), report.fault, report.place, outcome, back, style=style)
    return table


def _verdict(result: DrillResult) -> str:
    if result.passed:
        return (
            f"PASS: {len(result.cycles)} faults, {result.rows_compared:,} window rows against a recount: "
            f"0 differences, seed {result.seed}"
        )
    return (
        f"FAIL ({result.verdict}): {result.rows_compared:,} window rows against a recount: "
        f"{result.differences} differences, seed {result.seed}"
    )


def next_steps(result: DrillResult, paths: StackPaths) -> str:
    """Return what is left running, and the commands to type next."""
    option = "" if paths.stack == "default" else f" --stack {paths.stack}"
    if result.kept is None:
        return "Nothing is left running."
    if result.passed:
        return f"The stack still runs. End it with: fraudctl down{option} --volumes --yes"
    return (
        f"{remains(paths, result.seed)}\n"
        f"Look at it with: fraudctl up{option}; fraudctl verify-idempotency{option}\n"
        f"Remove it with: fraudctl down{option} --volumes --yes"
    )
