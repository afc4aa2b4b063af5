"""Categories: every encoding of a category is a table with one row per level, so there is one step for all of them.

- `codes` (trees): levels numbered in natural order (`9 km` before `10 km`), which often means something; unseen is NaN.
- `onehot` (dense, few levels): one column per level; unseen is all zeros.
- `target` (many levels): the shrunken mean of the target per level (Micci-Barreca 2001, with the amount of shrinkage
  estimated from the variance between and within levels) and the level's share of rows; for trees the code as well.

A missing value is a level of its own when training had missing values, else it is treated as unseen. The mean of the
target that a model is *trained* on is computed out of inner folds and shrunk towards the mean of all rows, so no row
sees its own target.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Arrays, Context, Floats, State

Codes = NDArray[np.int64]
_LEAST_SCALE, _NOTHING = 0.01, 1e-12
"""Deviations of the mean target per level, as a share of the deviation of the target, that are as good as none."""
_DIGITS = re.compile(r"[0-9]{1,18}|[^0-9]+")


@dataclass(frozen=True)
class Table:
    """Level → row of `table`; the last row of the table answers for everything unseen."""

    kind: ClassVar[str] = "table"
    column: str
    levels: tuple[str | None, ...]
    names: tuple[str, ...]
    table: Floats
    targets: tuple[int, ...] = ()
    """Which outputs average the target, and must be out of fold in training."""
    centre: Floats | None = None
    scale: Floats | None = None
    """By what the columns were standardised, if they were; known only to the table that was fitted, not to one read back."""

    @property
    def categorical(self) -> tuple[int, ...]:
        """The outputs that are codes: they alone have no number for what is unseen."""
        return tuple(np.flatnonzero(np.isnan(self.table[-1])).tolist())

    @cached_property
    def _known(self) -> pl.Enum:
        """The levels but the missing one, which is the last, as a type: its codes are their places."""
        return pl.Enum([level for level in self.levels if level is not None])

    def codes(self, series: pl.Series) -> Codes:
        """(n,) the place of each value among the levels, `len(levels)` for unseen."""
        unseen = len(self.levels)
        coded = series.cast(pl.String).cast(self._known, strict=False).to_physical().cast(pl.Int64)
        codes = coded.fill_null(unseen).to_numpy().astype(np.int64)
        if None in self.levels[-1:]:
            codes[series.is_null().to_numpy()] = unseen - 1
        return codes

    def transform(self, series: pl.Series) -> Floats:
        """(n, len(names)): the row of the table of each level; NaN where a code is of a level never seen."""
        return self.table[self.codes(series)]

    def training(self, series: pl.Series, context: Context) -> Floats:
        """(n, len(names)), with the means of the target out of inner folds."""
        codes = self.codes(series)
        block = self.table[codes]
        if self.targets and context.target is not None:
            means = out_of_fold(codes, len(self.levels) + 1, context)
            if self.centre is not None and self.scale is not None:
                means = (means - self.centre[1:]) / self.scale[1:]
            block[:, list(self.targets)] = means
        return block

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one level or None, to as many floats."""
        rows = {level: tuple(self.table[place].tolist()) for place, level in enumerate(self.levels)}
        get, unseen = rows.get, tuple(self.table[-1].tolist())
        return lambda value: get(value, unseen)

    def state(self) -> tuple[State, Arrays]:
        """Levels, names, targets; `table`: (levels + 1, len(names))."""
        state = {"levels": list(self.levels), "names": list(self.names), "targets": list(self.targets)}
        return state, {"table": self.table}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Table":
        """From what `state` returned; `ValueError` where table and levels do not fit."""
        levels, names = tuple(state["levels"]), tuple(state["names"])
        table = np.ascontiguousarray(arrays["table"], dtype=np.float64)
        if table.shape != (len(levels) + 1, len(names)) or None in levels[:-1]:
            raise ValueError(f"the table of column {column!r} does not fit its levels")
        return cls(column, levels, names, table, tuple(state["targets"]))


def levels_of(series: pl.Series) -> tuple[tuple[str | None, ...], Floats]:
    """The m levels of (n,) texts in natural order, missing last, and (m,) how many rows each has."""
    # Sorted as texts they are nearly in natural order, which is then soon found.
    counts: list[tuple[str | None, int]] = list(series.value_counts().sort(series.name).iter_rows())
    counts.sort(key=lambda item: (item[0] is None, natural(item[0] or "")))
    return tuple(level for level, _ in counts), np.array([count for _, count in counts], dtype=np.float64)


