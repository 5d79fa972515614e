"""A training as text: what was learned from, and the figures beside the published ones."""

from collections.abc import Iterator

from fraudctl.operations.train import TrainedModel, Training


def training(result: Training) -> str:
    days = result.days
    unknown = (
        f", {result.train_fraud_unknown:,} more not reported by then" if result.train_fraud_unknown else ""
    )
    lines = [
        f"data      {result.transactions:,} transactions of {result.source}, {result.fraud:,} of them fraud,"
        f" seed {result.seed}",
        f"learned   days {days.first_day} to {days.first_day + days.train_days - 1}:"
        f" {result.train_rows:,} transactions, {result.train_fraud:,} frauds known{unknown}",
        f"measured  days {days.test_day} to {days.test_day + days.test_days - 1}:"
        f" {result.test_rows:,} transactions of cards not blocked, {result.test_fraud:,} frauds",
    ]
    for model in result.models:
        lines += ["", *_model(model)]
    return "\n".join([*lines, "", f"{result.seconds:.1f} s"])


def _model(model: TrainedModel) -> Iterator[str]:
    yield f"{model.name} ({model.seconds:.1f} s, version {model.version[:12]})"
    cards = model.score.card_precision
    rows = (
        ("AUC-ROC", model.score.auc_roc),
        ("average precision", model.score.average_precision),
        (f"card precision@{cards.k}", cards.precision),
    )
    for place, (name, value) in enumerate(rows):
        published = ""
        if model.published is not None and value is not None:
            given = model.published[place]
            published = f"   published {given:.3f}   difference {value - given:+.3f}"
        yield f"  {name:<18} {'-' if value is None else f'{value:.3f}'}{published}"
    yield f"  (of {cards.k} cards a day, mean of {cards.days} days; {_number(cards.best_possible)} at best)"
    if model.file is not None:
        yield f"  in {model.file}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
