"""Columns that give the target away: copies of it, things known only afterwards, rows sorted by it.

Each feature alone predicts the target for every row from the other rows (leave-one-out means: of rows with the same value, or of
the neighbours in sorted order for fine numbers). The skill is 1 − squared error ÷ squared error of the mean; for classes the
one-hot columns together (a Brier skill), for numbers also of their ranks, which outliers cannot hide. A feature that nearly
settles the target is a leak, and so is one that is missing for one class only. One that is merely far ahead of all
others is suspicious: honest strong features (carat for price, petals for iris) come in company.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from coreplex.engines.tabular.schema import ColumnType, TableSchema

ROWS = 10_000
FEATURES = 500
CERTAIN_CLASS = 0.9
CERTAIN_NUMBER = 0.965
STRONG = 0.8
GAP = 0.25
_MIN_ROWS = 30
_CLASSES = 20
_NEIGHBOURS = 5
_FINE = 0.5
_COMPANY = 20
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
    if schema.get(target) is None:
        return []
    features = [c for c in schema if c.name != target and c.type is not ColumnType.text][:FEATURES]
    frame = _sample(table, [target, *(c.name for c in features)]).drop_nulls(target)
    if frame.height < _MIN_ROWS:
        return []
    # Neighbours in equal values must not be neighbours in the file: files are sorted.
    frame = frame.sample(fraction=1.0, shuffle=True, seed=0)
    truths = _truths(frame.get_column(target), classification)
    skills = (
        {column.name: best_skill(frame.get_column(column.name), truths, classification) for column in features} if truths else {}
    )
    return judge(skills, CERTAIN_CLASS if classification else CERTAIN_NUMBER)


def best_skill(feature: pl.Series, truths: list[Floats], classification: bool) -> float:
    """The best skill of a feature over the ways to look at the target."""
    found = max(skill(feature, truth) for truth in truths)
    return max(found, _missing_skill(feature, truths[0])) if classification else found


def judge(skills: dict[str, float], certain: float) -> list[Leak]:
    """Which of these skills are leaks. Certain ones do not count as company for the rest."""
    doubtful = sorted((value for value in skills.values() if value < certain), reverse=True)
    leaks: list[Leak] = []
    for name, value in skills.items():
        others = doubtful[1:] if doubtful and value == doubtful[0] else doubtful
        best = others[0] if others else 0.0
        suspicious = value >= STRONG and best <= value - GAP and len(skills) > 2
        if value >= certain or suspicious:
            leaks.append(Leak(name, round(value, 4), round(max(best, 0.0), 4), value >= certain))
    return sorted(leaks, key=lambda leak: -leak.skill)


def _sample(table: Path, names: list[str]) -> pl.DataFrame:
    scan = pl.scan_parquet(table, glob=False).select(names)
    rows: int = scan.select(pl.len()).collect().item()
    step = max(1, rows // ROWS)
    return (scan if step == 1 else scan.gather_every(step)).collect(engine="streaming")


def _truths(target: pl.Series, classification: bool) -> list[Floats]:
    """Classes: one column per class. Numbers: the values, and their ranks. Empty where there is nothing to predict."""
    if classification or not target.dtype.is_numeric():
        text = target.cast(pl.String)
        classes = text.value_counts(sort=True).get_column(text.name).head(_CLASSES).to_list()
        return [np.column_stack([(text == level).to_numpy().astype(np.float64) for level in classes])] if len(classes) > 1 else []
    values = _finite(target.cast(pl.Float64).to_numpy())
    ranks = target.rank().to_numpy() / target.len()
    return [values[:, None], ranks[:, None]] if float(values.std()) > 0 else []


def _finite(values: Floats) -> Floats:
    """Scaled into −1…1, infinities at the ends."""
    finite = np.isfinite(values)
    top = float(np.abs(values[finite]).max()) if finite.any() else 0.0
    return np.nan_to_num(values / (top or 1.0), nan=0.0, posinf=1.0, neginf=-1.0)


def skill(feature: pl.Series, truth: Floats) -> float:
    """How much of the target's spread the feature alone explains on rows it has not seen; at most 1, may be negative."""
    guesses = _guesses(feature, truth)
    return 0.0 if guesses is None else _explained(truth, guesses)


def _explained(truth: Floats, guesses: Floats) -> float:
    spread = float(((truth - truth.mean(axis=0)) ** 2).sum())
    return 1.0 - float(((truth - guesses) ** 2).sum()) / spread if spread > 0 else 0.0


def _missing_skill(feature: pl.Series, truth: Floats) -> float:
    """How well mere absence tells one class from the others: a leaving date stands only beside those who left."""
    absent = feature.null_count()
    if absent < _COMPANY or feature.len() - absent < _COMPANY:
        return 0.0
    missing = feature.is_null()
    guesses = _by_value(missing.alias("missing"), truth)
    return max(_explained(truth[:, [index]], guesses[:, [index]]) for index in range(truth.shape[1]))


def _guesses(feature: pl.Series, truth: Floats) -> Floats | None:
    distinct, rows = feature.n_unique(), feature.len()
    if distinct < 2:
        return None
    if feature.dtype in (pl.String, pl.Boolean):
        return _by_value(feature, truth) if distinct < _FINE * rows else None
    return _by_value(feature, truth) if distinct * _COMPANY <= rows else _by_neighbours(feature, truth)


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
    guesses[order] = _window_means(truth[order])
    absent = np.flatnonzero(~known)
    if len(absent):
        rest = truth[absent]
        guesses[absent] = (rest.sum(axis=0) - rest + truth.mean(axis=0)) / len(absent)
    return guesses


def _window_means(truth: Floats) -> Floats:
    """Mean of up to `_NEIGHBOURS` rows before and after each row, without the row itself."""
    n = len(truth)
    if n < 3:
        return np.broadcast_to(truth.mean(axis=0), truth.shape)
    total = np.vstack((np.zeros((1, truth.shape[1])), np.cumsum(truth, axis=0)))
    low = np.maximum(np.arange(n) - _NEIGHBOURS, 0)
    high = np.minimum(np.arange(n) + _NEIGHBOURS + 1, n)
    return np.asarray((total[high] - total[low] - truth) / (high - low - 1)[:, None])
