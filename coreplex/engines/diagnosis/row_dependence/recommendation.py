"""Recommends a validation split where rows are not independent: where a random split's score is optimistic for new rows.

Columns that may group or order the rows (`group_time_candidates`) and near duplicates (`near_duplicate_search`) are tried one by
one: a cheap model is judged by a random split and by the honest one, on the same rows and with equally many rows to train on
(`split_comparison`). Only where the random split promises more than its error is another one proposed. Groups that are there all
the time, whose future is asked for, call for a forward split alone: they are known by then.

Roberts et al., "Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic structure",
Ecography 40 (2017).
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.splits import folds
from coreplex.engines.automl.splits.folds import Fold, Index
from coreplex.engines.automl.splits.near_duplicates import NearDuplicates
from coreplex.engines.diagnosis.request import CpuDeadline
from coreplex.engines.diagnosis.row_dependence import group_time_candidates, near_duplicate_search
from coreplex.engines.diagnosis.row_dependence.group_time_candidates import GroupCandidate, TimeCandidate
from coreplex.engines.diagnosis.row_dependence.split_comparison import (
    EncodedRows,
    FoldPair,
    LabelledTable,
    SplitComparison,
    compare_splits,
    encode,
    evenly_spaced,
    range_and_window,
    sample_groups,
)
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import Invalid, Message

_MIN_ROWS = 60
_FOLDS, _BLOCKS = 5, 5
_COPIES = 50_000
_EXPLAINED = 0.8
_UNSEEN = 0.25
"""Where forward folds are judged on so many rows of groups that were not there before, new groups must be expected."""


def recommend_split(
    table: Path,
    schema: TableSchema,
    target: str,
    *,
    classification: bool,
    ignored: Collection[str | None] = (),
    leaks: Collection[str] = (),
    deadline: CpuDeadline,
    seed: int = 0,
) -> dict[str, Any]:
    """The split to use, with what was measured, as JSON: `strategy` (None: rows seem independent), its columns, `near`
    duplicates, the scores by the random and by the honest split, and the finding as it is `said`.

    `leaks` give the target away, and would hide what else does. Everything is JSON. No trial is begun after `deadline`;
    `unfinished` says whether one was left out for that.
    """
    search = SplitSearch(LabelledTable(table, schema, target, ignored, leaks), classification, seed, deadline)
    found = search.run() if search.table.rows >= _MIN_ROWS else None
    tried = [_to_json(trial) for trial in search.trials]
    chosen = _to_json(found) if found else {"strategy": None}
    return {"rows": search.table.rows, **chosen, "tried": tried, "unfinished": search.unfinished}


@dataclass(frozen=True)
class SplitTrial:
    """One honest split, how it compared with the random one, and what it is made of."""

    strategy: folds.Strategy
    comparison: SplitComparison = field(default=None, repr=False)  # type: ignore[assignment]
    group: GroupCandidate | None = None
    order: TimeCandidate | None = None
    near: NearDuplicates | None = None
    recurring: GroupCandidate | None = None
    """Groups whose rows resemble each other, but which will be known at prediction time."""

    @property
    def columns(self) -> list[str]:
        """Names of the group and time columns the split needs."""
        return [one.column for one in (self.group, self.order) if one is not None and one.column is not None]


def _to_json(trial: SplitTrial) -> dict[str, Any]:
    one = trial.comparison
    return {
        "strategy": trial.strategy,
        "group_column": trial.group.column if trial.group else None,
        "time_column": trial.order.column if trial.order else None,
        "near": trial.near.to_json() if trial.near else None,
        "metric": one.metric,
        "random_score": one.random,
        "honest_score": one.honest,
        "excess": one.excess,
        "error": one.error,
        "certain": one.certain,
        "said": _said(trial).to_json(),
    }


def _said(trial: SplitTrial) -> Message:
    """The finding: how rows depend on each other, what a random split makes of it, and what to do where groups go on."""
    one = trial.comparison
    told, judged = _dependence(trial)
    compared = Message(
        "random_split_promises_more",
        "A quick model promises {metric} {random:.4g} by a random split and gets {honest:.4g} on {judged}.",
        metric=one.metric,
        random=one.random,
        honest=one.honest,
        judged=judged,
    )
    if trial.recurring is None:
        return told.then(compared)
    again = Message(
        "same_groups_go_on",
        "The same '{group}' go on; for new ones send validation 'group_time' with group_column '{group}'.",
        group=trial.recurring.column,
    )
    return told.then(compared).then(again)


def _dependence(trial: SplitTrial) -> tuple[Message, str]:
    """How rows depend on each other, and what the honest split is judged on."""
    if trial.strategy == "group":
        alike = Message("rows_of_group_alike", "Rows of one '{column}' resemble each other.", column=trial.columns[0])
        return alike, "rows of new ones"
    if trial.strategy == "group_time":
        drift = Message("rows_of_group_drift", "Rows of one '{column}' resemble each other and drift.", column=trial.columns[0])
        return drift, "later rows of new ones"
    if trial.strategy == "time":
        if trial.columns:
            return Message("rows_drift", "Rows drift over '{column}'.", column=trial.columns[0]), "rows of another time"
        before = Message("rows_like_those_before", "Rows resemble those before them in the file, as readings in order do.")
        return before, "rows of another time"
    return Message("rows_nearly_copies", "Many rows are nearly copies of others."), "rows that are no copies"


@dataclass
class SplitSearch:
    """All trials on one table: `run` fills `trials`; `unfinished` says that the deadline left some out."""

    table: LabelledTable
    classification: bool
    seed: int
    deadline: CpuDeadline
    trials: list[SplitTrial] = field(default_factory=list)
    unfinished: bool = False

    def run(self) -> SplitTrial | None:
        """The split to recommend, None where rows seem independent."""
        named = [c for c in self.table.columns if group_time_candidates.may_group(c) or group_time_candidates.may_order(c)]
        frame = self.table.read([c.name for c in named])
        groups = group_time_candidates.group_candidates(frame, named)
        panels = [*(group.codes for group in groups), *group_time_candidates.panel_entities(frame, named)]
        orders = group_time_candidates.time_candidates(frame, named, panels)
        group = _best([self._by_group(one) for one in groups])
        order = _best([trial for one in orders for trial in self._forward(one)])
        if group is None and order is None:
            return self._without_column(orders)
        if group is None or group.group is None:
            return order
        known = [one for one in ([order.order] if order and order.order else orders) if not self._new_ones(group.group, one)]
        if known:  # the groups are there all the time: what will be asked for is their future
            return replace(order, recurring=group.group) if order else None
        return (self._by_both(group.group, order.order) if order and order.order else None) or group

    def _without_column(self, orders: Sequence[TimeCandidate]) -> SplitTrial | None:
        """The split where no column says one: by file order or near duplicates, which beside each other look like an order."""
        order, near = _best(self._by_file(orders)), _best([self._by_near_duplicates()])
        if order is None or near is None:
            return order or near
        return near if near.comparison.excess > _EXPLAINED * order.comparison.excess else order

    def _by_group(self, group: GroupCandidate) -> SplitTrial | None:
        index = sample_groups(group.codes, self.seed)
        rows, names = self._rows(index, group.column)
        pairs: list[FoldPair] = []
        for seed in (self.seed, self.seed + 1):
            strict = folds.by_group(group.codes[index], rows.strata, nfolds=_FOLDS, seed=seed, classification=self.classification)
            pairs.extend(zip(self._random(rows, seed), strict.folds, strict=False))
        return self._measured(SplitTrial("group", group=group), rows, pairs, group.codes[index], {names.index(group.column)})

    def _random(self, rows: EncodedRows, seed: int, units: Index | None = None) -> tuple[Fold, ...]:
        return folds.plan(rows.strata, nfolds=_FOLDS, seed=seed, classification=self.classification, units=units).folds

    def _forward(self, order: TimeCandidate) -> Iterator[SplitTrial | None]:
        """Trials in time, on rows all over it and, where there are many, on one contiguous window: neighbours count there.

        Whole stretches of time are held back first, with as much to train on as a random fold has, which tells whether neighbours
        in time give each other away; then the future, which tells a trend.
        """
        ordered = np.argsort(order.moments, kind="stable")[: int((~np.isnan(order.moments)).sum())]
        for index in range_and_window(ordered):
            rows, _ = self._rows(index)
            clocks = {number for number, column in enumerate(rows.x.T) if group_time_candidates.monotone_in_file(column)}
            clusters = np.arange(len(index)) * _BLOCKS * 4 // len(index)
            with suppress(Invalid):
                for pairs in self._in_time(rows, order.moments[index]):
                    trial = self._measured(SplitTrial("time", order=order), rows, pairs, clusters, clocks)
                    yield trial
                    if trial is not None and trial.comparison.certain:
                        return

    def _in_time(self, rows: EncodedRows, moments: NDArray[np.float64]) -> Iterator[list[FoldPair]]:
        """Random folds beside stretches of time; random folds beside the future."""
        edges = np.unique(np.quantile(moments, np.linspace(0, 1, _BLOCKS + 1)[1:-1]))
        held = folds.by_column(np.searchsorted(edges, moments, side="right").tolist()).folds
        yield list(zip(self._random(rows, self.seed), held, strict=False))
        yield _random_of_equal_size(folds.by_time(moments, nfolds=_BLOCKS).folds, len(moments), self.seed)

    def _by_file(self, orders: Sequence[TimeCandidate]) -> list[SplitTrial | None]:
        """Forward along the file, unless a column says the time and the file follows it, or the file is sorted."""
        order = TimeCandidate(None, np.arange(self.table.rows, dtype=np.float64))
        if any(group_time_candidates.monotone_in_file(one.moments) for one in orders):
            return []
        columns = self.table.features
        for index in range_and_window(np.arange(self.table.rows)):
            frame = self.table.read([c.name for c in columns], index)
            if group_time_candidates.sorted_by_any(frame):
                return []
            autocorrelated = group_time_candidates.autocorrelated(encode(frame, [], self.table.target, self.classification).y)
        return list(self._forward(order)) if autocorrelated else []

    def _new_ones(self, group: GroupCandidate, order: TimeCandidate) -> bool:
        """Whether new groups must be expected: by name, or because they came all along."""
        if group.new_expected:
            return True
        with suppress(Invalid):
            plan = folds.by_time(order.moments, nfolds=_BLOCKS)
            unseen = [~np.isin(group.codes[fold.valid], group.codes[fold.train]) for fold in plan.folds]
            return float(np.concatenate(unseen).mean()) >= _UNSEEN
        return True

    def _by_both(self, group: GroupCandidate, order: TimeCandidate) -> SplitTrial | None:
        index = sample_groups(group.codes, self.seed)
        index = index[np.argsort(order.moments[index], kind="stable")]
        rows, names = self._rows(index, group.column)
        with suppress(Invalid):
            plan = folds.by_group_time(group.codes[index], order.moments[index], nfolds=_FOLDS, seed=self.seed)
            pairs = _random_of_equal_size(plan.folds, len(index), self.seed)
            trial = SplitTrial("group_time", group=group, order=order)
            # That groups and time matter is certain by now: the two together train on so little that their own error is large.
            tried = self._measured(trial, rows, pairs, group.codes[index], {names.index(group.column)})
            return tried if tried is not None and tried.comparison.excess > 0 else None
        return None

    def _by_near_duplicates(self) -> SplitTrial | None:
        columns = self.table.features
        frame = self.table.read([c.name for c in columns], evenly_spaced(np.arange(self.table.rows), _COPIES))
        near = near_duplicate_search.find_near_duplicates(frame, columns, self.seed)
        if near is None:
            return None
        units = near.units(frame)
        index = sample_groups(units, self.seed)
        rows = encode(frame[index], columns, self.table.target, self.classification)
        pairs: list[FoldPair] = []
        for seed in (self.seed, self.seed + 1):
            strict = self._random(rows, seed, units[index])
            pairs.extend(zip(self._random(rows, seed), strict, strict=False))
        return self._measured(SplitTrial("stratified", near=near), rows, pairs, units[index])

    def _rows(self, index: Index, *more: str) -> tuple[EncodedRows, list[str]]:
        """The rows of the table in the order of `index`, encoded, and the names of their features."""
        extra = [c for c in self.table.columns if c.name in more and c not in self.table.features]
        columns = [*self.table.features, *extra]
        place = np.argsort(np.argsort(index))
        frame = self.table.read([c.name for c in columns], np.sort(index))[place]
        return encode(frame, columns, self.table.target, self.classification), [c.name for c in columns]

    def _measured(
        self, trial: SplitTrial, rows: EncodedRows, pairs: Sequence[FoldPair], clusters: Index, unreliable: Collection[int] = ()
    ) -> SplitTrial | None:
        if self.deadline.over:
            self.unfinished = True
            return None
        comparison = compare_splits(rows, pairs, clusters, unreliable)
        if comparison is None:
            return None
        self.trials.append(replace(trial, comparison=comparison))
        return self.trials[-1]


def _best(trials: Sequence[SplitTrial | None]) -> SplitTrial | None:
    """Of the certain trials the one with the greatest excess."""
    certain = [trial for trial in trials if trial is not None and trial.comparison.certain]
    return max(certain, key=lambda trial: trial.comparison.excess, default=None)


def _random_of_equal_size(honest: Sequence[Fold], n: int, seed: int) -> list[FoldPair]:
    """A random fold beside each honest one, judged on the same rows and trained on equally many random others."""
    draw = np.random.default_rng(seed)
    pairs = []
    for fold in honest:
        others = np.setdiff1d(np.arange(n), fold.valid)
        pairs.append((Fold(draw.choice(others, min(len(fold.train), len(others)), replace=False), fold.valid), fold))
    return pairs
