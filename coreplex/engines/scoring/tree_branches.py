"""The branches of all trees of a model: which of them lie on the way to each leaf, and which of them a row satisfies.

A split has two branches, left and right. A row satisfies a branch where it passes it and all those above it, on the same way,
that ask for the same feature; a way to a leaf then has one branch for each feature it asks for, the lowest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.lightgbm_trees import DEFAULT_LEFT, NAN, ZERO, Index, Trees, Untranslatable

Flags = NDArray[np.bool_]
_MOST_CELLS = 32_000_000
"""Of the tables that say which categories satisfy which branches."""


@dataclass(frozen=True)
class Ways:
    """Of s splits there are b = 2s branches: 2q goes left at split q, 2q + 1 right."""

    above: Index
    """(b,) the next branch above that asks for the same feature; b for none."""
    levels: list[Index]
    """The branches by depth."""
    steps: Index
    """(leaves, most) the branches on the way to each leaf, then b."""


def ways(trees: Trees) -> Ways:
    """Down from the roots of all trees at the same time."""
    none = 2 * len(trees.feature)
    asks = np.append(np.repeat(trees.feature, 2), -1)
    child = np.column_stack([trees.left, trees.right]).ravel()
    first_split, first_leaf = (np.repeat(start[:-1], 2 * np.diff(trees.first)) for start in (trees.first, trees.leaf))
    above, levels = np.full(none, none), list[Index]()
    ends: list[tuple[Index, Index]] = []
    node = trees.first[:-1][np.diff(trees.first) > 0]
    steps = np.full((len(node), 1), none)
    while len(node):
        rows, same = np.arange(len(node)), asks[steps] == trees.feature[node, None]
        slot = np.where(same.any(axis=1), same.argmax(axis=1), (steps != none).sum(axis=1))
        branch = (2 * node[:, None] + np.arange(2)).ravel()
        above[branch] = np.repeat(steps[rows, slot], 2)
        levels.append(branch)
        steps = np.repeat(steps, 2, axis=0)
        steps[np.arange(len(branch)), np.repeat(slot, 2)] = branch
        inner = child[branch] >= 0
        ends.append(((first_leaf[branch] + ~child[branch])[~inner], steps[~inner]))
        node, steps = (first_split[branch] + child[branch])[inner], np.pad(steps[inner], ((0, 0), (0, 1)), constant_values=none)
    found = np.full((len(trees.value), max((part.shape[1] for _, part in ends), default=0)), none)
    for leaf, part in ends:
        found[leaf, : part.shape[1]] = part
    return Ways(above, levels, found)


class Branches:
    """What satisfies each branch, sorted by the feature it asks for.

    `steps`: (leaves, most) the branches on the way to each leaf, then `none`; `sizes`: how many; `covers`: (b + 2,) the share of
    training rows that satisfied each, of those that got to be asked. No row satisfies `none`, every row `all`.
    """

    def __init__(self, trees: Trees, width: int) -> None:
        if len(trees.split_cover) != len(trees.feature) or len(trees.leaf_cover) != len(trees.value):
            raise Untranslatable
        found = ways(trees)
        by_depth = np.concatenate([np.zeros(0, dtype=np.int64), *found.levels])
        order = by_depth[np.argsort(trees.feature[by_depth >> 1], kind="stable")]
        self.count = len(order)
        place = np.append(np.empty_like(order), self.count)
        place[order] = np.arange(self.count)
        self.none, self.all = self.count, self.count + 1
        self.steps = place[found.steps]
        self.sizes = (self.steps != self.none).sum(axis=1)
        self.feature = trees.feature[order >> 1]
        ends = np.searchsorted(self.feature, np.arange(width + 1))
        self._parts = [slice(a, b) for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
        covers, low, high, at_nan, at_zero = _bounds(trees, found)
        self.covers = np.append(covers[order], [1.0, 1.0])
        self._low, self._high, self._at_nan, self._at_zero = low[order], high[order], at_nan[order], at_zero[order]
        self._zero_is_missing = bool(np.any(trees.missing[~trees.categorical] == ZERO))
        self._sets = self._categories(trees, order, place[found.above[order]])

    def _categories(self, trees: Trees, order: Index, above: Index) -> list[tuple[int, slice, NDArray[np.float32]]]:
        """Per feature that is asked for by categories: (codes + 1, branches) which code satisfies what; last, that of none."""
        split, cells, found = order >> 1, 0, []
        for feature in np.unique(trees.feature[trees.categorical]).tolist():
            part = self._parts[feature]
            own = split[part]
            if not trees.categorical[own].all():
                raise Untranslatable
            codes = max((int(trees.levels[q][-1]) + 1 for q in own.tolist() if len(trees.levels[q])), default=0)
            cells += len(own) * (codes + 1)
            if cells > _MOST_CELLS:
                raise Untranslatable
            passes = np.repeat((order[part] & 1).astype(bool)[:, None], codes + 1, axis=1)
            for row, q in enumerate(own.tolist()):
                passes[row, trees.levels[q]] ^= True
                if above[part.start + row] < self.count:
                    passes[row] &= passes[above[part.start + row] - part.start]
            found.append((feature, part, np.ascontiguousarray(passes.T)))
        return found

    def satisfied(self, row: Floats) -> NDArray[np.float32]:
        """(b + 2,) 1 for the branches that a row satisfies, 0 for the others; `none` and `all` last."""
        values = row.take(self.feature)
        held = np.empty(self.count + 2, dtype=np.float32)
        held[:-2] = (values <= self._high) > (values <= self._low)
        held[-2:] = 0.0, 1.0
        self._treat(held, np.isnan(row), self._at_nan)
        if self._zero_is_missing:
            self._treat(held, row == 0.0, self._at_zero)
        for feature, part, passes in self._sets:
            value = row[feature]
            known = -1.0 < value < len(passes) - 1
            held[part] = passes[int(value) if known else -1]
        return held

    def _treat(self, held: NDArray[np.float32], those: Flags, answers: Flags) -> None:
        for feature in np.flatnonzero(those).tolist():
            held[self._parts[feature]] = answers[self._parts[feature]]


def _bounds(trees: Trees, found: Ways) -> tuple[Floats, Floats, Floats, Flags, Flags]:
    """Of each branch its share of the cover, above which value and up to which it is satisfied, and whether by NaN and zero."""
    none = len(found.above)
    share, low, high = np.ones(none + 1), np.full(none + 1, np.nan), np.full(none + 1, np.inf)
    at_nan, at_zero = np.ones((2, none + 1), dtype=bool)
    ratio, threshold, left = _shares(trees), trees.threshold, (trees.decision & DEFAULT_LEFT) != 0
    zero_left = np.where(trees.missing == ZERO, left, threshold >= 0)
    nan_left = np.where(trees.missing == NAN, left, zero_left)
    for branch in found.levels:
        split, right, above = branch >> 1, (branch & 1).astype(bool), found.above[branch]
        share[branch] = share[above] * ratio[branch]
        low[branch] = np.where(right, np.fmax(low[above], threshold[split]), low[above])
        high[branch] = np.where(right, high[above], np.minimum(high[above], threshold[split]))
        at_nan[branch] = at_nan[above] & (nan_left[split] != right)
        at_zero[branch] = at_zero[above] & (zero_left[split] != right)
    return share[:-1], low[:-1], high[:-1], at_nan[:-1], at_zero[:-1]


def _shares(trees: Trees) -> Floats:
    """(b,) the cover of what lies below a branch as a share of its split's."""
    if np.any(trees.split_cover <= 0):
        raise Untranslatable
    child = np.column_stack([trees.left, trees.right])
    splits = np.diff(trees.first)
    first_split, first_leaf = (np.repeat(start[:-1], splits)[:, None] for start in (trees.first, trees.leaf))
    inner = child >= 0
    cover = np.empty(child.shape)
    cover[inner] = trees.split_cover[(first_split + child)[inner]]
    cover[~inner] = trees.leaf_cover[(first_leaf + ~child)[~inner]]
    return (cover / trees.split_cover[:, None]).ravel()