@lru_cache(maxsize=100_000)
def natural(level: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts numbers inside text by size; remembered, since every fold sorts the same levels."""
    parts = _DIGITS.findall(level.lower())
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts], level


def fit_codes(series: pl.Series, context: Context) -> Table:
    """From (n,) texts: one output, the number of the level in natural order, from 0."""
    levels, _ = levels_of(series)
    return Table(series.name, levels, (series.name,), _numbered(len(levels)))


def _numbered(count: int) -> Floats:
    return np.append(np.arange(float(count)), math.nan)[:, None]


def fit_onehot(series: pl.Series, context: Context) -> Table:
    """From (n,) texts: one output per level, 0 or 1."""
    levels, _ = levels_of(series)
    names = tuple(f"{series.name}={'missing' if level is None else level}" for level in levels)
    return Table(series.name, levels, names, np.vstack([np.eye(len(levels)), np.zeros(len(levels))]))


def fit_target(series: pl.Series, context: Context) -> Table:
    """Mean of the target and share of rows per level; dense outputs are standardised."""
    levels, counts = levels_of(series)
    table, names = np.append(np.log1p(counts), 0.0)[:, None], [f"{series.name}:count"]
    targets: tuple[int, ...] = ()
    if context.target is not None:
        places = Table(series.name, levels, (), np.zeros((len(levels) + 1, 0)))
        means = shrunken(*sums(places.codes(series), len(levels) + 1, context.target), context.target)
        targets = tuple(range(1, 1 + means.shape[1]))
        table = np.hstack([table, means])
        names += [f"{series.name}:target{i or ''}" for i in range(means.shape[1])]
    if context.kind == "tree":
        numbered = np.hstack([table, _numbered(len(levels))])
        return Table(series.name, levels, (*names, f"{series.name}:code"), numbered, targets)
    centre, scale = _standard(table, counts, context)
    return Table(series.name, levels, tuple(names), (table - centre) / scale, targets, centre, scale)


def _standard(table: Floats, counts: Floats, context: Context) -> tuple[Floats, Floats]:
    """Mean and deviation over the rows of each column, the deviation not below one factor e of rows, nor below so little that the
    levels tell nothing: neither is blown up, or an unseen level would stand far outside."""
    centre = counts @ table[:-1] / counts.sum()
    scale = np.sqrt(counts @ (table[:-1] - centre) ** 2 / counts.sum())
    target = np.zeros(0) if context.target is None else context.target.std(axis=0)
    least = np.append(1.0, np.maximum(_LEAST_SCALE * target, _NOTHING))
    return centre, np.maximum(scale, least)


def sums(codes: Codes, size: int, target: Floats) -> tuple[Floats, Floats, Floats]:
    """Per level: rows (size,), sum (size, m) and sum of squares (size, m) of the target."""
    counts = np.bincount(codes, minlength=size).astype(np.float64)
    total: Floats = np.column_stack([_summed(codes, column, size) for column in target.T])
    squares: Floats = np.column_stack([_summed(codes, column * column, size) for column in target.T])
    return counts, total, squares


def _summed(codes: Codes, values: Floats, size: int) -> Floats:
    return np.bincount(codes, values, minlength=size).astype(np.float64)


def shrunken(counts: Floats, total: Floats, squares: Floats, target: Floats) -> Floats:
    """(size, m) posterior mean per level: (sum + weight × overall mean) / (rows + weight)."""
    weight = shrinkage(counts, total, squares)
    return (total + weight * target.mean(axis=0)) / (counts[:, None] + weight)


def shrinkage(counts: Floats, total: Floats, squares: Floats) -> Floats:
    """(m,) how many rows the overall mean is worth: variance within levels over variance between them (one-way
    random effects, method of moments), between 1 and 1e6."""
    used = counts > 0
    counts, total, squares = counts[used], total[used], squares[used]
    rows, levels = counts.sum(), len(counts)
    within = (squares - total**2 / counts[:, None]).sum(axis=0) / max(rows - levels, 1.0)
    spread = total / counts[:, None] - total.sum(axis=0) / rows
    between = (counts[:, None] * spread**2).sum(axis=0) / max(levels - 1, 1)
    typical = max((rows - (counts**2).sum() / rows) / max(levels - 1, 1), 1e-9)
    variance = np.maximum((between - within) / typical, 1e-12 + 1e-6 * within)
    return np.clip(within / variance, 1.0, 1e6)


def out_of_fold(codes: Codes, size: int, context: Context) -> Floats:
    """(n, m) mean of the target per level over the *other* inner folds, shrunk towards the mean of all rows."""
    target = context.target
    if target is None:
        raise ValueError("an encoding of the target needs the target")
    counts, total, squares = sums(codes, size, target)
    weight, mean = shrinkage(counts, total, squares), target.mean(axis=0)
    result = np.empty_like(target)
    for fold in np.unique(context.folds):
        inside = context.folds == fold
        own_counts, own_total, _ = sums(codes[inside], size, target[inside])
        means = (total - own_total + weight * mean) / ((counts - own_counts)[:, None] + weight)
        result[inside] = means[codes[inside]]
    return result
