"""Dates and times: the parts a model can use, with the parts that never change left out.

Trees get year, month, day, weekday, hour, minute and the elapsed days since 1970; dense models get the elapsed time
standardised and month, weekday and hour on a circle. Cycles come from tables, so a row and a frame agree to the last
bit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Arrays, Context, Floats, State

_DAY = 86_400_000_000.0
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
_CYCLES = {"month": (1, 12), "weekday": (1, 7), "hour": (0, 24)}
_PARTS = ("year", "month", "day", "weekday", "hour", "minute")
_SINE = {part: [math.sin(2 * math.pi * i / size) for i in range(size)] for part, (_, size) in _CYCLES.items()}
_COSINE = {part: [math.cos(2 * math.pi * i / size) for i in range(size)] for part, (_, size) in _CYCLES.items()}


@dataclass(frozen=True)
class DatetimeFeatures:
    """A point in time. Values are whole microseconds since 1970 or null; `low` and `high` are the first and last seen.
    Outputs are the elapsed days (`dense`: standardised by `centre` and `scale`, in days) and the `parts`."""

    kind: ClassVar[str] = "moment"
    categorical: ClassVar[tuple[int, ...]] = ()
    column: str
    low: int
    high: int
    parts: tuple[str, ...]
    dense: bool
    centre: float
    scale: float
    indicator: bool

    @property
    def names(self) -> Sequence[str]:
        """Of the encoded columns: elapsed, then the parts, and at last whether it is missing."""
        names = [f"{self.column}:elapsed"]
        for part in self.parts:
            names += [f"{self.column}:{part}:sin", f"{self.column}:{part}:cos"] if self.dense else [f"{self.column}:{part}"]
        return names + [f"{self.column}=missing"] * self.indicator

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "DatetimeFeatures":
        """From (n,) microseconds since 1970; parts that never change are left out."""
        dense = context.kind == "dense"
        present = series.drop_nulls()
        days = present.to_numpy() / _DAY
        parts = tuple(part for part in (_CYCLES if dense else _PARTS) if _part(present, part).n_unique() > 1)
        low, high = int(present.min() or 0), int(present.max() or 0)  # type: ignore[arg-type]
        centre = float(days.mean()) if days.size and dense else 0.0
        scale = float(days.std()) if days.size and dense else 1.0
        missing = dense and present.len() < series.len()
        return cls(series.name, low, high, parts, dense, centre, scale if scale > 1e-9 else 1.0, missing)

    def transform(self, series: pl.Series) -> Floats:
        """(n, len(names)) float64; a missing value is NaN for trees, 0 for dense models."""
        missing = series.is_null().to_numpy()
        elapsed = (np.asarray(series.to_numpy(), dtype=np.float64) / _DAY - self.centre) / self.scale
        columns = [elapsed]
        for part in self.parts:
            values = _part(series, part).to_numpy().astype(np.float64)
            if not self.dense:
                columns.append(values)
                continue
            places = np.where(missing, 0, np.nan_to_num(values) - _CYCLES[part][0]).astype(np.int64)
            columns += [np.array(_SINE[part])[places], np.array(_COSINE[part])[places]]
        if self.dense:
            columns = [np.where(missing, 0.0, column) for column in columns]
        if self.indicator:
            columns.append(missing.astype(np.float64))
        return np.column_stack(columns)

    def training(self, series: pl.Series, context: Context) -> Floats:
        """The same as `transform`."""
        return self.transform(series)

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of microseconds since 1970 or None, to as many floats."""
        width = len(self.names)
        absent = [0.0] * (width - self.indicator) + [1.0] * self.indicator if self.dense else [math.nan] * width
        dense, parts, centre, scale = self.dense, self.parts, self.centre, self.scale
        tail = [0.0] * self.indicator

        def encode(value: int | None) -> Sequence[float]:
            if value is None:
                return absent
            when = _EPOCH + timedelta(microseconds=value)
            out = [(value / _DAY - centre) / scale]
            for part in parts:
                found = when.isoweekday() if part == "weekday" else getattr(when, part)
                if dense:
                    place = found - _CYCLES[part][0]
                    out += (_SINE[part][place], _COSINE[part][place])
                else:
                    out.append(float(found))
            return out + tail

        return encode

    def state(self) -> tuple[State, Arrays]:
        """Its fields; no arrays."""
        fields = ("low", "high", "parts", "dense", "centre", "scale", "indicator")
        return {name: getattr(self, name) for name in fields}, {}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "DatetimeFeatures":
        """From what `state` returned."""
        parts = tuple(part for part in _PARTS if part in state["parts"])
        centre, scale = float(state["centre"]), float(state["scale"])
        low, high = int(state["low"]), int(state["high"])
        return cls(column, low, high, parts, bool(state["dense"]), centre, scale, bool(state["indicator"]))


def _part(series: pl.Series, part: str) -> pl.Series:
    """Polars counts weekdays from Monday = 1, as `isoweekday` does."""
    result: pl.Series = getattr(series.cast(pl.Datetime("us")).dt, part)()
    return result
