"""Which rows train and which rows judge: one plan per run, handed to every engine, so that engines compare on identical
folds.

Random or stratified, by group, forward in time with a gap, or the user's own fold column. Rows that are copies of
each other stay on one side of every fold. Refuses a fold column with one value and a time column that cannot be
ordered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.errors import Invalid

Index = NDArray[np.int64]
HOLDOUT = 0.2
LEAST, MOST = 2, 50
"""How many folds a column may name."""


@dataclass(frozen=True)
class Fold:
    """Row numbers that train and row numbers that judge; never an overlap."""

    train: Index
    valid: Index


@dataclass(frozen=True)
class FoldPlan:
    """The folds, how they were made, what a reader of the log should know.

    `bag`: the folds are exchangeable, so the fold copies together are the model; otherwise it is fitted again on all rows.
    """

    folds: tuple[Fold, ...]
    strategy: str
    bag: bool
    notes: tuple[str, ...] = ()

    @property
    def judged(self) -> Index:
        """Rows that some fold validates, ascending: the rows with an out-of-fold prediction."""
        return np.sort(np.concatenate([f.valid for f in self.folds]))


def automatic(n: int) -> int:
    """Number of folds for `n` rows: many where rows are few, one holdout (0) where they are plenty."""
    if n < 1_000:
        return 8
    return 5 if n <= 100_000 else 3 if n <= 400_000 else 0


def plan(y: NDArray[np.generic], *, nfolds: int, seed: int, classification: bool, copies: Index | None = None) -> FoldPlan:
    """Stratified folds: by class, or by the order of the target for regression. `nfolds` -1 automatic, 0 one holdout.

    `copies`: (n,) one number per distinct row; equal numbers stay together.
    """
    wanted = automatic(len(y)) if nfolds < 0 else nfolds
    count = _possible(wanted, len(y))
    units, notes = _units(copies, len(y), count)
    first = _first(units)
    strata = np.asarray(y, dtype=np.int64) if classification else _quantile_bins(np.asarray(y, dtype=np.float64))
    part = _deal(strata[first], max(count, round(1 / HOLDOUT) if count < 2 else count), seed)[units]
    if wanted > count and count:
        notes.append(f"{wanted} folds are too many for {len(y)} rows; using {count}.")
    if count < 2:
        return FoldPlan((_split(part, 0),), "holdout", bag=False, notes=tuple(notes))
    folds = tuple(_split(part, f) for f in range(count))
    return FoldPlan(folds, "stratified" if classification else "random", bag=True, notes=tuple(notes))


def by_group(groups: Index, y: NDArray[np.generic], *, nfolds: int, seed: int, classification: bool) -> FoldPlan:
    """Whole groups per fold, sizes and (for classes) class shares kept as even as the groups allow.

    `groups`: (n,) codes. Greedy on the largest groups first, as scikit-learn's StratifiedGroupKFold.
    """
    _, units = np.unique(groups, return_inverse=True)
    found = int(units.max()) + 1
    if found < 2:
        raise Invalid.field("has one value only; groups need at least two", "config", "group_column")
    wanted = automatic(len(y)) if nfolds < 0 else nfolds
    parts = min(wanted, found) if wanted >= 2 else min(round(1 / HOLDOUT), found)
    strata = np.asarray(y, dtype=np.int64) if classification else np.zeros(len(y), dtype=np.int64)
    part = _pack(units, strata, parts, seed)[units]
    if wanted < 2:
        return FoldPlan((_split(part, 0),), "group holdout", bag=False)
    return FoldPlan(tuple(_split(part, f) for f in range(parts)), "group", bag=True)


def by_time(moments: NDArray[np.float64], *, nfolds: int, gap: float = 0.0) -> FoldPlan:
    """Forward chaining: fold i trains on everything more than `gap` before block i and is judged on block i.

    Rows of one moment share a block. A missing moment (NaN) only ever trains.
    """
    known = np.flatnonzero(~np.isnan(moments))
    distinct = np.unique(moments[known])
    wanted = automatic(len(moments)) if nfolds < 0 else nfolds
    blocks = min(max(wanted, 1), len(distinct) - 1)
    if blocks < 1:
        raise Invalid.field("needs at least two different moments", "config", "time_column")
    edges = _edges(np.sort(moments[known]), distinct, blocks)
    folds = []
    for start, end in zip(edges, [*edges[1:], np.inf], strict=True):
        valid = np.flatnonzero((moments >= start) & (moments < end))
        train = np.flatnonzero((moments < start - gap) | np.isnan(moments) if gap else (moments < start) | np.isnan(moments))
        if len(train) >= 2 and len(valid):
            folds.append(Fold(train, valid))
    if not folds:
        raise Invalid.field("leaves nothing to train on; choose a smaller gap", "config", "time_gap")
    return FoldPlan(tuple(folds), "time", bag=False)


def by_column(values: Sequence[object]) -> FoldPlan:
    """The user's folds: every distinct value is one; rows without a value only train."""
    names = list(dict.fromkeys(v for v in values if v is not None))
    if not LEAST <= len(names) <= MOST:
        raise wrong_count(len(names))
    number = {name: i for i, name in enumerate(names)}
    part = np.array([-1 if v is None else number[v] for v in values])
    return FoldPlan(tuple(_split(part, f) for f in range(len(names))), "column", bag=True)


