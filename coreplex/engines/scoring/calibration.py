"""Calibration of probabilities, fitted on out-of-fold scores, stored as a few numbers.

`platt`: log-odds × slope + offset (Platt 1999). `temperature`: all raw scores × slope (Guo et al. 2017). Both keep
contributions exact. `isotonic`: a rising step function of the probability (Zadrozny & Elkan 2002), binary only, for
plenty of data.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.links import Link, respond


@dataclass(frozen=True)
class Calibration:
    """`slope` above 0 and `offset` change raw scores; isotonic: probability `y` at probability `x`, both rising from 0 to 1."""

    kind: Literal["platt", "temperature", "isotonic"]
    slope: float = 1.0
    offset: float = 0.0
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    @property
    def affine(self) -> bool:
        """True when it only stretches and shifts the raw score."""
        return self.kind != "isotonic"

    def raw(self, raw: Floats) -> Floats:
        """(n, r) raw scores, stretched and shifted where that is all; else as they are."""
        return raw * self.slope + self.offset if self.affine else raw

    def raw_row(self, raw: Sequence[float]) -> Sequence[float]:
        """`raw` of the r scores of one row."""
        return [score * self.slope + self.offset for score in raw] if self.affine else raw

    def response(self, response: Floats) -> Floats:
        """(n, 2) probabilities after the step function; as they are where the raw scores were changed."""
        if self.affine:
            return response
        positive = np.interp(response[:, 1], self.x, self.y)
        return np.column_stack([1.0 - positive, positive])

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON values."""
        return {**asdict(self), "x": list(self.x), "y": list(self.y)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Calibration":
        """From what `to_json` returned; `ValueError` where it does not fit together."""
        kind, x, y = data["kind"], tuple(map(float, data["x"])), tuple(map(float, data["y"]))
        if kind not in ("platt", "temperature", "isotonic") or len(x) != len(y) or (kind == "isotonic" and not x):
            raise ValueError("the calibration of this model cannot be read")
        return cls(kind, float(data["slope"]), float(data["offset"]), x, y)

    @classmethod
    def platt(cls, raw: Floats, target: NDArray[Any]) -> "Calibration":
        """From (n, 1) out-of-fold log-odds and (n,) classes 0/1; targets are softened as in Platt's paper."""
        positives = float(target.sum())
        high, low = (positives + 1) / (positives + 2), 1 / (len(target) - positives + 2)
        wanted = np.where(target == 1, high, low)

        def loss(parameters: Floats) -> float:
            score = raw[:, 0] * parameters[0] + parameters[1]
            return float(np.mean(np.logaddexp(0.0, score) - wanted * score))

        slope, offset = _least(loss, np.array([1.0, 0.0]), [(1e-3, 1e3), (-50, 50)])
        return cls("platt", float(slope), float(offset))

    @classmethod
    def temperature(cls, link: Link, raw: Floats, target: NDArray[Any]) -> "Calibration":
        """From (n, r) out-of-fold raw scores and (n,) class numbers."""
        rows = np.arange(len(target))

        def loss(parameters: Floats) -> float:
            chosen = respond(link, raw * np.exp(parameters[0]))[rows, target.astype(np.int64)]
            return float(-np.mean(np.log(np.maximum(chosen, 1e-15))))

        found = _least(loss, np.zeros(1), [(-5, 5)])
        return cls("temperature", float(np.exp(found[0])))

    @classmethod
    def isotonic(cls, probability: Floats, target: NDArray[Any]) -> "Calibration":
        """From (n,) out-of-fold probabilities of the second class and (n,) classes 0/1."""
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=1e-6, y_max=1 - 1e-6, out_of_bounds="clip").fit(probability, target)
        x, y = fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()
        return cls("isotonic", x=tuple(x), y=tuple(y))


def _least(loss: Callable[[Floats], float], start: Floats, bounds: list[tuple[float, float]]) -> Floats:
    from scipy.optimize import minimize  # half a second that only training pays

    return np.asarray(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x, dtype=np.float64)
