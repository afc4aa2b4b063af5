"""Parts of a table that stand for the whole: rows spread evenly over the classes, or over the range of the target."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.splits.folds import Fold, Index

_LEAST_PER_CLASS = 5
"""Rows a sample keeps of the rarest class, where there are so many."""


def spread(y: NDArray[np.generic], rows: int, seed: int, *, classification: bool) -> Index:
    """Positions of about `rows` rows that stand for all. y: (n,) class codes or values. Returns (m,) positions, ascending:
    every so many-th in the order of the target, equals in random order.

    So shares of classes, and quantiles, stay; a rare class keeps a few rows more than its share.
    """
    n = len(y)
    if rows >= n:
        return np.arange(n)
    shuffled = np.random.default_rng(seed).permutation(n)
    order = shuffled[np.argsort(y[shuffled], kind="stable")]
    chosen = order[(np.arange(rows) * n) // rows]
    if classification:
        ordered = y[order]
        rank = np.arange(n) - np.searchsorted(ordered, ordered)
        chosen = np.union1d(chosen, order[rank < _LEAST_PER_CLASS])
    return np.sort(chosen).astype(np.int64)


def restricted(task: Task, rows: Index) -> Task:
    """The task of these rows alone (m positions, ascending), with the folds as they were; a fold that lost a side is gone."""
    place = np.full(len(task.y), -1)
    place[rows] = np.arange(len(rows))
    folds, final_folds = (
        tuple(one for fold in parts if len((one := _kept(place, fold)).train) and len(one.valid))
        for parts in (task.plan.folds, task.plan.final_folds)
    )
    return replace(
        task,
        frame=task.frame[rows],
        y=task.y[rows],
        weights=None if task.weights is None else task.weights[rows],
        plan=replace(task.plan, folds=folds, final_folds=final_folds),
    )


def _kept(place: Index, fold: Fold) -> Fold:
    train, valid = place[fold.train], place[fold.valid]
    return Fold(train[train >= 0], valid[valid >= 0])


def sampled(task: Task, rows: int) -> Task:
    """The task of about `rows` of its rows."""
    return restricted(task, spread(task.y, rows, task.seed, classification=task.classification))


def one_fold(task: Task, train: int, valid: int) -> Task:
    """The last fold alone (forward in time it knows most), with at most so many rows on either side."""
    fold = task.plan.folds[-1]
    kept = [
        side[spread(task.y[side], most, task.seed, classification=task.classification)]
        for side, most in ((fold.train, train), (fold.valid, valid))
    ]
    alone = replace(task, plan=replace(task.plan, folds=(fold,), bag=True))
    return restricted(alone, np.sort(np.concatenate(kept)))
