"""The model of a trained forest: its features and trees. It holds data only.

The detector (in the JVM) and the recount (plain Python) each evaluate the trees on their own; this module is
the specification of both. It uses only integers, so that both compute exactly the same score on every
machine:

* A *feature* is one integer of a transaction, see FEATURES and PAST_FEATURES. `category=Food` and
  `channel=online` are 1 if the transaction has this category or channel, else 0.
* Evaluation of a tree begins at node 0. It goes `left` if the feature's value is at most the `threshold`,
  else `right`, until it reaches a leaf: a node that is its own `left` and `right`. The result is the leaf's
  `value`.
* The *score* is the sum of these values over all trees divided by the number of trees, rounded down: the
  probability of fraud in millionths.

The features of a card's past are defined in fraudctl/rules/model.py, over `within_minutes`. A rule that
matches must still match when more of the past becomes known, so more of it must not lower the score. A node
that tests such a feature has one side for more of the past and one for less: no leaf on the side for less may
exceed any leaf on the side for more. Forests that violate this are rejected. Source of the constraint:
scikit-learn's `monotonic_cst`, which trains such trees.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MILLION = 1_000_000
TRAINED = "forest-"
CARD_MINUTES_MAX = 24 * 60
NODES_MAX = 100_000
_SIGNED_64 = 2**63

# Features of the transaction: minor units; hour of event_time in UTC, 0 to 23; its weekday, Monday is 0.
FEATURES = ("amount_minor", "hour_utc", "weekday")
# Features of the card's past, this transaction included; more of it raises (1) or lowers (-1) the value.
# `card_since_previous_seconds`: whole seconds since the previous one; without one, all of `within_minutes`.
PAST_FEATURES = {
    "card_count": 1,
    "card_sum_minor": 1,
    "card_countries": 1,
    "card_merchants": 1,
    "card_since_previous_seconds": -1,
}
CATEGORY_IS, CHANNEL_IS = "category=", "channel="
_NAMED = (rf"{CATEGORY_IS}[^\x00-\x1f\x7f]{{1,64}}", rf"{CHANNEL_IS}[a-z][a-z0-9_]{{0,31}}")
_FEATURE = "^(?:" + "|".join([*FEATURES, *PAST_FEATURES, *_NAMED]) + ")$"

Feature = Annotated[str, Field(pattern=_FEATURE)]
Numbers = tuple[Annotated[int, Field(strict=True, ge=-_SIGNED_64, lt=_SIGNED_64)], ...]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tree(_Closed):
    """One decision tree; each list has one entry per node.

    `feature` is the index of a feature in the forest's `features`, from 0.
    """

    feature: Numbers
    threshold: Numbers
    left: Numbers
    right: Numbers
    value: Numbers

    @model_validator(mode="after")
    def _is_a_tree(self) -> "Tree":
        size = len(self.feature)
        if not size or {len(self.threshold), len(self.left), len(self.right), len(self.value)} != {size}:
            raise ValueError("a tree needs as many nodes in each of its lists, and at least one")
        for node, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            leaf = left == right == node
            if not leaf and not (node < left < size and node < right < size):
                raise ValueError(f"node {node} does not lead on to later nodes, and is no leaf")
        if not all(0 <= value <= MILLION for value in self.value):
            raise ValueError("a value is not from 0 to 1,000,000")
        return self

    def is_leaf(self, node: int) -> bool:
        """Return True if the node is a leaf."""
        return self.left[node] == node

    @property
    def depth(self) -> int:
        """Return the number of steps from node 0 to the furthest leaf."""
        steps = [0] * len(self.feature)
        for node in range(len(steps)):
            if not self.is_leaf(node):
                for child in (self.left[node], self.right[node]):
                    steps[child] = max(steps[child], steps[node] + 1)
        return max(steps)


class Forest(_Closed):
    """A trained forest.

    `within_minutes` is the look-back of the features of a card's past, and None if there are no such
    features. A `name` that begins with `forest-` was given by training: it ends with the fingerprint, which
    is checked.
    """

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=200)]
    within_minutes: Annotated[int, Field(strict=True, ge=1, le=CARD_MINUTES_MAX)] | None = None
    trees: Annotated[tuple[Tree, ...], Field(min_length=1, max_length=1000)]

    @field_validator("features")
    @classmethod
    def _distinct(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(features)) < len(features):
            raise ValueError("a feature is named twice")
        return features

    @model_validator(mode="after")
    def _fits(self) -> "Forest":
        if self.name.startswith(TRAINED) and self.name != TRAINED + self.fingerprint:
            raise ValueError(f"it is not {self.name} any more: something in it was changed after training")
        if sum(len(tree.feature) for tree in self.trees) > NODES_MAX:
            raise ValueError(f"the forest has more than {NODES_MAX:,} nodes")
        if (self.within_minutes is not None) != any(name in PAST_FEATURES for name in self.features):
            raise ValueError("within_minutes goes with features of a card's past, and they with it")
        for number, tree in enumerate(self.trees, start=1):
            if not all(0 <= feature < len(self.features) for feature in tree.feature):
                raise ValueError(f"tree {number} asks for a feature that is not there")
            if (node := self._falling(tree)) is not None:
                raise ValueError(
                    f"tree {number} would give a lower score at node {node} if more of the card's past "
                    "became known; train it with `fraudctl train --features stream`"
                )
        return self

    @property
    def fingerprint(self) -> str:
        """Return the first 12 digits of a SHA-256 over everything but the name."""
        content = self.model_dump(
            mode="json", include={"features", "within_minutes", "trees"}, exclude_none=True
        )
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def looks_back_seconds(self) -> int:
        """Return the look-back of the features of a card's past, in seconds; 0 if there are none."""
        return (self.within_minutes or 0) * 60

    def _falling(self, tree: Tree) -> int | None:
        """Return a node where more of the past could lower the score; None if there is none."""
        # Children come after their parents, so in reverse order the leaves below a node are known.
        least, most = list(tree.value), list(tree.value)
        for node in reversed(range(len(tree.feature))):
            if tree.is_leaf(node):
                continue
            left, right = tree.left[node], tree.right[node]
            direction = PAST_FEATURES.get(self.features[tree.feature[node]], 0)
            lower, higher = (left, right) if direction > 0 else (right, left)
            if direction and most[lower] > least[higher]:
                return node
            least[node], most[node] = min(least[left], least[right]), max(most[left], most[right])
        return None
