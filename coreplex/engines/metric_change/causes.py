"""What may have changed between two periods, as far as chance does not explain it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from coreplex.engines.drift.bins import NumberBins
from coreplex.engines.metric_change.column import Column
from coreplex.engines.metric_change.raking import Margin, Weights, rake
from coreplex.engines.metric_change.replacing import masks, moved, moved_otherwise

FALSE_DISCOVERIES = 0.05
MOST_UNSUPPORTED_NUMBERS, MOST_UNSUPPORTED_LEVELS = 0.1, 0.02
"""The share of later values that the earlier period has nothing of, above which they are replaced and not weighted."""
OUTCOME_GROUPS, ROWS_OF_GROUP = 40, 50
"""Of outcomes that are numbers there are so many groups at most, of so many rows at least."""
MOST_COMPARED = 40
"""Changes of which the fewest that explain the others are looked for; those that have moved most."""


class Cause(StrEnum):
    """Why a metric may have changed."""

    missing_values = "missing_values"
    feature_shift = "feature_shift"
    other_features = "other_features"
    label_shift = "label_shift"
    rest = "rest"


@dataclass(frozen=True)
class Change:
    """How the earlier rows can be given one thing of the later ones: by weights (`margins`), and by other values: `gone` and
    `values`, by column."""

    cause: Cause
    features: tuple[str, ...] = ()
    margins: tuple[Margin, ...] = ()
    gone: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)
    moved: float = 0.0
    """How much a column has: its chi-square."""

    @property
    def replaces(self) -> bool:
        """Whether rows have to be answered anew."""
        return bool(self.gone or self.values)


def missing_values(columns: Sequence[Column], replaceable: frozenset[str], draw: np.random.Generator) -> Change | None:
    """The shares of missing values of all columns together; None where none has changed."""
    found = _otherwise_missing(columns)
    rising = [one for one in found if one.feature.name in replaceable and _is_more_missing(one)]
    falling = [one for one in found if one not in rising]
    margins = tuple(_missing_margin(one) for one in falling)
    names = tuple(one.feature.name for one in found)
    by_value = frozenset(one.feature.name for one in _moved([one for one in rising if one.only_lost]))
    return Change(Cause.missing_values, names, margins, gone=masks(rising, draw, by_value)) if found else None


def _otherwise_missing(columns: Sequence[Column]) -> list[Column]:
    return _beyond_chance(columns, [one.missing_p_value for one in columns])


def _is_more_missing(column: Column) -> bool:
    return column.missing_shares[1] > column.missing_shares[0]


def _missing_margin(column: Column) -> Margin:
    there, gone = np.bincount(column.missing[1], minlength=2).tolist()
    return Margin(column.missing[0].astype(np.int64), np.array([there, gone]))


def shifts(
    columns: Sequence[Column], replaceable: frozenset[str], draw: np.random.Generator, replaced: frozenset[str] = frozenset()
) -> list[Change]:
    """Of each column whose values have moved, and not only gone missing. Moments always do: they count only where the model looks
    at them. Values are replaced of those in `replaced`, and where no weights can."""
    lost = {one.feature.name for one in _otherwise_missing(columns) if _is_more_missing(one) and one.only_lost}
    known = [one for one in columns if one.feature.name not in lost]
    found = _moved([one for one in known if one.feature.kind != "moment" or one.feature.name in replaceable])
    news = {one.feature.name for one in found if one.feature.name in replaceable and _is_new(one)} | replaced
    return [_shift(one, draw, replaces=one.feature.name in news) for one in found]


def shifts_otherwise(columns: Sequence[Column], names: Sequence[str], draw: np.random.Generator) -> list[Change]:
    """Of the columns in `names`, the other ways in which their values may have been replaced."""
    return [_replaced(one, values) for one in columns if one.feature.name in names for values in moved_otherwise(one, draw)]


def _moved(columns: Sequence[Column]) -> list[Column]:
    return _beyond_chance(columns, [one.misfit.p_value for one in columns])


def _shift(column: Column, draw: np.random.Generator, *, replaces: bool) -> Change:
    if replaces:
        return _replaced(column, moved(column, draw))
    return Change(Cause.feature_shift, (column.feature.name,), (column.margin,), moved=_far(column))


def _replaced(column: Column, values: list[Any]) -> Change:
    name = column.feature.name
    return Change(Cause.feature_shift, (name,), values={name: values}, moved=_far(column))


def _far(column: Column) -> float:
    return column.misfit.statistic or 0.0


def _is_new(column: Column) -> bool:
    numbers = isinstance(column.feature.bins, NumberBins)
    return column.unsupported > (MOST_UNSUPPORTED_NUMBERS if numbers else MOST_UNSUPPORTED_LEVELS)


def label_shift(before: NDArray[np.generic], after: NDArray[np.generic], *, classes: int) -> Change | None:
    """How often each outcome comes, of numbers in groups; None where that has not changed. `classes`: 0 for numbers."""
    first, second = (before.astype(np.int64), after.astype(np.int64)) if classes else _outcome_groups(before, after)
    size = max(int(first.max()), int(second.max())) + 1
    margin = Margin(first, np.bincount(second, minlength=size))
    found = margin.misfit(np.ones(len(first))).p_value
    return None if found is None or found > FALSE_DISCOVERIES else Change(Cause.label_shift, margins=(margin,))


def fewest(changes: Sequence[Change], rows: int) -> list[Change]:
    """Of changes that go by weights, as few as leave nothing of the others that chance does not explain.

    What depends on a column moves with it: where its weights give all others their shares too, it alone has changed. Taken one
    after the other, each time the one with which the most of all that has moved is explained.
    """
    left = sorted(changes, key=lambda one: -_misfit([one], np.ones(rows)))[:MOST_COMPARED]
    taken = list[Change]()
    while left and _is_any(left, rake(_margins(taken), rows)):
        best = min(left, key=lambda one: _misfit(left, rake(_margins([*taken, one]), rows)))
        taken.append(best)
        left.remove(best)
    return taken


def _is_any(changes: Sequence[Change], weights: Weights) -> bool:
    """Whether any has still moved, under weights."""
    values = [p for margin in _margins(changes) if (p := margin.misfit(weights).p_value) is not None]
    return bool(values) and float(stats.false_discovery_control(values).min()) <= FALSE_DISCOVERIES


def _misfit(changes: Sequence[Change], weights: Weights) -> float:
    return sum(margin.misfit(weights).statistic or 0.0 for margin in _margins(changes))


def _margins(changes: Sequence[Change]) -> list[Margin]:
    return [margin for one in changes for margin in one.margins]


def _outcome_groups(before: NDArray[np.generic], after: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    groups = min(OUTCOME_GROUPS, max(len(before) // ROWS_OF_GROUP, 2))
    ends = np.unique(np.quantile(before.astype(np.float64), np.arange(1, groups) / groups))
    return np.searchsorted(ends, before.astype(np.float64)), np.searchsorted(ends, after.astype(np.float64))


def together(changes: Sequence[Change]) -> Change:
    """Several shifts as one."""
    values = {name: column for one in changes for name, column in one.values.items()}
    names = tuple(name for one in changes for name in one.features)
    return Change(Cause.other_features, names, tuple(margin for one in changes for margin in one.margins), values=values)


def _beyond_chance(columns: Sequence[Column], p_values: Sequence[float | None]) -> list[Column]:
    """Those that have changed, with at most one in twenty of them by chance (Benjamini & Hochberg 1995)."""
    tested = [(one, p) for one, p in zip(columns, p_values, strict=True) if p is not None]
    if not tested:
        return []
    adjusted = stats.false_discovery_control([p for _, p in tested])
    return [one for (one, _), p in zip(tested, adjusted.tolist(), strict=True) if p <= FALSE_DISCOVERIES]
