"""Numbers, booleans included: as they are for trees, imputed and scaled for models that multiply.

Dense columns are standardised, then held within ±10 deviations (or twice the training range if that is wider), so
that one absurd value cannot throw a linear model or a network off. Missing values become the median, and a second
column says where they were, when training had any.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Arrays, Context, Floats, State

_REACH = 10.0
_SKEWED, _FEW, _LOOKED_AT = 1.0, 20, 2_000


@dataclass(frozen=True)
class Raw:
    """A number for a tree: NaN is missing and the tree decides where it goes."""

    kind: ClassVar[str] = "raw"
    categorical: ClassVar[tuple[int, ...]] = ()
    column: str
    low: float
    high: float

    @property
    def names(self) -> Sequence[str]:
        """The source column itself."""
        return (self.column,)

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "Raw":
        """From (n,) numbers, NaN where missing: the least and greatest."""
        low, high = bounds(series)
        return cls(series.name, low, high)

    def transform(self, series: pl.Series) -> Floats:
        """(n, 1): the number, NaN where missing."""
        return floats(series)[:, None]

    def training(self, series: pl.Series, context: Context) -> Floats:
        """The same as `transform`."""
        return self.transform(series)

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one number, which it returns."""
        return lambda value: (value,)

    def state(self) -> tuple[State, Arrays]:
        """Its bounds; no arrays."""
        return {"low": self.low, "high": self.high}, {}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Raw":
        """From what `state` returned."""
        return cls(column, float(state["low"]), float(state["high"]))


