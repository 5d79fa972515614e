"""A simulation as text: a line while it runs, its report at the end, and the difficulty curve."""

from fraudctl.operations.simulate.difficulty import DifficultyCurve, Point
from fraudctl.operations.simulate.simulate import Progress, Simulated
from fraudctl.ui.console import say
from fraudctl.ui.drawing import Drawing

PLAIN_EVERY = 10


class SimulateView(Drawing):
    """A view of the progress: redrawn on a terminal, a line for every tenth of the days elsewhere."""

    def __init__(self) -> None:
        """Start with nothing shown."""
        super().__init__()
        self._said = 0

    def show(self, progress: Progress) -> None:
        """Show the progress after a day."""
        part = progress.day * PLAIN_EVERY // progress.days
        line = f"day {progress.day:,} of {progress.days:,}  {progress.messages:,} messages"
        self._show(line, plain=part > self._said)
        self._said = max(self._said, part)

    def show_point(self, point: Point) -> None:
        """Show one point of the difficulty curve."""
        self._show(_point(point), plain=True)

    def _show(self, line: str, *, plain: bool) -> None:
        self.draw_line(line)
        if plain and not self.drawn:
            say(line)


def summary(result: Simulated) -> str:
    """Return the report of one run."""
    scenarios = ", ".join(f"{name} {count:,}" for name, count in result.by_scenario.items() if count)
    dial = "" if result.difficulty is None else f"  difficulty: {result.difficulty:g}"
    lines = [
        f"preset: {result.preset}  seed: {result.seed}{dial}",
        f"transactions: {result.transactions:,} of {result.cards:,} cards, {result.first} to {result.last}",
        f"fraud: {result.fraud:,} ({result.fraud_rate:.3%})" + (f": {scenarios}" if scenarios else ""),
        _yardstick(result),
    ]
    if result.faults:
        lines.append("faults: " + _counts(result.faults))
        lines.append(f"messages: {result.messages:,}: " + _counts(result.fates))
    where = f" in {result.out}" if result.out else ", not written"
    lines.append(f"events: {result.bytes:,} bytes{where}  sha256 {result.digest}")
    where = f" in {result.labels_file}" if result.labels_file else ", not written"
    lines.append(f"labels: {result.labels:,}{where}  sha256 {result.labels_digest}")
    rate = result.messages / result.seconds if result.seconds else 0.0
    lines.append(f"{result.seconds:.1f} s, {rate:,.0f} messages/s")
    return "\n".join(lines)


def curve(result: DifficultyCurve) -> str:
    """Return the difficulty curve, one point per line."""
    return "\n".join(_point(point) for point in result.points)


def _yardstick(result: Simulated) -> str:
    rule = result.yardstick
    if not rule.alerts:
        return "yardstick: nothing to find"
    return (
        f'yardstick: "amount_minor > {rule.amount_over:,}" raises {rule.alerts:,} alerts and finds '
        f"{rule.recall:.1%} of the fraud, {rule.times_random:.1f} times as much as chance"
    )


def _point(point: Point) -> str:
    rule = point.yardstick
    return (
        f"difficulty {point.difficulty:4.2f}  finds {rule.recall:6.1%} of {point.fraud:,}, "
        f"chance {rule.random_recall:.1%}"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
