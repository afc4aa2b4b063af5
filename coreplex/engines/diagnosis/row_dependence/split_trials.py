"""Honest splits tried against a random one, on the same rows: by group, forward in time, both, and with near copies together."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.splits import folds
from coreplex.engines.automl.splits.folds import Fold, Index
from coreplex.engines.automl.splits.near_duplicates import NearDuplicates
from coreplex.engines.diagnosis.cpu_deadline import Deadline
from coreplex.engines.diagnosis.row_dependence import group_time_candidates, near_duplicate_search
from coreplex.engines.diagnosis.row_dependence.group_time_candidates import Group, Order
from coreplex.engines.diagnosis.row_dependence.row_selection import Table, encoded, evenly, stretches, whole_groups
from coreplex.engines.diagnosis.row_dependence.split_comparison import Comparison, Pair, Rows, compare
from coreplex.errors.tree import Invalid

_FOLDS, _BLOCKS = 5, 5
_COPIES = 50_000
_EXPLAINED = 0.8
_UNSEEN = 0.25
"""Where forward folds are judged on so many rows of groups that were not there before, new groups must be expected."""


@dataclass(frozen=True)
class Trial:
    """One honest split that was tried."""

    strategy: folds.Strategy
    comparison: Comparison = field(default=None, repr=False)  # type: ignore[assignment]
    group: Group | None = None
    order: Order | None = None
    near: NearDuplicates | None = None
    lasting: Group | None = None
    """Groups that resemble themselves and are there all the time."""

    @property
    def columns(self) -> list[str]:
        return [one.column for one in (self.group, self.order) if one is not None and one.column is not None]


@dataclass
class Search:
    """The trials on one table."""

    table: Table
    classification: bool
    seed: int
    deadline: Deadline
    trials: list[Trial] = field(default_factory=list)
    unfinished: bool = False

    def run(self) -> Trial | None:
        """The split to propose, None where rows seem independent."""
        named = [c for c in self.table.columns if group_time_candidates.may_group(c) or group_time_candidates.may_order(c)]
        frame = self.table.read([c.name for c in named])
        groups = group_time_candidates.groups(frame, named)
        panels = [*(group.codes for group in groups), *group_time_candidates.entities(frame, named)]
        orders = group_time_candidates.times(frame, named, panels)
        group = _best([self._by_group(one) for one in groups])
        order = _best([trial for one in orders for trial in self._forward(one)])
        if group is None and order is None:
            return self._unnamed(orders)
        if group is None or group.group is None:
            return order
        known = [one for one in ([order.order] if order and order.order else orders) if not self._new_ones(group.group, one)]
        if known:  # the groups are there all the time: what will be asked for is their future
            return replace(order, lasting=group.group) if order else None
        return (self._by_both(group.group, order.order) if order and order.order else None) or group

    def _unnamed(self, orders: Sequence[Order]) -> Trial | None:
        """What no column says: copies beside each other make neighbours resemble each other, too."""
        order, near = _best(self._by_file(orders)), _best([self._by_copies()])
        if order is None or near is None:
            return order or near
        return near if near.comparison.excess > _EXPLAINED * order.comparison.excess else order

    def _by_group(self, group: Group) -> Trial | None:
        index = whole_groups(group.codes, self.seed)
        rows, names = self._rows(index, group.column)
        pairs: list[Pair] = []
        for seed in (self.seed, self.seed + 1):
            strict = folds.by_group(group.codes[index], rows.strata, nfolds=_FOLDS, seed=seed, classification=self.classification)
            pairs.extend(zip(self._random(rows, seed), strict.folds, strict=False))
        return self._tried(Trial("group", group=group), rows, pairs, group.codes[index], {names.index(group.column)})

    def _random(self, rows: Rows, seed: int, units: Index | None = None) -> tuple[Fold, ...]:
        return folds.plan(rows.strata, nfolds=_FOLDS, seed=seed, classification=self.classification, units=units).folds

    def _forward(self, order: Order) -> Iterator[Trial | None]:
        """All over the time, and where there are many rows, in one stretch without a gap: neighbours count there.

        Whole stretches of time are held back first, with as much to train on as a random fold has, which tells whether neighbours
        in time give each other away; then the future, which tells a trend.
        """
        ordered = np.argsort(order.moments, kind="stable")[: int((~np.isnan(order.moments)).sum())]
        for index in stretches(ordered):
            rows, _ = self._rows(index)
            clocks = {number for number, column in enumerate(rows.x.T) if group_time_candidates.monotone(column)}
            clusters = np.arange(len(index)) * _BLOCKS * 4 // len(index)
            with suppress(Invalid):
                for pairs in self._in_time(rows, order.moments[index]):
                    trial = self._tried(Trial("time", order=order), rows, pairs, clusters, clocks)
                    yield trial
                    if trial is not None and trial.comparison.certain:
                        return

    def _in_time(self, rows: Rows, moments: NDArray[np.float64]) -> Iterator[list[Pair]]:
        """Random folds beside stretches of time; random folds beside the future."""
        edges = np.unique(np.quantile(moments, np.linspace(0, 1, _BLOCKS + 1)[1:-1]))
        held = folds.by_column(np.searchsorted(edges, moments, side="right").tolist()).folds
        yield list(zip(self._random(rows, self.seed), held, strict=False))
        yield _as_large(folds.by_time(moments, nfolds=_BLOCKS).folds, len(moments), self.seed)

    def _by_file(self, orders: Sequence[Order]) -> list[Trial | None]:
        """Forward along the file, unless a column says the time and the file follows it, or the file is sorted."""
        order = Order(None, np.arange(self.table.rows, dtype=np.float64))
        if any(group_time_candidates.monotone(one.moments) for one in orders):
            return []
        columns = self.table.features
        for index in stretches(np.arange(self.table.rows)):
            frame = self.table.read([c.name for c in columns], index)
            if group_time_candidates.sorted_by_something(frame):
                return []
            resembling = group_time_candidates.resembling(encoded(frame, [], self.table.target, self.classification).y)
        return list(self._forward(order)) if resembling else []

    def _new_ones(self, group: Group, order: Order) -> bool:
        """Whether new groups must be expected: by name, or because they came all along."""
        if group.passing:
            return True
        with suppress(Invalid):
            plan = folds.by_time(order.moments, nfolds=_BLOCKS)
            unseen = [~np.isin(group.codes[fold.valid], group.codes[fold.train]) for fold in plan.folds]
            return float(np.concatenate(unseen).mean()) >= _UNSEEN
        return True

    def _by_both(self, group: Group, order: Order) -> Trial | None:
        index = whole_groups(group.codes, self.seed)
        index = index[np.argsort(order.moments[index], kind="stable")]
        rows, names = self._rows(index, group.column)
        with suppress(Invalid):
            plan = folds.by_group_time(group.codes[index], order.moments[index], nfolds=_FOLDS, seed=self.seed)
            pairs = _as_large(plan.folds, len(index), self.seed)
            trial = Trial("group_time", group=group, order=order)
            # That groups and time matter is certain by now: the two together train on so little that their own error is large.
            tried = self._tried(trial, rows, pairs, group.codes[index], {names.index(group.column)})
            return tried if tried is not None and tried.comparison.excess > 0 else None
        return None

    def _by_copies(self) -> Trial | None:
        columns = self.table.features
        frame = self.table.read([c.name for c in columns], evenly(np.arange(self.table.rows), _COPIES))
        near = near_duplicate_search.find(frame, columns, self.seed)
        if near is None:
            return None
        units = near.units(frame)
        index = whole_groups(units, self.seed)
        rows = encoded(frame[index], columns, self.table.target, self.classification)
        pairs: list[Pair] = []
        for seed in (self.seed, self.seed + 1):
            strict = self._random(rows, seed, units[index])
            pairs.extend(zip(self._random(rows, seed), strict, strict=False))
        return self._tried(Trial("stratified", near=near), rows, pairs, units[index])

    def _rows(self, index: Index, *more: str) -> tuple[Rows, list[str]]:
        """The rows of the table in the order of `index`, encoded, and the names of their features."""
        extra = [c for c in self.table.columns if c.name in more and c not in self.table.features]
        columns = [*self.table.features, *extra]
        place = np.argsort(np.argsort(index))
        frame = self.table.read([c.name for c in columns], np.sort(index))[place]
        return encoded(frame, columns, self.table.target, self.classification), [c.name for c in columns]

    def _tried(
        self, trial: Trial, rows: Rows, pairs: Sequence[Pair], clusters: Index, doubtful: Collection[int] = ()
    ) -> Trial | None:
        if self.deadline.over:
            self.unfinished = True
            return None
        comparison = compare(rows, pairs, clusters, doubtful)
        if comparison is None:
            return None
        self.trials.append(replace(trial, comparison=comparison))
        return self.trials[-1]


def _best(trials: Sequence[Trial | None]) -> Trial | None:
    """Of the trials that are certain the one with most to lose."""
    certain = [trial for trial in trials if trial is not None and trial.comparison.certain]
    return max(certain, key=lambda trial: trial.comparison.excess, default=None)


def _as_large(honest: Sequence[Fold], n: int, seed: int) -> list[Pair]:
    """Beside each honest fold one that is judged on the same rows and trains on equally many of all others."""
    draw = np.random.default_rng(seed)
    pairs = []
    for fold in honest:
        others = np.setdiff1d(np.arange(n), fold.valid)
        pairs.append((Fold(draw.choice(others, min(len(fold.train), len(others)), replace=False), fold.valid), fold))
    return pairs