@dataclass(frozen=True)
class Scaled:
    """A number for a model that multiplies: filled, centred, scaled, held within reach."""

    kind: ClassVar[str] = "scaled"
    categorical: ClassVar[tuple[int, ...]] = ()
    column: str
    low: float
    high: float
    fill: float
    centre: float
    scale: float
    reach: float
    indicator: bool

    @property
    def names(self) -> Sequence[str]:
        """The source column, and whether it is missing where that occurs."""
        return (self.column, f"{self.column}=missing") if self.indicator else (self.column,)

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "Scaled":
        """From (n,) numbers, NaN where missing."""
        values = floats(series)
        present = values[~np.isnan(values)]
        low, high = bounds(series)
        fill = float(np.median(present)) if present.size else 0.0
        centre, scale = _moments(present)
        furthest = max(abs(low - centre), abs(high - centre)) / scale
        return cls(series.name, low, high, fill, centre, scale, max(_REACH, 2 * furthest), present.size < values.size)

    def transform(self, series: pl.Series) -> Floats:
        """(n, 1 or 2): deviations from the mean within ± `reach`, and 1 where missing, else 0."""
        values = floats(series)
        held = self.scaled(values)
        return np.column_stack([held, np.isnan(values).astype(np.float64)]) if self.indicator else held[:, None]

    def scaled(self, values: Floats) -> Floats:
        """(n,) without the column that says where values were missing."""
        with np.errstate(over="ignore"):  # beyond all numbers is beyond reach
            scaled = (np.where(np.isnan(values), self.fill, values) - self.centre) / self.scale
        return np.minimum(np.maximum(scaled, -self.reach), self.reach)

    def training(self, series: pl.Series, context: Context) -> Floats:
        """The same as `transform`."""
        return self.transform(series)

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one number or NaN, to one or two floats."""
        fill, centre, scale, reach, indicator = self.fill, self.centre, self.scale, self.reach, self.indicator

        def encode(value: float) -> Sequence[float]:
            missing = value != value
            scaled = ((fill if missing else value) - centre) / scale
            held = -reach if scaled < -reach else reach if scaled > reach else scaled
            return (held, 1.0 if missing else 0.0) if indicator else (held,)

        return encode

    def state(self) -> tuple[State, Arrays]:
        """Its fields; no arrays."""
        fields = ("low", "high", "fill", "centre", "scale", "reach", "indicator")
        return {name: getattr(self, name) for name in fields}, {}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Scaled":
        """From what `state` returned."""
        numbers = [float(state[name]) for name in ("low", "high", "fill", "centre", "scale", "reach")]
        low, high, fill, centre, scale, reach = numbers
        return cls(column, low, high, fill, centre, scale, reach, bool(state["indicator"]))


@dataclass(frozen=True)
class Amount:
    """A number that is never negative and has a long tail, for a model that multiplies: as it is and as a logarithm.

    Sums are linear in the one, products and ratios in the other; both are scaled and held within reach.
    """

    kind: ClassVar[str] = "amount"
    categorical: ClassVar[tuple[int, ...]] = ()
    plain: Scaled
    log: Scaled
    start: float
    """What is added before the logarithm, so that zero has one: a twentieth of the amounts are less."""

    @property
    def column(self) -> str:
        """The source column."""
        return self.plain.column

    @property
    def low(self) -> float:
        """The least value seen."""
        return self.plain.low

    @property
    def high(self) -> float:
        """The greatest value seen."""
        return self.plain.high

    @property
    def names(self) -> Sequence[str]:
        """The logarithm, the number, and whether it is missing where that occurs."""
        return (f"{self.column}:log", *self.plain.names)

    @classmethod
    def fits(cls, series: pl.Series) -> bool:
        """Whether a column holds amounts."""
        values = floats(series)
        present = values[~np.isnan(values)]
        if not present.size or present.min() < 0 or len(np.unique(present[:_LOOKED_AT])) <= _FEW:
            return False
        centre, scale = _moments(present)
        return float((((present - centre) / scale) ** 3).mean()) > _SKEWED

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "Amount":
        """From (n,) numbers that `fits` accepts."""
        values = floats(series)
        start = float(np.quantile(values[values > 0], 0.05))
        logs = pl.Series(series.name, _log(values, start), nan_to_null=True)
        return cls(Scaled.fit(series, context), replace(Scaled.fit(logs, context), indicator=False), start)

    def transform(self, series: pl.Series) -> Floats:
        """(n, 2 or 3): scaled logarithm, scaled number, and 1 where missing, else 0."""
        values = floats(series)
        return np.hstack([self.log.scaled(_log(values, self.start))[:, None], self.plain.transform(series)])

    def training(self, series: pl.Series, context: Context) -> Floats:
        """The same as `transform`."""
        return self.transform(series)

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one number or NaN, to two or three floats."""
        plain, log, start = self.plain.row(), self.log.row(), self.start
        # NumPy's logarithm, whose last bit is not that of the standard library.
        return lambda value: (*log(_log(np.array([value], dtype=np.float64), start)[0].item()), *plain(value))

    def state(self) -> tuple[State, Arrays]:
        """The states of both scalings; no arrays."""
        return {"start": self.start, "plain": self.plain.state()[0], "log": self.log.state()[0]}, {}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Amount":
        """From what `state` returned."""
        plain, log = (Scaled.from_state(column, state[part], {}) for part in ("plain", "log"))
        return cls(plain, log, float(state["start"]))


def _log(values: Floats, start: float) -> Floats:
    return np.log(np.maximum(values, 0.0) + start)


def floats(series: pl.Series) -> Floats:
    """(n,) a numeric series as float64 with NaN for missing."""
    return np.asarray(series.to_numpy(), dtype=np.float64)


def bounds(series: pl.Series) -> tuple[float, float]:
    """Least and greatest value seen; (0, 0) when there is none."""
    low, high = series.min(), series.max()
    return (float(low), float(high)) if isinstance(low, int | float) and isinstance(high, int | float) else (0.0, 0.0)


def _moments(present: Floats) -> tuple[float, float]:
    """Mean and deviation that stay finite and non-zero, also for columns near the ends of float64."""
    if not present.size:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        centre, scale = float(np.mean(present)), float(np.std(present))
    if not (math.isfinite(centre) and math.isfinite(scale)):
        centre, scale = 0.0, float(np.max(np.abs(present)))
    return centre, scale if scale > 1e-12 * max(1.0, abs(centre)) else 1.0
