"""Training of a forest for rules: trees of scikit-learn as the integers that the stream computes with.

Sources: Breiman, "Random Forests" (2001), as in `RandomForestClassifier`, and its `monotonic_cst`. The
detector, the recount and the reported figures all compute with these integers.
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
    """Train a forest that rules can name.

    Args:
        rows: one row per transaction, one column per feature.
        fraud: one flag per transaction.
        features: names of the columns.
        within_minutes: look-back of the features of a card's past; None if there are none.
        seed: seed of the training.

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
    """Return a tree of scikit-learn as lists with one entry per node.

    scikit-learn numbers nodes from the root on and gives a leaf -1 for its children; here a leaf is its own
    child.
    """
    own = np.arange(tree.node_count)
    leaf = tree.children_left < 0
    # Features are integers, so a threshold that is rounded down divides them in the same way.
    columns = {
        "feature": np.where(leaf, 0, tree.feature),
        "threshold": np.where(leaf, 0, np.floor(tree.threshold)),
        "left": np.where(leaf, own, tree.children_left),
        "right": np.where(leaf, own, tree.children_right),
        "value": np.where(leaf, np.rint(tree.value[:, 0, 1] * MILLION), 0),
    }
    return {name: column.astype(np.int64).tolist() for name, column in columns.items()}
