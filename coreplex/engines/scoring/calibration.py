"""Calibration by out-of-fold predictions, stored as a few numbers: probabilities that mean what they say, and intervals around a
number and sets of classes that hold the truth as often as was asked.

Probabilities. `platt`: log-odds × slope + offset (Platt 1999). `temperature`: all raw scores × slope (Guo et al. 2017). Both keep
contributions exact. `isotonic`: a rising step function of the probability (Zadrozny & Elkan 2002), binary only, for
plenty of data.

Intervals and sets are cross-conformal predictions (Vovk 2015; the jackknife and CV methods of Barber et al. 2021, with the mean
of the fold copies as the prediction): an answer is widened until the asked share of the out-of-fold rows would have been inside.
The share holds on average over rows drawn like those of training (marginally), not for each kind of row.

Numbers: the signed error is divided by its usual size at that prediction (normalised scores: Papadopoulos et al. 2002), the size
being what errors near that prediction were, so that intervals are wide where errors are; each tail is cut by itself, so that
skewed errors give skewed intervals. Classes: the set of those whose probability is at least one minus the quantile of
1 - p(true class) (Sadinle, Lei, Wasserman 2019); the likeliest class is always in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.predictor import Link, respond
from coreplex.errors.tree import Invalid, Message

_KEPT = 1_001
_BINS = 20
_BIN_ROWS = 25
_SURE = 1e-6
"""No step says less, nor more than what it leaves to 1."""
_DIGITS, _ROUNDED = "%.7g", 1e-6
"""What is kept of a number, and by how much of itself an end is moved out: a truth that lies on it is not outside for a digit."""


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
        from scipy.optimize import isotonic_regression  # without scikit-learn, which takes most of a second to load

        x, place, count = np.unique(probability, return_inverse=True, return_counts=True)
        y = isotonic_regression(np.bincount(place, target) / count, weights=count).x
        y = np.clip(y, _SURE, 1 - _SURE)
        ends = np.ones(len(y), dtype=bool)
        ends[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])  # what lies within a step says nothing more
        return cls("isotonic", x=tuple(x[ends].tolist()), y=tuple(y[ends].tolist()))


def _least(loss: Callable[[Floats], float], start: Floats, bounds: list[tuple[float, float]]) -> Floats:
    from scipy.optimize import minimize  # half a second that only training pays

    return np.asarray(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Conformal:
    """`scores`: ascending, all or about a thousand, with their `ranks` from 1 to `rows`; `sizes`: the usual size of an error at
    the predictions `knots`, both empty for classes; `floor`: no end is below it, unless the prediction is."""

    rows: int
    ranks: Floats
    scores: Floats
    knots: Floats
    sizes: Floats
    floor: float | None = None

    @classmethod
    def of_numbers(cls, y: Floats, p: Floats) -> "Conformal":
        """From (n,) values and their out-of-fold predictions. Where no value is negative, `floor` is zero."""
        knots, sizes = _usual_errors(p, np.abs(y - p))
        scores = (y - p) / np.interp(p, knots, sizes)
        return cls(len(y), *_kept(scores), knots, sizes, 0.0 if y.min() >= 0 else None)

    @classmethod
    def of_classes(cls, y: NDArray[np.int64], p: Floats) -> "Conformal":
        """From (n,) class codes and their (n, k) out-of-fold probabilities."""
        return cls(len(y), *_kept(1.0 - p[np.arange(len(y)), y]), np.empty(0), np.empty(0))

    @property
    def highest(self) -> float:
        """The highest level that so many rows support."""
        tails = 2 if len(self.knots) else 1
        return max(1.0 - tails / (self.rows + 1), 0.0)

    def bounds(self, predictions: Sequence[float], level: float) -> tuple[Floats, Floats]:
        """Lower and upper end per prediction, (n,) each. The prediction is always between them."""
        self._check(level)
        values = np.asarray(predictions, dtype=np.float64)
        size = np.interp(values, self.knots, self.sizes)
        tail = (1.0 - level) / 2
        lower, upper = size * self._at_most((self.rows + 1) * tail), size * self._at_least((self.rows + 1) * (1.0 - tail))
        lower, upper = values + lower - _ROUNDED * np.abs(lower), values + upper + _ROUNDED * np.abs(upper)
        if self.floor is not None:
            lower, upper = np.maximum(lower, self.floor), np.maximum(upper, self.floor)
        return np.minimum(lower, values), np.maximum(upper, values)

    def sets(self, probabilities: Sequence[Sequence[float]], level: float) -> list[list[int]]:
        """Per row the numbers of the classes in its set, the likeliest first."""
        self._check(level)
        least = 1.0 - self._at_least((self.rows + 1) * level) - 1.0 / self.rows  # so far apart fold copies may be on one row
        found = []
        for row in np.asarray(probabilities, dtype=np.float64):
            order = np.argsort(-row, kind="stable")
            found.append([int(c) for place, c in enumerate(order) if place == 0 or row[c] >= least])
        return found

    def _check(self, level: float) -> None:
        if level > self.highest:
            most = math.floor(self.highest * 1e4) / 1e4
            message = Message(
                "interval_level_too_high",
                "the model was judged on {rows} rows, which support a level of {most:g} at most",
                rows=self.rows,
                most=most,
            )
            raise Invalid.field(message, "options", "interval")

    def _at_least(self, rank: float) -> float:
        """The first kept score of that rank or a higher one."""
        return float(self.scores[min(int(np.searchsorted(self.ranks, np.ceil(rank - 1e-9))), len(self.scores) - 1)])

    def _at_most(self, rank: float) -> float:
        """The last kept score of that rank or a lower one."""
        return float(self.scores[max(int(np.searchsorted(self.ranks, np.floor(rank + 1e-9), side="right")) - 1, 0)])

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON values, numbers of seven digits."""
        lists = {name: [float(_DIGITS % v) for v in getattr(self, name)] for name in ("ranks", "scores", "knots", "sizes")}
        return {"rows": self.rows, **lists, "floor": self.floor}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Conformal":
        """From what `to_json` returned; `ValueError` where it does not fit together."""
        ranks, scores, knots, sizes = (np.array(data[k], dtype=np.float64) for k in ("ranks", "scores", "knots", "sizes"))
        if not len(scores) or len(ranks) != len(scores) or len(knots) != len(sizes):
            raise ValueError("the intervals of this model cannot be read")
        return cls(int(data["rows"]), ranks, scores, knots, sizes, data.get("floor"))


def _kept(scores: Floats) -> tuple[Floats, Floats]:
    """Ranks and scores: all where there are few, else evenly spaced ones with both ends."""
    ordered, n = np.sort(scores), len(scores)
    ranks = np.arange(1, n + 1) if n <= _KEPT else np.unique(np.linspace(1, n, _KEPT).round().astype(np.int64))
    return ranks.astype(np.float64), ordered[ranks - 1]


def _usual_errors(p: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Knots along the predictions and the mean error around each, smoothed and never far below the mean of all."""
    overall = max(float(error.mean()), 1e-12)
    bins = min(_BINS, len(p) // _BIN_ROWS)
    if bins < 2:
        return np.array([float(p.mean())]), np.array([overall])
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    knots = np.array([p[part].mean() for part in parts])
    sizes = np.array([error[part].mean() for part in parts])
    smooth = np.convolve(np.pad(sizes, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    knots, places = np.unique([float(_DIGITS % knot) for knot in knots], return_inverse=True)  # alike but for rounding is alike
    sizes = np.bincount(places, smooth) / np.bincount(places)
    return knots, np.maximum(sizes, 0.1 * overall)
