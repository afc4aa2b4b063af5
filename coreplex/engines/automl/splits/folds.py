"""The folds, which rows train and which validate: one plan per run, handed to every engine, so that engines compare on identical
folds.

Random, stratified, by group, forward in time with a gap, forward in time without a group on both sides, or the user's own
fold column. Rows that belong together (copies of each other, groups) stay on one side of every fold. Refuses a fold column
with one value and a time column that cannot be ordered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coreplex.errors.tree import Invalid, Message

Index = NDArray[np.int64]
Strategy = Literal["random", "stratified", "group", "time", "group_time", "column"]
HOLDOUT = 0.2
LEAST, MOST = 2, 50
"""How many folds a column may name."""
_GROUP_PARTS = 3
"""Into so many parts groups that stay in the table all the time are dealt: a fold trains on two thirds of them."""
_STRETCHES = 60
_FINAL_FITS, _PARTS = 3, 5
"""A final model of a forward plan is so many copies, each fitted on all parts but one."""
USUAL_COLUMNS = 50
"""So many columns are taken to be usual: rows of more count as more rows."""
ONE_GROUP = Message("one_group", "has one value only; groups need at least two")


@dataclass(frozen=True)
class Fold:
    """Row numbers that train and row numbers that judge; never an overlap."""

    train: Index
    valid: Index


@dataclass(frozen=True)
class FoldPlan:
    """The folds, how they were made, what a reader of the log should know.

    `bag`: the folds are exchangeable, so the fold copies together are the model; otherwise it is fitted again afterwards.
    """

    folds: tuple[Fold, ...]
    strategy: Strategy
    bag: bool
    notes: tuple[str, ...] = ()
    units: Index | None = None
    """(n,) numbers of what belongs together (a group, neighbours in time), which error bars draw whole; None: single rows."""
    reason: str = ""
    """Why there are so many folds, where that is not what a caller would expect."""

    final_folds: tuple[Fold, ...] = ()
    """Of a forward plan: the random parts of all rows that the final model is fitted on, each with the rows that stop it."""

    asked: int | None = None
    """The number of folds asked for: 0 means one holdout, -1 whatever fits."""

    @property
    def forward(self) -> bool:
        """Whether the folds judge later rows than they train on, the earliest first."""
        return self.strategy in ("time", "group_time")

    @property
    def count_note(self) -> Message | None:
        """A sentence where the number of folds is not the one asked for."""
        asked, found = self.asked, 0 if len(self.folds) == 1 else len(self.folds)
        if asked is None or found == asked or (asked < 0 and not self.reason):
            return None
        made, why = f"{found} folds" if found else "One holdout", self.reason or "no more are possible"
        if asked < 0:
            return Message("folds_chosen", "{folds} because {why}.", folds=made, why=why)
        wanted = asked or "one holdout"
        return Message("folds_instead", "{folds} instead of {asked} because {why}.", folds=made, asked=wanted, why=why)

    @property
    def validated(self) -> Index:
        """(m,) numbers of the rows that some fold validates, ascending: those with an out-of-fold prediction."""
        return np.sort(np.concatenate([f.valid for f in self.folds]))


def automatic(n: int, columns: int = 0) -> int:
    """Number of folds for `n` rows: many where rows are few, one holdout (0) where they are plenty, or take as long because of
    their columns."""
    if n < 1_000:
        return 8
    size = n * max(columns / USUAL_COLUMNS, 1.0)
    return 5 if size <= 100_000 else 3 if size <= 400_000 else 0


def plan(
    y: NDArray[np.generic],
    *,
    nfolds: int,
    seed: int,
    classification: bool,
    units: Index | None = None,
    stratify: bool = True,
) -> FoldPlan:
    """Folds dealt at random, evenly by class or by ten ranges of a number where `stratify`. `nfolds` -1 automatic, 0 one holdout.

    `units`: (n,) codes; rows of one code stay together, and are dealt by the class of their first row, the largest first.
    """
    wanted = automatic(len(y)) if nfolds < 0 else nfolds
    units = np.arange(len(y)) if units is None else np.unique(units, return_inverse=True)[1].astype(np.int64)
    first, sizes = np.unique(units, return_index=True, return_counts=True)[1:]
    count = _possible(wanted, len(first))
    strata = _strata(y, classification)[first] if stratify else np.zeros(len(first), dtype=np.int64)
    part = _deal(strata, sizes, count or round(1 / HOLDOUT), seed)[units]
    strategy: Strategy = "stratified" if stratify else "random"
    if not count:
        return FoldPlan((_split(part, 0),), strategy, bag=False, reason=f"the table has {len(y):,} rows")
    rows = f"{len(y):,} rows" if len(first) == len(y) else f"{len(first):,} different rows"
    reason = f"{rows} are too few for more" if wanted > count else f"the table has {rows}"
    together = None if len(first) == len(y) else units
    return FoldPlan(tuple(_split(part, f) for f in range(count)), strategy, bag=True, units=together, reason=reason)


def by_group(groups: Index, y: NDArray[np.generic], *, nfolds: int, seed: int, classification: bool) -> FoldPlan:
    """Whole groups per fold, sizes and (for classes) class shares kept as even as the groups allow.

    `groups`: (n,) codes. Greedy on the largest groups first, as scikit-learn's StratifiedGroupKFold.
    """
    _, units = np.unique(groups, return_inverse=True)
    found = int(units.max()) + 1
    if found < 2:
        raise Invalid.field(ONE_GROUP, "config", "group_column")
    wanted = automatic(len(y)) if nfolds < 0 else nfolds
    parts = min(wanted, found) if wanted >= 2 else min(round(1 / HOLDOUT), found)
    strata = np.asarray(y, dtype=np.int64) if classification else np.zeros(len(y), dtype=np.int64)
    part = _pack(units, strata, parts, seed)[units]
    if wanted < 2:
        return FoldPlan((_split(part, 0),), "group", bag=False, units=units)
    return FoldPlan(
        tuple(_split(part, f) for f in range(parts)), "group", bag=True, units=units, reason=f"there are {found} groups"
    )


def by_time(moments: NDArray[np.float64], *, nfolds: int, gap: float = 0.0) -> FoldPlan:
    """Forward chaining: fold i trains on everything more than `gap` before block i and is judged on block i.

    moments: (n,) seconds or units, of which `gap` is as well; rows of one moment share a block, a missing one (NaN) only ever
    trains.
    """
    wanted = automatic(len(moments)) if nfolds < 0 else nfolds
    pairs = [(_before(moments, start, gap), valid) for start, valid in _blocks(moments, wanted)]
    reason = f"no more have something to train on before them ({len(np.unique(moments[~np.isnan(moments)]))} different moments)"
    folds, final_folds = _usable(pairs), _final_folds(len(moments))
    return FoldPlan(folds, "time", bag=False, units=_neighbours(moments), reason=reason, final_folds=final_folds)


def by_group_time(groups: Index, moments: NDArray[np.float64], *, nfolds: int, seed: int, gap: float = 0.0) -> FoldPlan:
    """Forward chaining without a group on both sides: fold (i, p) is judged on the rows of block i whose group is in part p, and
    trains on the rows before it of all groups that do not judge (purged, as López de Prado, Advances in Financial Machine
    Learning, 2018, ch. 7, has it for overlapping labels).

    groups: (n,) codes; moments: (n,) seconds or units, of which `gap` is as well; NaN where unknown.

    One part is enough where groups come and go, so that the purge leaves half of the past at least. Where they stay, they are
    dealt at random to three parts, and there are a third as many blocks.
    """
    units = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    count = int(units.max()) + 1
    if count < 2:
        raise Invalid.field(ONE_GROUP, "config", "group_column")
    wanted = automatic(len(moments)) if nfolds < 0 else nfolds
    pairs = _purged(units, moments, np.zeros(count, dtype=np.int64), wanted, gap)
    if any(2 * train.sum() < _before(moments, float(moments[valid].min()), gap).sum() for train, valid in pairs):
        part = np.random.default_rng(seed).permutation(count) % min(_GROUP_PARTS, count)
        pairs = _purged(units, moments, part, max(round(wanted / _GROUP_PARTS), 1), gap)
    reason = f"each of {count} groups judges in every stretch of time without training for it"
    folds, final_folds = _usable(pairs)[: None if wanted >= 2 else 1], _final_folds(len(moments))
    return FoldPlan(folds, "group_time", bag=False, units=units, reason=reason, final_folds=final_folds)


def _final_folds(n: int) -> tuple[Fold, ...]:
    """Random parts of all rows, each with the rows it leaves out."""
    part = np.random.default_rng(0).permutation(n) % min(_PARTS, n)
    return tuple(_split(part, out) for out in range(_FINAL_FITS)) if n >= _PARTS else ()


def _purged(
    units: Index, moments: NDArray[np.float64], part: Index, blocks: int, gap: float
) -> list[tuple[NDArray[np.bool_], Index]]:
    """Of every block and part of the groups: which rows train, and the rows that judge."""
    pairs = []
    for start, block in _blocks(moments, blocks):
        for one in range(int(part.max()) + 1):
            valid = block[part[units[block]] == one]
            pairs.append((_before(moments, start, gap) & ~np.isin(units, units[valid]), valid))
    return pairs


def _blocks(moments: NDArray[np.float64], wanted: int) -> list[tuple[float, Index]]:
    """The first moment of every judged block, and its rows."""
    known = np.sort(moments[~np.isnan(moments)])
    distinct = np.unique(known)
    blocks = min(max(wanted, 1), len(distinct) - 1)
    if blocks < 1:
        raise Invalid.field(Message("one_moment", "needs at least two different moments"), "config", "time_column")
    edges = _edges(known, distinct, blocks)
    ends = [*edges[1:], np.inf]
    return [(start, np.flatnonzero((moments >= start) & (moments < end))) for start, end in zip(edges, ends, strict=True)]


def _before(moments: NDArray[np.float64], start: float, gap: float) -> NDArray[np.bool_]:
    """Which rows are of before `start` and the gap; those of an unknown moment are."""
    return np.asarray((moments < start - gap) | np.isnan(moments))


def _usable(pairs: Sequence[tuple[NDArray[np.bool_], Index]]) -> tuple[Fold, ...]:
    """The folds with something to train on and something to judge."""
    folds = tuple(Fold(np.flatnonzero(train), valid) for train, valid in pairs if train.sum() >= 2 and len(valid))
    if not folds:
        raise Invalid.field(
            Message("gap_leaves_nothing", "leaves nothing to train on; choose a smaller gap"), "config", "time_gap"
        )
    return folds


def _neighbours(moments: NDArray[np.float64]) -> Index:
    """(n,) the number of one of sixty stretches of time with about as many rows each."""
    place = np.empty(len(moments), dtype=np.int64)
    place[np.argsort(moments, kind="stable")] = np.arange(len(moments))
    return place * _STRETCHES // max(len(moments), 1)


def telling(plan: FoldPlan, y: NDArray[np.generic]) -> FoldPlan:
    """The plan without the folds that train on a single class, where others are left: the first of a forward split may. y: (n,)
    class codes."""
    kept = tuple(fold for fold in plan.folds if len(np.unique(y[fold.train])) > 1)
    if not kept or len(kept) == len(plan.folds):
        return plan
    return replace(plan, folds=kept, reason="the first folds would train on a single class")


def by_column(values: Sequence[object]) -> FoldPlan:
    """The user's folds: every distinct value is one; rows without a value only train."""
    names = list(dict.fromkeys(v for v in values if v is not None))
    if not LEAST <= len(names) <= MOST:
        raise wrong_count(len(names))
    number = {name: i for i, name in enumerate(names)}
    part = np.array([-1 if v is None else number[v] for v in values])
    return FoldPlan(
        tuple(_split(part, f) for f in range(len(names))), "column", bag=True, reason="the fold column has as many values"
    )


