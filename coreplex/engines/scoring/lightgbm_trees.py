"""The trees of a LightGBM model, read from its text into arrays."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats

Index = NDArray[np.int64]
_CATEGORICAL, DEFAULT_LEFT = 1, 2  # bits of a decision_type; the next two say what is read as missing
ZERO, NAN = 1, 2


class Untranslatable(Exception):
    """The model has what the form wanted of it has not (linear models in leaves), or is not written as expected."""


@dataclass(frozen=True)
class Trees:
    """All trees of a model, one after the other. `first`, `leaf`: (t + 1,) where the splits and the leaves of each begin."""

    first: Index
    leaf: Index
    feature: Index
    threshold: Floats
    decision: Index
    left: Index
    right: Index
    """A split of the same tree, or ~leaf."""
    value: Floats
    levels: dict[int, Index]
    """Split by categories → the codes that go left."""
    split_cover: Floats
    leaf_cover: Floats
    """Rows of training that came there; where nothing is written of them, too short."""

    @property
    def count(self) -> int:
        """t: trees."""
        return len(self.first) - 1

    @property
    def categorical(self) -> NDArray[np.bool_]:
        return (self.decision & _CATEGORICAL) != 0

    @property
    def missing(self) -> Index:
        """What each split reads as missing: 0 nothing, ZERO, NAN."""
        return self.decision >> 2


def read(text: str) -> Trees:
    """The trees of a model's text. Raises Untranslatable for linear trees, and for text that is not as expected."""
    parts = re.split(r"^Tree=\d+$", text.partition("\nend of trees")[0], flags=re.MULTILINE)[1:]
    found = [dict(re.findall(r"^(\w+)=(.*)$", part, re.MULTILINE)) for part in parts]
    leaves = np.array([int(tree["num_leaves"]) for tree in found])
    first = np.concatenate([[0], np.cumsum(leaves - 1)])
    if any(tree.get("is_linear", "0") != "0" for tree in found):
        raise Untranslatable
    trees = Trees(
        first,
        np.concatenate([[0], np.cumsum(leaves)]),
        _joined(found, "split_feature", int),
        _joined(found, "threshold", float),
        _joined(found, "decision_type", int),
        _joined(found, "left_child", int),
        _joined(found, "right_child", int),
        _joined(found, "leaf_value", float),
        {int(start) + split: codes for start, tree in zip(first, found, strict=False) for split, codes in _levels(tree)},
        _joined(found, "internal_count", float),
        _joined(found, "leaf_count", float),
    )
    splits = (trees.feature, trees.threshold, trees.decision, trees.left, trees.right)
    if any(len(each) != first[-1] for each in splits) or len(trees.value) != trees.leaf[-1]:
        raise Untranslatable
    return trees


def _joined(found: list[dict[str, str]], name: str, kind: type) -> NDArray[Any]:
    return np.fromstring(" ".join(tree.get(name, "") for tree in found), dtype=kind, sep=" ")


def _levels(tree: dict[str, str]) -> Iterator[tuple[int, Index]]:
    """The splits by categories of one tree, with the codes that go left."""
    if tree.get("num_cat", "0") == "0":
        return
    bounds = [int(word) for word in tree["cat_boundaries"].split()]
    bits = np.array([int(word) for word in tree["cat_threshold"].split()], dtype="<u4")
    for split, (decision, place) in enumerate(zip(tree["decision_type"].split(), tree["threshold"].split(), strict=True)):
        if int(decision) & _CATEGORICAL:
            own = bits[bounds[int(place)] : bounds[int(place) + 1]]
            yield split, np.flatnonzero(np.unpackbits(own.view(np.uint8), bitorder="little"))
