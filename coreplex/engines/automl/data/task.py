"""The learning task of one run: which rows and columns, which classes, and which folds.

Turns a typed table into codes, weights and row numbers, says in the log whatever it left out, and refuses what cannot
be learned. It encodes no feature: that is learned inside each fold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.data import feasibility
from coreplex.engines.automl.evaluation.metrics import Aim
from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.splits import folds, near_duplicates
from coreplex.engines.automl.splits.split import Split
from coreplex.engines.encoding import choice
from coreplex.engines.encoding.steps import TaskKind
from coreplex.engines.encoding.values import Canonical
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema, spell
from coreplex.errors.tree import Invalid, Message

Log = Callable[[str, str], None]
Warn = Callable[[Message], None]
"""Says what is done differently from what was asked: for the log, and to stay with the experiment."""
_SEED_LIMIT = 2**31 - 1
_LEAST_PER_CLASS = 5
"""Rows a sample keeps of the rarest class, where there are so many."""
FEW_ROWS, FEW_CLASS_ROWS = 200, 20
"""Below so many rows, of the table and of a class, scores are rough."""


@dataclass(frozen=True)
class Task:
    """What every engine is given. y: (n,) int64 class codes or float64 values; classes spelled as uploaded."""

    kind: TaskKind
    target: Column
    columns: tuple[Column, ...]
    frame: pl.DataFrame
    y: NDArray[np.generic]
    classes: tuple[object, ...]
    weights: NDArray[np.float64] | None
    split: Split
    plan: folds.FoldPlan
    seed: int
    quantile: float | None = None
    """Regression: the level of the quantile that is predicted, None for the mean."""
    aim: Aim | None = None
    """Two classes: what the threshold is chosen for; None for 0.5."""
    sparse_only: frozenset[str] = frozenset()
    """Names of the texts that only models of words read (`opening`)."""

    @property
    def encoded(self) -> tuple[Column, ...]:
        """The columns that all other models read."""
        return tuple(column for column in self.columns if column.name not in self.sparse_only)

    @cached_property
    def texts(self) -> tuple[Column, ...]:
        """The columns that are encoded by their words."""
        return choice.texts(self.columns, Canonical(self.frame))

    @property
    def outputs(self) -> int:
        """Columns of predictions: classes, or 1 for a number."""
        return max(len(self.classes), 1)

    @property
    def classification(self) -> bool:
        """Whether classes are predicted."""
        return self.kind != "regression"


def prepare(
    frame: pl.DataFrame,
    schema: TableSchema,
    target: str,
    problem_type: str,
    config: AutoMLConfig,
    split: Split,
    log: Log,
    warn: Warn,
) -> Task:
    """The task of one run. Raises `Invalid` for targets and special columns that cannot be used."""
    column = feasibility.target_column(schema, target)
    feasibility.check_columns(schema, target, config)
    rows = frame.height
    frame = _labelled(frame, column, warn)
    missing = rows - frame.height
    frame = _weighted(frame, config.weights_column, warn)
    columns = tuple(c for c in schema if c.name != target and c.name not in config.special_columns | split.special)
    kind = feasibility.task_kind(
        column, frame.height, frame[target].n_unique(), problem_type, features=len(columns), missing=missing
    )
    if kind != "regression":
        frame, kind = _without_rare(frame, column, problem_type, len(columns), warn)
    y, classes = _target(frame, column, kind, config)
    plan = replace(_plan(frame, columns, column, y, kind, config, split), asked=config.nfolds)
    plan = folds.telling(plan, y) if kind != "regression" else plan
    for note in plan.notes:
        log(note, "warning")
    if plan.count_note:
        if config.nfolds >= 0:
            warn(plan.count_note)
        else:
            log(plan.count_note, "info")
    _say_few(y, classes, warn)
    zeros = int((y == 0).sum()) if kind == "regression" and config.sort_metric == "mape" else 0
    if zeros:
        warn(_zeros_left_out(zeros, target))
    weights = frame[config.weights_column].cast(pl.Float64).to_numpy() if config.weights_column else None
    features = frame.select([c.name for c in columns])
    columns = choice.wordy_as_text(columns, features)
    quantile = config.quantile_alpha if kind == "regression" and config.distribution == "quantile" else None
    aim = _aim(kind, config, warn)
    return Task(kind, column, columns, features, y, classes, weights, split, plan, config.seed % _SEED_LIMIT, quantile, aim)


def _zeros_left_out(rows: int, target: str) -> Message:
    return Message(
        "mape_leaves_out_zeros",
        "MAPE leaves out the {rows:,} rows whose '{column}' is 0: no share of nothing is an error. WAPE counts them.",
        rows=rows,
        column=target,
    )


def _say_few(y: NDArray[np.generic], classes: tuple[object, ...], warn: Warn) -> None:
    """A warning where rows are so few that any score is a rough one."""
    if len(y) < FEW_ROWS:
        few_rows = Message(
            "few_rows",
            "Only {rows} rows to learn from: what the scores promise is uncertain (see how wide their intervals are), and small "
            "differences between models mean nothing. More rows help more than more training.",
            rows=len(y),
        )
        warn(few_rows)
    if classes:
        counts = np.bincount(y.astype(np.int64), minlength=len(classes))
        few = [f"{classes[c]} ({counts[c]})" for c in np.argsort(counts, kind="stable")[:5] if counts[c] < FEW_CLASS_ROWS]
        if few:
            more = int((counts < FEW_CLASS_ROWS).sum()) - len(few)
            warn(_few_of_classes([*few, *([f"{more} more classes"] if more else [])]))


def _few_of_classes(classes: list[str]) -> Message:
    return Message(
        "few_rows_of_classes",
        "Fewer than {least} rows of {classes}: how well such a class is told apart is known roughly only.",
        least=FEW_CLASS_ROWS,
        classes=classes,
    )


def _aim(kind: TaskKind, config: AutoMLConfig, warn: Warn) -> Aim | None:
    if config.aim is not None and kind != "binary":
        unused = Message(
            "no_threshold_here",
            "A threshold is chosen between two classes: threshold_metric and the costs of errors change nothing here.",
        )
        warn(unused)
        return None
    return config.aim


def _labelled(frame: pl.DataFrame, target: Column, warn: Warn) -> pl.DataFrame:
    known = pl.col(target.name).is_not_null()
    if frame.schema[target.name].is_float():
        known &= pl.col(target.name).is_finite()
    kept = frame.filter(known)
    if kept.height < frame.height:
        left = frame.height - kept.height
        warn(
            Message(
                "rows_without_target", "Rows without a value in '{column}' are left out: {rows}.", column=target.name, rows=left
            )
        )
    return kept


def _weighted(frame: pl.DataFrame, name: str | None, warn: Warn) -> pl.DataFrame:
    if name is None:
        return frame
    weight = frame[name].cast(pl.Float64)
    if weight.is_not_null().any() and (weight.min() or 0) < 0:  # type: ignore[operator]
        raise Invalid.field(
            Message("negative_weights", "'{column}' has negative weights", column=name), "config", "weights_column"
        )
    kept = frame.filter((weight > 0) & weight.is_finite())
    if kept.height < frame.height:
        left = frame.height - kept.height
        warn(Message("rows_without_weight", "Rows without a weight above zero are left out: {rows}.", rows=left))
    return kept


def _without_rare(
    frame: pl.DataFrame, target: Column, problem_type: str, features: int, warn: Warn
) -> tuple[pl.DataFrame, TaskKind]:
    """The frame without the classes that have too few rows; they are left out aloud."""
    counts = frame[target.name].value_counts(name="rows")
    rare = counts.filter(pl.col("rows") < feasibility.MIN_CLASS_ROWS)[target.name]
    if len(rare):
        names = [str(spell(target, v)) for v in rare.sort().to_list()]
        feasibility.check_classes(target, counts.height - len(rare), frame.height - len(rare), names)
        warn(Message("rare_classes_left_out", "Left out: {classes}.", classes=feasibility.single_rows(names)))
        frame = frame.filter(~pl.col(target.name).is_in(rare.implode()))
    return frame, feasibility.task_kind(target, frame.height, counts.height - len(rare), problem_type, features=features)


def _target(
    frame: pl.DataFrame, target: Column, kind: TaskKind, config: AutoMLConfig
) -> tuple[NDArray[np.generic], tuple[object, ...]]:
    values = frame[target.name]
    if kind == "regression":
        y = values.cast(pl.Float64).to_numpy().copy()
        feasibility.check_range(target, float(y.min()), float(y.max()), config)
        return y, ()
    values = values.cast(pl.String) if values.dtype in (pl.Categorical, pl.Enum) else values
    distinct = values.unique().sort()
    codes = values.rank("dense").to_numpy().astype(np.int64) - 1
    return codes, tuple(spell(target, v) for v in distinct.to_list())


def _plan(
    frame: pl.DataFrame,
    columns: tuple[Column, ...],
    target: Column,
    y: NDArray[np.generic],
    kind: TaskKind,
    config: AutoMLConfig,
    split: Split,
) -> folds.FoldPlan:
    seed, nfolds, classes = config.seed % _SEED_LIMIT, config.nfolds, kind != "regression"
    if split.fold is not None:
        return folds.by_column(frame[split.fold].cast(pl.String).to_list())
    groups = near_duplicates.codes(frame.select(split.group)) if split.group is not None else None
    moments = np.arange(len(y), dtype=np.float64) if split.time is None else _moments(frame[split.time])
    if split.strategy == "time":
        return folds.by_time(moments, nfolds=nfolds, gap=split.gap)
    if groups is not None and split.strategy == "group_time":
        return folds.by_group_time(groups, moments, nfolds=nfolds, seed=seed, gap=split.gap)
    if groups is not None:
        return folds.by_group(groups, y, nfolds=nfolds, seed=seed, classification=classes)
    features = [c.name for c in columns if c.type != ColumnType.id]
    # On tables of hundreds of thousands of rows the default number of folds buys nothing; another number is kept.
    nfolds = nfolds if config.folds_asked else min(nfolds, folds.automatic(len(y), len(features)))
    units, note = near_duplicates.units(frame if split.near else frame.select([*features, target.name]), split.near)
    plan = folds.plan(y, nfolds=nfolds, seed=seed, classification=classes, units=units, stratify=split.strategy != "random")
    if len(features) > folds.USUAL_COLUMNS and nfolds < config.nfolds:
        plan = replace(plan, reason=f"the table has {len(y):,} rows of {len(features):,} columns")
    return replace(plan, notes=(*plan.notes, *([note] if note else [])))


def _moments(values: pl.Series) -> NDArray[np.float64]:
    """Seconds since 1970 for dates, the number itself else; NaN where missing."""
    if values.dtype.is_temporal():
        values = values.cast(pl.Datetime("ms")).dt.epoch("ms") / 1000
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def spread(y: NDArray[np.generic], rows: int, seed: int, *, classification: bool) -> folds.Index:
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
