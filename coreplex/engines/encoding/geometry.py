"""Geometries: points on a map and WKT shapes become the place of their middle and, for shapes, their extent.

Coordinates are read as they are written; no projection is undone. For trees a missing one is NaN, for models that multiply it is
the mean of training, which is 0 after scaling.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Arrays, Context, Floats, State

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_REFERENCE = re.compile(r"^\s*SRID=\d+;", re.IGNORECASE)
_LONGEST = 100_000
"""Characters read of one value: an outline of some thousand corners."""
_REACH = 10.0


@dataclass(frozen=True)
class Geometry:
    """Points and shapes: x and y of the middle, and for shapes their extent, in the units they are written in; `centre` and
    `scale`, one of each per output, standardise them for dense models."""

    kind: ClassVar[str] = "geometry"
    categorical: ClassVar[tuple[int, ...]] = ()
    column: str
    shapes: bool
    """True where training saw more than points: width and height tell them apart."""
    centre: Floats
    scale: Floats
    """(2 or 4,) how models that multiply see each output; NaN stays for trees, whose scale is NaN."""

    @property
    def names(self) -> Sequence[str]:
        """Of the encoded columns."""
        return [f"{self.column}:{name}" for name in ("x", "y", "width", "height")[: len(self.centre)]]

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "Geometry":
        """From (n,) texts of coordinates."""
        boxes = _boxes(series.to_list())
        shapes = bool((boxes[:, 2:] > 0).any())
        width = 4 if shapes else 2
        if context.kind == "tree":
            return cls(series.name, shapes, np.zeros(width), np.full(width, np.nan))
        seen = boxes[~np.isnan(boxes[:, 0]), :width]
        centre = seen.mean(axis=0) if len(seen) else np.zeros(width)
        scale = seen.std(axis=0) if len(seen) else np.ones(width)
        return cls(series.name, shapes, centre, np.where(scale > 1e-12, scale, 1.0))

    def transform(self, series: pl.Series) -> Floats:
        """(n, len(names)) float64; what is missing is NaN for trees, 0 for dense models."""
        return self._scaled(_boxes(series.to_list())[:, : len(self.centre)])

    def _scaled(self, boxes: Floats) -> Floats:
        if np.isnan(self.scale).any():
            return boxes
        scaled = np.clip((boxes - self.centre) / self.scale, -_REACH, _REACH)
        return np.asarray(np.nan_to_num(scaled))

    def training(self, series: pl.Series, context: Context) -> Floats:
        """The same as `transform`."""
        return self.transform(series)

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one text or None, to as many floats."""

        def encode(value: str | None) -> Sequence[float]:
            found: list[float] = self._scaled(_boxes([value])[:, : len(self.centre)])[0].tolist()
            return found

        return encode

    def state(self) -> tuple[State, Arrays]:
        """Its fields as JSON; no arrays."""
        return {"shapes": self.shapes}, {"centre": self.centre, "scale": self.scale}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Geometry":
        """From what `state` returned."""
        centre, scale = arrays["centre"].astype(np.float64), arrays["scale"].astype(np.float64)
        width = 4 if state["shapes"] else 2
        if centre.shape != (width,) or scale.shape != (width,):
            raise ValueError(f"the arrays of the geometries {column!r} do not fit together")
        return cls(column, bool(state["shapes"]), centre, scale)


def _boxes(values: Sequence[str | None]) -> Floats:
    """(n, 4) middle x, middle y, width and height of the box around each geometry; NaN where there is none."""
    return np.array([_box(value) for value in values], dtype=np.float64).reshape(len(values), 4)


def _box(value: str | None) -> tuple[float, float, float, float]:
    text = _REFERENCE.sub("", value or "")[:_LONGEST]
    corners = [_NUMBER.findall(part) for part in re.split(r"[,()]", text)] if "(" in text else []
    pairs = [(float(numbers[0]), float(numbers[1])) for numbers in corners if len(numbers) >= 2]
    if not pairs:
        # `(40.7, -74.0)`: the comma stands between the coordinates.
        single = [float(numbers[0]) for numbers in corners if numbers]
        pairs = [(single[0], single[1])] if len(single) == 2 else []
    if not pairs:
        return (np.nan,) * 4
    xs, ys = zip(*pairs, strict=True)
    low, high = (min(xs), min(ys)), (max(xs), max(ys))
    box = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, high[0] - low[0], high[1] - low[1]
    return box if all(map(np.isfinite, box)) else (np.nan,) * 4