def wrong_count(values: int) -> Invalid:
    """The refusal of a fold column with so many different values."""
    return Invalid.field(
        Message(
            "wrong_number_of_folds",
            "has {found} different values; a fold column needs {least} to {most}",
            found=values,
            least=LEAST,
            most=MOST,
        ),
        "config",
        "fold_column",
    )


def _possible(wanted: int, n: int) -> int:
    return min(wanted, max(n // 2, 2)) if wanted >= 2 else 0


def _split(part: Index, fold: int) -> Fold:
    return Fold(np.flatnonzero(part != fold), np.flatnonzero(part == fold))


def _strata(y: NDArray[np.generic], classification: bool) -> Index:
    """The class of every row, or its tenth of the target."""
    return np.asarray(y, dtype=np.int64) if classification else _quantile_bins(np.asarray(y, dtype=np.float64))


def _quantile_bins(y: NDArray[np.float64]) -> Index:
    """Up to ten bins of about equal size, so that every fold sees the whole range."""
    edges = np.unique(np.quantile(y, np.linspace(0, 1, 11)[1:-1]))
    return np.searchsorted(edges, y, side="right").astype(np.int64)


def _deal(strata: Index, sizes: Index, parts: int, seed: int) -> Index:
    """Deal the units of every stratum to the parts in turn, in random order among equal sizes, going on where the last stratum
    ended."""
    order = np.random.default_rng(seed).permutation(len(strata))
    order = order[np.lexsort((-sizes[order], strata[order]))]
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
