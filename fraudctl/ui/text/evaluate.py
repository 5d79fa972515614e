"""An evaluation as text; every share is given with its denominator."""

from collections.abc import Iterator, Sequence

from fraudctl.evaluation.metrics import CardPrecision
from fraudctl.operations.evaluate.evaluate import Evaluation, Figures
from fraudctl.operations.inputs.event_files import report_lines
from fraudctl.operations.inputs.join_labels import join_lines

_CONTRADICTIONS_SHOWN = 3


def evaluation(result: Evaluation) -> str:
    """Return the whole evaluation as text."""
    return "\n".join(
        [*_basis(result), "", *_table(result), "", *_rules(result), *_scenarios(result)]
    ).rstrip()


def _basis(result: Evaluation) -> Iterator[str]:
    yield f"events     {result.judged:,} judged, of {result.source}"
    if result.refused:
        yield f"           {result.refused:,} lines or records that are no admissible events, left out"
    if result.first:
        yield f"           {result.first} to {result.last}"
    if result.as_of:
        yield (
            f"as of      {result.as_of}: {result.labels_known:,} of {result.labels:,} labels are known;"
            f" {result.pending:,} transactions are younger than the {_span(result.label_delay_seconds)}"
            " in which a label may come, and left out"
        )
    else:
        yield f"labels     {result.labels:,}, all of them taken as known"
    if result.labels_unmatched:
        labels = "1 label" if result.labels_unmatched == 1 else f"{result.labels_unmatched:,} labels"
        yield f"           {labels} of transactions that were not judged"
        if not result.join.matched:
            yield "           no label holds for any of these transactions: do they belong together?"
    if result.files:
        events, labels_read = result.files
        if copies := events.taken - result.judged:
            yield f"           {copies:,} copies of events, counted once"
        if copies := labels_read.taken - result.labels:
            yield f"           {copies:,} more labels of a transaction that has one; the first report counts"
    for line in (*join_lines(result.join), *contradiction_lines(result.contradictions)):
        yield f"           {line}"
    for file in result.files:
        if file.left_out:
            yield from report_lines(file)
    yield f"evaluated  {result.evaluated:,} transactions, {result.fraud:,} of them fraud" + _of(
        result.fraud, result.evaluated
    )


def contradiction_lines(contradictions: Sequence[str]) -> list[str]:
    """Return the ids that have several differing labels; of labels of one time the earliest report counts."""
    if not contradictions:
        return []
    more = len(contradictions) - _CONTRADICTIONS_SHOWN
    ids = "1 id has" if len(contradictions) == 1 else f"{len(contradictions):,} ids have"
    return [
        f"{ids} several labels that differ:",
        *(f"  {one}" for one in contradictions[:_CONTRADICTIONS_SHOWN]),
        *([f"  and {more:,} more"] if more > 0 else []),
    ]


def _table(result: Evaluation) -> Iterator[str]:
    yardstick = result.yardstick
    yard = f"amount > {yardstick.amount_over / 100:,.2f}"
    rows: list[tuple[str, str, str, str]] = [
        ("", "alerts", "flagged", yard),
        _row("precision", [_share(one.precision) for one in _three(result)]),
        _row("recall", [_share(one.recall) for one in _three(result)]),
        _row("F1", [_share(one.f1) for one in _three(result)]),
        _row("rate", [_share(one.rate) for one in _three(result)]),
        _row("true / false", [f"{one.true_positives:,} / {one.false_positives:,}" for one in _three(result)]),
        _row("missed fraud", [f"{one.false_negatives:,}" for one in _three(result)]),
        ("AUC-ROC of the score", _share(result.auc_roc), "", _share(yardstick.auc_roc)),
        (
            "average precision",
            _share(result.average_precision),
            "",
            _share(yardstick.average_precision),
        ),
        (
            f"card precision@{result.card_precision.k}",
            _share(result.card_precision.precision),
            "",
            _share(yardstick.card_precision.precision),
        ),
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    for row in rows:
        yield "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
    yield _denominators(result, result.card_precision)


def _row(name: str, cells: list[str]) -> tuple[str, str, str, str]:
    alerts, flagged, yardstick = cells
    return name, alerts, flagged, yardstick


def _three(result: Evaluation) -> tuple[Figures, Figures, Figures]:
    return result.alerts, result.flagged, result.yardstick.figures


def _denominators(result: Evaluation, cards: CardPrecision) -> str:
    return (
        f"(precision: of what was raised; recall: of {result.fraud:,} frauds; rate: of {result.evaluated:,}"
        f" transactions; card precision: fraudulent cards among the {cards.k} with the highest score of a"
        f" day, divided by {cards.k}, mean of {cards.days:,} days, {_share(cards.best_possible)} at best; the"
        f" yardstick may raise {result.yardstick.budget:,})"
    )


def _rules(result: Evaluation) -> Iterator[str]:
    for rule in result.rules:
        figures = rule.figures
        matched = figures.true_positives + figures.false_positives
        yield (
            f"rule {rule.id} ({rule.action}): matched {matched:,}, precision {_share(figures.precision)},"
            f" recall {_share(figures.recall)}"
        )


def _scenarios(result: Evaluation) -> Iterator[str]:
    for scenario in result.scenarios:
        yield (
            f"scenario {scenario.scenario}: {scenario.alerted:,} of {scenario.fraud:,} raised an alert"
            f" ({_share(scenario.recall)}), {scenario.flagged:,} were flagged"
        )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _of(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.3f} %)" if whole else ""


def _span(seconds: float) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds >= 86_400 else f"{seconds:,.0f} s"
