"""The trees of an XGBoost model in the form of LightGBM's, read from its JSON."""

import itertools
from typing import Any

import numpy as np
import orjson

from coreplex.engines.scoring.lightgbm_trees import DEFAULT_LEFT, NAN, Index, Trees, Untranslatable

_DELETED = 2**31 - 1
"""The feature that a node asks for which is no longer in its tree."""


def read(model: bytes) -> tuple[Trees, Index]:
    """The trees, and the raw score to which each belongs.

    Raises Untranslatable for categories, several values in a leaf, and trees that count less than others.
    """
    booster = orjson.loads(model)["learner"]["gradient_booster"]
    if booster["name"] != "gbtree":
        raise Untranslatable
    found = booster["model"]["trees"]
    if any(any(tree["split_type"]) or tree["tree_param"]["size_leaf_vector"] not in ("0", "1") for tree in found):
        raise Untranslatable
    left, right, feature, default = (
        _joined(found, name, np.int64) for name in ("left_children", "right_children", "split_indices", "default_left")
    )
    condition, cover = (_joined(found, name, np.float32) for name in ("split_conditions", "sum_hessian"))
    start = _starts([len(tree["left_children"]) for tree in found])
    base, split, leaf = np.repeat(start[:-1], np.diff(start)), left >= 0, (left < 0) & (feature != _DELETED)
    before, before_leaf = _starts(split), _starts(leaf)
    first, first_leaf = before[start], before_leaf[start]

    def child(side: Index) -> Index:
        node = (base + side)[split]
        own = np.repeat(np.arange(len(found)), np.diff(first))
        return np.where(split[node], before[node] - first[own], ~(before_leaf[node] - first_leaf[own]))

    trees = Trees(
        first,
        first_leaf,
        feature[split],
        # A value goes left below the condition: up to the float32 before it.
        np.nextafter(condition[split], np.float32(-np.inf)).astype(np.float64),
        (NAN << 2) + DEFAULT_LEFT * default[split],
        child(left),
        child(right),
        condition[leaf].astype(np.float64),
        {},
        cover[split].astype(np.float64),
        cover[leaf].astype(np.float64),
    )
    return trees, np.array(booster["model"]["tree_info"], dtype=np.int64)


def _joined(found: list[dict[str, Any]], name: str, kind: Any) -> Any:
    return np.array(list(itertools.chain.from_iterable(tree[name] for tree in found)), dtype=kind)


def _starts(sizes: Any) -> Index:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
