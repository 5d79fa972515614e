"""Grow a forest that rules can ask: trees of scikit-learn as the integers that the stream computes with.

Sources: Breiman, "Random Forests" (2001), as `RandomForestClassifier` has it, and its `monotonic_cst`. Both
ends of the pipeline compute with what is put down here, and so do the figures.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudctl.errors import UsageError
from fraudctl.evaluation.training import classifiers
from fraudctl.rules.forest import MILLION, PAST_FEATURES, TRAINED, Forest

TREES, DEPTH, LEAF_ROWS = 40, 6, 10


def grow(
    rows: NDArray[np.int64],
    fraud: NDArray[np.bool_],
    features: Sequence[str],
    *,
    within_minutes: int | None,
    seed: int,
) -> Forest:
    """
    Args:
        rows: one a transaction, one column a feature.

    Raises:
        UsageError: there is no fraud to learn from, or nothing else.
        RefusedError: scikit-learn is not installed.
    """
    if len(np.unique(fraud)) < 2:
        raise UsageError(
            "there is nothing to learn: the training days hold only one kind of transaction",
            hint="choose other days, or a preset with more fraud",
        )
    grown = classifiers().forest(
        n_estimators=TREES,
        max_depth=DEPTH,
        min_samples_leaf=LEAF_ROWS,
        monotonic_cst=[PAST_FEATURES.get(name, 0) for name in features],
        random_state=seed,
        n_jobs=-1,
    )
    grown.fit(rows, fraud)
    trees = [_tree(one.tree_) for one in grown.estimators_]
    document: dict[str, Any] = {"features": list(features), "trees": trees}
    if within_minutes is not None:
        document["within_minutes"] = within_minutes
    forest = Forest.model_validate({"format": 1, "name": "new", **document})
    return forest.model_copy(update={"name": TRAINED + forest.fingerprint})


def _tree(tree: Any) -> dict[str, list[int]]:
    """scikit-learn numbers nodes from the root on; a leaf has -1 for its children there."""
    own = np.arange(tree.node_count)
    leaf = tree.children_left < 0
    # A feature is an integer: at most the threshold is at most what it is rounded down to.
    columns = {
        "feature": np.where(leaf, 0, tree.feature),
        "threshold": np.where(leaf, 0, np.floor(tree.threshold)),
        "left": np.where(leaf, own, tree.children_left),
        "right": np.where(leaf, own, tree.children_right),
        "value": np.where(leaf, np.rint(tree.value[:, 0, 1] * MILLION), 0),
    }
    return {name: column.astype(np.int64).tolist() for name, column in columns.items()}
