"""Columns that give the target away: copies of it, things known only afterwards, rows sorted by it.

Each feature alone predicts the target for every row from the other rows (leave-one-out means: of rows with the same value, or of
the neighbours in sorted order for fine numbers). The skill is 1 − squared error ÷ squared error of the mean; for classes the
one-hot columns together (a Brier skill). One feature that nearly settles the target is a leak. One that is strong only
by the standards of the others is suspicious: honest strong features (carat for price, petals for iris) come in company.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

ROWS = 10_000
FEATURES = 500
CERTAIN = 0.97
STRONG = 0.75
GAP = 0.4
_MIN_ROWS = 30
_CLASSES = 20
_NEIGHBOURS = 4
_FINE = 0.5
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Leak:
    """A feature that predicts the target suspiciously well on its own. `skill` is 0 (nothing) to 1 (everything)."""

    column: str
    skill: float
    next_best: float
    certain: bool


def find(table: Path, schema: TableSchema, target: str, *, classification: bool) -> list[Leak]:
    """The leaks for `target`, strongest first. An even sample of rows, the first `FEATURES` columns."""
    features = [c for c in schema if c.name != target and c.type is not ColumnType.text][:FEATURES]
    frame = _sample(table, [target, *(c.name for c in features)]).drop_nulls(target)
    if frame.height < _MIN_ROWS or schema.get(target) is None:
        return []
    truth = _truth(frame.get_column(target), classification)
    if truth is None:
        return []
    skills = {column.name: skill(frame.get_column(column.name), column, truth) for column in features}
    return judge(skills)


def judge(skills: dict[str, float]) -> list[Leak]:
    """Which of these skills are leaks. Certain ones do not count as company for the rest."""
    doubtful = sorted((value for value in skills.values() if value < CERTAIN), reverse=True)
    leaks: list[Leak] = []
    for name, value in skills.items():
        others = doubtful[1:] if doubtful and value == doubtful[0] else doubtful
        best = others[0] if others else 0.0
        suspicious = value >= STRONG and best <= value - GAP and len(skills) > 2
        if value >= CERTAIN or suspicious:
            leaks.append(Leak(name, round(value, 4), round(max(best, 0.0), 4), value >= CERTAIN))
    return sorted(leaks, key=lambda leak: -leak.skill)


def _sample(table: Path, names: list[str]) -> pl.DataFrame:
    scan = pl.scan_parquet(table, glob=False).select(names)
    rows: int = scan.select(pl.len()).collect().item()
    step = max(1, rows // ROWS)
    return (scan if step == 1 else scan.gather_every(step)).collect(engine="streaming")


def _truth(target: pl.Series, classification: bool) -> Floats | None:
    """One column per class, or the one column of a number; None where there is nothing to predict."""
    if classification or not target.dtype.is_numeric():
        text = target.cast(pl.String)
        classes = text.value_counts(sort=True).get_column(text.name).head(_CLASSES).to_list()
        if len(classes) < 2:
            return None
        return np.column_stack([(text == level).to_numpy().astype(np.float64) for level in classes])
    values = _finite(target.cast(pl.Float64).to_numpy())
    return values[:, None] if float(values.std()) > 0 else None


def _finite(values: Floats) -> Floats:
    """Scaled into −1…1, infinities at the ends."""
    finite = np.isfinite(values)
    top = float(np.abs(values[finite]).max()) if finite.any() else 0.0
    return np.nan_to_num(values / (top or 1.0), nan=0.0, posinf=1.0, neginf=-1.0)


def skill(feature: pl.Series, column: Column, truth: Floats) -> float:
    """How much of the target's spread the feature alone explains on rows it has not seen; at most 1, may be negative."""
    centre = truth.mean(axis=0)
    spread = float(((truth - centre) ** 2).sum())
    guesses = _guesses(feature, column, truth)
    if spread <= 0 or guesses is None:
        return 0.0
    return 1.0 - float(((truth - guesses) ** 2).sum()) / spread


def _guesses(feature: pl.Series, column: Column, truth: Floats) -> Floats | None:
    distinct = feature.n_unique()
    if distinct < 2:
        return None
    fine = distinct > max(50, _FINE * 0.1 * feature.len())
    if fine and feature.dtype == pl.String:
        return _by_value(feature, truth) if distinct < _FINE * feature.len() else None
    return _by_neighbours(feature, truth) if fine else _by_value(feature, truth)


def _by_value(feature: pl.Series, truth: Floats) -> Floats:
    """Mean of the other rows with the same value (missing is a value), drawn a little to the overall mean."""
    codes = feature.to_physical().rank("dense").fill_null(0).to_numpy().astype(np.int64)
    counts = np.bincount(codes)[codes][:, None]
    sums = np.column_stack([np.bincount(codes, weights=column)[codes] for column in truth.T])
    return np.asarray((sums - truth + truth.mean(axis=0)) / counts)


def _by_neighbours(feature: pl.Series, truth: Floats) -> Floats:
    """Mean of the nearest rows on both sides in sorted order; rows without a value are their own company."""
    values = feature.cast(pl.Datetime("us")) if feature.dtype == pl.Date else feature
    numbers = values.to_physical().cast(pl.Float64).to_numpy()
    known = ~np.isnan(numbers)
    guesses = np.empty_like(truth)
    order = np.flatnonzero(known)[np.argsort(numbers[known], kind="stable")]
    guesses[order] = _window_means(_ties_levelled(truth[order], numbers[order]), truth[order])
    absent = np.flatnonzero(~known)
    if len(absent):
        rest = truth[absent]
        guesses[absent] = (rest.sum(axis=0) - rest + truth.mean(axis=0)) / len(absent)
    return guesses


def _ties_levelled(truth: Floats, numbers: Floats) -> Floats:
    """Within equal values the order means nothing: every row takes the mean of its tie."""
    groups = np.concatenate(([0], np.cumsum(np.diff(numbers) != 0)))
    counts = np.bincount(groups)
    if counts.max() == 1:
        return truth
    means = np.column_stack([np.bincount(groups, weights=column) / counts for column in truth.T])
    return np.asarray(means[groups])


def _window_means(levelled: Floats, truth: Floats) -> Floats:
    """Mean of up to `_NEIGHBOURS` rows before and after each row, without the row itself."""
    n = len(truth)
    if n < 3:
        return np.broadcast_to(truth.mean(axis=0), truth.shape)
    # With ties the row is in its tie's mean: it is taken out of the sum it is in.
    total = np.vstack((np.zeros((1, truth.shape[1])), np.cumsum(levelled, axis=0)))
    low = np.maximum(np.arange(n) - _NEIGHBOURS, 0)
    high = np.minimum(np.arange(n) + _NEIGHBOURS + 1, n)
    return np.asarray((total[high] - total[low] - levelled) / (high - low - 1)[:, None])