def wrong_count(values: int) -> Invalid:
    """The refusal of a fold column with so many different values."""
    return Invalid.field(f"has {values} different values; a fold column needs {LEAST} to {MOST}", "config", "fold_column")


def _possible(wanted: int, n: int) -> int:
    return min(wanted, max(n // 2, 2)) if wanted >= 2 else 0


def _split(part: Index, fold: int) -> Fold:
    return Fold(np.flatnonzero(part != fold), np.flatnonzero(part == fold))


def _units(copies: Index | None, n: int, count: int) -> tuple[Index, list[str]]:
    """One unit per distinct row, unless copies are the nature of the table (few discrete columns)."""
    if copies is None:
        return np.arange(n), []
    _, units, sizes = np.unique(copies, return_inverse=True, return_counts=True)
    repeated = n - len(sizes)
    if not repeated:
        return np.arange(n), []
    if len(sizes) < n / 2 or sizes.max() > n / (2 * max(count, 5)):
        return np.arange(n), [
            f"{repeated} of {n} rows repeat another row: too many to keep together, so copies may stand on both sides of a fold "
            "and the scores may be a little too good."
        ]
    return units.astype(np.int64), [f"Repeated rows ({repeated}) are kept on one side of every fold."]


def _first(units: Index) -> Index:
    """The first row of every unit."""
    return np.unique(units, return_index=True)[1].astype(np.int64)


def _quantile_bins(y: NDArray[np.float64]) -> Index:
    """Up to ten bins of about equal size, so that every fold sees the whole range."""
    edges = np.unique(np.quantile(y, np.linspace(0, 1, 11)[1:-1]))
    return np.searchsorted(edges, y, side="right").astype(np.int64)


def _deal(strata: Index, parts: int, seed: int) -> Index:
    """Deal the rows of every stratum in random order to the parts in turn, going on where the last stratum ended."""
    order = np.random.default_rng(seed).permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    part = np.empty(len(strata), dtype=np.int64)
    part[order] = np.arange(len(strata)) % parts
    return part


def _pack(units: Index, strata: Index, parts: int, seed: int) -> Index:
    """A part for every unit: largest units first, each to the part where it adds least to the unevenness of the strata."""
    counts = np.zeros((int(units.max()) + 1, int(strata.max()) + 1))
    np.add.at(counts, (units, strata), 1)
    share = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    filled = np.zeros((parts, counts.shape[1]))
    out = np.empty(len(counts), dtype=np.int64)
    for number, unit in enumerate(order):
        added = ((filled + share[unit]) ** 2 - filled**2).sum(axis=1)
        empty = filled.sum(axis=1) == 0
        if len(order) - number <= empty.sum():  # the last groups belong to the parts that have none yet
            added[~empty] = np.inf
        out[unit] = np.argmin(added)
        filled[out[unit]] += share[unit]
    return out


def _edges(ordered: NDArray[np.float64], distinct: NDArray[np.float64], blocks: int) -> list[float]:
    """The first moment of each judged block; blocks of about equal size after a training block of the same size."""
    wanted = [ordered[len(ordered) * i // (blocks + 1)] for i in range(1, blocks + 1)]
    later = np.where(np.array(wanted) <= distinct[0], distinct[1], wanted)
    return [float(e) for e in np.unique(later)]
