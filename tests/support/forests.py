"""Forests for tests: drawn ones that obey the specification, and what it says of them taken literally."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from fraudctl.rules.forest import MILLION, PAST_FEATURES

# A leaf's value, or (feature, threshold, left, right).
Nested = int | tuple[str, int, Any, Any]


def forest(
    features: Sequence[str],
    trees: Sequence[Nested],
    *,
    within_minutes: int | None = None,
    name: str = "drawn",
) -> dict[str, Any]:
    """The document of a forest of these trees."""
    document = {"format": 1, "name": name, "features": list(features)}
    if within_minutes is not None:
        document["within_minutes"] = within_minutes
    return {**document, "trees": [_flat(tree, features) for tree in trees]}


def drawn(
    draw: random.Random, limits: Mapping[str, Sequence[int]], *, within_minutes: int | None = None
) -> dict[str, Any]:
    """A forest whose nodes ask for these features, each with one of its limits."""
    trees = [_drawn(draw, limits, draw.randint(1, 4), 0, MILLION) for _ in range(draw.randint(1, 7))]
    return forest(list(limits), trees, within_minutes=within_minutes, name=f"drawn-{draw.randint(0, 999)}")


def score(document: Mapping[str, Any], values: Mapping[str, int]) -> int:
    """In millionths."""
    total = 0
    for tree in document["trees"]:
        node = 0
        while tree["left"][node] != node:
            asked = document["features"][tree["feature"][node]]
            side = "left" if values[asked] <= tree["threshold"][node] else "right"
            node = tree[side][node]
        total += tree["value"][node]
    return total // len(document["trees"])


def _drawn(
    draw: random.Random, limits: Mapping[str, Sequence[int]], depth: int, low: int, high: int
) -> Nested:
    if depth == 0 or draw.random() < 0.1:
        return draw.randint(low, high)
    feature = draw.choice(sorted(limits))
    left, right = (low, high), (low, high)
    if direction := PAST_FEATURES.get(feature):
        middle = draw.randint(low, high)
        left, right = ((low, middle), (middle, high))[::direction]
    below = [_drawn(draw, limits, depth - 1, *span) for span in (left, right)]
    return (feature, draw.choice(limits[feature]), *below)


def _flat(tree: Nested, features: Sequence[str]) -> dict[str, list[int]]:
    lists: dict[str, list[int]] = {key: [] for key in ("feature", "threshold", "left", "right", "value")}

    def add(node: Nested) -> int:
        own = len(lists["left"])
        leaf = isinstance(node, int)
        feature, threshold = (0, 0) if isinstance(node, int) else (features.index(node[0]), node[1])
        row = (feature, threshold, own, own, node if leaf else 0)
        for column, value in zip(lists.values(), row, strict=True):
            column.append(value)  # type: ignore[arg-type]
        if not isinstance(node, int):
            lists["left"][own] = add(node[2])
            lists["right"][own] = add(node[3])
        return own

    add(tree)
    return lists
