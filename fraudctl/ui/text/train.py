"""A training as text: its data, and the figures beside the published ones."""

from collections.abc import Iterator

from fraudctl.evaluation.training import Score
from fraudctl.operations.inputs.event_files import report_lines
from fraudctl.operations.inputs.join_labels import join_lines
from fraudctl.operations.train.train import TrainedModel, Training
from fraudctl.operations.train.train_forest import TrainedForest
from fraudctl.ui.text.evaluate import contradiction_lines


def training(result: Training) -> str:
    """Return the data of a training, and the figures of each model."""
    lines = [*_data(result)]
    for model in result.models:
        lines += ["", *_model(model)]
    return "\n".join([*lines, "", f"{result.seconds:.1f} s"])


def forest(result: TrainedForest) -> str:
    """Return the figures, what each limit would detect, and a first rule with the forest."""
    looks = f", {result.within_minutes} min back at the card" if result.within_minutes else ""
    lines = [
        *_data(result),
        "",
        f"{result.name} of {len(result.features)} features{looks} ({result.seconds:.1f} s)",
        *_score(result.score, None),
        "",
        "  score_over    raised  precision   recall",
        *(
            f"  {one.score_over:>10}  {one.raised:>8,}  {_number(one.precision):>9}  {_number(one.recall):>7}"
            for one in result.limits
        ),
    ]
    if result.file is not None:
        lines += ["", f"a rule with it, in a file beside which {result.file} lies:", *_rule(result)]
    return "\n".join(lines)


def _rule(result: TrainedForest) -> Iterator[str]:
    best = max(result.limits, key=lambda one: _f1(one.precision, one.recall))
    yield "  - id: learned"
    yield f"    reason: {result.name} finds it likely to be fraud"
    yield "    action: alert"
    yield "    when:"
    yield f"      model: {{file: {result.file}, score_over: {best.score_over}}}"


def _f1(precision: float | None, recall: float | None) -> float:
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _data(result: Training | TrainedForest) -> Iterator[str]:
    days = result.days
    unknown = (
        f", {result.train_fraud_unknown:,} more not reported by then" if result.train_fraud_unknown else ""
    )
    yield (
        f"data      {result.transactions:,} transactions of {result.source}, {result.fraud:,} of them fraud,"
        f" seed {result.seed}"
    )
    if (recorded := result.recorded) is not None:
        if recorded.join.unmatched:
            labels = "1 label" if recorded.join.unmatched == 1 else f"{recorded.join.unmatched:,} labels"
            yield f"          {labels} of transactions that are not among them"
        if copies := recorded.files[0].taken - result.transactions:
            yield f"          {copies:,} copies of events, counted once"
        for line in (*join_lines(recorded.join), *contradiction_lines(recorded.contradictions)):
            yield f"          {line}"
        for file in recorded.files:
            if file.left_out:
                yield from report_lines(file)
    yield (
        f"learned   days {days.first_day} to {days.first_day + days.train_days - 1}:"
        f" {result.train_rows:,} transactions, {result.train_fraud:,} frauds known{unknown}"
    )
    yield (
        f"measured  days {days.test_day} to {days.test_day + days.test_days - 1}:"
        f" {result.test_rows:,} transactions of cards not blocked, {result.test_fraud:,} frauds"
    )


def _model(model: TrainedModel) -> Iterator[str]:
    yield f"{model.name} ({model.seconds:.1f} s, version {model.version[:12]})"
    yield from _score(model.score, model.published)
    if model.file is not None:
        yield f"  in {model.file}"


def _score(score: Score, figures: tuple[float, float, float] | None) -> Iterator[str]:
    cards = score.card_precision
    rows = (
        ("AUC-ROC", score.auc_roc),
        ("average precision", score.average_precision),
        (f"card precision@{cards.k}", cards.precision),
    )
    for place, (name, value) in enumerate(rows):
        published = ""
        if figures is not None and value is not None:
            given = figures[place]
            published = f"   published {given:.3f}   difference {value - given:+.3f}"
        yield f"  {name:<18} {'-' if value is None else f'{value:.3f}'}{published}"
    yield f"  (of {cards.k} cards a day, mean of {cards.days} days; {_number(cards.best_possible)} at best)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
